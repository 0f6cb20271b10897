"""Parallel jobs, where that is faster than one after the other.

A job in another thread costs little while a core is idle, and more than most searches while none
is, since the thread waits for its turn. So the delay of thread starts is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")

_threads: ThreadPoolExecutor


def _make_threads() -> None:
    global _threads
    # Only as many as are needed at a time are started.
    _threads = ThreadPoolExecutor(32, "lsr-branch")


_make_threads()
if hasattr(os, "register_at_fork"):  # the child has none of its parent's threads
    os.register_at_fork(after_in_child=_make_threads)

_HANDING_OVER_MS = 0.5
"""What it costs to run a job in another thread that begins at once. Most of a short search is
Python code, which no two threads run at a time."""

_UNKNOWN_MS = 1.0
_MEMORY = 0.8
_FORGETTING = 0.95


class Delay:
    """Recent delay of thread starts, in milliseconds.

    Shared by all threads without a lock: a lost update is one measurement less.
    """

    def __init__(self) -> None:
        self.usual_ms = 0.0

    def measured(self, ms: float) -> None:
        """Add a measurement."""
        self.usual_ms = _MEMORY * self.usual_ms + (1 - _MEMORY) * ms

    def pays(self, job_ms: float, longest_ms: float) -> bool:
        """Return whether a job ends sooner in another thread, while the longest runs here.

        Each time it does not, the delay decays a little, so that it is measured again.
        """
        if job_ms <= _HANDING_OVER_MS:
            return False
        here = longest_ms + job_ms
        there = max(longest_ms, self.usual_ms + job_ms) + _HANDING_OVER_MS
        if there >= here:
            self.usual_ms *= _FORGETTING
        return there < here


_DELAY = Delay()


def side_by_side(
    jobs: Sequence[Callable[[], T]], usual_ms: Sequence[float | None], delay: Delay = _DELAY
) -> list[T]:
    """Run jobs, in parallel where that is faster, the longest in this thread; return their results.

    `usual_ms` are the expected times in milliseconds, None if unknown. An error of a job is raised.
    """
    if not jobs:
        return []
    known = [_UNKNOWN_MS if each is None else each for each in usual_ms]
    longest = known.index(max(known))
    there: dict[int, Future[T]] = {
        at: _threads.submit(partial(_begun, job, time.perf_counter(), delay))
        for at, job in enumerate(jobs)
        if at != longest and delay.pays(known[at], known[longest])
    }
    try:
        here = {at: job() for at, job in enumerate(jobs) if at not in there}
        return [there[at].result() if at in there else here[at] for at in range(len(jobs))]
    finally:
        for future in there.values():
            future.cancel()


def _begun(job: Callable[[], T], submitted: float, delay: Delay) -> T:
    delay.measured((time.perf_counter() - submitted) * 1e3)
    return job()
