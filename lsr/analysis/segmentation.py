"""Segmentation: Unicode word boundaries on case-folded text.

White space always ends a word, so callers analyse a text by white-space-delimited *chunks* and
cache the result of each. Boundaries are those of UAX #29 with one tailoring: a full stop, colon or
underscore between letters separates (``os.path.join`` is three words, ``read_file`` two). Numbers
keep theirs (``3.14``), so do abbreviations of single letters (``u.s.a``). Scripts without spaces
give single characters (Han, Hiragana, Thai, with their marks) or runs (Katakana).
"""

from __future__ import annotations

import unicodedata

import regex

MAX_WORD_CHARS = 128
"""Longer words (encoded blobs, sequences) are cut: the vocabulary stays bounded, and equal ones
still match."""

_BOUNDARY = regex.compile(r"\b", regex.VERSION1 | regex.WORD)
_WORD = regex.compile(r"[\p{L}\p{N}]")
_INNER_BREAK = regex.compile(r"(?<!\p{Nd})[.:]|_")
_ABBREVIATION = regex.compile(r"\p{L}(?:\.\p{L})+")
# Invisible characters (soft hyphen, joiners, byte order mark), but not the zero-width space, which
# separates words.
_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]", regex.VERSION1)
_APOSTROPHES = str.maketrans("’‘ʼ‛", "''''")
_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_LATIN_MARKS = regex.compile(r"[\u0300-\u036f]+")


def normalise(text: str, *, dotless_i: bool = False) -> str:
    """Return text in compatibility form (NFKC), case-folded, without invisible characters.

    `dotless_i` folds ``I`` to ``ı`` and ``İ`` to ``i``, as Turkish does.
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
    """Cut normalised text at UAX #29 boundaries; keep what holds a letter or a number."""
    return [piece for piece in _BOUNDARY.split(text) if _WORD.search(piece)]


def is_abbreviation(segment: str) -> bool:
    """Tell whether a segment is single letters with full stops between (``u.s.a``)."""
    return _ABBREVIATION.fullmatch(segment) is not None


def words(segment: str) -> list[str]:
    """Apply the tailoring to one segment: one word, or several."""
    if segment.isalnum():
        return [segment[:MAX_WORD_CHARS]]
    if is_abbreviation(segment):
        return [segment.replace(".", "")[:MAX_WORD_CHARS]]
    parts = _INNER_BREAK.split(segment)
    return [part[:MAX_WORD_CHARS] for part in parts if _WORD.search(part)]
