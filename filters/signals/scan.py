"""From UTF-8 bytes to words, lines and counts of one document, in compiled passes over scratch arrays.

Nothing here is cached by numba: the kernel in ``measure`` that calls these functions is, as a whole.

Definitions, used by every signal:

- *Character*: a Unicode code point. Malformed UTF-8 counts as U+FFFD, one per undecodable byte.
- *Word*: a maximal run of characters that are not white space, or, for packs whose words are characters, each such
  character.
- *Line*: what lies between line feeds, trimmed of white space; lines without any other character do not count.
- *Paragraph*: consecutive lines without an empty line between them.
- Lines and paragraphs are equal when their words are: runs of white space do not tell them apart.
"""

import numpy as np
from numba import njit

from algok.filters.characters import ALPHA, CASED, DIGIT, HANGUL, SPACE, UPPER, WORD_CHAR
from algok.filters.packs.compiled import (
    BULLET,
    CLOSER,
    LEFT_EDGE,
    RIGHT_EDGE,
    SPAM,
    STOP,
    TERM_START,
    TERMINAL,
)
from algok.filters.signals.repetition import scramble

__all__ = [
    "SHORT_LINE",
    "count_classes",
    "decode",
    "fold_white_space",
    "match_terms",
    "split",
    "url_chars",
]

#: FineWeb counts lines of at most 30 characters as short (Penedo et al. 2024, section 3.6).
SHORT_LINE = 30

# Characters other than ASCII letters and digits that end a URL in running text or Markdown.
_URL_STOPS = np.zeros(128, dtype=np.bool_)
_URL_STOPS[:0x21] = True
_URL_STOPS[0x7F] = True
for _char in "\"'<>()[]{}|\\^`":
    _URL_STOPS[ord(_char)] = True

_REPLACEMENT = 0xFFFD


@njit(nogil=True)
def decode(data, start, end, table, cps, classes):  # type: ignore[no-untyped-def]
    """Code points (uint32) and class bits (uint8) of ``data[start:end]``; returns the number of characters."""
    n = 0
    i = start
    while i < end:
        byte = np.uint32(data[i])
        if byte < 0x80:
            code = byte
            i += 1
        else:
            if byte >= 0xF0:
                size = 4
                code = byte & np.uint32(0x07)
            elif byte >= 0xE0:
                size = 3
                code = byte & np.uint32(0x0F)
            elif byte >= 0xC2:
                size = 2
                code = byte & np.uint32(0x1F)
            else:
                size = 0
                code = np.uint32(_REPLACEMENT)
            good = size > 0 and i + size <= end
            if good:
                for k in range(1, size):
                    follower = np.uint32(data[i + k])
                    if follower & np.uint32(0xC0) != 0x80:
                        good = False
                        break
                    code = (code << np.uint32(6)) | (follower & np.uint32(0x3F))
            # Overlong forms and code points beyond Unicode are malformed too; lone surrogates pass.
            if size == 3:
                good = good and code >= 0x800
            elif size == 4:
                good = good and code >= 0x10000 and code < 0x110000
            if good:
                i += size
            else:
                code = np.uint32(_REPLACEMENT)
                i += 1
        cps[n] = code
        classes[n] = table[code]
        n += 1
    return n


@njit(nogil=True)
def count_classes(cps, classes, n, out):  # type: ignore[no-untyped-def]
    """Characters by class, written to ``out`` (int64, 9 entries).

    In order: not white space, letters, Hangul, digits, cased, upper-case, ``#``, ellipses (``…`` or three full stops),
    union of all class bits.
    """
    visible = 0
    letters = 0
    hangul = 0
    digits = 0
    cased = 0
    upper = 0
    hashes = 0
    ellipses = 0
    stops = 0
    union = np.uint8(0)
    for i in range(n):
        bits = classes[i]
        union |= bits
        visible += (bits & SPACE) == 0
        letters += (bits & ALPHA) != 0
        hangul += (bits & HANGUL) != 0
        digits += (bits & DIGIT) != 0
        cased += (bits & CASED) != 0
        upper += (bits & UPPER) != 0
        code = cps[i]
        if code == 0x2E:
            stops += 1
            if stops == 3:
                ellipses += 1
                stops = 0
        else:
            stops = 0
            hashes += code == 0x23
            ellipses += code == 0x2026
    out[0] = visible
    out[1] = letters
    out[2] = hangul
    out[3] = digits
    out[4] = cased
    out[5] = upper
    out[6] = hashes
    out[7] = ellipses
    out[8] = union


@njit(nogil=True)
def split(  # type: ignore[no-untyped-def]
    cps,
    classes,
    n,
    by_character,
    marks,
    word_hashes,
    word_starts,
    line_hashes,
    line_sizes,
    para_hashes,
    para_sizes,
    out,
):
    """Words, lines and paragraphs as hashes and sizes, and counts of kinds of lines and words.

    ``word_starts`` (int32, one more than words): characters before each word that are not white space. ``out`` (int64,
    11 entries): words, words with a letter, words with a letter, number or mark, characters in those, lines,
    paragraphs, line feeds, then lines that start with a bullet, end with an ellipsis, end with terminal punctuation,
    are short.
    """
    zero = np.uint64(0)
    words = 0
    alpha_words = 0
    core_words = 0
    core_chars = 0
    lines = 0
    paragraphs = 0
    feeds = 0
    bullets = 0
    ellipses = 0
    punctuated = 0
    short = 0

    begun = 0  # first character of the word being read
    inside = False
    seen = np.uint8(0)
    word = zero
    total = 0
    first = -1
    last = -1
    line = zero
    paragraph = zero
    paragraph_size = 0
    word_starts[0] = 0
    for i in range(n + 1):
        bits = np.uint8(SPACE)
        code = np.uint32(0x0A)
        if i < n:
            bits = classes[i]
            code = cps[i]
        space = (bits & SPACE) != 0
        if inside and (space or by_character):
            size = i - begun
            word_hashes[words] = word
            words += 1
            total += size
            word_starts[words] = total
            line = scramble(line, word)
            if seen & ALPHA:
                alpha_words += 1
            if seen & WORD_CHAR:
                core_words += 1
                core_chars += size
            inside = False
        if not space:
            if not inside:
                inside = True
                begun = i
                word = zero
                seen = np.uint8(0)
            word = scramble(word, np.uint64(code))
            seen |= bits
            if first < 0:
                first = i
            last = i
            continue
        if code != 0x0A:
            continue
        if i < n:
            feeds += 1
        if first >= 0:
            size = last - first + 1
            line_hashes[lines] = line
            line_sizes[lines] = size
            lines += 1
            paragraph = scramble(paragraph, line)
            # A paragraph's size counts the line feeds within it.
            paragraph_size += size + (1 if paragraph_size > 0 else 0)
            short += size <= SHORT_LINE
            head = cps[first]
            if head < 0x10000 and marks[head] & BULLET:
                bullets += 1
            tail = cps[last]
            if tail == 0x2026 or (size >= 3 and tail == 0x2E and cps[last - 1] == 0x2E and cps[last - 2] == 0x2E):
                ellipses += 1
            at = last
            while at > first and cps[at] < 0x10000 and marks[cps[at]] & (TERMINAL | CLOSER) == CLOSER:
                at -= 1
            if cps[at] < 0x10000 and marks[cps[at]] & TERMINAL:
                punctuated += 1
        if paragraph_size > 0 and (first < 0 or i == n):
            para_hashes[paragraphs] = paragraph
            para_sizes[paragraphs] = paragraph_size
            paragraphs += 1
            paragraph = zero
            paragraph_size = 0
        first = -1
        line = zero
    out[0] = words
    out[1] = alpha_words
    out[2] = core_words
    out[3] = core_chars
    out[4] = lines
    out[5] = paragraphs
    out[6] = feeds
    out[7] = bullets
    out[8] = ellipses
    out[9] = punctuated
    out[10] = short


@njit(nogil=True)
def match_terms(  # type: ignore[no-untyped-def]
    cps, classes, n, fold, marks, first_term, term_cps, term_offsets, term_flags, term_ids, stop_seen
):
    """Different stop words, and occurrences of spam terms, of a language pack.

    Spam terms are counted from the left, the longest first, without overlap. ``stop_seen``: bool scratch, one per stop
    word, cleared here.
    """
    stop_seen[:] = False
    stops = 0
    spam = 0
    spam_free = 0
    terms = len(term_flags)
    for i in range(n):
        code = cps[i]
        if code >= 0x10000:
            continue
        head = np.uint32(fold[code])
        if not marks[head] & TERM_START:
            continue
        for t in range(first_term[head], terms):
            begin = term_offsets[t]
            if term_cps[begin] != head:
                break
            flags = term_flags[t]
            if flags & SPAM:
                if i < spam_free:
                    continue
            elif stop_seen[term_ids[t]]:
                continue
            size = term_offsets[t + 1] - begin
            if i + size > n:
                continue
            if flags & LEFT_EDGE and i > 0 and classes[i - 1] & WORD_CHAR:
                continue
            if flags & RIGHT_EDGE and i + size < n and classes[i + size] & WORD_CHAR:
                continue
            same = True
            for k in range(1, size):
                other = cps[i + k]
                if other >= 0x10000 or fold[other] != term_cps[begin + k]:
                    same = False
                    break
            if not same:
                continue
            if flags & STOP:
                stop_seen[term_ids[t]] = True
                stops += 1
            else:
                spam += 1
                spam_free = i + size
    return stops, spam


@njit(nogil=True)
def _url_start(cps, classes, n, at):  # type: ignore[no-untyped-def]
    """Length of the ``http://``, ``https://`` or word-initial ``www.`` at ``at``, in any case; 0 if there is none."""
    if at + 4 > n:
        return 0
    lower = np.uint32(0x20)  # the bit between an ASCII capital and its small letter
    if cps[at] | lower == 0x77:
        if cps[at + 1] | lower != 0x77 or cps[at + 2] | lower != 0x77 or cps[at + 3] != 0x2E:
            return 0
        return 0 if at > 0 and classes[at - 1] & WORD_CHAR else 4
    if cps[at + 1] | lower != 0x74 or cps[at + 2] | lower != 0x74 or cps[at + 3] | lower != 0x70:
        return 0
    colon = at + 4
    if colon < n and cps[colon] | lower == 0x73:
        colon += 1
    if colon + 2 < n and cps[colon] == 0x3A and cps[colon + 1] == 0x2F and cps[colon + 2] == 0x2F:
        return colon + 3 - at
    return 0


@njit(nogil=True)
def url_chars(cps, classes, n):  # type: ignore[no-untyped-def]
    """Characters in URLs: ``http://``, ``https://`` or, at the start of a word, ``www.`` up to the first character that
    is white space, not ASCII, or one of ``"'<>()[]{}|\\^`` and the back quote."""
    total = 0
    free = 0  # end of the last URL
    for i in range(n):
        code = cps[i] | np.uint32(0x20)
        if (code != 0x68 and code != 0x77) or i < free:
            continue
        length = _url_start(cps, classes, n, i)
        if length > 0:
            free = i + length
            while free < n and cps[free] < 0x80 and not _URL_STOPS[cps[free]]:
                free += 1
            total += free - i
    return total


@njit(nogil=True)
def fold_white_space(data, start, cps, classes, n, out, at):  # type: ignore[no-untyped-def]
    """Copy the bytes of a document with its white space trimmed and folded to single spaces; returns the end in
    ``out``.

    ``cps`` and ``classes`` are those that ``decode`` gave for the ``n`` characters from ``data[start]``.
    """
    i = start
    copied = start  # bytes before this one are done with
    begin = at
    for k in range(n):
        code = cps[k]
        if code < 0x80:
            size = 1
        elif code < 0x800:
            size = 2
        elif code >= 0x10000:
            size = 4
        elif code == _REPLACEMENT and not (
            i + 2 < len(data) and data[i] == 0xEF and data[i + 1] == 0xBF and data[i + 2] == 0xBD
        ):
            size = 1  # an undecodable byte, kept as it is
        else:
            size = 3
        if classes[k] & SPACE:
            # A single space between two words is where it should be; only other white space ends a run of bytes.
            lone = code == 0x20 and i > copied and k + 1 < n and not classes[k + 1] & SPACE
            if not lone:
                if i > copied:
                    if at > begin:
                        out[at] = 0x20
                        at += 1
                    out[at : at + i - copied] = data[copied:i]
                    at += i - copied
                copied = i + size
        i += size
    if i > copied:
        if at > begin:
            out[at] = 0x20
            at += 1
        out[at : at + i - copied] = data[copied:i]
        at += i - copied
    return at
