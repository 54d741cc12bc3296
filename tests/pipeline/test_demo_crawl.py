"""The synthetic crawl: the same bytes always, and a truth that holds."""

import gzip
import hashlib
import html
import io
import os
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from algok.errors import RecipeError
from algok.pipeline.demo_crawl import DemoCrawlOptions, DemoCrawlSummary, Pages, write_demo_crawl
from algok.pipeline.demo_crawl.document import SHINGLE
from algok.pipeline.demo_crawl.plan import block_bounds, plan_of
from algok.pipeline.demo_crawl.wire import gzip_member

PAGES = 900
OPTIONS = DemoCrawlOptions(pages=PAGES, seed=5, pages_per_file=300, broken_share=0.06)
#: Codec for a WHATWG label, where Python's own alias is narrower.
CODECS = {"euc-kr": "cp949", "gb2312": "gb18030", "iso-8859-1": "cp1252", "Shift_JIS": "cp932"}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> DemoCrawlSummary:
    return write_demo_crawl(tmp_path_factory.mktemp("demo"), OPTIONS)


@pytest.fixture(scope="module")
def truth(crawl: DemoCrawlSummary) -> list[Row]:
    rows: list[Row] = pq.read_table(crawl.folder / "truth.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def members(crawl: DemoCrawlSummary, truth: list[Row]) -> dict[int, bytes]:
    """Stored bytes of the record of each page, cut out by the truth's offsets."""
    stored = {path.name: path.read_bytes() for path in sorted((crawl.folder / "crawl").iterdir())}
    return {row["index"]: stored[row["file"]][row["offset"] : row["offset"] + row["length"]] for row in truth}


def body_of(member: bytes) -> bytes:
    """Decoded body of a response; the whole block where it has no HTTP header."""
    data = gzip.decompress(member)
    bare = not data.split(b"\r\n\r\n", 1)[1].startswith(b"HTTP/")
    record = next(iter(ArchiveIterator(io.BytesIO(data), parse_http=not bare, auto_decode="all")))
    return bytes(record.reader.read())


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_runs_write_the_same_bytes(crawl: DemoCrawlSummary, tmp_path: Path) -> None:
    write_demo_crawl(tmp_path, OPTIONS)
    assert files_of(tmp_path) == files_of(crawl.folder)


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from algok.pipeline.demo_crawl import *;"
        "write_demo_crawl(Path(sys.argv[1]), DemoCrawlOptions(pages=120, seed=9, pages_per_file=50))"
    )
    for name in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": name, "TZ": f"UTC-{name}", "LC_ALL": "C"}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True, env=environment)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")


def test_a_part_equals_the_slice(crawl: DemoCrawlSummary, truth: list[Row], tmp_path: Path) -> None:
    part = DemoCrawlOptions(pages=300, seed=5, pages_per_file=300, start=300, broken_share=0.06, truncate_last=False)
    write_demo_crawl(tmp_path, part)
    name = "crawl/DEMO-00001.warc.gz"
    assert [path.name for path in (tmp_path / "crawl").iterdir()] == ["DEMO-00001.warc.gz"]
    assert (tmp_path / name).read_bytes() == (crawl.folder / name).read_bytes()
    assert pq.read_table(tmp_path / "truth.parquet").to_pylist() == truth[300:600]
    inside = [row for row in pq.read_table(crawl.folder / "pairs.parquet").to_pylist() if 300 <= row["b"] < 600]
    assert inside
    assert pq.read_table(tmp_path / "pairs.parquet").to_pylist() == inside


def test_a_shorter_crawl_is_a_prefix(crawl: DemoCrawlSummary, truth: list[Row], tmp_path: Path) -> None:
    short = DemoCrawlOptions(pages=450, seed=5, pages_per_file=300, broken_share=0.06, truncate_last=False)
    write_demo_crawl(tmp_path, short)
    assert pq.read_table(tmp_path / "truth.parquet").to_pylist() == truth[:450]
    whole = (crawl.folder / "crawl" / "DEMO-00001.warc.gz").read_bytes()
    assert whole.startswith((tmp_path / "crawl" / "DEMO-00001.warc.gz").read_bytes())


def test_a_new_crawl_replaces_an_old_one(tmp_path: Path) -> None:
    seen: list[int] = []
    write_demo_crawl(tmp_path, DemoCrawlOptions(pages=30, pages_per_file=10))
    summary = write_demo_crawl(tmp_path, DemoCrawlOptions(pages=15, pages_per_file=10), seen.append)
    assert sorted(path.name for path in (tmp_path / "crawl").iterdir()) == ["DEMO-00000.warc.gz", "DEMO-00001.warc.gz"]
    assert seen == [10, 15]
    assert (summary.pages, summary.files) == (15, 2)
    assert summary.bytes == sum(path.stat().st_size for path in (tmp_path / "crawl").iterdir())


def test_another_seed_is_another_crawl() -> None:
    one, two = (Pages(DemoCrawlOptions(pages=1, seed=seed)).page(7) for seed in (1, 2))
    assert one.response != two.response
    assert one.truth["record_id"] != two.truth["record_id"]


def test_sound_files_are_read_in_full_by_fastwarc(tmp_path: Path) -> None:
    options = DemoCrawlOptions(pages=200, seed=3, pages_per_file=100, broken_share=0, truncate_last=False)
    write_demo_crawl(tmp_path, options)
    rows = pq.read_table(tmp_path / "truth.parquet").to_pylist()
    found: list[tuple[str, int, str]] = []
    kinds: Counter[str] = Counter()
    for path in sorted((tmp_path / "crawl").iterdir()):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, parse_http=False):
                kinds[record.headers["WARC-Type"]] += 1
                if record.headers["WARC-Type"] != "warcinfo":
                    assert record.verify_block_digest(consume=False)
                if record.record_type in (WarcRecordType.response, WarcRecordType.revisit):
                    record.parse_http()
                    if record.record_type == WarcRecordType.response:
                        assert record.verify_payload_digest(consume=False)
                    found.append((path.name, record.stream_pos, record.headers["WARC-Record-ID"]))
    assert found == [(row["file"], row["offset"], row["record_id"]) for row in rows]
    assert kinds["warcinfo"] == 2
    assert kinds["request"] == 200


def test_offsets_and_texts_hold(truth: list[Row], members: dict[int, bytes]) -> None:
    checked = 0
    for row in truth:
        if row["failed_step"]:
            continue
        bare = row["breakage"] == "no-http"
        (record,) = list(ArchiveIterator(io.BytesIO(members[row["index"]]), parse_http=not bare))
        assert record.headers["WARC-Record-ID"] == row["record_id"]
        assert record.headers["WARC-Target-URI"] == row["url"]
        assert row["http_status"] == (None if bare else record.http_headers.status_code)
        if row["text"] is None:
            continue
        raw = body_of(members[row["index"]])
        page = html.unescape(raw.decode(CODECS.get(row["charset"], row["charset"]), "replace"))
        if row["breakage"] is None and row["charset"] != "utf-16":
            raw.decode(CODECS.get(row["charset"], row["charset"]))
        if row["content_class"] == "math":
            continue  # inline formulas may stand as MathML
        for line in row["text"].split("\n"):
            for cell in line.split(" | "):
                assert cell in page, (row["index"], row["template"], row["charset"])
        assert row["title"] in page
        checked += 1
    assert checked > PAGES / 2


def test_declared_charsets_are_on_the_page(truth: list[Row], members: dict[int, bytes]) -> None:
    seen = set()
    for row in truth:
        if row["failed_step"] or row["text"] is None:
            continue
        member = gzip.decompress(members[row["index"]])
        header = b"" if row["breakage"] == "no-http" else member.split(b"\r\n\r\n")[1].lower()
        label = (row["declared_charset"] or "charset=").lower().encode()
        assert (b"charset=" in header) == (row["declared_by"] in ("http", "both"))
        if row["declared_by"] in ("http", "both"):
            assert b"charset=" + label in header
        meta = body_of(members[row["index"]])[:600].lower()
        assert (b"charset=" in meta) == (row["declared_by"] in ("meta", "both")), row["index"]
        seen.add((row["charset"], row["declared_by"]))
    assert {("euc-kr", "meta"), ("euc-kr", "http"), ("euc-kr", None), ("utf-8", "both")} <= seen


def test_pages_labelled_euc_kr_hold_cp949() -> None:
    """Syllables outside KS X 1001: a strict EUC-KR decoder fails on them, a browser does not."""
    pages = Pages(DemoCrawlOptions(pages=1, seed=5, broken_share=0, korean_share=1, spam_share=0, junk_share=0))
    strict = Counter[bool]()
    for index in range(400):
        page = pages.page(index)
        if page.truth["charset"] == "euc-kr" and page.truth["text"]:
            body = body_of(gzip.compress(page.response))
            body.decode("cp949")
            strict["똠" in page.truth["text"] or "샾" in page.truth["text"] or "햏" in page.truth["text"]] += 1
    assert strict[True]
    assert strict[False]


def test_broken_records_fail_as_told_and_alone(truth: list[Row], members: dict[int, bytes]) -> None:
    steps = Counter(row["breakage"] for row in truth if row["breakage"])
    assert set(steps) >= {"flipped-byte", "bad-header", "length-long", "length-short", "no-http", "truncated"}
    for row in truth:
        member = members[row["index"]]
        if row["failed_step"] == "gzip":
            with pytest.raises((OSError, EOFError, zlib.error)):  # BadGzipFile is an OSError
                gzip.decompress(member)
            assert row["expected"] == "failed"
            continue
        data = gzip.decompress(member)
        block = data.split(b"\r\n\r\n", 1)[1]
        length = int(data.split(b"Content-Length: ", 1)[1].split(b"\r\n", 1)[0])
        assert data.startswith(b"WARC/1.1") == (row["breakage"] != "bad-header")
        assert (length == len(block) - 4) == (row["breakage"] not in ("length-long", "length-short"))
        assert block.startswith(b"HTTP/1.1 ") == (row["breakage"] != "no-http")
    last = truth[-1]
    assert last["breakage"] == "truncated"


def test_one_bad_byte_costs_one_replacement(truth: list[Row], members: dict[int, bytes]) -> None:
    found = 0
    for row in truth:
        if row["breakage"] == "bad-byte" and row["charset"] not in ("utf-16", "iso-8859-1", "gb2312") and row["text"]:
            page = body_of(members[row["index"]]).decode(CODECS.get(row["charset"], row["charset"]), "replace")
            assert page.count("�") == 1
            found += 1
    assert found


def brute_shingles(row: Row) -> list[str]:
    words = row["text"].split()
    if row["language"] in ("ja", "zh"):
        words = [char for char in row["text"] if not char.isspace()]
    if len(words) <= SHINGLE:
        return ["\x00".join(words)]
    return sorted({"\x00".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)})


def brute_jaccard(one: Row, two: Row) -> float:
    first, second = set(brute_shingles(one)), set(brute_shingles(two))
    return len(first & second) / len(first | second)


def test_similarities_equal_a_recomputation(crawl: DemoCrawlSummary, truth: list[Row]) -> None:
    by_index = {row["index"]: row for row in truth}
    pairs = pq.read_table(crawl.folder / "pairs.parquet").to_pylist()
    assert len(pairs) == crawl.pairs > 100
    for pair in pairs:
        one, two = by_index[pair["a"]], by_index[pair["b"]]
        assert one["group"] == two["group"] == pair["group"]
        assert (one["record_id"], two["record_id"]) == (pair["a_record_id"], pair["b_record_id"])
        assert pair["jaccard"] == brute_jaccard(one, two)
    edited = [row for row in truth if row["edit"]]
    for row in edited:
        assert row["jaccard"] == brute_jaccard(by_index[row["original"]], row)
    assert {row["edit"] for row in edited} == {"words", "replace", "insert", "delete", "reorder", "append", "mixed"}


def test_similarities_are_spread_from_a_half_to_one() -> None:
    pages = Pages(DemoCrawlOptions(pages=1, near_share=0.6, spam_share=0, junk_share=0))
    similar = [truth["jaccard"] for i in range(700) if (truth := pages.page(i).truth)["edit"]]
    bands = Counter(min(int(value * 10), 9) for value in similar)
    assert all(bands[band] > 0.08 * len(similar) for band in (5, 6, 7, 8, 9))
    assert bands[5] + bands[6] + bands[7] + bands[8] + bands[9] > 0.9 * len(similar)


def test_groups_are_what_their_kind_says(crawl: DemoCrawlSummary) -> None:
    pages = Pages(DemoCrawlOptions(pages=1, seed=11, exact_share=0.5, near_share=0.1, broken_share=0))
    groups: dict[str, list[tuple[Row, bytes]]] = defaultdict(list)
    for index in range(1024):
        page = pages.page(index)
        if page.truth["group"]:
            groups[page.truth["group"]].append((page.truth, page.response))
    seen: Counter[str] = Counter()
    for rows in groups.values():
        first = rows[0][0]
        assert [row["member"] for row, _ in rows] == list(range(len(rows)))
        assert {row["original"] for row, _ in rows} == {first["index"]}
        kind = first["group_kind"]
        seen[kind] += 1
        bodies = [body_of(gzip.compress(response)) for _, response in rows]
        if kind != "near":
            assert len({row["text"] for row, _ in rows}) == len({row["exact_group"] for row, _ in rows}) == 1
        if kind in ("copy", "recapture", "twin"):
            assert len(set(bodies)) == 1
        if kind == "template":
            assert len(set(bodies)) > 1
        urls, times = ({row[name] for row, _ in rows} for name in ("url", "captured"))
        assert (len(urls) == 1) == (kind in ("recapture", "twin"))
        assert (len(times) == 1) == (kind == "twin")
    assert set(seen) == {"near", "copy", "template", "recapture", "twin"}


def test_group_sizes_follow_a_power_law() -> None:
    options = DemoCrawlOptions(pages=1, seed=2)
    sizes: Counter[int] = Counter()
    for low in range(4096, 4096 * 7, 4096):
        groups = {plan.group.name: plan.group for i in range(low, low + 4096) if (plan := plan_of(options, i)).group}
        for group in groups.values():
            assert group.members == tuple(sorted(group.members))
            assert block_bounds(group.members[0]) == block_bounds(group.members[-1]) == (low, low + 4096)
        sizes.update(len(group.members) for group in groups.values())
    total = sum(sizes.values())
    assert min(sizes) == 2
    assert max(sizes) > 100
    assert 0.40 < sizes[2] / total < 0.62  # 1 - 1/2 of them
    assert 0.10 < sum(count for size, count in sizes.items() if size > 5) / total < 0.32  # 1/5


def test_shares_are_near_the_options() -> None:
    options = DemoCrawlOptions(pages=1, seed=4)
    plans = [plan_of(options, i) for i in range(4096, 4096 * 4)]
    count = len(plans)
    share = {kind: number / count for kind, number in Counter(plan.kind for plan in plans).items()}
    assert share["spam"] == pytest.approx(options.spam_share, abs=0.015)
    assert 0.55 < share["document"] < 0.68
    grouped = Counter(plan.group.kind == "near" for plan in plans if plan.group)
    assert grouped[True] / count == pytest.approx(options.near_share, abs=0.005)
    assert grouped[False] / count == pytest.approx(options.exact_share, abs=0.005)
    single = [plan.content for plan in plans if plan.kind == "document" and plan.group is None]
    mix = {name: number / len(single) for name, number in Counter(single).items()}
    for name, wanted in options.language_shares():
        assert mix[name] == pytest.approx(wanted, abs=0.03), name
    broken = sum(bool(plan.breakage) for plan in plans if plan.kind == "document") / count
    assert broken == pytest.approx(options.broken_share * share["document"], rel=0.4)


def test_exact_groups_are_exact(truth: list[Row]) -> None:
    texts: dict[str, set[str]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)
    for row in truth:
        assert (row["exact_group"] is None) == (not row["text"])
        if row["text"]:
            texts[row["exact_group"]].add(row["text"])
            names[row["text"]].add(row["exact_group"])
    assert all(len(found) == 1 for found in (*texts.values(), *names.values()))


def test_addresses_are_unique_but_for_recaptures(truth: list[Row]) -> None:
    free = [row["url"] for row in truth if row["group_kind"] not in ("recapture", "twin")]
    assert len(set(free)) == len(free)
    assert len({row["record_id"] for row in truth}) == PAGES
    assert all(row["url"].split("/")[2] == row["host"] for row in truth)
    assert all(row["host"].endswith(".example") for row in truth)  # RFC 2606: belongs to nobody


def test_unrelated_documents_share_little(truth: list[Row]) -> None:
    for language, limit in (("ko", 0.05), ("en", 0.10), ("ja", 0.30), ("zh", 0.25)):
        sets = [
            set(brute_shingles(row))
            for row in truth
            if row["language"] == language and row["page_class"] == "document" and row["group"] is None
        ][:120]
        assert len(sets) > 10
        worst = max(len(a & b) / len(a | b) for i, a in enumerate(sets) for b in sets[:i])
        assert worst < limit, language


def test_the_mix_has_everything(truth: list[Row]) -> None:
    columns = {
        name: Counter(row[name] for row in truth) for name in ("page_class", "content_class", "template", "style")
    }
    assert set(columns["page_class"]) >= {
        *("document", "spam", "listing", "error", "login", "short", "media", "redirect", "missing", "revisit", "empty")
    }
    assert set(columns["content_class"]) == {"ko", "en", "ja", "zh", "code", "math", "other"}
    assert len([name for name in columns["template"] if "stray" not in name]) == 8
    assert any("stray" in name for name in columns["template"])
    assert set(columns["style"]) >= {"news", "blog", "law", "qa", "slang", "gambling", "stuffing", "splog", "linkfarm"}


WRONG_OPTIONS = (
    *(("pages", 0), ("pages", 1.5), ("seed", -1), ("pages_per_file", 0), ("korean_share", 1.2), ("broken_share", -0.1)),
    *(("start", 500), ("compression", 10), ("junk_share", 0.9)),
)


@pytest.mark.parametrize(("name", "value"), WRONG_OPTIONS)
def test_bad_options_are_named(name: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=name):
        DemoCrawlOptions(**({"pages": 10} | {name: value}))


@pytest.mark.shared
def test_language_identification_agrees(truth: list[Row], shared_data: Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    model = fasttext.load_model(str(shared_data / "models" / "lid.176.ftz"))
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in truth:
        if (
            row["page_class"] == "document"
            and row["content_class"] in ("ko", "en", "ja", "zh")
            and len(row["text"]) >= 200
        ):
            label = model.predict([row["text"].replace("\n", " ")[:1000]])[0][0][0]
            total[row["language"]] += 1
            right[row["language"]] += label == f"__label__{row['language']}"
    assert set(total) == {"ko", "en", "ja", "zh"}
    assert all(right[language] >= 0.98 * total[language] for language in total)


def test_bytes_are_pinned() -> None:
    """The same on every machine and zlib (level 0 is our own). A change of words or patterns changes it: pin anew."""
    pages = Pages(DemoCrawlOptions(pages=1, seed=1, compression=0))
    whole = hashlib.sha256()
    for index in range(150):
        page = pages.page(index)
        whole.update(gzip_member(page.request or b"", 0) + gzip_member(page.response, 0))
    assert whole.hexdigest() == "5b74b89375c9c13c13b369dde13acb93823a4af3af4b66f872e60e09a39d2e5d"
