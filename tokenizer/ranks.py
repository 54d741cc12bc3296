"""OpenAI's encodings from local rank files, for comparison. tiktoken would download them.

The patterns are those of ``tiktoken_ext/openai_public.py`` (github.com/openai/tiktoken, MIT licence).
"""

import base64
from pathlib import Path

import tiktoken

from algok.errors import InputError

__all__ = ["PATTERNS", "load_ranks"]

PATTERNS = {
    "cl100k_base": (
        r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"""
        r"""| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
    ),
    "o200k_base": "|".join(
        [
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""\p{N}{1,3}""",
            r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
            r"""\s*[\r\n]+""",
            r"""\s+(?!\S)""",
            r"""\s+""",
        ]
    ),
}


def load_ranks(name: str, path: Path) -> tiktoken.Encoding:
    """The encoding ``name`` (a key of PATTERNS) from a ``.tiktoken`` file, without special tokens.

    Raises InputError for an unknown name or an unreadable file.
    """
    if name not in PATTERNS:
        raise InputError(f"no pattern is known for the encoding {name!r}; known: {', '.join(sorted(PATTERNS))}")
    try:
        ranks = {}
        for line in path.read_bytes().splitlines():
            if line:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
    except (OSError, ValueError) as error:
        raise InputError(f"rank file {path} cannot be read: {error}") from error
    if len(ranks) < 256:
        raise InputError(f"rank file {path} holds only {len(ranks)} tokens")
    return tiktoken.Encoding(name=name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})
