"""From the bytes of a page to its blocks of text and the elements around them, in one compiled pass.

No tree of objects: elements are rows of arrays, and so are blocks. A block is a run of text between two boundaries: the
begin or end of a block element, or a line break. The pass is linear in the page, knows what an HTML parser knows about
end tags that are left out, and cannot fail: whatever the bytes are, something is read.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.attributes import attributes as read_attributes
from algok.filters.extraction.blocks.columns import (
    B_BOLD,
    B_BROKEN,
    B_CHARS,
    B_COMMAS,
    B_DIGITS,
    B_HANGUL,
    B_IDEOGRAPHS,
    B_LINKED,
    B_LINKS,
    B_LOWER,
    B_NODE,
    B_PHRASES,
    B_PIECE,
    B_PIECES,
    B_STOPS,
    B_TAIL,
    B_UPPER,
    B_WORDS,
    BLOCKS,
    N_HIDDEN,
    N_MARK,
    N_PARENT,
    N_RANK,
    N_TAG,
    NODES,
)  # fmt: skip
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
from algok.filters.extraction.blocks.tree import close, close_implied
from algok.filters.extraction.containers import RANKS
from algok.filters.tagsoup import character, comment_end, end_tag, place_of, tag_end

__all__ = ["MOST_TAGS", "Scan", "scan"]

_NAMES, _SIZES, _KINDS = element_table()
_WORDS, _MASKS = word_table()
_PHRASES, _PHRASE_MASKS = phrase_table()
_TOKENS, _TOKEN_RANKS = token_table(RANKS)
_PRE, _LI = TAGS.index("pre"), TAGS.index("li")
#: Deepest stack; elements beyond it are not told from their ancestors.
_DEEPEST = 512
_META = 256
#: Tags of a page that is read here: 50 MB of arrays. The page of the mini crawl with most has 25,496.
MOST_TAGS = 200_000


class Scan(NamedTuple):
    """What was found in ``data``. ``nodes`` int64[n, NODES], ``groups`` uint64[n] (bits of ``GROUPS``), ``blocks``
    int64[b, BLOCKS], ``pieces`` int64[p, 2] (bytes from, to; -1, -1 is a line break), ``metas`` int64[m, 2] (meta and
    link elements), ``title`` (bytes from, to), ``formulas`` (MathML elements, TeX scripts, drawings), ``signs`` (dollar
    signs and backslashes in the text), ``every`` (the groups of all elements together)."""

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
    >>> found.blocks[:, B_CHARS].tolist()
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
        _TOKENS, _TOKEN_RANKS,
    )  # fmt: skip
    return Scan(
        page,
        nodes[:n],
        groups[:n],
        blocks[:b],
        pieces[:p],
        metas[:m],
        (title_from, title_to),
        formulas,
        signs,
        int(every),
    )


@njit(nogil=True, cache=True)
def _scan(  # type: ignore[no-untyped-def]
    data, nodes, groups, blocks, pieces, metas, names, sizes, kinds, words, masks, phrases, phrase_masks, tokens,
    token_ranks,
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
    in_pre = False
    opened = 0  # elements in the code at hand
    # The block at hand.
    first_piece = 0
    chars = linked = nwords = stops = commas = digits = upper = lower = hangul = ideographs = links = 0
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
                place = place_of(name, names)
                if place >= 0 and sizes[place] != size:
                    place = -1
                kind = INLINE if place < 0 else kinds[place] & 0xFF
                tag = 0 if place < 0 else kinds[place] >> 8
                if not closing and (kind == BLOCK or (kind == INLINE and tag == 4)):
                    attributes[:] = 0
                    attributes[0] = -1
                    own[0] = np.uint64(0)
                    behind = read_attributes(data, at, end, missing, words, masks, tokens, token_ranks, attributes, own)
                    every |= own[0]
                    if kind == BLOCK:
                        action = 1
                        boundary = True
                else:
                    behind = tag_end(data, at, end, missing)
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
                                stop = end_tag(data, behind, end, name, size)
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
                    elif tag == 5:
                        strong = 0 if closing else depth
            elif following == 33 or following == 63:
                if text_from >= 0:
                    pieces[p, 0] = text_from
                    pieces[p, 1] = i
                    p += 1
                    text_from = -1
                i = comment_end(data, i, end, missing)
                continue
        if boundary and in_pre and i < end and not (action == 2 and (tag == _PRE or opened == 0)):
            # Code is one block, with a line break for every line of it that is an element, until its end tag or that of
            # an element around it.
            opened += 1 if action == 1 else -1 if action == 2 else 0
            if action != 1 or tag == _LI:
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
                k = place_of(word, phrases)
                if k >= 0:
                    mask |= phrase_masks[k]
            if chars > 0:
                blocks[b, B_NODE] = stack[depth - 1]
                blocks[b, B_PIECE] = first_piece
                blocks[b, B_PIECES] = p - first_piece
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
            broken = 1 if action == 3 else 0
            if i == end:
                break
            if action == 1:
                depth = close_implied(stack, depth, nodes, tag)
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
                    in_pre = True
                    opened = 0
            elif action == 2:
                in_pre = False
                depth = close(stack, depth, nodes, tag)
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
            code, size = character(data, i, end)
            i += size
        if code <= 32 or code == 0xA0 or code == 0x3000 or code == 0xFEFF or (code >= 0x2000 and code <= 0x200D):
            if in_word:
                if word_size > 0 and nwords <= 12:
                    k = place_of(word, phrases)
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
                        k = place_of(word, phrases)
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
    """Whether a begin tag is a script of type math/tex or a drawing of MathJax."""
    for i in range(start, end - 5):
        math = (data[i] | 0x20) == 109 and data[i + 1] == 97 and data[i + 2] == 116 and data[i + 3] == 104
        if math and (data[i + 4] == 47 or data[i + 4] == 74):
            return True
    return False


@njit(nogil=True)
def _width(code):  # type: ignore[no-untyped-def]
    return 2 if code < 0x800 else 3 if code < 0x10000 else 4


@njit(nogil=True)
def _named(data, i, k):  # type: ignore[no-untyped-def]
    """Code point of a character reference as far as the counts need it: 45, a mark, for whatever is no white space and
    beyond ASCII."""
    if data[i + 1] == 35:
        code = np.int64(0)
        at = i + 2
        if at < k and (data[at] | 0x20) == 120:
            at += 1
            while at < k:
                c = np.int64(data[at])
                digit = c - 48 if c <= 57 else (c | 0x20) - 87
                code = code * 16 + (digit if digit >= 0 and digit < 16 else np.int64(0))
                at += 1
        else:
            while at < k:
                digit = np.int64(data[at]) - 48
                code = code * 10 + (digit if digit >= 0 and digit < 10 else np.int64(0))
                at += 1
        # The bytes behind are not those of the character, so it counts as a letter of its block but not in words.
        return code if code < 0x80 else (np.int64(0xA0) if code == 0xA0 else np.int64(45))
    if k - i == 5 and data[i + 1] == 110 and data[i + 2] == 98 and data[i + 3] == 115 and data[i + 4] == 112:
        return np.int64(0xA0)
    return np.int64(45)
