"""Report formats: a table, JSON, and TREC run files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lsr.trec.runs import write_run
from lsr_eval.measures.significance import Comparison
from lsr_eval.results import Report, SystemReport

SCHEMA = 1
"""Schema version: raised when a field of the JSON changes its meaning or is removed."""

ALPHA = 0.05


def render_table(report: Report) -> RenderableType:
    """Return the report for `rich.console.Console.print`.

    Effectiveness, cost, and what has to be known to read them. A triangle beside a value marks a
    difference from the first system that is significant at 0.05 after correction.
    """
    parts: list[RenderableType] = [_effectiveness(report)]
    if any(system.versus_parts for system in report.systems):
        parts.append(_against_parts(report))
    if any(system.answers.indexing for system in report.systems):
        parts.append(_cost(report))
    parts += _notes(report)
    return Group(*parts)


def render_summary(reports: Sequence[Report]) -> RenderableType:
    """Return one table of several collections: the first measure of every system on each."""
    measure = reports[0].measures[0]
    headings = [report.collection for report in reports]
    table = table_of(f"{measure} on {len(reports)} collections", "system", headings)
    names = dict.fromkeys(system.name for report in reports for system in report.systems)
    for name in names:
        found = [next((s for s in report.systems if s.name == name), None) for report in reports]
        table.add_row(Text(name), *("–" if s is None else _value(s, measure) for s in found))
    return table


def to_json(report: Report, *, per_topic: bool = False) -> dict[str, Any]:
    """Return the report as JSON values; `per_topic` adds the values of every topic."""
    return {
        "schema": SCHEMA,
        "collection": {
            "name": report.collection,
            "split": report.split,
            "n_topics": report.n_topics,
            "n_judgments": report.n_judgments,
        },
        "parameters": dict(report.parameters),
        "measures": list(report.measures),
        "systems": [_system_json(system, per_topic) for system in report.systems],
        "warnings": list(report.warnings),
        "environment": dict(report.environment),
    }


def write_runs(report: Report, path: str | Path) -> list[Path]:
    """Write the TREC runs of a report.

    One system is written to `path` itself; of several, each to a file beside it with the run's tag
    before the suffix (``out.bm25.trec`` for ``out.trec``). Returns the paths.

    Raises
    ------
    UsageError, StorageFullError
        See `lsr.trec.runs.write_run`.
    """
    path = Path(path)
    if len(report.systems) == 1:
        paths = [path]
    else:
        paths = [
            path.with_name(f"{path.stem}.{at}-{system.answers.run.name}{path.suffix}")
            for at, system in enumerate(report.systems, start=1)
        ]
    for system, target in zip(report.systems, paths, strict=True):
        write_run(system.answers.run, target)
    return paths


def _effectiveness(report: Report) -> Table:
    title = f"{report.collection} {report.split}: {report.n_topics} topics"
    table = table_of(title, "system", report.measures)
    for system in report.systems:
        cells = [_value(system, measure) for measure in report.measures]
        table.add_row(Text(system.name), *cells)
    return table


def _against_parts(report: Report) -> Table:
    measure = report.measures[0]
    table = table_of(f"fusions against their parts, {measure}", "system")
    for heading in ("part", "difference", "95 % interval", "p"):
        table.add_column(heading, justify="left" if heading == "part" else "right", no_wrap=True)
    for system in report.systems:
        for at, (part, versus) in enumerate(system.versus_parts.items()):
            cells = comparison_cells(versus[measure])
            table.add_row(Text(system.name if at == 0 else ""), Text(part), *cells)
    return table


def comparison_cells(found: Comparison) -> tuple[str, str, str]:
    """Return the difference, its interval and the corrected p-value, as cells of a table."""
    low, high = found.interval
    return f"{found.difference:+.4f}", f"{low:+.4f} … {high:+.4f}", f"{found.p_corrected:.4f}"


def table_of(title: str, first: str, numbers: Sequence[str] = ()) -> Table:
    """Return an empty table: a column of names, then columns of numbers."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column(first, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _value(system: SystemReport, measure: str) -> Text:
    text = Text(f"{system.measured.overall[measure]:.4f}")
    comparison = system.comparisons.get(measure)
    if comparison is not None and comparison.p_corrected < ALPHA:
        up = comparison.difference > 0
        text.append(" ▲" if up else " ▼", style="green" if up else "red")
    elif system.comparisons:
        text.append("  ")
    return text


def _cost(report: Report) -> Table:
    headings = ["doc nnz", "query nnz", "FLOPS", "docs/s", "index MB", "p50 ms", "p99 ms"]
    table = table_of("cost", "system", headings)
    for system in report.systems:
        sparsity, latency = system.answers.sparsity, system.answers.latency
        indexing = system.answers.indexing
        if indexing is None:
            continue
        rate = indexing.encode_docs_per_second
        cells = ["–", "–", "–"]
        if sparsity:
            nnz = [f"{v:.1f}" for v in (sparsity.document_nnz, sparsity.query_nnz)]
            cells = [*nnz, f"{sparsity.flops:.3f}"]
        cells += [f"{rate:,.0f}" if rate else "–", f"{indexing.index_bytes / 1e6:,.1f}"]
        cells += [f"{v:.2f}" for v in (latency.wall_ms.p50, latency.wall_ms.p99)] if latency else []
        table.add_row(Text(system.name), *cells)
    return table


def _notes(report: Report) -> Iterable[Text]:
    notes = []
    timed = next((s.answers.latency for s in report.systems if s.answers.latency), None)
    if timed is not None:
        notes.append(
            f"Wall time from query text to {timed.k} hits, one query at a time: {timed.n_queries} "
            f"queries after {timed.warm_up_queries} untimed ones."
        )
    if len(report.systems) > 1:
        parameters = report.parameters
        notes.append(
            f"▲▼ differs from {report.baseline.name} (p < {ALPHA}, paired "
            f"{parameters['test']} test, {parameters['correction']} correction)."
        )
    if report.parameters.get("drop_query_id"):
        notes.append("Hits with the id of the query are left out.")
    inexact = [system.name for system in report.systems if system.answers.rank_safe is False]
    if inexact:
        notes.append(f"Approximate search: {', '.join(inexact)}.")
    warnings = list(report.warnings)
    warnings += [f"{s.name}: {warning}" for s in report.systems for warning in s.answers.warnings]
    return [Text(note, style="dim") for note in notes] + [
        Text(f"Note: {warning}.", style="yellow") for warning in warnings
    ]


def _system_json(system: SystemReport, per_topic: bool) -> dict[str, Any]:
    answers, measured, indexing = system.answers, system.measured, system.answers.indexing
    values: dict[str, Any] = {
        "name": system.name,
        "kind": system.kind,
        "source": system.source,
        "query_encoder": system.query_encoder,
        "options": dict(system.options),
        "fingerprint": answers.fingerprint,
        "rank_safe": answers.rank_safe,
        "n_hits": answers.run.n_hits,
        "measures": {
            name: {
                "value": value,
                "interval": list(system.intervals[name]),
                "versus_first": (
                    system.comparisons[name].as_json() if name in system.comparisons else None
                ),
            }
            for name, value in measured.overall.items()
        },
        "versus_parts": {
            part: {name: comparison.as_json() for name, comparison in versus.items()}
            for part, versus in system.versus_parts.items()
        },
        "sparsity": answers.sparsity and asdict(answers.sparsity),
        "indexing": indexing
        and {**asdict(indexing), "encode_docs_per_second": indexing.encode_docs_per_second},
        "latency": answers.latency and asdict(answers.latency),
        "warnings": list(answers.warnings),
    }
    if per_topic:
        values["per_topic"] = {
            topic: {name: float(measured.per_topic[name][at]) for name in measured.per_topic}
            for at, topic in enumerate(measured.topics)
        }
    return values
