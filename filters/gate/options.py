"""Which pages are worth extracting: languages and sampling rates."""

import msgspec

from algok.errors import RecipeError

__all__ = ["LANGUAGE", "SAMPLED", "GateOptions"]

#: Reasons of rejected rows: a language of which nothing is wanted; one of which a sample is, that the page is not in.
LANGUAGE, SAMPLED = "gate:language", "gate:sampled"


class GateOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The language gate in front of extraction; the default lets every page through and costs nothing.

    Raises ``RecipeError`` that names the key and echoes the value.

    >>> GateOptions(languages={"ko": 1.0, "en": 0.03}).rate("fr")
    0.0
    """

    #: Share of the pages of a language that are extracted, by ISO 639 code: 1 for all, 0.03 for a sample of 3 %, which
    #: a hash of the document id and the seed draws. Empty: there is no gate.
    languages: dict[str, float] = {}
    #: The share for languages that are not listed.
    other: float = 0.0
    #: A page may be in a language when the model gives it this probability, and passes at the highest share of the
    #: languages that it may be in: doubt costs an extraction, not a page.
    doubt: float = 0.2

    def __post_init__(self) -> None:
        for language, share in self.languages.items():
            if not language:
                raise RecipeError("extract.gate.languages: a language has no name; use ISO 639 codes such as ko")
            if not 0.0 <= share <= 1.0:
                raise RecipeError(f"extract.gate.languages.{language}: {share!r} is not between 0 and 1")
        if not 0.0 <= self.other <= 1.0:
            raise RecipeError(f"extract.gate.other: {self.other!r} is not between 0 and 1")
        if not 0.01 <= self.doubt <= 1.0:
            raise RecipeError(f"extract.gate.doubt: {self.doubt!r} is not between 0.01 and 1")
        if self.other and not self.languages:
            raise RecipeError("extract.gate.other: there is no gate without `languages`")
        if self.active and not self.other and not any(self.languages.values()):
            raise RecipeError("extract.gate.languages: every share is 0, so that no page would be extracted")

    @property
    def active(self) -> bool:
        """Whether there is a gate."""
        return bool(self.languages)

    def rate(self, language: str) -> float:
        """Share of the pages of a language that are extracted."""
        return self.languages.get(language, self.other)
