"""Bytes to text: declared, detected or guessed encodings, read as browsers read them."""

from algok.filters.charset.decoding import Decoded, decode
from algok.filters.charset.labels import lookup

__all__ = ["Decoded", "decode", "lookup"]
