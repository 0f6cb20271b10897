"""Matched words and snippets against rules written out word by word."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from lsr.highlight import Span, highlights, snippet

TEXTS = st.text(alphabet="abcé 茶 \n-🦓", max_size=400)
TERMS = st.lists(st.text(alphabet="abcé茶", max_size=3), max_size=4)


def begins(word: str, stem: str) -> bool:
    """Tell whether a term stands for a word."""
    if not stem or (len(stem) == 1 and stem.isascii()):
        return False
    return word.startswith(stem) and (len(stem) > 2 or len(word) <= 4)


@given(TEXTS, TERMS)
def test_words_that_begin_with_a_term(text: str, terms: list[str]) -> None:
    expected = [
        m.span()
        for m in re.finditer(r"\w+", text)
        if any(begins(m[0].lower(), term.lower()) for term in terms)
    ]
    assert highlights(text, terms) == expected


def test_marks_of_tokenizers_are_no_part_of_a_term() -> None:
    for term in ("bitter", "##bitter", "▁bitter", "Ġbitter", "~bitter", "~##Bitter"):
        assert highlights("Tea, bitterly.", [term]) == [Span(5, 13)]


@given(TEXTS, TERMS, st.integers(90, 200))
def test_no_other_part_begins_at_a_better_match(text: str, terms: list[str], n_chars: int) -> None:
    matched = highlights(text, terms)
    start, end = snippet(text, matched, n_chars)
    assert 0 <= start <= end <= len(text)
    assert end - start <= n_chars
    if len(text) <= n_chars:
        assert (start, end) == (0, len(text))
        return
    values = []
    for first in matched[:]:
        room = first.start + n_chars - 60
        inside = [text[s:e].lower()[:5] for s, e in matched if s >= first.start and e <= room][:50]
        values.append(10 * len(set(inside)) + len(inside))
    if values and max(values):
        best = matched[values.index(max(values))]
        # Shown from its first match on, unless the words around it have no space to cut at.
        assert start <= best.start or " " not in text[best.start - 50 : best.start]


def test_a_snippet_is_where_most_terms_are() -> None:
    text = "filler words " * 60 + "here a LAMBDA expression is evaluated in order " + "tail " * 99
    matched = highlights(text, ["lambda", "express", "evalu", "filler"])
    start, end = snippet(text, matched)
    assert "LAMBDA expression is evaluated" in text[start:end]
    assert text[start - 1] == " "
    assert text[end] == " "
