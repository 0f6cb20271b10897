"""A bounded pool of threads: no more work is accepted than can be answered in time.

Work runs on as many threads as there are cores. A bounded number of requests waits for one; further
ones are refused at once, which keeps the answer time of the accepted ones short under overload. The
place of a request is free again when its work has really ended, not when its client gave up.
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
    """Run blocking work off the event loop.

    Parameters
    ----------
    threads : int
        Work that runs at a time.
    queue : int
        Work that may wait for a thread.
    """

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

        Parameters
        ----------
        work : callable
        deadline_s : float
            Seconds from now, waiting included.
        on_late : callable
            Called when the deadline has passed, to make the work end early.

        Raises
        ------
        OverloadedError
            There is no place left.
        DeadlineError
            It took longer. Work that has begun keeps its place until it ends; its result is
            dropped.
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
