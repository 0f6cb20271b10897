"""Tables of a benchmark for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lsr_eval.bench.records import Benchmark, BuildRecord, Measurement, Ratio


def print_report(result: Benchmark, console: Console) -> None:
    """Print the machine, the tables, and what was left out."""
    console.print(_heading(result))
    console.print(_latency_table(result.measurements))
    console.print(_build_table(result.builds))
    if result.ratios:
        console.print(_ratio_table(result.ratios))
    for what, why in result.skipped.items():
        console.print(f"left out: {what} ({why})", markup=False)


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _heading(result: Benchmark) -> str:
    load, machine, method = result.workload, result.machine, result.method
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    order = "file order" if load["shuffle"] is None else f"shuffled with seed {load['shuffle']}"
    return (
        f"{load['n_docs']:,} documents, {load['terms_per_doc']:.0f} terms each ({order}); "
        f"{load['n_queries']:,} queries, {load['terms_per_query']:.0f} terms each\n"
        f"{machine['cpu_model']}, {machine['cores']} cores, {caches}; "
        f"load average {machine['load_average']:.1f} at the start\n"
        f"Python {machine['python']}, {versions}\n"
        f"{method['rounds']} rounds, one thread on core {method['pinned_to_core']}, "
        f"{method['warm_up_queries']} warm-up queries a pass; a query's time is its median over "
        f"the rounds\n"
    )


def _latency_table(measurements: list[Measurement]) -> Table:
    columns = (
        "engine", "k", "recall", "CPU p50 µs", "p95", "p99", "mean", "wall p50 µs",
        "q/s 1 thread", "2 threads", "speed-up",
    )  # fmt: skip
    ordered = sorted(measurements, key=lambda m: (m.k, m.cpu.p50))
    return table_of("Latency", columns, [_latency_row(m) for m in ordered])


def _latency_row(m: Measurement) -> list[str]:
    one, two = m.queries_per_s.get(1), m.queries_per_s.get(2)
    return [
        f"{m.engine} · {m.variant} · {m.setting}",
        str(m.k),
        f"{m.recall:.4f}",
        *(f"{value:,.0f}" for value in (m.cpu.p50, m.cpu.p95, m.cpu.p99, m.cpu.mean, m.wall.p50)),
        "" if one is None else f"{one:,.0f}",
        "" if two is None else f"{two:,.0f}",
        "" if one is None or two is None else f"{two / one:.2f}×",
    ]


def _build_table(builds: list[BuildRecord]) -> Table:
    columns = (
        "engine", "version", "build wall s", "CPU s", "peak RSS MB", "of it input",
        "index MB", "B/posting", "open ms", "first query ms", "RSS MB",
    )  # fmt: skip
    rows = [
        [
            f"{b.engine} · {b.variant}",
            b.version or "",
            f"{b.wall_s:,.1f}",
            f"{b.cpu_s:,.1f}",
            _megabytes(b.peak_rss_bytes),
            _megabytes(b.input_rss_bytes),
            _megabytes(b.bytes),
            f"{b.bytes_per_posting:.2f}",
            f"{b.open_ms:,.0f}",
            f"{b.first_query_ms:,.1f}",
            _megabytes(b.rss_bytes),
        ]
        for b in builds
    ]
    return table_of("Build and size", columns, rows)


def _ratio_table(ratios: list[Ratio]) -> Table:
    rows = [
        [
            r.peer if r.recall_target is None else f"{r.peer} at recall ≥ {r.recall_target:.2f}",
            str(r.k),
            f"{r.p50:.2f}×",
            f"{r.p99:.2f}×",
            f"{r.peer_recall:.4f}",
            f"{r.peer_variant} · {r.peer_setting}",
        ]
        for r in sorted(ratios, key=lambda r: (r.peer, r.recall_target or 0, r.k))
    ]
    columns = ("our CPU time over", "k", "p50", "p99", "its recall", "its setting")
    return table_of("Ratios (below 1 we are faster)", columns, rows)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}"
