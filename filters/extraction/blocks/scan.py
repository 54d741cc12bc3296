"""From the bytes of a page to its blocks of text and the elements around them, in one compiled pass.

No tree of objects: elements are rows of arrays, and so are blocks. A block is a run of text between two boundaries: the
begin or end of a block element, or a line break. The pass is linear in the page, knows what an HTML parser knows about
end tags that are left out, and cannot fail: whatever the bytes are, something is read.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.names import (
    BLOCK,
    INLINE,
    SKIP,
    TAGS,
    VOID,
    element_table,
    phrase_table,
    token_table,
    word_table,
)
from algok.filters.extraction.containers import RANKS

__all__ = ["BLOCKS", "MOST_TAGS", "NODES", "Scan", "scan"]

#: Columns of a node. ``words``: bits of ``GROUPS``. ``rank``: of a template's container, or -1.
NODES = ("parent", "tag", "rank", "hidden", "mark")
#: Columns of a block.
BLOCKS = (
    "node", "piece", "pieces", "start", "chars", "linked", "words", "stops", "commas", "digits", "upper", "lower",
    "hangul", "ideographs", "broken", "tail", "links", "phrases", "bold",
)  # fmt: skip
N_PARENT, N_TAG, N_RANK, N_HIDDEN, N_MARK = range(len(NODES))
(
    B_NODE, B_PIECE, B_PIECES, B_START, B_CHARS, B_LINKED, B_WORDS, B_STOPS, B_COMMAS, B_DIGITS, B_UPPER, B_LOWER,
    B_HANGUL, B_IDEOGRAPHS, B_BROKEN, B_TAIL, B_LINKS, B_PHRASES, B_BOLD,
) = range(len(BLOCKS))  # fmt: skip

_NAMES, _SIZES, _KINDS = element_table()
_WORDS, _MASKS = word_table()
_PHRASES, _PHRASE_MASKS = phrase_table()
_TOKENS, _TOKEN_RANKS = token_table(RANKS)
_P, _PRE, _LI, _DT, _DD, _TR, _TD, _TH, _TABLE, _UL, _OL, _MENU, _DL, _BODY, _HEAD, _HTML = (
    TAGS.index(name) for name in "p pre li dt dd tr td th table ul ol menu dl body head html".split()
)
#: Elements beyond which an end tag does not reach.
_SCOPE = np.zeros(len(TAGS), np.bool_)
for _name in ("td", "th", "table", "caption", "html", "body"):
    _SCOPE[TAGS.index(_name)] = True
_TABLE_PARTS = np.zeros(len(TAGS), np.bool_)
for _name in ("table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption"):
    _TABLE_PARTS[TAGS.index(_name)] = True
#: Levels that an end tag looks up for its element. Deeper nesting than this between the two is no page of this world.
_LOOK = 128
#: Deepest stack; elements beyond it are not told from their ancestors.
_DEEPEST = 512
_META = 256
#: Tags of a page that is read here: 50 MB of arrays. The largest page of the mini crawl has 45,000.
MOST_TAGS = 200_000


class Scan(NamedTuple):
    """What was found. ``nodes`` int64[n, NODES], ``groups`` uint64[n], ``blocks`` int64[b, BLOCKS], ``pieces`` int64[p, 2]
    (bytes from, to; -1, -1 is a line break), ``metas`` int64[m, 2] (meta and link elements), ``title`` (bytes from, to),
    ``formulas`` (MathML elements and TeX scripts), ``signs`` (dollar signs and backslashes in the text), ``every`` (the
    groups of all elements together)."""

    data: Any
    nodes: Any
    groups: Any
    blocks: Any
    pieces: Any
    metas: Any
    title: tuple[int, int]
    formulas: int
    signs: int
    every: int


def scan(page: bytes) -> Scan | None:
    """The blocks of a page in UTF-8; ``None`` for one of more than ``MOST_TAGS`` tags.

    >>> found = scan(b"<p>One<br>two <a href=x>three</a></p>")
    >>> found.blocks[:, BLOCKS.index("chars")].tolist()
    [3, 8]
    """
    data = np.frombuffer(page, np.uint8)
    room = int(np.count_nonzero(data == 60)) + 2
    if room > MOST_TAGS:
        return None
    nodes = np.empty((room, len(NODES)), np.int64)
    groups = np.empty(room, np.uint64)
    blocks = np.empty((room, len(BLOCKS)), np.int64)
    pieces = np.empty((2 * room, 2), np.int64)
    metas = np.empty((_META, 2), np.int64)
    n, b, p, m, title_from, title_to, formulas, signs, every = _scan(
        data, nodes, groups, blocks, pieces, metas, _NAMES, _SIZES, _KINDS, _WORDS, _MASKS, _PHRASES, _PHRASE_MASKS,
        _TOKENS, _TOKEN_RANKS, _SCOPE, _TABLE_PARTS,
    )  # fmt: skip
    return Scan(
        page, nodes[:n], groups[:n], blocks[:b], pieces[:p], metas[:m], (title_from, title_to), formulas, signs, int(every)
    )


@njit(nogil=True, cache=True)
def _scan(  # type: ignore[no-untyped-def]
    data, nodes, groups, blocks, pieces, metas, names, sizes, kinds, words, masks, phrases, phrase_masks, tokens,
    token_ranks, scope, table_parts,
):  # fmt: skip
    end = len(data)
    stack = np.empty(_DEEPEST, np.int64)
    nodes[0, N_PARENT] = -1
    nodes[0, N_TAG] = 0
    nodes[0, N_RANK] = -1
    nodes[0, N_HIDDEN] = 0
    nodes[0, N_MARK] = 0
    groups[0] = np.uint64(0)
    stack[0] = 0
    depth = 1
    n, b, p, m = 1, 0, 0, 0
    title_from = title_to = formulas = signs = 0
    every = np.uint64(0)
    missing = np.zeros(3 + len(names), np.bool_)
    attributes = np.zeros(6, np.int64)
    own = np.zeros(1, np.uint64)
    link_depth = 0  # of the stack where the open anchor began; 0: none
    pre_depth = 0
    # The block at hand.
    first_piece = 0
    start = chars = linked = nwords = stops = commas = digits = upper = lower = hangul = ideographs = links = 0
    tail = 0
    in_word = False
    mask = np.uint64(0)
    word = np.uint64(0)
    word_size = 0
    bold = 0
    strong = 0
    broken = 0
    text_from = -1
    quiet = False  # in the reading of a ruby annotation
    i = 0
    while i <= end:
        byte = data[i] if i < end else np.uint8(0)
        boundary = i == end
        action = 0  # 1: open, 2: close, 3: break
        tag = 0
        behind = i
        if i < end and byte == 60 and i + 1 < end:
            following = data[i + 1]
            letter = (following | 0x20) >= 97 and (following | 0x20) <= 122
            if letter or (following == 47 and i + 2 < end):
                if text_from >= 0:
                    pieces[p, 0] = text_from
                    pieces[p, 1] = i
                    p += 1
                    text_from = -1
                closing = following == 47
                quiet = False
                at = i + 2 if closing else i + 1
                name = np.uint64(0)
                size = 0
                while at < end:
                    c = data[at]
                    if c >= 65 and c <= 90:
                        c |= np.uint8(0x20)
                    if c <= 32 or c == 62 or c == 47:
                        break
                    if size < 8:
                        name |= np.uint64(c) << np.uint64(56 - 8 * size)
                    size += 1
                    at += 1
                place = _place(name, names)
                if place >= 0 and sizes[place] != size:
                    place = -1
                kind = BLOCK if place < 0 else kinds[place] & 0xFF
                tag = 0 if place < 0 else kinds[place] >> 8
                if not closing and (kind == BLOCK or (kind == INLINE and tag == 4)):
                    attributes[:] = 0
                    attributes[0] = -1
                    own[0] = np.uint64(0)
                    behind = _attributes(data, at, end, missing, words, masks, tokens, token_ranks, attributes, own)
                    every |= own[0]
                    if kind == BLOCK:
                        action = 1
                        boundary = True
                else:
                    behind = _tag_end(data, at, end, missing)
                    if kind == BLOCK:
                        action = 2
                        boundary = True
                    elif kind == VOID:
                        if tag == 1 or tag == 2:
                            action = 3
                            boundary = True
                        elif tag == 3 and m < len(metas):
                            metas[m, 0] = i
                            metas[m, 1] = behind
                            m += 1
                    elif kind == SKIP:
                        if not closing:
                            if tag == 2 or (tag == 3 and _holds_tex(data, at, behind)):
                                formulas += 1
                            if not missing[3 + place] and data[behind - 2] != 47:
                                stop = _behind(data, behind, end, name, size)
                                if stop >= 0:
                                    if tag == 1 and title_to == 0:
                                        title_from = behind
                                        title_to = stop
                                    behind = stop
                                else:
                                    missing[3 + place] = True
                    elif tag == 3:
                        quiet = not closing
                    elif tag == 1:
                        if closing:
                            link_depth = 0
                        else:
                            link_depth = depth
                            links += 1
                    elif not closing and (name == np.uint64(0x62) << np.uint64(56) or name == np.uint64(0x7374726F6E670000)):
                        strong = depth
                    elif closing and (name == np.uint64(0x62) << np.uint64(56) or name == np.uint64(0x7374726F6E670000)):
                        strong = 0
            elif following == 33 or following == 63:
                if text_from >= 0:
                    pieces[p, 0] = text_from
                    pieces[p, 1] = i
                    p += 1
                    text_from = -1
                i = _comment_end(data, i, end, missing)
                continue
        if boundary and pre_depth > 0 and i < end and not (action == 2 and tag == _PRE):
            # Code is one block, with a line break for every boundary inside of it.
            if action == 3 or (action == 2 and tag != 0) or (action == 1 and tag == _LI):
                if 2 * b + p + 2 < len(pieces):
                    pieces[p, 0] = -1
                    pieces[p, 1] = -1
                    p += 1
            boundary = False
            action = 0
        if boundary:
            if i == end and text_from >= 0:
                pieces[p, 0] = text_from
                pieces[p, 1] = end
                p += 1
                text_from = -1
            if in_word and word_size > 0 and nwords <= 12:
                k = _place(word, phrases)
                if k >= 0:
                    mask |= phrase_masks[k]
            if chars > 0:
                blocks[b, B_NODE] = stack[depth - 1]
                blocks[b, B_PIECE] = first_piece
                blocks[b, B_PIECES] = p - first_piece
                blocks[b, B_START] = start
                blocks[b, B_CHARS] = chars
                blocks[b, B_LINKED] = linked
                blocks[b, B_WORDS] = nwords
                blocks[b, B_STOPS] = stops
                blocks[b, B_COMMAS] = commas
                blocks[b, B_DIGITS] = digits
                blocks[b, B_UPPER] = upper
                blocks[b, B_LOWER] = lower
                blocks[b, B_HANGUL] = hangul
                blocks[b, B_IDEOGRAPHS] = ideographs
                blocks[b, B_BROKEN] = broken
                blocks[b, B_TAIL] = tail
                blocks[b, B_LINKS] = links
                blocks[b, B_PHRASES] = np.int64(mask)
                blocks[b, B_BOLD] = bold
                b += 1
            else:
                p = first_piece  # white space only
            first_piece = p
            chars = linked = nwords = stops = commas = digits = upper = lower = hangul = ideographs = links = 0
            tail = 0
            bold = 0
            mask = np.uint64(0)
            in_word = False
            word_size = 0
            start = behind
            broken = 1 if action == 3 else 0
            if i == end:
                break
            if action == 1:
                depth = _close_implied(stack, depth, nodes, tag)
                if tag == _BODY or tag == _HTML:
                    # A second one is the first; its attributes count.
                    pass
                nodes[n, N_PARENT] = stack[depth - 1]
                nodes[n, N_TAG] = tag
                nodes[n, N_RANK] = attributes[0]
                nodes[n, N_HIDDEN] = attributes[1]
                nodes[n, N_MARK] = attributes[2]
                groups[n] = own[0]
                if depth < _DEEPEST:
                    stack[depth] = n
                    depth += 1
                n += 1
                if tag == _PRE:
                    pre_depth = depth
            elif action == 2:
                if tag == _PRE:
                    pre_depth = 0
                depth = _close(stack, depth, nodes, tag, scope, table_parts)
                if link_depth > depth:
                    link_depth = 0
                if strong > depth:
                    strong = 0
        if behind > i:
            i = behind
            continue
        if i >= end:
            break
        # A character of text.
        if quiet:
            i += 1
            continue
        if text_from < 0:
            text_from = i
        code = int(byte)
        if byte == 38:  # & and a character reference
            k = i + 1
            while k < end and k < i + 10 and data[k] != 59 and data[k] > 32 and data[k] != 60 and data[k] != 38:
                k += 1
            if k < end and data[k] == 59 and k > i + 1:
                code = _named(data, i, k)
                i = k + 1
            else:
                i += 1
        elif byte < 0x80:
            i += 1
        else:
            code, size = _decode(data, i, end)
            i += size
        if code <= 32 or code == 0xA0 or code == 0x3000 or code == 0xFEFF or (code >= 0x2000 and code <= 0x200D):
            if in_word:
                if word_size > 0 and nwords <= 12:
                    k = _place(word, phrases)
                    if k >= 0:
                        mask |= phrase_masks[k]
                in_word = False
            continue
        if not in_word:
            in_word = True
            nwords += 1
            word = np.uint64(0)
            word_size = 0
        chars += 1
        if code == 36 or code == 92:
            signs += 1
        if link_depth > 0:
            linked += 1
        if strong > 0:
            bold += 1
        tail = code
        if code < 0x80:
            c = np.uint8(code)
            if c >= 97 and c <= 122:
                lower += 1
            elif c >= 65 and c <= 90:
                upper += 1
                c |= np.uint8(0x20)
            elif c >= 48 and c <= 57:
                digits += 1
            else:
                if c == 46 or c == 33 or c == 63:
                    stops += 1
                elif c == 44 or c == 59:
                    commas += 1
                # A mark ends the word for the look-up, but for a beginning (c).
                if word_size > 0 and c != 41:
                    if nwords <= 12:
                        k = _place(word, phrases)
                        if k >= 0:
                            mask |= phrase_masks[k]
                    word_size = 0
                    word = np.uint64(0)
                    continue
            if word_size < 8:
                word |= np.uint64(c) << np.uint64(56 - 8 * word_size)
            word_size += 1
        else:
            if (code >= 0xAC00 and code <= 0xD7A3) or (code >= 0x3131 and code <= 0x318E):
                hangul += 1
            elif code >= 0x3040 and code < 0xA000:
                ideographs += 1
            elif code == 0x3002 or code == 0x2026 or code == 0xFF01 or code == 0xFF1F or code == 0xFF0E:
                stops += 1
            elif code == 0xFF0C or code == 0x3001:
                commas += 1
            for k in range(i - _width(code), i):
                if word_size < 8 and k >= 0:
                    word |= np.uint64(data[k]) << np.uint64(56 - 8 * word_size)
                word_size += 1
    return n, b, p, m, title_from, title_to, formulas, signs, every


@njit(nogil=True)
def _holds_tex(data, start, end):  # type: ignore[no-untyped-def]
    """Whether a begin tag is of type math/tex."""
    for i in range(start, end - 7):
        if data[i] == 109 and data[i + 1] == 97 and data[i + 2] == 116 and data[i + 3] == 104 and data[i + 4] == 47:
            return True
    return False


@njit(nogil=True)
def _width(code):  # type: ignore[no-untyped-def]
    return 2 if code < 0x800 else 3 if code < 0x10000 else 4


@njit(nogil=True)
def _named(data, i, k):  # type: ignore[no-untyped-def]
    """Code point of a character reference, as far as the counts need it; 45 (a mark) for a name that is not white space."""
    if data[i + 1] == 35:
        code = np.int64(0)
        at = i + 2
        if at < k and (data[at] | 0x20) == 120:
            at += 1
            while at < k:
                c = np.int64(data[at])
                digit = c - 48 if c <= 57 else (c | 0x20) - 87
                code = code * 16 + min(max(digit, 0), 15)
                at += 1
        else:
            while at < k:
                code = code * 10 + min(max(np.int64(data[at]) - 48, 0), 9)
                at += 1
        # The bytes behind are not those of the character, so it counts as a letter of its block but not in words.
        return code if code < 0x80 else (np.int64(0xA0) if code == 0xA0 else np.int64(45))
    if k - i == 5 and data[i + 1] == 110 and data[i + 2] == 98 and data[i + 3] == 115 and data[i + 4] == 112:
        return np.int64(0xA0)
    return np.int64(45)


@njit(nogil=True)
def _close_implied(stack, depth, nodes, tag):  # type: ignore[no-untyped-def]
    """The stack without the elements that a begin tag ends: p before any block, li before li, cells, rows."""
    top = nodes[stack[depth - 1], N_TAG]
    if top == _P and depth > 1:
        depth -= 1
    if tag == _LI:
        return _close_up_to(stack, depth, nodes, _LI, _LI, _UL, _OL, _MENU)
    if tag == _DT or tag == _DD:
        return _close_up_to(stack, depth, nodes, _DT, _DD, _DL, _DL, _DL)
    if tag == _TD or tag == _TH:
        return _close_up_to(stack, depth, nodes, _TD, _TH, _TR, _TABLE, _TABLE)
    if tag == _TR:
        return _close_up_to(stack, depth, nodes, _TR, _TR, _TABLE, _TABLE, _TABLE)
    return depth


@njit(nogil=True)
def _close_up_to(stack, depth, nodes, one, other, stop, stop2, stop3):  # type: ignore[no-untyped-def]
    """The stack without the nearest of two elements and all in it, unless one of three others is nearer."""
    at = depth - 1
    while at > 0 and at > depth - _LOOK:
        tag = nodes[stack[at], N_TAG]
        if tag == stop or tag == stop2 or tag == stop3:
            break
        if tag == one or tag == other:
            return at
        at -= 1
    return depth


@njit(nogil=True)
def _close(stack, depth, nodes, tag, scope, table_parts):  # type: ignore[no-untyped-def]
    """The stack after an end tag; one without a begin changes nothing."""
    if tag == _BODY or tag == _HTML:
        return depth  # browsers go on
    at = depth - 1
    while at > 0 and at > depth - _LOOK:
        current = nodes[stack[at], N_TAG]
        if current == tag:
            return at
        if scope[current] and not (table_parts[tag] and current != _TABLE):
            break
        at -= 1
    return depth


@njit(nogil=True)
def _attributes(data, at, end, missing, words, masks, tokens, token_ranks, out, own):  # type: ignore[no-untyped-def]
    """Behind a begin tag; its class, id, role and itemprop become groups, a rank and a mark, its style whether it is hidden."""
    i = at
    while i < end:
        c = data[i]
        if c == 62:
            return i + 1
        if c <= 32 or c == 47:
            i += 1
            continue
        name = np.uint64(0)
        size = 0
        while i < end:
            c = data[i]
            if c == 61 or c == 62 or c <= 32 or (c == 47 and size > 0):
                break
            if c >= 65 and c <= 90:
                c |= np.uint8(0x20)
            if size < 8:
                name |= np.uint64(c) << np.uint64(56 - 8 * size)
            size += 1
            i += 1
        while i < end and data[i] <= 32:
            i += 1
        value_from = value_to = i
        if i < end and data[i] == 61:
            i += 1
            while i < end and data[i] <= 32:
                i += 1
            if i < end and (data[i] == 34 or data[i] == 39):
                quote = data[i]
                which = 0 if quote == 34 else 1
                i += 1
                value_from = i
                if not missing[which]:
                    k = i
                    while k < end and data[k] != quote:
                        k += 1
                    if k < end:
                        value_to = k
                        i = k + 1
                    else:
                        missing[which] = True
                        value_to = i
            else:
                value_from = i
                while i < end and data[i] > 32 and data[i] != 62:
                    i += 1
                value_to = i
        if size == 5 and name == np.uint64(0x636C617373000000):  # class
            _value(data, value_from, value_to, words, masks, tokens, token_ranks, False, out, own)
        elif size == 2 and name == np.uint64(0x6964000000000000):  # id
            _value(data, value_from, value_to, words, masks, tokens, token_ranks, True, out, own)
        elif (size == 4 and name == np.uint64(0x726F6C6500000000)) or (size == 8 and name == np.uint64(0x6974656D70726F70)):
            _value(data, value_from, value_to, words, masks, tokens, token_ranks, False, out, own)
        elif size == 5 and name == np.uint64(0x7374796C65000000):  # style
            if _hides(data, value_from, value_to):
                out[1] |= 1
        elif size == 6 and name == np.uint64(0x68696464656E0000):  # hidden
            out[1] |= 2
        elif size == 11 and name == np.uint64(0x617269612D686964) and value_to - value_from == 4:  # aria-hidden="true"
            out[1] |= 2
    return end


@njit(nogil=True)
def _hides(data, start, end):  # type: ignore[no-untyped-def]
    """Whether a style says display: none."""
    at = start
    while at + 11 < end:
        if (
            (data[at] | 0x20) == 100
            and (data[at + 1] | 0x20) == 105
            and (data[at + 2] | 0x20) == 115
            and (data[at + 3] | 0x20) == 112
            and (data[at + 4] | 0x20) == 108
            and (data[at + 5] | 0x20) == 97
            and (data[at + 6] | 0x20) == 121
        ):
            k = at + 7
            while k < end and (data[k] <= 32 or data[k] == 58):
                k += 1
            if k + 3 < end and (data[k] | 0x20) == 110 and (data[k + 1] | 0x20) == 111 and (data[k + 2] | 0x20) == 110:
                return True
        at += 1
    # "display:none" is twelve bytes: the loop above ends before it when nothing follows.
    return False


@njit(nogil=True)
def _value(data, start, end, words, masks, tokens, token_ranks, is_id, out, own):  # type: ignore[no-untyped-def]
    """Add the words of an attribute to ``own``, and the rank of its tokens to ``out``."""
    end = min(end, start + 400)
    word = np.uint64(0)
    size = 0
    hashed = np.uint64(0xCBF29CE484222325)
    if is_id:
        hashed = (hashed ^ np.uint64(35)) * np.uint64(0x100000001B3)
    fresh = hashed
    before = np.uint8(0)
    length = 0
    for i in range(start, end + 1):
        c = data[i] if i < end else np.uint8(32)
        if c <= 32:
            if length > 0:
                k = _place(hashed, tokens)
                if k >= 0 and (out[0] < 0 or token_ranks[k] < out[0]):
                    out[0] = token_ranks[k]
                if not is_id:
                    out[2] = np.int64((np.uint64(out[2]) ^ hashed) & np.uint64(0x7FFFFFFFFFFFFFFF))
            hashed = fresh
            length = 0
        else:
            hashed = (hashed ^ np.uint64(c)) * np.uint64(0x100000001B3)
            length += 1
        is_upper = c >= 65 and c <= 90
        lowered = c | np.uint8(0x20) if is_upper else c
        is_letter = (lowered >= 97 and lowered <= 122) or (c >= 48 and c <= 57 and size > 0)
        if size > 0 and (not is_letter or (is_upper and before >= 97 and before <= 122)):
            k = _place(word, words)
            if k >= 0:
                own[0] |= masks[k]
            word = np.uint64(0)
            size = 0
        if is_letter:
            if size < 8:
                word |= np.uint64(lowered) << np.uint64(56 - 8 * size)
            size += 1
        before = c


@njit(nogil=True)
def _place(name, names):  # type: ignore[no-untyped-def]
    """Place of a name among sorted ones, or -1."""
    low = 0
    high = len(names)
    while low < high:
        middle = (low + high) >> 1
        if names[middle] < name:
            low = middle + 1
        else:
            high = middle
    return low if low < len(names) and names[low] == name else -1


@njit(nogil=True)
def _tag_end(data, at, end, missing):  # type: ignore[no-untyped-def]
    """Behind the > of a tag; one inside a quoted value does not count, unless the quote is never closed."""
    i = at
    while i < end:
        c = data[i]
        if c == 62:
            return i + 1
        if c == 61:  # = and a quote
            i += 1
            while i < end and (data[i] == 32 or data[i] == 10 or data[i] == 9 or data[i] == 13):
                i += 1
            if i < end and (data[i] == 34 or data[i] == 39):
                quote = data[i]
                which = 0 if quote == 34 else 1
                i += 1
                if not missing[which]:
                    k = i
                    while k < end and data[k] != quote:
                        k += 1
                    if k < end:
                        i = k + 1
                    else:
                        missing[which] = True
            continue
        i += 1
    return end


@njit(nogil=True)
def _comment_end(data, i, end, missing):  # type: ignore[no-untyped-def]
    """Behind a comment, or a declaration; one that is never closed ends at the next >."""
    if i + 3 < end and data[i + 1] == 33 and data[i + 2] == 45 and data[i + 3] == 45:
        k = i + 4
        if k < end and data[k] == 62:
            return k + 1
        while not missing[2] and k + 2 < end:
            if data[k] == 45 and data[k + 1] == 45 and (data[k + 2] == 62 or data[k + 2] == 33):
                return k + 3
            k += 1
        missing[2] = True
    k = i
    while k < end and data[k] != 62:
        k += 1
    return k + 1


@njit(nogil=True)
def _behind(data, i, end, name, size):  # type: ignore[no-untyped-def]
    """Where the end tag of an element begins, or -1."""
    size = min(size, 8)
    k = i
    while k + 2 + size <= end:
        if data[k] == 60 and data[k + 1] == 47:
            same = True
            for j in range(size):
                if np.uint64(data[k + 2 + j] | np.uint8(0x20)) != (name >> np.uint64(56 - 8 * j)) & np.uint64(0xFF):
                    same = False
                    break
            if same:
                return k
        k += 1
    return -1


@njit(nogil=True)
def _decode(data, i, end):  # type: ignore[no-untyped-def]
    """Code point and length of a character beyond ASCII; (-1, 1) for a byte that is no UTF-8."""
    lead = np.int64(data[i])
    if lead < 0xC2 or lead > 0xF4:
        return np.int64(-1), 1
    more = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    if i + more >= end:
        # Cut at the end of the page, as crawlers cut: no sign of another encoding.
        return (np.int64(32) if i + more >= end and i + 3 >= end else np.int64(-1)), end - i
    code = lead & (0x3F >> more)
    for k in range(1, more + 1):
        c = np.int64(data[i + k])
        if c & 0xC0 != 0x80:
            return np.int64(-1), 1
        code = (code << 6) | (c & 0x3F)
    return code, more + 1
