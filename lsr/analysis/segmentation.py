"""Normalised words of a piece of text without white space.

Boundaries are those of UAX #29, and full stops, colons and underscores between letters
(``os.path.join`` is three words, ``read_file`` two). Numbers (``3.14``) and abbreviations of single
letters (``u.s.a``) stay whole. Han, Hiragana and Thai words are single characters with their marks,
Katakana words are runs.
"""

from __future__ import annotations

import unicodedata

import regex

MAX_WORD_CHARS = 128
"""Longer words are truncated; this bounds the vocabulary."""

_BOUNDARY = regex.compile(r"\b", regex.VERSION1 | regex.WORD)
_WORD = regex.compile(r"[\p{L}\p{N}]")
_INNER_BREAK = regex.compile(r"(?<!\p{Nd})[.:]|_")
_ABBREVIATION = regex.compile(r"\p{L}(?:\.\p{L})+")
# Invisible characters: soft hyphen, joiners, byte order mark; not the zero-width space.
_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]", regex.VERSION1)
_APOSTROPHES = str.maketrans("’‘ʼ‛", "''''")
_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_LATIN_MARKS = regex.compile(r"[\u0300-\u036f]+")


def normalise(text: str, *, dotless_i: bool = False) -> str:
    """Return text in NFKC, case-folded, without invisible characters.

    `dotless_i` folds ``I`` to ``ı`` and ``İ`` to ``i``, as in Turkish.
    """
    if dotless_i:
        text = text.replace("İ", "i").replace("I", "ı")
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", text))
    return text.translate(_APOSTROPHES)


def fold_accents(text: str) -> str:
    """Remove diacritics from letters (``café`` to ``cafe``, ``łódź`` to ``lodz``)."""
    if text.isascii():
        return text
    bare = _LATIN_MARKS.sub("", unicodedata.normalize("NFD", text.translate(_UNDECOMPOSED)))
    return unicodedata.normalize("NFC", bare)


def segments(text: str) -> list[str]:
    """Split normalised text at UAX #29 boundaries; drop parts without letter and number."""
    return [piece for piece in _BOUNDARY.split(text) if _WORD.search(piece)]


def is_abbreviation(segment: str) -> bool:
    """Return whether a segment is single letters separated by full stops (``u.s.a``)."""
    return _ABBREVIATION.fullmatch(segment) is not None


def words(segment: str) -> list[str]:
    """Return the words of a segment, each of at most `MAX_WORD_CHARS`."""
    if segment.isalnum():
        return [segment[:MAX_WORD_CHARS]]
    if is_abbreviation(segment):
        return [segment.replace(".", "")[:MAX_WORD_CHARS]]
    parts = _INNER_BREAK.split(segment)
    return [part[:MAX_WORD_CHARS] for part in parts if _WORD.search(part)]
