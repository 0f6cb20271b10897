"""Plots of a benchmark; needs matplotlib, which comes with the extra [peers]."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsr.errors import MissingDependencyError
from lsr_eval.bench.engines import OURS, SPECS
from lsr_eval.bench.records import Benchmark, Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
COLOURS = {
    OURS: "#c1272d",
    "splade-index": "#0b6e99",
    "bmp": "#6a4c93",
    "seismic": "#e08e0b",
    "scipy": "#7a7a7a",
    "pisa": "#2e7d32",
}
MARKERS = {OURS: "*", "splade-index": "o", "bmp": "s", "seismic": "D", "scipy": "v", "pisa": "^"}
MISS_FLOOR = 1e-3
"""Least share missed that is drawn: recall is drawn as 1 - recall on a logarithmic scale."""


def import_pyplot() -> Any:
    """Return `matplotlib.pyplot`, drawing to files only, or raise `MissingDependencyError`."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingDependencyError("a picture of the measurements", "peers") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def plot_latency_against_recall(result: Benchmark, path: Path) -> None:
    """Draw latency against recall, one panel per k.

    Measured points are filled; settings of the trials are small and, for approximate engines,
    joined to the Pareto front.
    """
    plt = import_pyplot()
    depths = result.method["depths"]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(depths), figsize=(4.2 * len(depths) + 0.6, 4.4), squeeze=False, sharey=True
        )
        for axis, k in zip(axes[0], depths, strict=True):
            _panel(axis, result, k)
        axes[0][0].set_ylabel("recall against exact float scores")
        figure.suptitle(_title(result), x=0.01, ha="left", fontsize=10)
        legends = [axis.get_legend_handles_labels() for axis in axes[0]]
        handles = {label: one for pair in legends for one, label in zip(*pair, strict=True)}
        figure.legend(
            handles.values(), handles, loc="lower center", ncols=len(handles), frameon=False
        )
        figure.tight_layout(rect=(0, 0.06, 1, 0.97))
        figure.savefig(path, dpi=160)
        plt.close(figure)


def _panel(axis: Axes, result: Benchmark, k: int) -> None:
    from matplotlib.ticker import LogLocator

    for engine in dict.fromkeys(m.engine for m in result.measurements):
        colour, marker = COLOURS.get(engine, "black"), MARKERS.get(engine, "x")
        tried = [m for m in result.trials if m.engine == engine and m.k == k]
        front = _front(tried)
        if SPECS[engine].approximate:
            axis.plot(*_points(front), color=colour, linewidth=1, alpha=0.6, zorder=1)
        axis.scatter(*_points(tried), s=6, color=colour, alpha=0.3, linewidths=0, zorder=2)
        measured = [m for m in result.measurements if m.engine == engine and m.k == k]
        size = 190 if engine == OURS else 45
        axis.scatter(
            *_points(measured), s=size, color=colour, marker=marker, edgecolors="white",
            linewidths=0.7, label=engine, zorder=4 if engine == OURS else 3,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.invert_yaxis()
    ticks = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, MISS_FLOOR]
    axis.set_yticks(ticks, [*(f"{1 - tick:g}" for tick in ticks[:-1]), "≥ 0.999"])
    axis.set_ylim(0.6, MISS_FLOOR * 0.8)
    axis.minorticks_off()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(
        lambda value, _: f"{value:,.0f}" if value < 1e3 else f"{value / 1e3:g}k"
    )
    axis.grid(True, color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(f"k = {k:,}", loc="left", fontweight="bold")
    axis.set_xlabel("CPU time per query, median, µs")


def _points(measurements: list[Measurement]) -> tuple[list[float], list[float]]:
    return (
        [m.cpu.p50 for m in measurements],
        [max(1 - m.recall, MISS_FLOOR) for m in measurements],
    )


def _front(tried: list[Measurement]) -> list[Measurement]:
    """Return the Pareto front: settings that no faster one matches in recall, fastest first."""
    front: list[Measurement] = []
    for measurement in sorted(tried, key=lambda m: m.cpu.p50):
        if not front or measurement.recall > front[-1].recall:
            front.append(measurement)
    return front


def _title(result: Benchmark) -> str:
    load = result.workload
    return (
        f"{load['n_docs']:,} documents, {load['terms_per_doc']:.0f} terms each; "
        f"{load['n_queries']:,} queries, {load['terms_per_query']:.0f} terms each; "
        f"{result.machine['cpu_model']}, one thread"
    )
