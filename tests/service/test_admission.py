"""The pool refuses what it cannot answer in time, and frees a place only when work has ended."""

import asyncio
import threading
import time

import pytest

from lsr_service.engine.admission import DeadlineError, OverloadedError, WorkPool


def test_refuses_beyond_threads_and_queue() -> None:
    async def scenario() -> list[object]:
        release = threading.Event()
        pool = WorkPool(threads=1, queue=2)
        running = [asyncio.create_task(pool.run(release.wait, 5)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert pool.admitted == 3
        with pytest.raises(OverloadedError):
            await pool.run(release.wait, 5)
        release.set()
        results = await asyncio.gather(*running)
        pool.close()
        assert pool.admitted == 0
        return list(results)

    assert asyncio.run(scenario()) == [True, True, True]


def test_work_beyond_its_deadline_keeps_its_place_until_it_ends() -> None:
    async def scenario() -> None:
        release, told = threading.Event(), threading.Event()
        pool = WorkPool(threads=1, queue=0)
        with pytest.raises(DeadlineError):
            await pool.run(release.wait, 0.05, told.set)
        assert told.is_set()
        with pytest.raises(OverloadedError):
            await pool.run(release.wait, 0.05)
        release.set()
        while pool.admitted:
            await asyncio.sleep(0.01)
        assert await pool.run(lambda: 7, 5) == 7
        pool.close()

    asyncio.run(scenario())


def test_work_that_waited_too_long_never_runs() -> None:
    async def scenario() -> None:
        release, ran = threading.Event(), threading.Event()
        pool = WorkPool(threads=1, queue=1)
        first = asyncio.create_task(pool.run(release.wait, 5))
        await asyncio.sleep(0.05)
        with pytest.raises(DeadlineError):
            await pool.run(ran.set, 0.05)
        assert pool.admitted == 1
        release.set()
        await first
        pool.close()
        assert not ran.is_set()

    asyncio.run(scenario())


def test_errors_reach_the_caller() -> None:
    def fail() -> None:
        raise ValueError("broken")

    async def scenario() -> None:
        pool = WorkPool(threads=1, queue=0)
        with pytest.raises(ValueError, match="broken"):
            await pool.run(fail, 5)
        assert pool.admitted == 0
        pool.close()

    started = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - started < 4
