"""Hits for people: on a terminal, with the part of the text that matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from lsr.highlight import highlights, snippet
from lsr_service.cli.terminal import one_line

if TYPE_CHECKING:
    from lsr_index.hybrid import Hit, SearchResults


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
        yield Text(" " * 15).append_text(shortened(hit.text, terms))
    if explain and hit.explanation:
        parts = ", ".join(f"{one_line(term)} {value:.3f}" for term, value in hit.explanation)
        yield Text(f"{'':15}{parts}", style="green")
    for name, said in ((hit.branches or {}) if explain else {}).items():
        rank = "not returned" if said.rank is None else f"rank {said.rank}"
        score = "" if said.score is None else f", score {said.score:.3f}"
        parts = f"{one_line(name)}: {rank}{score}, adds {said.contribution:.4f}"
        yield Text(f"{'':15}{parts}", style="green")
    yield Text()


def shortened(text: str, terms: Sequence[str]) -> Text:
    """Return the part of a text that matched best, on one line, with its matches marked."""
    text = one_line(text)
    matched = highlights(text, terms)
    part = snippet(text, matched)
    shown = Text("… " if part.start else "")
    lead = len(shown) - part.start
    shown.append(text[part.start : part.end])
    for start, end in matched:
        if part.start <= start and end <= part.end:
            shown.stylize("bold yellow", start + lead, end + lead)
    return shown.append(" …" if part.end < len(text) else "")


def _unknown(answer: SearchResults) -> str:
    if not answer.unknown_terms:
        return ""
    return "; not in the vocabulary: " + one_line(", ".join(answer.unknown_terms))
