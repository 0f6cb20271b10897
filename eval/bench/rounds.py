"""The measurement proper: all engines answer all queries, in turns.

In each round each entry answers every query once, one entry after the other, in an order that is
rotated from round to round. A slow moment of the machine so falls on all of them alike, and a
query's time is its median over the rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench.client import EngineProcess
from eval.bench.contenders import Course, Entry, Progress, open_variant
from eval.bench.exact import ExactScores
from eval.bench.machine import available_cores
from eval.bench.records import Measurement, Summary

THROUGHPUT_PASSES = 3


class _Times:
    """Times of one entry: a row per round."""

    def __init__(self) -> None:
        self.cpu_ns: list[NDArray[np.float64]] = []
        self.wall_ns: list[NDArray[np.float64]] = []
        self.repeats = 1
        self.recall = 0.0

    def summary(self, entry: Entry) -> Measurement:
        return Measurement(
            engine=entry.spec.name,
            variant=entry.variant.name,
            setting=entry.setting.name,
            params=entry.setting.params,
            k=entry.k,
            recall=self.recall,
            cpu=Summary.of_ns(np.median(self.cpu_ns, axis=0)),
            wall=Summary.of_ns(np.median(self.wall_ns, axis=0)),
            repeats=self.repeats,
        )


def run_rounds(
    course: Course, entries: list[Entry], exact: ExactScores, n_rounds: int, progress: Progress
) -> list[Measurement]:
    """Measure all entries, interleaved.

    Parameters
    ----------
    course : Course
    entries : list of Entry
    exact : ExactScores
        Recall is computed from the answers of the first round.
    n_rounds : int
    progress : callable
    """
    times = [_Times() for _ in entries]
    with ExitStack() as stack:
        processes = _open_all(course, entries, stack)
        for number in range(n_rounds):
            for step, position in enumerate(_rotated(len(entries), number)):
                entry = entries[position]
                process = processes[entry.spec.name, entry.variant.name]
                _one_pass(course, process, entry, times[position], exact, first=number == 0)
                progress("rounds", number * len(entries) + step + 1, n_rounds * len(entries))
    return [time.summary(entry) for time, entry in zip(times, entries, strict=True)]


def add_throughput(
    course: Course, entries: list[Entry], measurements: list[Measurement], progress: Progress
) -> list[Measurement]:
    """Measure queries per second with one thread and with one per core (at most two).

    A fresh process answers all queries as one batch, several times with each number of threads in
    turn; the median counts.
    """
    cores = available_cores()[:2]
    measured = []
    for done, (entry, measurement) in enumerate(zip(entries, measurements, strict=True)):
        with course.process(entry.spec, threads=len(cores)) as process:
            open_variant(course, process, entry.spec, entry.variant)
            rates: dict[int, list[float]] = {n: [] for n in range(1, len(cores) + 1)}
            for _ in range(THROUGHPUT_PASSES):
                for threads, seen in rates.items():
                    head = _throughput(course, process, entry, threads, cores[:threads])
                    seen.append(head["queries_per_s"])
        medians = {threads: float(np.median(seen)) for threads, seen in rates.items()}
        measured.append(replace(measurement, queries_per_s=medians))
        progress("throughput", done + 1, len(entries))
    return measured


def _open_all(
    course: Course, entries: list[Entry], stack: ExitStack
) -> dict[tuple[str, str], EngineProcess]:
    processes: dict[tuple[str, str], EngineProcess] = {}
    for entry in entries:
        key = (entry.spec.name, entry.variant.name)
        if key not in processes:
            processes[key] = stack.enter_context(course.process(entry.spec))
            open_variant(course, processes[key], entry.spec, entry.variant)
    return processes


def _one_pass(
    course: Course,
    process: EngineProcess,
    entry: Entry,
    times: _Times,
    exact: ExactScores,
    *,
    first: bool,
) -> None:
    head, arrays = process.ask(
        "round",
        k=entry.k,
        params=dict(entry.setting.params),
        warm_up=course.warm_up,
        want_ids=first,
    )
    times.cpu_ns.append(arrays["cpu_ns"])
    times.wall_ns.append(arrays["wall_ns"])
    times.repeats = head["repeats"]
    if first:
        times.recall = exact.recall(arrays["doc_ids"], entry.k)


def _throughput(
    course: Course, process: EngineProcess, entry: Entry, threads: int, cores: list[int]
) -> dict[str, Any]:
    head, _ = process.ask(
        "throughput",
        k=entry.k,
        params=dict(entry.setting.params),
        threads=threads,
        cores=cores,
        warm_up=course.warm_up,
    )
    return head


def _rotated(n: int, by: int) -> Iterator[int]:
    return ((position + by) % n for position in range(n))
