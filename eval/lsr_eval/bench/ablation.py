"""Ablation of the search: the same queries with one optimisation switched off at a time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from lsr.errors import LsrError
from lsr.progress import Progress
from lsr_eval.bench.engines import SEGMENT, SPECS
from lsr_eval.bench.engines.base import Setting, Variant
from lsr_eval.bench.exact import ExactScores
from lsr_eval.bench.records import BuildRecord, Measurement
from lsr_eval.bench.report import table_of
from lsr_eval.bench.rounds import run_rounds
from lsr_eval.bench.trials import Course, Entry, build_variant
from lsr_eval.bench.workload import Workload

BASE_VARIANT = Variant("as built by default")
BASE_SETTING = Setting("all optimisations")
SETTINGS = (
    Setting("block bounds off: one bound a range", {"bounds": False}),
    Setting("rows added everywhere", {"split": False}),
    Setting("without stored k-th impacts", {"kth_threshold": False}),
    Setting("without an estimated initial threshold", {"estimates": False}),
    Setting("candidate blocks one by one, however many", {"range_scan": False}),
    Setting("accumulators of 32 bits", {"width": 32}),
    Setting(
        "exhaustive scan",
        {"split": False, "bounds": False, "kth_threshold": False, "estimates": False,
         "range_scan": False},
    ),
)  # fmt: skip
VARIANTS = (
    Variant("no dense rows: lists only", {"dense_fraction": 2.0}),
    Variant("rows from 1/24 of the documents", {"dense_fraction": 1 / 24}),
    Variant("blocks of 32", {"block_size": 32}),
    Variant("blocks of 128", {"block_size": 128}),
    Variant("ranges of 16,384", {"range_size": 16384}),
    Variant("compact", {"compact": True}),
    Variant("reordered by bisection", {"reorder": "bisect"}),
)


@dataclass(frozen=True)
class Ablation:
    """Measurements of each change; the unchanged search comes first."""

    depths: list[int]
    builds: list[BuildRecord]
    measurements: list[Measurement]

    def table(self) -> Table:
        """Make a table of p50 and its ratio to the unchanged search, a row per change."""
        columns = ["one thing changed", "B/posting", "build CPU s"]
        for k in self.depths:
            columns += [f"k={k} p50 µs", "ratio", "p99 µs"]
        built = {build.variant: build for build in self.builds}
        base = {m.k: m.cpu.p50 for m in self.measurements[: len(self.depths)]}
        rows = []
        for first in range(0, len(self.measurements), len(self.depths)):
            group = self.measurements[first : first + len(self.depths)]
            build = built[group[0].variant]
            changed = group[0].variant if build.variant != BASE_VARIANT.name else group[0].setting
            row = [changed, f"{build.bytes_per_posting:.2f}", f"{build.cpu_s:.1f}"]
            for m in group:
                row += [f"{m.cpu.p50:,.0f}", f"{m.cpu.p50 / base[m.k]:.2f}×", f"{m.cpu.p99:,.0f}"]
            rows.append(row)
        return table_of(
            "Effect of each optimisation (ratio above 1: slower without it)", columns, rows
        )


def run_ablation(
    workload: Workload,
    depths: list[int],
    n_rounds: int,
    progress: Progress,
    *,
    settings: tuple[Setting, ...] = SETTINGS,
    variants: tuple[Variant, ...] = VARIANTS,
) -> Ablation:
    """Measure every change at every k, in interleaved rounds, on a single segment.

    `settings` change the search (`lsr_index.search.options.SearchOptions`), `variants` the build
    (`lsr_index.segment.geometry.BuildOptions`). Raises `LsrError` if the engine fails.
    """
    docs = workload.load_docs()
    queries = workload.load_queries(docs.shape[1])
    exact = ExactScores(docs, queries, depths)
    spec = replace(
        SPECS[SEGMENT], variants=(BASE_VARIANT, *variants), settings=(BASE_SETTING, *settings)
    )
    pairs = [(BASE_VARIANT, setting) for setting in spec.settings]
    pairs += [(variant, BASE_SETTING) for variant in variants]
    with tempfile.TemporaryDirectory(prefix="lsr-ablation-") as folder:
        course = Course(workload, docs.shape[1], depths, Path(folder), int(docs.nnz))
        builds = []
        for number, variant in enumerate(spec.variants):
            progress(f"building {variant.name}", number, len(spec.variants))
            builds.append(build_variant(course, spec, variant))
        entries = [Entry(spec, variant, setting, k) for variant, setting in pairs for k in depths]
        skipped: dict[str, str] = {}
        _, measured = run_rounds(course, entries, exact, n_rounds, progress, skipped)
        if skipped:
            raise LsrError("; ".join(skipped.values()))
    return Ablation(depths, builds, measured)
