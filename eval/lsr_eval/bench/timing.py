"""Timing of calls: CPU time of the whole process and wall time, in nanoseconds."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLOCKS_PER_CALL = 200
"""Least length of a timed region, in readings of the clocks; a shorter call is repeated inside the
region and the time divided."""


class Timings(NamedTuple):
    """Per-query times of one pass.

    Attributes
    ----------
    cpu_ns, wall_ns : (n_queries,) float64
    results : list
        What the calls returned.
    repeats : int
        Calls per timed region.
    """

    cpu_ns: NDArray[np.float64]
    wall_ns: NDArray[np.float64]
    results: list[Any]
    repeats: int


def clock_cost_ns() -> float:
    """Return the median time of reading both clocks once."""
    samples = np.empty(1001)
    for i in range(len(samples)):
        start = time.perf_counter_ns()
        time.process_time_ns()
        samples[i] = time.perf_counter_ns() - start
    return float(np.median(samples))


def time_calls(call: Callable[[Any], Any], arguments: Sequence[Any], warm_up: int) -> Timings:
    """Time ``call(argument)`` for each argument, after `warm_up` untimed calls."""
    repeats = _repeats(call, arguments[: max(warm_up, 1)])
    cpu_ns = np.empty(len(arguments))
    wall_ns = np.empty(len(arguments))
    results: list[Any] = []
    with _collector_off():
        for i, argument in enumerate(arguments):
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            for _ in range(repeats):
                result = call(argument)
            wall_ns[i] = (time.perf_counter_ns() - wall) / repeats
            cpu_ns[i] = (time.process_time_ns() - cpu) / repeats
            results.append(result)
    return Timings(cpu_ns, wall_ns, results, repeats)


def _repeats(call: Callable[[Any], Any], arguments: Sequence[Any]) -> int:
    durations = []
    for argument in arguments:
        start = time.perf_counter_ns()
        call(argument)
        durations.append(time.perf_counter_ns() - start)
    if not durations:
        return 1
    shortest_allowed = CLOCKS_PER_CALL * clock_cost_ns()
    return max(1, round(shortest_allowed / max(float(np.median(durations)), 1.0)))


@contextmanager
def _collector_off() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a timed region."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
