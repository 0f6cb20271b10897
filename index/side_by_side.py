"""The same work in several threads, which are kept from one batch of queries to the next.

Starting a thread, and touching new scratch memory for the first time, costs as much as dozens of
queries.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_MOST_THREADS = 4 * (os.cpu_count() or 1)
_crew: ThreadPoolExecutor | None = None


def _forget_crew() -> None:
    global _crew
    _crew = None


if hasattr(os, "register_at_fork"):  # the child has none of its parent's threads
    os.register_at_fork(after_in_child=_forget_crew)


def side_by_side(work: Callable[[], T], threads: int) -> list[T]:
    """Run ``work`` in the calling thread and, at the same time, in others.

    The work ends when it finds nothing left to do, so that a run that begins late, or never, only
    leaves more to the others.

    Parameters
    ----------
    work : callable
        Safe to run in several threads at once.
    threads : int
        At least 1, the calling one included.

    Returns
    -------
    list
        What the runs returned that took place, the calling thread's first.
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
        begun = [other for other in others if not other.cancel()]
        results = [other.result() for other in begun]
    return done + results
