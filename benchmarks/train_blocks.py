"""Trains the models of the block engine and measures it on sites that they did not see.

    pip install lightgbm
    python -m benchmarks.train_blocks [--out work/blocks] [--install] [--data FOLDER]

Pages: all of the mini crawl. A block is labelled by whether its text is in the main text of its page: the gold text
where there is one (scrapinghub, Korean templates, readability), else what ``engine = "trafilatura"`` finds, corrected
by the snippets of trafilatura's own benchmark where the page has some. So the models learn from people where people
looked, and from the slow engine elsewhere.

Hosts are dealt into five folds. The second model of a fold is trained on what the first models say about hosts that
they did not see. Every gold page is then measured by the models of the fold that its host was left out of, through the
whole page kernel; the models that ship are trained on all pages, the same way. ``--install`` puts those into the
package and those of the folds beside this file, ``--trained`` only measures what is in ``--out``. Deterministic: one
thread, fixed seeds.
"""

import argparse
import datetime
import gzip
import json
import logging
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from algok.filters.extraction import blocks as package
from algok.filters.extraction.blocks.beliefs import second
from algok.filters.extraction.blocks.columns import B_CHARS
from algok.filters.extraction.blocks.features import first
from algok.filters.extraction.blocks.forest import Forest, Models, predict
from algok.filters.extraction.blocks.forest import load as load_models
from algok.filters.extraction.blocks.scan import Scan, scan
from algok.filters.extraction.blocks.write import block_text
from algok.filters.extraction.messages import Page
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.page import PageKernel
from benchmarks.extraction_quality import DATA, FOLD_MODELS, SETS, decoder, load, score
from benchmarks.folds import FOLDS, fold_of
from benchmarks.machine import describe
from benchmarks.tables import RESULTS, Result, Table, publish

__all__ = ["main"]

#: Trees of the first and of the second model, and how they grow: the best of a few on hosts left out.
ROUNDS = (80, 120)
GROWTH = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 40, "feature_fraction": 0.5,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5, "max_bin": 127, "num_threads": 1, "seed": 1,
    "deterministic": True, "force_row_wise": True, "verbose": -1,
}  # fmt: skip
#: Weight of a page by where its labels are from.
WEIGHTS = {"scrapinghub_fulltext": 3.0, "snippets": 2.0, "readability": 2.0}
#: One in so many of the 2,300 splogs of the mini crawl, which are all alike, is learnt from.
SPLOGS = 4
_GOLD = ("scrapinghub_fulltext", "ko_template", "readability")
_NO_WORD = re.compile(r"[\W_]+")


class Sample(NamedTuple):
    """A page: its blocks, their measurements, labels float32[blocks], weights float64[blocks]."""

    host: str
    found: Scan
    rows: Any
    labels: Any
    weights: Any


def main(arguments: list[str] | None = None) -> Result:
    """Train, measure, print and write the result."""
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(6_000)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with mini_crawl and extraction_gold")
    parser.add_argument("--out", type=Path, default=Path("work/blocks"), help="where the models go")
    parser.add_argument("--trained", action="store_true", help="measure the models that are there")
    parser.add_argument("--install", action="store_true", help="put the models into the package")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    machine = describe()
    if not given.trained:
        _train(given.data, given.out)
    result = _measured(given, machine)
    if given.install:
        shutil.copy(given.out / "model.npz", Path(package.__file__).parent / "model.npz")
        FOLD_MODELS.mkdir(exist_ok=True)
        for fold in range(FOLDS):
            shutil.copy(given.out / f"fold-{fold}.npz", FOLD_MODELS)
    print(publish(result, given.results))
    return result


def _train(data: Path, out: Path) -> None:
    """The models of every fold and those that ship, into ``out``."""
    samples = list(_samples(data))
    blocks = sum(len(sample.labels) for sample in samples)
    print(f"{len(samples):,} pages, {blocks:,} blocks, {sum(s.labels.sum() for s in samples):,.0f} of main text")
    folds = np.array([fold_of(sample.host) for sample in samples])
    every = np.arange(len(samples))
    guesses = _left_out(folds, lambda seen: _model(samples, seen, ROUNDS[0]), lambda i: samples[i].rows)
    wide = [
        sample._replace(rows=np.hstack([sample.rows, second(sample.found, guess)]))
        for sample, guess in zip(samples, guesses, strict=True)
    ]
    for fold in (*range(FOLDS), None):
        seen = every if fold is None else np.flatnonzero(folds != fold)
        models = Models(_model(samples, seen, ROUNDS[0]), _model(wide, seen, ROUNDS[1]))
        name = "model" if fold is None else f"fold-{fold}"
        _save(out / f"{name}.npz", models)
        print(f"{name}: trained on {len(seen):,} pages", flush=True)


# --- pages and labels ----------------------------------------------------------------------------------------------


def _samples(data: Path) -> Iterator[Sample]:
    from fastwarc.warc import ArchiveIterator

    gold = _gold(data)
    decode = decoder()
    teacher = PageKernel(ExtractOptions(engine="trafilatura"), decode)
    with gzip.open(data / "mini_crawl" / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["site_class"] == "splog" and xxhash.xxh3_64_intdigest(record["url"].encode()) % SPLOGS:
                continue
            with (data / "mini_crawl" / record["file"]).open("rb") as stream:
                stream.seek(record["offset"])
                payload = next(iter(ArchiveIterator(stream))).reader.read()
            _, _, charset = (record["content_type"] or "").partition("charset=")
            found = scan(decode(payload, charset or None).text.encode("utf-8", "replace"))
            if found is None or not len(found.blocks):
                continue
            page = Page(payload, charset or None, url=record["url"])
            labels, weight = _labels(found, teacher, page, gold.get((record["file"], record["offset"]), {}))
            yield Sample(record["host"], found, first(found), labels, weight * _weights(found, labels))


def _gold(data: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Gold by file and offset of its page, then by set."""
    gold: dict[tuple[str, int], dict[str, Any]] = {}
    for name in (*_GOLD, "trafilatura_snippets"):
        with gzip.open(data / "extraction_gold" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if "warc" in row:
                    gold.setdefault((row["warc"], row["offset"]), {})[name] = row
    return gold


def _labels(found: Scan, teacher: PageKernel, page: Page, gold: dict[str, Any]) -> tuple[Any, float]:
    """Labels of the blocks of a page, and its weight."""
    texts = [block_text(found, block) for block in range(len(found.blocks))]
    human = next((name for name in reversed(_GOLD) if name in gold), None)
    if human is not None:
        return label(texts, gold[human]["text"]), WEIGHTS.get(human, 1.0)
    labels = label(texts, teacher.extract(page).text or "")
    if "trafilatura_snippets" not in gold:
        return labels, 1.0
    row = gold["trafilatura_snippets"]
    for value, snippets in ((1, row["with"]), (0, row["without"])):
        for snippet in (" ".join(snippet.split()) for snippet in snippets):
            for i, text in enumerate(texts):
                # An unwanted snippet in a long block does not make the block unwanted.
                if snippet and snippet in text and (value or len(text) < 3 * len(snippet) + 40):
                    labels[i] = value
    return labels, WEIGHTS["snippets"]


def label(texts: Sequence[str], main_text: str) -> Any:
    """Which blocks are in the main text, float32[blocks]; by letters and digits alone.

    Long blocks may be anywhere in it. Short ones, which say the same in many places, must be a line of it and stand
    close behind what was found before. A block without letters goes with the block before it.

    >>> label(["Home", "A long enough sentence.", "Yes", "Home"], "A long enough sentence.\\nYes").tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    lines = {_letters(part) for line in main_text.split("\n") for part in (line, *line.split("|"))}
    whole = _letters(main_text)
    labels = np.zeros(len(texts), np.float32)
    at = 0
    for i, text in enumerate(texts):
        letters = _letters(text)
        if not letters:
            labels[i] = labels[i - 1] if i else 0
            continue
        place = -1
        if len(letters) >= 16:
            place = whole.find(letters, at)
            if place < 0:
                place = whole.find(letters)
            if place < 0 and len(letters) > 200:
                # A gold text may differ in a letter: most of its parts will do.
                parts = [letters[j : j + 40] for j in range(0, len(letters) - 39, 40)]
                labels[i] = sum(part in whole for part in parts) > 0.6 * len(parts)
        elif whole.startswith(letters, at):
            place = at
        elif letters in lines:
            place = whole.find(letters, at, at + 400 + len(letters))
        if place >= 0:
            labels[i] = 1
            at = place + len(letters)
    return labels


def _letters(text: str) -> str:
    return _NO_WORD.sub("", text).lower()


def _weights(found: Scan, labels: Any) -> Any:
    """Every page weighs about the same; within it a block weighs by its characters, damped."""
    size = np.minimum(found.blocks[:, B_CHARS], 2000) ** 0.6
    return 1000 * size / ((size * labels).sum() + 0.1 * size.sum() + 20)


# --- training ------------------------------------------------------------------------------------------------------


def _fit(rows: Any, labels: Any, weights: Any, rounds: int) -> Forest:
    import lightgbm

    return _forest(lightgbm.train(GROWTH, lightgbm.Dataset(rows, labels, weight=weights), rounds))


def _model(samples: list[Sample], seen: Any, rounds: int) -> Forest:
    return _fit(*_joined([samples[i] for i in seen]), rounds)


def _left_out(folds: Any, train: Callable[[Any], Forest], rows: Callable[[Any], Any]) -> list[Any]:
    """For every page what a model says that did not see its host."""
    said: list[Any] = [None] * len(folds)
    for fold in range(FOLDS):
        model = train(np.flatnonzero(folds != fold))
        for i in np.flatnonzero(folds == fold):
            said[i] = predict(model, rows(i))
    return said


def _save(path: Path, models: Models) -> None:
    arrays = {
        f"{name}_{field}": value for name, model in models._asdict().items() for field, value in model._asdict().items()
    }
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _joined(samples: list[Sample]) -> tuple[Any, Any, Any]:
    return tuple(np.concatenate([getattr(s, name) for s in samples]) for name in ("rows", "labels", "weights"))  # type: ignore[return-value]


def _forest(booster: Any) -> Forest:
    roots: list[int] = []
    nodes: list[list[Any]] = []
    leaves: list[float] = []

    def add(node: dict[str, Any]) -> int:
        if "split_feature" not in node:
            leaves.append(node["leaf_value"])
            return -len(leaves)
        assert node["decision_type"] == "<="
        # The greatest float32 that is not above: for float32 values the same side of every split.
        threshold = np.float32(node["threshold"])
        if float(threshold) > node["threshold"]:
            threshold = np.nextafter(threshold, np.float32(-np.inf), dtype=np.float32)
        place = len(nodes)
        nodes.append([node["split_feature"], threshold, 0, 0])
        nodes[place][2:] = add(node["left_child"]), add(node["right_child"])
        return place

    roots = [add(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    feature, threshold, left, right = zip(*nodes, strict=True)
    return Forest(
        np.array(roots, np.int32),
        np.array(feature, np.int16),
        np.array(threshold, np.float32),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array(leaves, np.float32),
    )


# --- measuring -----------------------------------------------------------------------------------------------------


def _measured(given: argparse.Namespace, machine: dict[str, Any]) -> Result:
    """The engine on the gold pages, each by models that did not see its host."""
    gold = load(given.data)
    rows: list[list[Any]] = []
    measured: dict[str, Any] = {}
    cases = [ExtractOptions(engine="trafilatura"), ExtractOptions(engine="blocks")]
    cases += [ExtractOptions(engine="cascade", sure=sure) for sure in (0.7, 0.8, 0.85, 0.9, 0.95, 0.98)]
    for options in cases:
        kernels = [
            PageKernel(options, decoder(), models=load_models(given.out / f"fold-{fold}.npz")) for fold in range(FOLDS)
        ]
        texts, spent = [], dict.fromkeys(SETS, 0.0)
        for page in gold:
            kernel = kernels[fold_of(page.host)]
            began = time.process_time()
            texts.append(kernel.extract(Page(page.payload)).text or "")
            spent[page.group] += time.process_time() - began
        scores = score(gold, texts)
        name = options.engine if options.engine != "cascade" else f"cascade, sure = {options.sure:g}"
        measured[name] = {group: {**scores[group]._asdict(), "cpu_s": spent[group]} for group in SETS}
        rows.append([name, *(str(scores[group]) for group in SETS), sum(spent.values())])
    slowest = rows[0][-1]
    return Result(
        benchmark="blocks",
        title="The block engine on sites that it did not see",
        command=shlex.join(["python", "-m", "benchmarks.train_blocks"]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=[
            Table(
                title="F1 (precision/recall) by each benchmark's own scorer",
                columns=["engine", *SETS, "speed, trafilatura engine = 1"],
                rows=[[*row[:-1], f"{slowest / row[-1]:.1f}"] for row in rows],
            )
        ],
        bars=[],
        notes=[
            f"Trained in {FOLDS} folds of hosts; every gold page is measured by models that were trained without its "
            "host. The models in the package saw all of them.",
            "`trafilatura` is algok's own form of trafilatura's cascade, whose answer `cascade` takes where blocks are "
            "not sure.",
        ],
        measured=measured,
    )


if __name__ == "__main__":
    main()
