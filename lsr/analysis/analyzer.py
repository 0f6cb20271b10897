"""`Analyzer`: terms of texts."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Mapping
from itertools import chain
from threading import Lock
from typing import Any, Literal

import regex
import Stemmer

from lsr.analysis.segmentation import fold_accents, is_abbreviation, normalise, segments, words
from lsr.analysis.stopwords import ENGLISH
from lsr.errors import UsageError

Accents = Literal["fold", "keep"]

ANALYSIS_VERSION = 1
"""Increased when the same parameters give other terms; part of the fingerprint."""

_CACHED_SEGMENTS = 1 << 18
# Articles and pronouns joined to the next word; the Italian and Irish stemmers remove them.
_ELISIONS = {
    "french": regex.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=\p{L})"),
    "catalan": regex.compile(r"^[dlmnst]'(?=\p{L})"),
}


_ISO_639 = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip


def language_of(name: str) -> str:
    """Return the language of a name or ISO 639-1 code; raise UsageError if there is none."""
    lowered = name.strip().lower()
    found = _ISO_639.get(lowered, lowered)
    if found not in languages():
        codes = {language: code for code, language in _ISO_639.items() if language in languages()}
        known = [f"{each} ({codes[each]})" if each in codes else each for each in languages()]
        raise UsageError(f"language {name!r}: expected one of {', '.join(known)}")
    return found


def languages() -> list[str]:
    """Return the languages with a Snowball stemmer, and ``none`` for no stemming."""
    return [*sorted(Stemmer.algorithms()), "none"]


class Analyzer:
    """Turns text into terms: words, case-folded, without stop words, stemmed. Thread-safe.

    Parameters
    ----------
    language : str
        One of `languages`, or an ISO 639-1 code. ``none`` neither stems nor removes words.
    stopwords : iterable of str, optional
        Words to remove. None means the default list, empty but for English.
    accents : {"fold", "keep"}, optional
        Whether ``café`` equals ``cafe``. None folds for English only: other stemmers need accents.

    Raises
    ------
    UsageError
        Unknown language or accents option.
    """

    def __init__(
        self,
        language: str = "english",
        *,
        stopwords: Iterable[str] | None = None,
        accents: Accents | None = None,
    ) -> None:
        language = language_of(language)
        is_english = language in ("english", "porter")
        if accents is None:
            accents = "fold" if is_english else "keep"
        if accents not in ("fold", "keep"):
            raise UsageError(f"accents {accents!r}: expected fold or keep")
        self.language = language
        self.accents: Accents = accents
        if stopwords is None:
            stopwords = ENGLISH if is_english else ()
        self.stopwords = frozenset(map(self._normalise, stopwords))
        self._stemmer = None if language == "none" else Stemmer.Stemmer(language, 0)
        self._elision = _ELISIONS.get(language)
        self._lock = Lock()
        self._cache: dict[str, tuple[str, ...]] = {}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Analyzer:
        """Return the analyser with these `parameters`."""
        return cls(**{name: parameters[name] for name in ("language", "stopwords", "accents")})

    @property
    def parameters(self) -> dict[str, Any]:
        """Arguments of `from_parameters`, as JSON values."""
        return {
            "language": self.language,
            "stopwords": sorted(self.stopwords),
            "accents": self.accents,
        }

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identity of the terms: `parameters` and version, with a digest of the stop words."""
        listed = "\n".join(sorted(self.stopwords))
        digest = hashlib.sha256(listed.encode()).hexdigest() if listed else ""
        return {"version": ANALYSIS_VERSION, **self.parameters, "stopwords": digest}

    def terms(self, text: str) -> list[str]:
        """Return the terms of a text, in order and with repeats."""
        return [term for chunk in text.split() for term in self.chunk_terms(chunk)]

    def chunk_terms(self, chunk: str) -> tuple[str, ...]:
        """Return the terms of a piece of text without white space."""
        core = chunk.strip(string.punctuation)
        if core.isascii() and core.isalpha():  # most chunks; segmentation gives the same
            return self._segment_terms(self._normalise(core))
        found = map(self._segment_terms, segments(self._normalise(chunk)))
        return tuple(chain.from_iterable(found))

    def _normalise(self, text: str) -> str:
        normal = normalise(text, dotless_i=self.language == "turkish")
        return fold_accents(normal) if self.accents == "fold" else normal

    def _segment_terms(self, segment: str) -> tuple[str, ...]:
        known = self._cache.get(segment)
        if known is None:
            known = tuple(self._analyse(segment))
            if len(self._cache) >= _CACHED_SEGMENTS:
                self._cache.clear()
            self._cache[segment] = known
        return known

    def _analyse(self, segment: str) -> Iterable[str]:
        if is_abbreviation(segment):
            yield from words(segment)  # "u.s." is no stop word and has no ending
            return
        for word in words(segment):
            bare = self._elision.sub("", word) if self._elision else word
            if bare in self.stopwords:
                continue
            if self._stemmer is not None:
                with self._lock:  # a stemmer has one buffer
                    bare = self._stemmer.stemWord(bare)
            if bare:
                yield bare
