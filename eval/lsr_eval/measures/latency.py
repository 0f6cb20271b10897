"""Latency of single queries as a user sees it: one at a time, from text to hits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lsr.errors import UsageError

MAX_QUERIES = 1000
WARM_UP_QUERIES = 100


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Distribution of a time over queries, in the unit of the times."""

    p50: float
    p95: float
    p99: float
    mean: float

    @classmethod
    def of(cls, times: ArrayLike) -> Percentiles:
        """Summarise the times of single queries."""
        values = np.asarray(times, dtype=np.float64)
        p50, p95, p99 = np.quantile(values, [0.5, 0.95, 0.99])
        return cls(float(p50), float(p95), float(p99), float(values.mean()))


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of single queries.

    Attributes
    ----------
    wall_ms, cpu_ms : Percentiles
        Milliseconds per query: elapsed time, and processor time of all threads of the process.
    n_queries : int
        Queries timed, one after the other.
    warm_up_queries : int
        Queries answered before, untimed: compilation and page faults are not in the times.
    k : int
        Hits per query.
    """

    wall_ms: Percentiles
    cpu_ms: Percentiles
    n_queries: int
    warm_up_queries: int
    k: int


def measure_latency(
    search: Callable[[str, int], object],
    texts: Sequence[str],
    *,
    k: int = 10,
    max_queries: int = MAX_QUERIES,
    warm_up_queries: int = WARM_UP_QUERIES,
) -> Latency:
    """Time ``search(text, k)``, encoding and reading stored documents included.

    When there are more than `max_queries` texts, evenly spaced ones are timed.
    """
    if not texts:
        raise UsageError("latency cannot be measured without a query")
    n = min(len(texts), max_queries)
    chosen = [texts[i * len(texts) // n] for i in range(n)]
    for text in chosen[:warm_up_queries]:
        search(text, k)
    wall, cpu = np.empty(n), np.empty(n)
    for at, text in enumerate(chosen):
        cpu_start, wall_start = time.process_time_ns(), time.perf_counter_ns()
        search(text, k)
        wall[at] = time.perf_counter_ns() - wall_start
        cpu[at] = time.process_time_ns() - cpu_start
    return Latency(
        Percentiles.of(wall / 1e6), Percentiles.of(cpu / 1e6), n, min(n, warm_up_queries), k
    )
