"""Threads for batches of queries, kept: to start one costs as much as several queries."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from lsr.machine import cpu_count

T = TypeVar("T")

_MOST_THREADS = 4 * cpu_count()
_crew: ThreadPoolExecutor | None = None


def _forget_crew() -> None:
    global _crew
    _crew = None


if hasattr(os, "register_at_fork"):  # the child has none of its parent's threads
    os.register_at_fork(after_in_child=_forget_crew)


def side_by_side(work: Callable[[], T], threads: int) -> list[T]:
    """Run ``work`` in the calling thread and, at the same time, in others; return all results.

    ``work`` is thread-safe and takes its share from a common queue. A run that begins late, or
    never because the threads are busy, only leaves more to the others. An error of a run is raised
    after all have ended. ``threads`` counts the calling one.
    """
    global _crew
    if threads == 1:
        return [work()]
    if _crew is None:
        _crew = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="search")
    others = [_crew.submit(work) for _ in range(min(threads - 1, _MOST_THREADS))]
    try:
        done = [work()]
    finally:
        others = [other for other in others if not other.cancel()]
        wait(others)
    return done + [other.result() for other in others]
