"""A bounded pool of threads: work beyond its capacity is rejected at once.

That keeps the latency of accepted requests low under overload. A request keeps its place until its
work has ended, even when its client has given up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class OverloadedError(RuntimeError):
    """All threads are busy and the queue is full."""


class DeadlineError(TimeoutError):
    """The work did not end in time."""


class WorkPool:
    """Threads for blocking work; `queue` is how much may wait for one of the `threads`."""

    def __init__(self, threads: int, queue: int) -> None:
        self.threads = threads
        self.capacity = threads + queue
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._lock = threading.Lock()
        self._admitted = 0

    @property
    def admitted(self) -> int:
        """Work that runs or waits now."""
        return self._admitted

    async def run(
        self, work: Callable[[], T], deadline_s: float, on_late: Callable[[], None] = lambda: None
    ) -> T:
        """Run `work` on a thread and return its result.

        The deadline is in seconds from now, waiting included; `on_late` is called when it has
        passed, to end the work early.

        Raises OverloadedError where the queue is full, and DeadlineError after the deadline; work
        that has begun keeps its place until it ends.
        """
        with self._lock:
            if self._admitted >= self.capacity:
                raise OverloadedError
            self._admitted += 1
        future = self._executor.submit(work)
        future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), deadline_s)
        except TimeoutError:
            on_late()
            raise DeadlineError from None

    def _release(self, _: Future[Any]) -> None:
        with self._lock:
            self._admitted -= 1

    def close(self) -> None:
        """Wait for what runs and drop what waits."""
        self._executor.shutdown(wait=True, cancel_futures=True)
