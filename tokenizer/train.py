"""Training a tokenizer on a sample of the mixture.

1. The sample is bounded by bytes and cut into lines: no piece may cross a line break.
2. SentencePiece's BPE trainer proposes about ``prune_from`` pieces (``candidates``), from lines with Hangul and from
   others, since a space goes with the end of a Korean word and with the beginning of an English one.
3. Those that save the fewest tokens are dropped, in rounds, until less than ``vocab_size`` is left (``prune``).
4. Frequent neighbours in the segmentation are joined to new candidates (``joins``), and the least worthy of all dropped
   again, in steps up to ``vocab_size`` (``search``).
5. The model is a SentencePiece unigram model whose scores make its Viterbi search take the fewest pieces, and among
   equally few the more frequent ones (``model``).

The outcome depends on the documents, the options and the versions of sentencepiece and algok, not on the documents'
order or the number of threads.
"""

import json
import re
import tempfile
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from algok.errors import InputError, RecipeError, StageError
from algok.tokenizer.candidates import bpe_pieces
from algok.tokenizer.model import BYTE, CONTROL, COST_UNIT, NORMAL, SPACE, UNKNOWN, Vocabulary
from algok.tokenizer.prune import Lines
from algok.tokenizer.sample import Sample, SampleFile, spool
from algok.tokenizer.search import frequency_costs, search
from algok.tokenizer.words import Words, with_words

__all__ = [
    "DEFAULT_SPECIAL_TOKENS",
    "DIGIT_RULES",
    "SPACE_RULES",
    "TrainOptions",
    "TrainedTokenizer",
    "add_words",
    "choose",
    "propose",
    "train",
    "write_lines",
]

DIGIT_RULES = ("triples", "joined", "single", "free")
SPACE_RULES = ("script", "first")

#: Control pieces behind <unk>, <s>, </s> and <pad>: fill-in-the-middle and chat turns.
DEFAULT_SPECIAL_TOKENS = (
    "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|file_sep|>",
    "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end_of_turn|>",
)  # fmt: skip

_CORE = ("<unk>", "<s>", "</s>", "<pad>")

#: A tab cannot be inside a piece for SentencePiece's trainer, so it is trained as this private-use character.
_TAB = "\U000f0009"

#: Line breaks are pieces of their own, with the runs that paragraphs and Windows files have.
_BREAKS = ("\n", "\n\n", "\n\n\n", "\n\n\n\n", "\r", "\r\n", "\r\n\r\n")

_LONG_NUMBER = re.compile(r"\d{4}")

#: Files of lines with Hangul and of other lines.
_PARTS = ("lines-hangul", "lines-other")

#: First bytes of the Hangul syllables, U+AC00 to U+D7A3, in UTF-8.
_HANGUL = re.compile(rb"\xea[\xb0-\xbf]|[\xeb\xec]|\xed[\x80-\x9d]|\xed\x9e[\x80-\xa3]")

#: U+2581 is SentencePiece's space, NUL ends its trainer's line: neither may reach it inside a line.
_CUT = re.compile(rb"[\r\n\x00]+|\xe2\x96\x81|\xf3\xb0\x80\x89")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train.

    ``vocab_size``: pieces in all, special and byte pieces included. ``prune_from``: pieces to train before pruning by
    use; None: twice ``vocab_size``. ``superwords``: pieces may cross spaces
    (never line breaks). ``digits``: ``triples``: numbers are cut into groups of three from the right, as thousands
    separators would, and no digit shares a piece with other characters; ``joined``: no piece holds more than three
    digits in a row, but a group may share a piece with its neighbours (`` 1월``, ``(1)``) and is cut where that is
    cheapest; ``single``: every digit alone; ``free``: as the text has it. What each costs: docs/tokenizer.md.
    ``spaces``: the candidates' spaces: ``script``: last in lines with Hangul, first in others; ``first``: always first.
    ``character_coverage``: share of the sample's characters that get a piece; others are spelt in bytes (0.9995 is
    SentencePiece's advice for rich scripts; 1.0 gained nothing for Korean and cost Japanese 20 per cent).
    ``special_tokens`` and ``reserved_tokens``: control pieces, by name and a number of free ones. ``max_piece_chars``:
    longest piece. ``joins``: join neighbours to new candidates. ``max_sample_bytes``: text trained on, UTF-8; more is
    sampled down by hash. ``max_line_bytes``: longer lines are cut for training.
    ``words_part``: what a frequency list counts, as a part of its bucket's text by weighted bytes.
    ``frequency_weight``: how far a piece's frequency counts beside the number of pieces, in 1/64 piece per nat.
    ``allow_smaller``: a sample too small for ``vocab_size`` gives a smaller vocabulary instead of a StageError.
    ``threads``: of the trainer; does not change the result.

    Raises RecipeError that names the option and the value.
    """

    vocab_size: int = 102_400
    prune_from: int | None = None
    superwords: bool = True
    digits: str = "joined"
    spaces: str = "script"
    character_coverage: float = 0.9995
    special_tokens: tuple[str, ...] = DEFAULT_SPECIAL_TOKENS
    reserved_tokens: int = 32
    max_piece_chars: int = 24
    joins: bool = True
    max_sample_bytes: int = 100_000_000
    max_line_bytes: int = 16_384
    words_part: float = 0.3
    frequency_weight: float = 1.0
    allow_smaller: bool = False
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        least = len(_CORE) + len(self.special_tokens) + self.reserved_tokens + 256
        checks = {
            "vocab_size": (least + 256 <= self.vocab_size <= 1_000_000, f"must lie in {least + 256}..1000000"),
            "prune_from": (
                self.prune_from is None or self.vocab_size <= self.prune_from <= 4_000_000,
                "must be at least vocab_size and at most 4000000",
            ),
            "digits": (self.digits in DIGIT_RULES, f"must be one of {', '.join(DIGIT_RULES)}"),
            "spaces": (self.spaces in SPACE_RULES, f"must be one of {', '.join(SPACE_RULES)}"),
            "character_coverage": (0.9 <= self.character_coverage <= 1.0, "must lie in 0.9..1"),
            "reserved_tokens": (0 <= self.reserved_tokens <= 10_000, "must lie in 0..10000"),
            "max_piece_chars": (1 <= self.max_piece_chars <= 256, "must lie in 1..256"),
            "max_sample_bytes": (self.max_sample_bytes >= 1_000, "must be at least 1000"),
            # SentencePiece's trainer keeps positions within a line in 16 bits.
            "max_line_bytes": (64 <= self.max_line_bytes <= 65_000, "must lie in 64..65000"),
            "words_part": (0 < self.words_part <= 10, "must be above 0 and at most 10"),
            "frequency_weight": (0 <= self.frequency_weight <= 4, "must lie in 0..4"),
            "threads": (1 <= self.threads <= 512, "must lie in 1..512"),
            "seed": (0 <= self.seed < 2**31, "must lie in 0..2**31-1"),
        }
        for name, (holds, rule) in checks.items():
            if not holds:
                raise RecipeError(f"tokenizer option {name} = {getattr(self, name)!r} {rule}")
        names = (*_CORE, *self.special_tokens)
        for name in self.special_tokens:
            if not name or SPACE in name or " " in name or "\n" in name or re.fullmatch(r"<0x[0-9A-F]{2}>", name):
                raise RecipeError(f"tokenizer option special_tokens holds {name!r}: no name for a control piece")
        if len(set(names)) != len(names):
            raise RecipeError(f"tokenizer option special_tokens = {self.special_tokens!r} repeats a name")

    def control_pieces(self) -> tuple[str, ...]:
        """All control pieces behind the first four, in the order of their ids."""
        return (*self.special_tokens, *(f"<|reserved_{i}|>" for i in range(self.reserved_tokens)))


@dataclass(frozen=True, kw_only=True)
class TrainedTokenizer:
    """What ``train`` wrote: the model file, its SHA-256, the number of pieces and the manifest as in training.json."""

    model: Path
    sha256: str
    pieces: int
    manifest: dict[str, object]


Progress = Callable[[str, float], None]


def train(
    sample: Iterable[str | Sample],
    out_dir: Path,
    options: TrainOptions | None = None,
    progress: Progress | None = None,
    words: Mapping[str, Words] | None = None,
) -> TrainedTokenizer:
    """Train on the documents of ``sample`` and write tokenizer.model, tokenizer.vocab and training.json to ``out_dir``.

    ``words``: frequency lists by bucket of the sample, as ``words.read_words`` reads them.

    ``progress(step, share)``: steps are sample, candidates, prune, write; share is 0..1 within the step. Memory: the
    sample twice, and about 30 bytes a byte of it in the trainer's child process.

    Raises InputError for an empty sample or a list of a bucket without text, StageError if the sample cannot fill
    ``vocab_size`` or the trainer fails.
    """
    options = options or TrainOptions()
    tell: Progress = progress or (lambda step, share: None)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="algok-tokenizer-") as folder:
        tell("sample", 0.0)
        spooled = spool(sample, Path(folder, "sample"), max_bytes=options.max_sample_bytes, seed=options.seed)
        lines = write_lines(spooled, Path(folder), options.max_line_bytes)
        lines, listed = add_words(lines, words or {}, spooled, options)
        tell("sample", 1.0)
        candidates = propose(Path(folder), options, tell)
    vocabulary, uses = choose(candidates, lines, options, tell, listed)
    tell("write", 0.0)
    digest = vocabulary.save(out_dir / "tokenizer.model")
    (out_dir / "tokenizer.vocab").write_text(_vocab_text(vocabulary), "utf-8")
    manifest: dict[str, object] = {
        "model_sha256": digest,
        "pieces": len(vocabulary),
        "special": vocabulary.special(),
        "options": asdict(options),
        "candidates": len(candidates),
        "words": {bucket: len(found) for bucket, found in sorted((words or {}).items())},
        # Text pieces by their uses in the sample: what is rare here is learnt badly by a model.
        "uses_below": {str(limit): int((uses < limit).sum()) for limit in (1, 10, 100, 1_000)},
        "sample": {
            "read_documents": spooled.read,
            "read_bytes": spooled.read_bytes,
            "documents": dict(sorted(spooled.documents.items())),
            "bytes": dict(sorted(spooled.text_bytes.items())),
        },
        "versions": {"sentencepiece": version("sentencepiece"), "algok": version("algok")},
    }
    (out_dir / "training.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", "utf-8")
    tell("write", 1.0)
    return TrainedTokenizer(model=out_dir / "tokenizer.model", sha256=digest, pieces=len(vocabulary), manifest=manifest)


def propose(folder: Path, options: TrainOptions, tell: Progress) -> list[str]:
    """Candidate pieces for the lines that ``write_lines`` wrote to ``folder``, in SentencePiece's spelling.

    Lines with Hangul and the others are trained apart. A Korean word ends in one of few particles and endings: a space
    there costs few pieces, and every stem is spared a second piece with a space before it. In the conservative model
    without superwords all spaces come first.
    """
    files = [folder / name for name in _PARTS if (folder / name).stat().st_size]
    total = sum(file.stat().st_size for file in files)
    found = []
    for number, file in enumerate(files):

        def told(step: str, share: float, number: int = number) -> None:
            tell(step, (number + share) / len(files))

        found.append(
            bpe_pieces(
                file,
                # The smaller part has rarer pieces, but more of them for its size.
                size=int((options.prune_from or 2 * options.vocab_size) * (file.stat().st_size / total) ** 0.5),
                coverage=options.character_coverage,
                superwords=options.superwords,
                space_last=options.superwords and options.spaces == "script" and file.name == _PARTS[0],
                join_digits=options.digits in ("joined", "free"),
                max_piece_chars=options.max_piece_chars,
                max_line_bytes=options.max_line_bytes + 4,
                threads=options.threads,
                progress=told,
            )
        )
    return list(dict.fromkeys(piece for pieces in zip_longest(*found) for piece in pieces if piece is not None))


def write_lines(spooled: SampleFile, folder: Path, max_bytes: int) -> Lines:
    """Write the sample's lines for the trainer, those with Hangul and the others, into the files _PARTS of ``folder``;
    returns all lines, without their line breaks."""
    parts: list[bytes] = []
    owners = array("i")
    with (folder / _PARTS[0]).open("wb") as hangul, (folder / _PARTS[1]).open("wb") as other:
        for document, text in enumerate(spooled.texts()):
            for line in _CUT.split(text):
                file = hangul if _HANGUL.search(line) else other
                rest = line
                while rest:
                    end = len(rest)
                    if end > max_bytes:
                        end = max_bytes
                        while rest[end] & 0xC0 == 0x80:
                            end -= 1
                    parts.append(rest[:end])
                    owners.append(document)
                    file.write(rest[:end].replace(b"\t", _TAB.encode()) + b"\n")
                    rest = rest[end:]
    if not parts:
        raise InputError("the tokenizer's training sample has no text beside line breaks")
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(p) for p in parts], out=offsets[1:])
    return Lines(
        data=np.frombuffer(b"".join(parts), np.uint8),
        offsets=offsets,
        owners=np.frombuffer(owners, np.int32),
        weights=spooled.weights,
    )


def add_words(
    lines: Lines, lists: Mapping[str, Words], spooled: SampleFile, options: TrainOptions
) -> tuple[Lines, list[str]]:
    """``lines`` with the words of frequency lists by bucket, and these words as candidates.

    Raises InputError for a list of a bucket without text.
    """
    if unknown := sorted(set(lists) - set(spooled.counted_bytes)):
        raise InputError(
            f"there is a list of words but no text of {', '.join(unknown)}; the sample has "
            f"{', '.join(sorted(spooled.counted_bytes))}"
        )
    weights = {bucket: options.words_part * spooled.counted_bytes[bucket] for bucket in lists}
    return with_words(lines, lists, weights, hangul_bare=options.superwords and options.spaces == "script")


def choose(
    candidates: list[str], lines: Lines, options: TrainOptions, tell: Progress, listed: Iterable[str] = ()
) -> tuple[Vocabulary, npt.NDArray[np.int64]]:
    """The vocabulary: fixed pieces, and the candidates that save most tokens; and the uses of its text pieces.

    ``listed``: candidates from lists of words. Their single characters have to earn their place; the trainer's, which
    cover the sample, are fixed.
    """
    control = options.control_pieces()
    taken = {*_CORE, *control, *(f"<0x{b:02X}>" for b in range(256))}
    widths = (1, 2, 3) if options.digits in ("triples", "joined") else (1,)
    groups = [f"{n:0{width}d}" for width in widths for n in range(10**width)]
    runs = [" " * n for n in range(1, options.max_piece_chars + 1)] + ["\t" * n for n in range(1, 9)]
    ascii_pieces = [chr(c) for c in range(0x20, 0x7F)]
    found = [piece.replace(_TAB, "\t").replace(SPACE, " ") for piece in candidates]
    if options.digits == "joined":
        found = [piece for piece in found if not _LONG_NUMBER.search(piece)]
    fixed = dict.fromkeys([*_BREAKS, *groups, *ascii_pieces, *(p for p in found if len(p) == 1)])
    optional = dict.fromkeys(
        p
        for p in [*runs, *found, *(p for p in listed if len(p) <= options.max_piece_chars)]
        if p not in fixed and p.replace(" ", SPACE) not in taken
    )
    surfaces = [p.encode("utf-8") for p in (*fixed, *optional)]
    room = options.vocab_size - len(_CORE) - len(control) - 256
    if len(fixed) > room:
        raise StageError(
            f"vocab_size = {options.vocab_size} is too small: {len(fixed)} single characters and digit groups of the "
            f"sample need a piece; take at least {options.vocab_size + len(fixed) - room} or a lower character_coverage"
        )
    if len(surfaces) < room and not options.allow_smaller:
        raise StageError(
            f"the training sample has only enough text for {options.vocab_size - room + len(surfaces)} of the "
            f"{options.vocab_size} pieces of vocab_size; give more text, lower vocab_size, or set allow_smaller"
        )
    is_fixed = np.zeros(len(surfaces), np.bool_)
    is_fixed[: len(fixed)] = True
    surfaces, uses = search(
        surfaces, is_fixed, room, lines, _join_rule(options, taken), weight=options.frequency_weight,
        joined=options.joins, progress=lambda share: tell("prune", share),
    )  # fmt: skip
    # Frequent pieces first, as readers of vocabularies expect; ties in the order of training.
    order = np.argsort(-uses, kind="stable")
    chosen, uses = [surfaces[i].decode("utf-8").replace(" ", SPACE) for i in order], uses[order]
    costs = COST_UNIT + frequency_costs(uses, options.frequency_weight)
    number = np.array([p.isascii() and p.isdigit() for p in chosen])
    if options.digits == "triples":
        # One cost for all groups: then the search's tie rule alone cuts a number, into threes from the right.
        costs[number] = COST_UNIT
    head = (*_CORE, *control)
    byte_pieces = tuple(f"<0x{b:02X}>" for b in range(256))
    types = np.full(len(head) + 256 + len(chosen), NORMAL, np.uint8)
    types[: len(head)] = CONTROL
    types[0] = UNKNOWN
    types[len(head) : len(head) + 256] = BYTE
    all_costs = np.zeros(len(types), np.int32)
    all_costs[len(head) + 256 :] = costs
    return Vocabulary(pieces=(*head, *byte_pieces, *chosen), costs=all_costs, types=types), uses


def _join_rule(options: TrainOptions, taken: set[str]) -> Callable[[bytes], bool]:
    """Whether two pieces may become one: the rules that the trainer's candidates keep."""

    def allowed(surface: bytes) -> bool:
        piece = surface.decode("utf-8")
        if len(piece) > options.max_piece_chars or "\n" in piece or "\r" in piece or piece.replace(" ", SPACE) in taken:
            return False
        if options.digits == "joined" and _LONG_NUMBER.search(piece):
            return False
        if options.digits in ("triples", "single") and any(map(str.isdigit, piece)):
            return False
        return options.superwords or " " not in piece[1:]

    return allowed


def _vocab_text(vocabulary: Vocabulary) -> str:
    """SentencePiece's .vocab format: piece, tab, score; line breaks and tabs in pieces escaped."""
    rows = []
    for piece, cost in zip(vocabulary.pieces, vocabulary.costs.tolist(), strict=True):
        shown = piece.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        rows.append(f"{shown}\t{-cost / COST_UNIT:g}\n")
    return "".join(rows)
