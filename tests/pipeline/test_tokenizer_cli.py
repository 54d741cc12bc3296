"""`algok tokenizer`: train, evaluate, export, check, proxy."""

import base64
import json
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sentencepiece import SentencePieceTrainer

from algok.errors import InputError
from algok.pipeline.cli import cli
from algok.tokenizer.proxy import SentencePieceModel
from tests.tokenizer.conftest import korean_documents


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tokenizer", *map(str, arguments)])


def write(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ko/{a,b}.jsonl, train/en.jsonl, held/ko.jsonl, held/en.jsonl, parallel.jsonl, ranks."""
    folder = tmp_path_factory.mktemp("texts")
    words = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "and", "data", "return", "value", "class"]
    rng = random.Random(5)
    english = [" ".join(rng.choices(words, k=rng.randint(5, 40))) for _ in range(600)]
    write(folder / "train/ko/a.jsonl", korean_documents(700, seed=1))
    write(folder / "train/ko/b.jsonl", korean_documents(300, seed=2))
    write(folder / "train/en.jsonl", english)
    write(folder / "held/ko.jsonl", ["<script>alert(1)</script>" * 10, *korean_documents(60, seed=3)])
    write(folder / "held/en.jsonl", english[:50])
    pairs = [{"pair": "x", "lang": "ko", "text": "한국어 글"}, {"pair": "x", "lang": "en", "text": "the fox"}]
    (folder / "parallel.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    ranks = [*(bytes([b]) for b in range(256)), b"th"]
    (folder / "ranks").write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in enumerate(ranks)))
    return folder


@pytest.fixture(scope="module")
def model(texts: Path) -> Path:
    out = texts / "tok"
    done = invoke(
        "train", f"ko={texts / 'train/ko'}", f"en={texts / 'train/en.jsonl'}", "--out", out, "--vocab-size", 2500,
        "--share", "ko=0.8", "--share", "en=0.2", "--sample-mb", 0.2, "--allow-smaller", "--quiet",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    path = out / "tokenizer.model"
    assert str(path) in done.output
    return path


def test_the_training_manifest(model: Path) -> None:
    manifest = json.loads((model.parent / "training.json").read_text("utf-8"))
    sizes = manifest["sample"]["bytes"]
    assert sizes["ko"] / sum(sizes.values()) == pytest.approx(0.8, abs=0.03)
    assert sum(sizes.values()) == pytest.approx(200_000, rel=0.05)
    assert manifest["options"]["digits"] == "joined"
    below = list(manifest["uses_below"].values())
    assert below == sorted(below)
    assert below[-1] > 0


def test_evaluation_in_json_and_html(model: Path, texts: Path) -> None:
    out = texts / "evaluation"
    done = invoke(
        "evaluate", model, "--domain", f"ko={texts / 'held/ko.jsonl'}", "--domain", f"en={texts / 'held/en.jsonl'}",
        "--ranks", f"o200k_base={texts / 'ranks'}", "--parallel", texts / "parallel.jsonl", "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    content = json.loads((out / "evaluation.json").read_text("utf-8"))
    korean = content["domains"]["ko"]
    assert korean["lossless"]
    assert content["korean_mean_reduction"]["o200k_base"] == korean["against"]["o200k_base"]["reduction"]
    assert content["parity"]["en"]["documents"] == 1
    assert f"{100 * korean['against']['o200k_base']['reduction']:.1f}%" in done.output
    page = (out / "evaluation.html").read_text("utf-8")
    assert "<script" not in page
    assert "alert(1)" in re.sub(r"<[^>]+>", "", page).replace("│", "")
    assert "http" not in page.split("</style>")[1]


def test_export_and_check(model: Path, texts: Path) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is an optional peer")
    done = invoke("export", model, texts / "hf")
    assert done.exit_code == 0, done.output
    assert (texts / "hf/tokenizer.json").is_file()
    done = invoke("check", model, texts / "held", texts / "train/ko")
    assert done.exit_code == 0, done.output
    assert "0 did not come back" in done.output
    assert "0 have other ids in tokenizers" in done.output


def test_check_of_raw_files(model: Path, texts: Path) -> None:
    folder = texts / "raw"
    folder.mkdir()
    (folder / "a").write_bytes(bytes(range(256)) * 5000)
    (folder / "b").write_bytes("가나다".encode("cp949"))
    done = invoke("check", model, "--raw", folder, "--raw", model)
    assert done.exit_code == 0, done.output
    assert "4 raw blocks of 3 files" in done.output
    assert "0 did not come back" in done.output


def test_check_finds_a_foreign_model(model: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that loses a character must not pass."""
    from algok.tokenizer.codec import Codec

    decode = Codec.decode
    monkeypatch.setattr(Codec, "decode", lambda self, ids: decode(self, ids)[1:])
    done = invoke("check", model, texts / "held/en.jsonl")
    assert done.exit_code == 1
    assert "50 did not come back" in done.output
    assert "en.jsonl: does not come back" in done.output


def test_a_model_that_loses_text_is_not_compared_with(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("".join(f"def f{i}(x):\n" for i in range(200)))
    SentencePieceTrainer.train(input=str(tmp_path / "text"), model_prefix=str(tmp_path / "lossy"), vocab_size=30,
                               hard_vocab_limit=False, minloglevel=2)  # fmt: skip
    encoder = SentencePieceModel(tmp_path / "lossy.model")
    assert encoder.encode_ordinary_batch(["def f1(x):"], 1)
    with pytest.raises(InputError, match=r"lossy\.model does not return the text 'def\\n f1'"):
        encoder.encode_ordinary_batch(["def\n f1"], 1)


def test_the_proxy_check(model: Path, texts: Path) -> None:
    arguments = ("--train", texts / "train/ko", "--valid", f"ko={texts / 'held/ko.jsonl'}",
                 "--valid", f"en={texts / 'held/en.jsonl'}", "--sentencepiece", f"same={model}",
                 "--width", 32, "--layers", 1)  # fmt: skip
    try:
        import torch  # noqa: F401
    except ImportError:
        done = invoke("proxy", model, *arguments)
        assert done.exit_code == 1
        assert "pip install torch" in done.output
        return
    few = invoke("proxy", model, *arguments, "--flops", 1e8)
    more = invoke("proxy", model, *arguments, "--flops", 1e10)
    assert few.exit_code == more.exit_code == 0, few.output + more.output
    (first, other), (last, _) = ([list(map(float, line.split()[:2])) for line in r.output.splitlines()[2:]]
                                 for r in (few, more))  # fmt: skip
    assert first == other  # SentencePiece gives the same ids, so the training is the same
    assert 0 < last[0] < first[0] < 20
    assert all(0 < bits < 20 for bits in last)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nothing", "--out", "x"), "BUCKET=PATH|NAME=PATH"),
        (("train", "ko=none.jsonl", "--out", "x"), "none.jsonl"),
        (("train", "ko=.", "--out", "x", "--share", "ko=half"), "half"),
        (("train", "ko=.", "--out", "x", "--share", "ko=0.5"), "sum to 0.5"),
        (("train", "ko=.", "--out", "x", "--vocab-size", "10"), "vocab_size"),
    ],
)
def test_mistakes_are_named(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert re.search(message, done.output)
