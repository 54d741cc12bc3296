"""The text signals in plain Python, written from the definitions and sharing no code with the kernels."""

import re
import unicodedata
from collections import Counter

import numpy as np
import xxhash

from algok.filters.packs import Pack


def is_word_char(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM"


def fold(text: str) -> str:
    out = []
    for char in text:
        if char.isspace():
            char = " "
        elif "！" <= char <= "～":
            char = chr(ord(char) - 0xFEE0).lower()
        elif unicodedata.category(char) in ("Lu", "Lt", "Ll") and len(char.lower()) == 1:
            char = char.lower()
        out.append(char)
    return "".join(out)


def split_words(text: str, pack: Pack) -> list[str]:
    return [c for c in text if not c.isspace()] if pack.words == "characters" else text.split()


def repeated(items: list[tuple[object, int]]) -> tuple[int, int]:
    seen = set()
    count = chars = 0
    for key, size in items:
        if key in seen:
            count += 1
            chars += size
        seen.add(key)
    return count, chars


def top_ngram(words: list[str], n: int, joint: str) -> int:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    # most_common keeps the order of first occurrence among equals.
    gram, times = Counter(grams).most_common(1)[0]
    return len(joint.join(gram)) * times


def repeated_ngrams(words: list[str], n: int) -> int:
    seen = set()
    chars = at = 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return chars


def count_stop_words(text: str, pack: Pack) -> int:
    folded = fold(text)
    found = set()
    for words, left, right in (
        (pack.stop_words, True, True),
        (pack.stop_endings, False, True),
        (pack.stop_parts, False, False),
    ):
        for word in map(fold, words):
            for at in range(len(folded)):
                end = at + len(word)
                if folded[at:end] != word:
                    continue
                if left and at > 0 and is_word_char(text[at - 1]):
                    continue
                if right and end < len(text) and is_word_char(text[end]):
                    continue
                found.add(word)
                break
    return len(found)


def count_spam(text: str, pack: Pack) -> int:
    folded = fold(text)
    terms = sorted({fold(term) for term in pack.spam_terms}, key=len, reverse=True)
    count = at = 0
    while at < len(folded):
        for term in terms:
            end = at + len(term)
            if folded[at:end] != term:
                continue
            if term[0].isascii() and is_word_char(term[0]) and at > 0 and is_word_char(text[at - 1]):
                continue
            if term[-1].isascii() and is_word_char(term[-1]) and end < len(text) and is_word_char(text[end]):
                continue
            count += 1
            at = end
            break
        else:
            at += 1
    return count


def paragraphs_of(text: str) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            groups[-1].append(line.strip())
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def is_hangul(char: str) -> bool:
    return char.isalpha() and "HANGUL" in unicodedata.name(char, "")


def ends_a_sentence(line: str, pack: Pack) -> bool:
    while len(line) > 1 and line[-1] in pack.closers and line[-1] not in pack.terminal:
        line = line[:-1]
    return line[-1] in pack.terminal


def is_www_at_word_start(match: re.Match[str]) -> bool:
    at = match.start()
    return not match.group().lower().startswith("www.") or at == 0 or not is_word_char(match.string[at - 1])


def url_characters(text: str) -> int:
    total = at = 0
    pattern = re.compile(r"(https?://|www\.)[!#$%&*+,\-./0-9:;=?@A-Z_a-z~]*", re.IGNORECASE | re.ASCII)
    while (match := pattern.search(text, at)) is not None:
        if is_www_at_word_start(match):
            total += len(match.group())
            at = match.end()
        else:
            at = match.start() + 1
    return total


def signals(text: str, pack: Pack) -> dict[str, float | int]:
    """Every text signal of one document; shares as float32, like the columns."""
    words = split_words(text, pack)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    paragraphs = paragraphs_of(text)
    letters = [c for c in text if c.isalpha()]
    visible = [c for c in text if not c.isspace()]
    cased = [c for c in text if unicodedata.category(c) in ("Lu", "Ll", "Lt")]
    core = [w for w in words if any(map(is_word_char, w))]
    joint = "" if pack.words == "characters" else " "
    dup_lines, dup_line_chars = repeated([(tuple(split_words(line, pack)), len(line)) for line in lines])
    dup_paras, dup_para_chars = repeated(
        [(tuple(tuple(split_words(line, pack)) for line in p), len("\n".join(p))) for p in paragraphs]
    )
    out: dict[str, float | int] = {
        "chars": len(text),
        "bytes": len(text.encode()),
        "words": len(words),
        "lines": len(lines),
        "stop_words": count_stop_words(text, pack),
        "spam_terms": count_spam(text, pack),
    }
    shares = {
        "hangul_share": (sum(map(is_hangul, letters)), len(letters)),
        "mean_word_chars": (sum(map(len, core)), len(core)),
        "non_alpha_word_share": (sum(not any(c.isalpha() for c in w) for w in words), len(words)),
        "symbol_word_ratio": (max(text.count("#"), text.count("...") + text.count("…")), len(words)),
        "bullet_line_share": (sum(line[0] in pack.bullets for line in lines), len(lines)),
        "ellipsis_line_share": (sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "line_punct_share": (sum(ends_a_sentence(line, pack) for line in lines), len(lines)),
        "short_line_share": (sum(len(line) <= 30 for line in lines), len(lines)),
        "new_line_ratio": (text.count("\n"), len(words)),
        "dup_line_share": (dup_lines, len(lines)),
        "dup_line_char_share": (dup_line_chars, len(text)),
        "dup_para_share": (dup_paras, len(paragraphs)),
        "dup_para_char_share": (dup_para_chars, len(text)),
        "digit_share": (sum(c.isdecimal() for c in text), len(visible)),
        "upper_share": (sum(unicodedata.category(c) == "Lu" for c in cased), len(cased)),
        "url_char_share": (url_characters(text), len(text)),
    }
    shares |= {f"top_{n}gram_char_share": (top_ngram(words, n, joint), len(text)) for n in (2, 3, 4)}
    shares |= {f"dup_{n}gram_char_share": (repeated_ngrams(words, n), len(text)) for n in range(5, 11)}
    out |= {name: float(np.float32(part / whole)) if whole else 0.0 for name, (part, whole) in shares.items()}
    return out


def content_hash(text: str) -> bytes:
    return xxhash.xxh3_128_digest(" ".join(unicodedata.normalize("NFC", text).split()).encode())
