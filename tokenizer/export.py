"""The vocabulary as a Hugging Face ``tokenizer.json``, for users who load tokenizers by ``tokenizers`` or transformers.

It is a Unigram model with byte fallback, without normaliser and pre-tokeniser: pieces hold real spaces, so that a
U+2581 in a text stays what it is. Ids equal those of ``Codec`` on every text, under two conditions that come from
``tokenizers`` itself:

- ``encode_special_tokens`` must be on, or the *text* ``</s>`` becomes the control piece (the usual Hugging Face
  behaviour; algok never makes control pieces out of text).
- A lone surrogate cannot be given to ``tokenizers`` at all.

That library matches every entry of the vocabulary against text, control and byte pieces too (the text ``<0x41>``).
They get a score below what their characters cost one by one, so they never win.
"""

import json
from pathlib import Path

import numpy as np

from algok.tokenizer.model import BYTE, COST_UNIT, NORMAL, SPACE, UNKNOWN, Vocabulary

__all__ = ["hf_tokenizer", "hf_tokenizer_config", "write_hf"]


def hf_tokenizer(vocabulary: Vocabulary) -> dict[str, object]:
    """The content of ``tokenizer.json``: ids, pieces and scores of ``vocabulary``."""
    normal = vocabulary.types == NORMAL
    dearest = int(vocabulary.costs[normal].max()) if normal.any() else COST_UNIT
    named = [p for p, is_text in zip(vocabulary.pieces, normal.tolist(), strict=True) if not is_text]
    # Every character of a control piece's name has a piece of its own, or costs the dearest and ten pieces more.
    barred = -(max(map(len, named)) + 1) * (dearest / COST_UNIT + 11)
    scores = (-vocabulary.costs / COST_UNIT).tolist()
    entries = []
    for piece, score, kind in zip(vocabulary.pieces, scores, vocabulary.types.tolist(), strict=True):
        entries.append([piece.replace(SPACE, " ") if kind == NORMAL else piece, score if kind == NORMAL else barred])
    special = [
        {
            "id": int(index),
            "content": vocabulary.pieces[index],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index in np.flatnonzero((vocabulary.types != NORMAL) & (vocabulary.types != BYTE))
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "Unigram",
            "unk_id": int(np.flatnonzero(vocabulary.types == UNKNOWN)[0]),
            "vocab": entries,
            "byte_fallback": True,
        },
    }


def hf_tokenizer_config(vocabulary: Vocabulary) -> dict[str, object]:
    """The content of ``tokenizer_config.json`` for transformers' ``PreTrainedTokenizerFast``."""
    names = {"unk_token": vocabulary.unk, "bos_token": vocabulary.bos, "eos_token": vocabulary.eos}
    if vocabulary.pad >= 0:
        names["pad_token"] = vocabulary.pad
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        "model_max_length": 1 << 30,
        **{name: vocabulary.pieces[index] for name, index in names.items()},
    }


def write_hf(vocabulary: Vocabulary, folder: Path) -> list[Path]:
    """Write tokenizer.json and tokenizer_config.json to ``folder``; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in (
        ("tokenizer.json", hf_tokenizer(vocabulary)),
        ("tokenizer_config.json", hf_tokenizer_config(vocabulary)),
    ):
        path = folder / name
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
        written.append(path)
    return written
