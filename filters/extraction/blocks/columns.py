"""Columns of the arrays that a scan fills."""

__all__ = [
    "BLOCKS",
    "B_BOLD",
    "B_BROKEN",
    "B_CHARS",
    "B_COMMAS",
    "B_DIGITS",
    "B_HANGUL",
    "B_IDEOGRAPHS",
    "B_LINKED",
    "B_LINKS",
    "B_LOWER",
    "B_NODE",
    "B_PHRASES",
    "B_PIECE",
    "B_PIECES",
    "B_STOPS",
    "B_TAIL",
    "B_UPPER",
    "B_WORDS",
    "NODES",
    "N_HIDDEN",
    "N_MARK",
    "N_PARENT",
    "N_RANK",
    "N_TAG",
]

#: Columns of a node. ``parent``: its row, -1 for the first. ``tag``: place in ``TAGS``. ``rank``: of a template's
#: container, or -1. ``hidden``: bit 0 by style, bit 1 by another attribute. ``mark``: hash of its classes.
NODES = ("parent", "tag", "rank", "hidden", "mark")
#: Columns of a block. ``node``: the element that it stands in. ``piece``, ``pieces``: first and number of its spans of
#: bytes. Counts of visible characters: ``chars``, of them ``linked``, ``stops`` (ends of sentences), ``commas``,
#: ``digits``, ``upper``, ``lower`` (ASCII letters), ``hangul``, ``ideographs`` (kana too), ``bold``; of ``words`` and
#: of ``links``. ``broken``: a line break is before it. ``tail``: its last character. ``phrases``: bits of ``PHRASES``.
BLOCKS = (
    "node", "piece", "pieces", "chars", "linked", "words", "stops", "commas", "digits", "upper", "lower",
    "hangul", "ideographs", "broken", "tail", "links", "phrases", "bold",
)  # fmt: skip
N_PARENT, N_TAG, N_RANK, N_HIDDEN, N_MARK = range(len(NODES))
(
    B_NODE, B_PIECE, B_PIECES, B_CHARS, B_LINKED, B_WORDS, B_STOPS, B_COMMAS, B_DIGITS, B_UPPER, B_LOWER,
    B_HANGUL, B_IDEOGRAPHS, B_BROKEN, B_TAIL, B_LINKS, B_PHRASES, B_BOLD,
) = range(len(BLOCKS))  # fmt: skip
