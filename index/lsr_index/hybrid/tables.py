"""Tables of hits: text for a prompt, HTML for a notebook, a pandas frame for analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsr.errors import MissingDependencyError
from lsr.files import write_text
from lsr.trec.runs import Ranking, Run, run_lines

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""Hits that a prompt shows."""

_TEXT_CHARS = 60
_HTML_CHARS = 200


Row = tuple[int, str, float, str, str]
"""Rank, id, score, title and text of a hit."""


def text_table(hits: Sequence[Row], summary: str) -> str:
    """Return the first hits as lines of text, under a summary."""
    lines = [f"<{summary}>"]
    for rank, doc_id, score, title, text in hits[:SHOWN]:
        shown = _shortened(title or text, _TEXT_CHARS)
        lines.append(f"{rank:>4} {score:>10.4f}  {_shortened(doc_id, 32)}  {shown}".rstrip())
    if len(hits) > SHOWN:
        lines.append(f"     … {len(hits) - SHOWN} more")
    return "\n".join(lines)


def html_table(hits: Sequence[Row], summary: str) -> str:
    """Return all hits as an HTML table, with escaped texts."""
    rows = "".join(
        f"<tr><td>{rank}</td><td>{score:.4f}</td><td>{escape(doc_id)}</td>"
        f"<td>{escape(title)}</td><td>{escape(_shortened(text, _HTML_CHARS))}</td></tr>"
        for rank, doc_id, score, title, text in hits
    )
    head = "".join(f"<th>{name}</th>" for name in ("rank", "score", "id", "title", "text"))
    return (
        f"<table><caption>{escape(summary)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return rows as a frame with at least `columns`; MissingDependencyError without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError("a data frame", "pandas") from error
    more = dict.fromkeys(name for row in rows for name in row if name not in columns)
    return pd.DataFrame(list(rows), columns=[*columns, *more])


def trec_run(
    rankings: Mapping[str, tuple[Sequence[str], Any]], path: Path | str | None, tag: str
) -> str:
    """Return ids and scores by query id as a TREC run, and write it to `path` if there is one."""
    run = Run(tag, {qid: Ranking.of(ids, scores) for qid, (ids, scores) in rankings.items()})
    lines = list(run_lines(run))
    if path is not None:
        write_text(Path(path), lines)
    return "".join(lines)


def _shortened(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
