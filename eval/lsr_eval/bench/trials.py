"""Trials: engines are built, and their settings tried on a part of the queries.

Of all variants and settings tried, the rounds measure at each k the fastest of an exact engine, and
of an approximate engine the fastest that reaches each recall target. Reserves are measured as well,
in case recall is lower or time higher on all queries than in the trials.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.machine import cpu_count, cpu_ids
from lsr_eval.bench.client import EngineProcess
from lsr_eval.bench.engines import OURS
from lsr_eval.bench.engines.base import EngineSpec, Setting, Variant
from lsr_eval.bench.exact import ExactScores
from lsr_eval.bench.machine import free_memory_bytes, package_version
from lsr_eval.bench.records import BuildRecord, Measurement, Ratio
from lsr_eval.bench.workload import Workload
from lsr_eval.measures.latency import Percentiles

MEMORY_SHARE = 0.8
"""Share of the free memory that an engine may use before it is stopped."""
WARM_UP = 20
"""Untimed queries before each pass."""
RECALL_TARGETS = (0.90, 0.95, 0.99)
RECALL_RESERVE = 0.01
NEARLY = 1.25


@dataclass(frozen=True)
class Entry:
    """One engine, variant and setting, measured at one k."""

    spec: EngineSpec
    variant: Variant
    setting: Setting
    k: int

    @property
    def owner(self) -> str:
        """Name of the process that answers: engine and variant."""
        return f"{self.spec.name} {self.variant.name}"

    def measured(
        self, recall: float, cpu_ns: NDArray[np.float64], wall_ns: NDArray[np.float64], repeats: int
    ) -> Measurement:
        """Return the record of this entry's times, one for each query."""
        return Measurement(
            engine=self.spec.name,
            variant=self.variant.name,
            setting=self.setting.name,
            params=self.setting.params,
            k=self.k,
            recall=recall,
            cpu=Percentiles.of(cpu_ns / 1e3),
            wall=Percentiles.of(wall_ns / 1e3),
            repeats=repeats,
        )


@dataclass(frozen=True)
class Course:
    """Task of all engines; they answer on `core`.

    `depths` are the values of k, `folder` is for the indexes and the engines' logs. Settings are
    tried on each `trial_every`-th query.
    """

    workload: Workload
    n_terms: int
    depths: list[int]
    folder: Path
    n_postings: int = 0
    trial_every: int = 1
    core: int = field(default_factory=lambda: cpu_ids()[-1])

    def index_folder(self, spec: EngineSpec, variant: Variant) -> Path:
        """Return the folder of a variant's index."""
        return self.folder / spec.name / variant.name

    def process(self, spec: EngineSpec, threads: int = 1) -> EngineProcess:
        """Start a process for an engine."""
        log = self.folder / f"{spec.name}.log"
        limit = int(MEMORY_SHARE * free_memory_bytes())
        return EngineProcess(
            spec.name, self.workload, threads=threads, memory_limit_bytes=limit, log=log
        )


def build_variant(course: Course, spec: EngineSpec, variant: Variant) -> BuildRecord:
    """Build one variant with all cores; raise `EngineFailureError` if it fails."""
    folder = course.index_folder(spec, variant)
    with course.process(spec, threads=cpu_count()) as process:
        built = process.ask("build", folder=str(folder), params=dict(variant.params))
    return BuildRecord(
        engine=spec.name,
        variant=variant.name,
        version=package_version(spec.distribution),
        bytes_per_posting=built["bytes"] / max(course.n_postings, 1),
        **built,
    )


def open_variant(
    course: Course, process: EngineProcess, spec: EngineSpec, variant: Variant
) -> dict[str, float]:
    """Open an index in a process pinned to one core; return its figures."""
    return process.ask(
        "open",
        folder=str(course.index_folder(spec, variant)),
        cores=[course.core],
        n_terms=course.n_terms,
        k=course.depths[0],
        params=dict(spec.settings[0].params),
    )


def ask_round(process: EngineProcess, entry: Entry, **options: Any) -> dict[str, Any]:
    """Let a process answer the queries once; return its figures (see `Worker.round`)."""
    options = {"warm_up": WARM_UP, **options}
    return process.ask("round", k=entry.k, params=dict(entry.setting.params), **options)


def try_settings(
    course: Course, spec: EngineSpec, record: BuildRecord, variant: Variant, exact: ExactScores
) -> tuple[BuildRecord, list[Measurement]]:
    """Open a variant and try each setting once at each k."""
    with course.process(spec) as process:
        opened = open_variant(course, process, spec, variant)
        record = replace(
            record,
            open_ms=opened["open_ms"],
            first_query_ms=opened["first_query_ms"],
            rss_bytes=int(opened["rss_bytes"]),
        )
        trials = [
            _trial(course, process, Entry(spec, variant, setting, k), exact)
            for setting in spec.settings
            for k in course.depths
        ]
    return record, trials


def _trial(course: Course, process: EngineProcess, entry: Entry, exact: ExactScores) -> Measurement:
    found = ask_round(process, entry, every=course.trial_every, want_ordinals=True)
    recall = exact.recall(found["ordinals"], entry.k, course.trial_every)
    return entry.measured(recall, found["cpu_ns"], found["wall_ns"], found["repeats"])


def choose_operating_points(
    spec: EngineSpec, trials: list[Measurement], depths: list[int]
) -> list[Entry]:
    """Choose the settings that are measured in the rounds."""
    chosen: list[Entry] = []
    for k in depths:
        ranked = sorted((t for t in trials if t.k == k), key=lambda trial: trial.cpu.p50)
        for trial in _best(spec, ranked):
            variant = next(v for v in spec.variants if v.name == trial.variant)
            setting = next(s for s in spec.settings if s.name == trial.setting)
            entry = Entry(spec, variant, setting, trial.k)
            if entry not in chosen:
                chosen.append(entry)
    return chosen


def _best(spec: EngineSpec, ranked: list[Measurement]) -> list[Measurement]:
    if not spec.approximate:
        return _nearly_fastest(ranked)
    best = []
    for target in RECALL_TARGETS:
        for wanted in (target, min(target + RECALL_RESERVE, 1.0)):
            best += _nearly_fastest([trial for trial in ranked if trial.recall >= wanted])
    return best


def _nearly_fastest(ranked: list[Measurement]) -> list[Measurement]:
    """Return the fastest trial, and the second fastest if it is within the noise of one trial."""
    return [t for t in ranked[:2] if t.cpu.p50 <= ranked[0].cpu.p50 * NEARLY]


def ratios_against_peers(measurements: list[Measurement], specs: list[EngineSpec]) -> list[Ratio]:
    """Divide our times, of the first variant and setting, by those of each peer at its best."""
    ours = next(spec for spec in specs if spec.name == OURS)
    default = (OURS, ours.variants[0].name, ours.settings[0].name)
    ratios = []
    for mine in measurements:
        if (mine.engine, mine.variant, mine.setting) != default:
            continue
        for peer in (spec for spec in specs if spec.name != OURS):
            own = [m for m in measurements if m.engine == peer.name and m.k == mine.k]
            for target in RECALL_TARGETS if peer.approximate else (None,):
                qualified = [m for m in own if m.recall >= (target or 0.0)]
                if qualified:
                    best = min(qualified, key=lambda m: m.cpu.p50)
                    p50, p99 = mine.cpu.p50 / best.cpu.p50, mine.cpu.p99 / best.cpu.p99
                    setting = best.variant, best.setting, best.recall
                    ratios.append(Ratio(best.engine, mine.k, target, *setting, p50, p99))
    return ratios
