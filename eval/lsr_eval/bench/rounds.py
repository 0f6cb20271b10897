"""Interleaved rounds: all engines answer all queries, one engine after the other.

In each round each entry answers every query once, in an order that is rotated from round to round,
so that other load on the machine affects all entries. A query's time is its median over the
rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np

from lsr.machine import cpu_ids
from lsr.progress import Progress
from lsr_eval.bench.client import EngineFailureError, EngineProcess
from lsr_eval.bench.exact import ExactScores
from lsr_eval.bench.records import Measurement
from lsr_eval.bench.trials import WARM_UP, Course, Entry, ask_round, open_variant

THROUGHPUT_PASSES = 5
THROUGHPUT_PASS_S = 0.2
"""Least length of a throughput pass with one thread: in a shorter one, starting threads and the
last query of each would count."""

_ENOUGH_S = 10.0
"""Time that the passes of an engine may take together: slow engines make fewer than fast ones."""


def run_rounds(
    course: Course,
    entries: list[Entry],
    exact: ExactScores,
    n_rounds: int,
    progress: Progress,
    skipped: dict[str, str],
) -> tuple[list[Entry], list[Measurement]]:
    """Measure all entries, interleaved.

    Recall is computed from the answers of the first round. The reason of every engine that fails is
    put into `skipped`; returned are the entries and measurements of the others.
    """
    passes: dict[int, list[dict[str, Any]]] = {id(entry): [] for entry in entries}
    with ExitStack() as stack:
        processes: dict[str, EngineProcess] = {}
        for number in range(n_rounds):
            for step, position in enumerate(_rotated(len(entries), number)):
                entry = entries[position]
                if entry.owner in skipped:
                    continue
                try:
                    if entry.owner not in processes:
                        processes[entry.owner] = stack.enter_context(course.process(entry.spec))
                        open_variant(course, processes[entry.owner], entry.spec, entry.variant)
                    found = ask_round(processes[entry.owner], entry, want_ordinals=number == 0)
                    ordinals = found.pop("ordinals")
                    if ordinals is not None:
                        found["recall"] = exact.recall(ordinals, entry.k)
                    passes[id(entry)].append(found)
                except EngineFailureError as error:
                    skipped[entry.owner] = str(error)
                progress("rounds", number * len(entries) + step + 1, n_rounds * len(entries))
    left = [entry for entry in entries if entry.owner not in skipped]
    return left, [_median(entry, passes[id(entry)]) for entry in left]


def _median(entry: Entry, passes: list[dict[str, Any]]) -> Measurement:
    cpu_ns = np.median([found["cpu_ns"] for found in passes], axis=0)
    wall_ns = np.median([found["wall_ns"] for found in passes], axis=0)
    return entry.measured(passes[0]["recall"], cpu_ns, wall_ns, passes[-1]["repeats"])


def add_throughput(
    course: Course,
    entries: list[Entry],
    measurements: list[Measurement],
    progress: Progress,
    skipped: dict[str, str],
) -> list[Measurement]:
    """Measure queries per second with one thread and with one per core (at most two).

    A fresh process of each engine answers all queries as one batch, up to five times with each
    number of threads in turn; few queries stand in the batch more than once, see
    `THROUGHPUT_PASS_S`. The best pass counts: whatever else runs on the machine can only slow one.
    An engine that fails keeps its latencies, and its reason is put into `skipped`.
    """
    cores = cpu_ids()[:2]
    measured = list(measurements)
    owners = list(dict.fromkeys(entry.owner for entry in entries))
    for done, owner in enumerate(owners):
        positions = [i for i, entry in enumerate(entries) if entry.owner == owner]
        first = entries[positions[0]]
        try:
            with course.process(first.spec, threads=len(cores)) as process:
                open_variant(course, process, first.spec, first.variant)
                for i in positions:
                    rates = _rates(process, entries[i], cores)
                    measured[i] = replace(measurements[i], queries_per_s=rates)
        except EngineFailureError as error:
            skipped[f"{owner}, several threads"] = str(error)
        progress("throughput", done + 1, len(owners))
    return measured


def _rates(process: EngineProcess, entry: Entry, cores: list[int]) -> dict[int, float]:
    def answer_batch(threads: int, repeats: int) -> dict[str, float]:
        return process.ask(
            "throughput",
            k=entry.k,
            params=dict(entry.setting.params),
            threads=threads,
            cores=cores[:threads],
            warm_up=WARM_UP,
            repeats=repeats,
        )

    best = dict.fromkeys(range(1, len(cores) + 1), 0.0)
    once = max(answer_batch(1, 1)["seconds"], 1e-6)
    repeats = ceil(THROUGHPUT_PASS_S / once)
    passes = max(1, min(THROUGHPUT_PASSES, int(_ENOUGH_S / once)))
    for _ in range(passes):
        for threads in best:
            best[threads] = max(best[threads], answer_batch(threads, repeats)["queries_per_s"])
    return best


def _rotated(n: int, by: int) -> Iterator[int]:
    return ((position + by) % n for position in range(n))
