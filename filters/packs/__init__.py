"""Language packs: what the signals need to know of a language, as TOML files beside this module.

A pack says how words are split, which stop words and spam terms to count, and which marks end a sentence or begin a
bullet. ``builtin_packs`` loads the ones that are shipped; ``load_packs`` reads a user's folder over them.

Matching folds case and width (``ＡＢＣ`` is ``abc``) and is done on the text as it is: terms are written in NFC.
"""

from functools import cached_property
from importlib.resources import files
from pathlib import Path

import msgspec

from algok.errors import RecipeError
from algok.filters.characters import WORD_CHAR, class_table, fold_table
from algok.filters.packs.compiled import LEFT_EDGE, RIGHT_EDGE, SPAM, STOP, CompiledPack, Term, compile_terms

__all__ = ["DEFAULT", "Pack", "Packs", "builtin_packs", "load_packs", "parse_pack"]

#: Name of the pack for languages that no other pack names.
DEFAULT = "default"

SPACES, CHARACTERS = "spaces", "characters"


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One language pack.

    ``languages``: ISO 639 codes as fastText lid.176 writes them; empty for the default pack only. ``words``: ``spaces``
    (runs of characters that are not white space) or ``characters``. ``stop_words`` are whole words, ``stop_endings``
    what a word ends with (Korean particles and endings), ``stop_parts`` occur anywhere. ``terminal``, ``closers`` and
    ``bullets`` are sets of single characters: a line is terminated if its last character that is no closer is in
    ``terminal``. ``spam_terms`` match anywhere, but an ASCII letter at their edge only at the edge of a word.
    Raises ``RecipeError`` for a pack that cannot be used.
    """

    name: str
    languages: tuple[str, ...] = ()
    words: str = SPACES
    stop_words: tuple[str, ...] = ()
    stop_endings: tuple[str, ...] = ()
    stop_parts: tuple[str, ...] = ()
    terminal: str
    closers: str = ""
    bullets: str = ""
    spam_terms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.words not in (SPACES, CHARACTERS):
            raise RecipeError(f"language pack {self.name}: words is {self.words!r}; use {SPACES!r} or {CHARACTERS!r}")
        if not self.languages and self.name != DEFAULT:
            raise RecipeError(f"language pack {self.name}: languages is empty; name at least one ISO 639 code")
        for key in ("terminal", "closers", "bullets", "stop_words", "stop_endings", "stop_parts", "spam_terms"):
            for entry in getattr(self, key):
                if not entry.strip():
                    raise RecipeError(f"language pack {self.name}: {key} holds an empty entry")
                if any(ord(char) > 0xFFFF for char in entry):
                    raise RecipeError(f"language pack {self.name}: {key} entry {entry!r} lies outside the Unicode BMP")

    @cached_property
    def compiled(self) -> CompiledPack:
        """The arrays that the kernels read, made on first use."""
        terms = [Term(text=fold(word), flags=STOP | LEFT_EDGE | RIGHT_EDGE) for word in self.stop_words]
        terms += [Term(text=fold(word), flags=STOP | RIGHT_EDGE) for word in self.stop_endings]
        terms += [Term(text=fold(word), flags=STOP) for word in self.stop_parts]
        for word in self.spam_terms:
            text = fold(word)
            edges = (LEFT_EDGE if _ascii_letter(text[0]) else 0) | (RIGHT_EDGE if _ascii_letter(text[-1]) else 0)
            terms.append(Term(text=text, flags=SPAM | edges))
        return compile_terms(terms, self.terminal, self.closers, self.bullets, by_character=self.words == CHARACTERS)


class Packs:
    """A default pack and packs by language.

    ``packs``: any order; exactly one must be called ``default``, and no language may be named twice
    (``RecipeError``).
    """

    def __init__(self, packs: tuple[Pack, ...]) -> None:
        self.packs = tuple(sorted(packs, key=lambda pack: pack.name))
        self.names = tuple(pack.name for pack in self.packs)
        if self.names.count(DEFAULT) != 1:
            raise RecipeError(f"language packs {', '.join(self.names)}: exactly one must be named {DEFAULT!r}")
        self.by_language: dict[str, int] = {}
        for at, pack in enumerate(self.packs):
            for language in pack.languages:
                if language in self.by_language:
                    other = self.names[self.by_language[language]]
                    raise RecipeError(f"language packs {other} and {pack.name} both name the language {language!r}")
                self.by_language[language] = at
        self.default = self.names.index(DEFAULT)

    def index(self, language: str | None) -> int:
        """Position in ``packs`` of the pack for a language; of the default pack for an unknown one or None."""
        return self.by_language.get(language or "", self.default)

    def __getitem__(self, language: str) -> Pack:
        return self.packs[self.index(language)]

    def __reduce__(self) -> tuple[type["Packs"], tuple[tuple[Pack, ...]]]:
        # Workers compile their own arrays: a pickled pack is its few kilobytes of text.
        return (Packs, (tuple(Pack(**msgspec.structs.asdict(pack)) for pack in self.packs),))


def fold(text: str) -> str:
    """Text as terms are compared: lower case, half-width ASCII, white space as U+0020.

    >>> fold("Ｏnline\\tCasino")
    'online casino'
    """
    table = fold_table()
    return "".join(chr(table[ord(char)]) if ord(char) < 0x10000 else char for char in text)


def _ascii_letter(char: str) -> bool:
    return char.isascii() and bool(class_table()[ord(char)] & WORD_CHAR)


def parse_pack(text: str, origin: str) -> Pack:
    """Decode one pack; ``RecipeError`` names ``origin`` and the key."""
    try:
        return msgspec.toml.decode(text, type=Pack)
    except msgspec.DecodeError as error:
        raise RecipeError(f"language pack {origin}: {error}") from error


def builtin_packs() -> Packs:
    """The packs shipped with algok."""
    return Packs(tuple(_shipped().values()))


def load_packs(folder: Path) -> Packs:
    """The shipped packs with those of ``folder/*.toml`` added; a pack of the same name replaces the shipped one.

    Raises ``RecipeError`` if the folder holds no pack or one that cannot be read.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise RecipeError(f"language packs: no *.toml file in {folder}")
    packs = _shipped()
    for path in paths:
        pack = parse_pack(path.read_text(encoding="utf-8"), str(path))
        packs[pack.name] = pack
    return Packs(tuple(packs.values()))


def _shipped() -> dict[str, Pack]:
    packs = {}
    for path in sorted(files("algok.filters.packs").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".toml"):
            pack = parse_pack(path.read_text(encoding="utf-8"), path.name)
            packs[pack.name] = pack
    return packs
