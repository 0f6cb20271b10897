"""Scaling of this package's index with the number of documents, on synthetic collections.

Documents are generated while they are indexed, so that the memory measured is that of the build.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from lsr.machine import cpu_count
from lsr.progress import Progress
from lsr_eval.bench.engines import OURS, SPECS
from lsr_eval.bench.plot import STYLE, import_pyplot
from lsr_eval.bench.report import table_of
from lsr_eval.bench.trials import Course, Entry, ask_round, open_variant
from lsr_eval.bench.workload import Workload, load_vectors
from lsr_eval.measures.latency import Percentiles

COLOURS = ("#e08e0b", "#c1272d", "#6a4c93", "#0b6e99", "#2e7d32")


@dataclass(frozen=True)
class Size:
    """Cost of building and searching an index of one size.

    Times of the build are without generating the documents, its peak memory is without the model
    that generates them. `bytes` is the index on disk, `rss_bytes` the memory that opening it and
    answering all queries added to a process; `cpu` is microseconds per query, by k.
    """

    n_docs: int
    n_postings: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    bytes: int
    rss_bytes: int
    open_ms: float
    first_query_ms: float
    cpu: dict[int, Percentiles]


Figure = tuple[str, Callable[[Size], float], int]
"""Name, how to read it, digits after the point."""


@dataclass(frozen=True)
class Growth:
    """Sizes, smallest first."""

    depths: list[int]
    sizes: list[Size]

    def table(self) -> Table:
        """Make a table: a row per figure, a column per size, and exponents between sizes.

        The exponent e is that of ``figure ~ n^e``: 1 is proportional, 0 constant.
        """
        columns = ["", *(f"{size.n_docs:,}" for size in self.sizes)]
        for before, after in pairwise(self.sizes):
            columns.append(f"slope {_short(before.n_docs)}→{_short(after.n_docs)}")
        rows = []
        for name, read, digits in self._figures():
            values = [read(size) for size in self.sizes]
            points = [(size.n_docs, value) for size, value in zip(self.sizes, values, strict=True)]
            slopes = [f"{_slope(a, b):.2f}" for a, b in pairwise(points)]
            rows.append([name, *(f"{value:,.{digits}f}" for value in values), *slopes])
        return table_of("Growth", columns, rows)

    def _figures(self) -> list[Figure]:
        latency = [_latency_figure(k, name) for k in self.depths for name in ("p50", "p99")]
        return [
            *latency,
            ("index MB", lambda size: size.bytes / 1e6, 0),
            ("bytes per posting", lambda size: size.bytes / size.n_postings, 2),
            ("build CPU s", lambda size: size.cpu_s, 1),
            ("build wall s", lambda size: size.wall_s, 1),
            ("build peak RSS MB", lambda size: size.peak_rss_bytes / 1e6, 0),
            ("query RSS MB", lambda size: size.rss_bytes / 1e6, 0),
            ("open ms", lambda size: size.open_ms, 1),
            ("first query ms", lambda size: size.first_query_ms, 1),
        ]


def run_growth(
    workload: Workload, n_docs: list[int], depths: list[int], n_rounds: int, progress: Progress
) -> Growth:
    """Build, measure and delete an index of each size, of documents fitted to the workload's.

    Raises `LsrError` if the engine fails.
    """
    n_terms = int(load_vectors(workload.docs).shape[1])
    sizes = []
    for number, n in enumerate(sorted(n_docs)):
        progress(f"{n:,} documents", number, len(n_docs))
        made = replace(workload, synthetic=n, docs_limit=None, shuffle=None)
        with tempfile.TemporaryDirectory(prefix="lsr-growth-") as folder:
            course = Course(made, n_terms, depths, Path(folder))
            sizes.append(_measure_size(course, n_rounds))
    return Growth(depths, sizes)


def plot_growth(growth: Growth, path: Path) -> None:
    """Draw latency, size, build time and memory against the number of documents."""
    plt = import_pyplot()
    n = [size.n_docs for size in growth.sizes]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 4, figsize=(16, 3.8))
        for k, colour in zip(growth.depths, COLOURS, strict=False):
            p50 = [size.cpu[k].p50 for size in growth.sizes]
            p99 = [size.cpu[k].p99 for size in growth.sizes]
            axes[0].plot(n, p50, "o-", color=colour, label=f"k = {k}, p50")
            axes[0].plot(n, p99, "o:", color=colour, alpha=0.6, label=f"k = {k}, p99")
        _line(axes[1], n, [size.bytes / 1e6 for size in growth.sizes], "on disk")
        _line(axes[2], n, [size.cpu_s for size in growth.sizes], "CPU")
        _line(axes[2], n, [size.wall_s for size in growth.sizes], "wall", style="s--")
        _line(axes[3], n, [size.peak_rss_bytes / 1e6 for size in growth.sizes], "build, peak")
        _line(axes[3], n, [size.rss_bytes / 1e6 for size in growth.sizes], "queries", style="s--")
        titles = ("CPU time per query, µs", "index, MB", "build, s", "resident memory, MB")
        for axis, title in zip(axes, titles, strict=True):
            _finish(axis, n, title)
        figure.tight_layout()
        figure.savefig(path, dpi=160)
        plt.close(figure)


def _measure_size(course: Course, n_rounds: int) -> Size:
    spec = SPECS[OURS]
    variant, setting = spec.variants[0], spec.settings[0]
    index_folder = str(course.index_folder(spec, variant))
    with course.process(spec, threads=cpu_count()) as process:
        built = process.ask("build", folder=index_folder, params=dict(variant.params), stream=True)
    with course.process(spec) as process:
        opened = open_variant(course, process, spec, variant)
        cpu = {}
        for k in course.depths:
            entry = Entry(spec, variant, setting, k)
            passes = [ask_round(process, entry)["cpu_ns"] for _ in range(n_rounds)]
            cpu[k] = Percentiles.of(np.median(passes, axis=0) / 1e3)
        rss_bytes = ask_round(process, entry, warm_up=0)["rss_bytes"]
    return Size(
        n_docs=course.workload.synthetic or 0,
        n_postings=built["n_postings"],
        wall_s=built["wall_s"] - built["making_s"],
        cpu_s=built["cpu_s"] - built["making_s"],
        peak_rss_bytes=built["peak_rss_bytes"] - built["input_rss_bytes"],
        bytes=built["bytes"],
        rss_bytes=rss_bytes - int(opened["rss_before_bytes"]),
        open_ms=opened["open_ms"],
        first_query_ms=opened["first_query_ms"],
        cpu=cpu,
    )


def _latency_figure(k: int, percentile: str) -> Figure:
    def read(size: Size) -> float:
        return float(getattr(size.cpu[k], percentile))

    return f"{percentile} µs, k={k}", read, 0


def _slope(before: tuple[int, float], after: tuple[int, float]) -> float:
    if min(before[1], after[1]) <= 0:
        return float("nan")
    return math.log(after[1] / before[1]) / math.log(after[0] / before[0])


def _short(n: int) -> str:
    return f"{n / 1e6:g}M" if n >= 1e6 else f"{n / 1e3:g}k" if n >= 1e3 else str(n)


def _line(axis: Any, n: list[int], values: list[float], label: str, style: str = "o-") -> None:
    axis.plot(n, values, style, color="#c1272d" if style == "o-" else "#0b6e99", label=label)


def _finish(axis: Any, n: list[int], title: str) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(n, [_short(size) for size in n])
    axis.minorticks_off()
    axis.grid(True, color="#e4e4e4", linewidth=0.6)
    axis.set_title(title, loc="left", fontweight="bold")
    axis.set_xlabel("documents")
    axis.legend(frameon=False, fontsize=8)
