"""Hits for people: on a terminal, with the part of the text that matched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from lsr_service.cli.terminal import one_line

if TYPE_CHECKING:
    from lsr_index.hybrid import Hit, SearchResults

SNIPPET_CHARS = 240
_LEAD_CHARS = 50
_WORD = re.compile(r"\w+")


def render(
    answer: SearchResults, *, explain: bool = False, unknown: Sequence[str] = ()
) -> Iterator[Text]:
    """Yield the lines of an answer; every hit needs its explanation.

    `unknown` are words of the query that no document can match, told where there are no hits.
    """
    if not answer.hits:
        missing = "; not in the index: " + one_line(", ".join(unknown)) if unknown else ""
        yield Text("no hits" + missing + _unknown(answer), style="dim")
        return
    for hit in answer.hits:
        yield from _render_hit(hit, explain)
    yield Text(f"{answer.summary}{_unknown(answer)}", style="dim")


def _render_hit(hit: Hit, explain: bool) -> Iterator[Text]:
    terms = [term for term, _ in hit.explanation or ()]
    title = one_line(hit.title) or one_line(hit.id)
    head = Text.assemble((f"{hit.rank:>3}  ", "dim"), (f"{hit.score:8.3f}  ", "cyan"))
    yield head.append(title, "bold")
    if hit.title and hit.id != hit.title:
        yield Text(f"{'':15}{one_line(hit.id)}", style="dim")
    if hit.text:
        yield Text(" " * 15).append_text(_marked(snippet(hit.text, terms), terms))
    if explain and hit.explanation:
        parts = ", ".join(f"{one_line(term)} {value:.3f}" for term, value in hit.explanation)
        yield Text(f"{'':15}{parts}", style="green")
    for name, said in ((hit.branches or {}) if explain else {}).items():
        rank = "not returned" if said.rank is None else f"rank {said.rank}"
        score = "" if said.score is None else f", score {said.score:.3f}"
        parts = f"{one_line(name)}: {rank}{score}, adds {said.contribution:.4f}"
        yield Text(f"{'':15}{parts}", style="green")
    yield Text()


def snippet(text: str, terms: list[str], width: int = SNIPPET_CHARS) -> str:
    """Return the stretch of a text that holds most of the terms, on one line.

    Parameters
    ----------
    text : str
    terms : list of str
        Stems or word pieces: a word matches when it begins with one.
    width : int
        Characters.
    """
    text = one_line(text)
    if len(text) <= width:
        return text
    matches = [m for m in _WORD.finditer(text) if _matches(m[0], terms)]
    start, best = 0, 0
    for i, first in enumerate(matches):
        end = first.start() + width - _LEAD_CHARS - 10
        inside = [m[0].lower()[:5] for m in matches[i : i + 50] if m.end() <= end]
        value = 10 * len(set(inside)) + len(inside)
        if value > best:
            start, best = first.start(), value
    start = max(0, min(start - _LEAD_CHARS, len(text) - width))
    if start > 0:
        start = text.find(" ", start) + 1 or start
    end = min(len(text), start + width)
    if end < len(text):
        end = max(start + 1, text.rfind(" ", start, end))
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _marked(text: str, terms: list[str]) -> Text:
    marked = Text(text)
    for match in _WORD.finditer(text):
        if _matches(match[0], terms):
            marked.stylize("bold yellow", match.start(), match.end())
    return marked


def _matches(word: str, terms: list[str]) -> bool:
    lowered = word.lower()
    stems = (term.lower().removeprefix("##") for term in terms)
    return any(len(stem) > 1 and lowered.startswith(stem) for stem in stems)


def _unknown(answer: SearchResults) -> str:
    if not answer.unknown_terms:
        return ""
    return "; not in the vocabulary: " + one_line(", ".join(answer.unknown_terms))
