"""Highlights: the words of a text that a query matched, and a snippet that shows most of them.

One rule for the terminal, HTTP and the search page. Offsets count characters (code points).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

SNIPPET_CHARS = 240
_LEAD_CHARS = 50
_MAX_MATCHES = 50
_SAME_WORD_CHARS = 5
_WORD = re.compile(r"\w+")
# What stands before expansion terms; before pieces that continue a word, or begin one.
_PREFIXES = ("~", "##", "▁", "Ġ")


class Span(NamedTuple):
    """Part of a text: characters `start` to `end`, the last one left out."""

    start: int
    end: int


def highlights(text: str, terms: Iterable[str]) -> list[Span]:
    """Return the words of a text that terms (stems or word pieces) match, in order.

    A word matches when it begins with a term. Single ASCII letters match nothing, and stems of two
    letters only words of up to four.
    """
    stems = {stem for stem in map(_stem, terms) if len(stem) > 1 or not stem.isascii()}
    long = tuple(stem for stem in stems if len(stem) > 2)
    short = tuple(stem for stem in stems if 0 < len(stem) <= 2)
    found = []
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if word.startswith(long) or (len(word) <= 4 and word.startswith(short)):
            found.append(Span(*match.span()))
    return found


def snippet(text: str, matched: list[Span], n_chars: int = SNIPPET_CHARS) -> Span:
    """Return the part of a text, at most `n_chars`, that shows the most of its `highlights`.

    Different words count ten times as much as repetitions; of equal parts the first is returned. It
    begins and ends between words where the text has spaces.
    """
    if len(text) <= n_chars:
        return Span(0, len(text))
    starts, ends = [span.start for span in matched], [span.end for span in matched]
    words = [text[s:e].lower()[:_SAME_WORD_CHARS] for s, e in matched]
    start, best = 0, 0
    for i, first in enumerate(starts):
        stop = min(i + _MAX_MATCHES, bisect_right(ends, first + n_chars - _LEAD_CHARS - 10))
        inside = words[i:stop]
        value = 10 * len(set(inside)) + len(inside)
        if value > best:
            start, best = first, value
    start = max(0, min(start - _LEAD_CHARS, len(text) - n_chars))
    if start > 0:
        start = text.find(" ", start, start + n_chars) + 1 or start
    end = min(len(text), start + n_chars)
    if end < len(text):
        end = max(start + 1, text.rfind(" ", start, end))
    return Span(start, end)


def _stem(term: str) -> str:
    stem = term.lower()
    for prefix in _PREFIXES:
        stem = stem.removeprefix(prefix.lower())
    return stem
