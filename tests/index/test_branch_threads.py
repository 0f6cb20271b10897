"""Jobs side by side: where they run, what they return, what their errors do."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from lsr_index.hybrid.thread_pool import Delay, side_by_side


def thread_after(value: int, seen: dict[int, str]) -> int:
    seen[value] = threading.current_thread().name
    return value


def run(usual_ms: list[float | None], delay: Delay) -> dict[int, str]:
    seen: dict[int, str] = {}
    jobs = [partial(thread_after, at, seen) for at in range(len(usual_ms))]
    assert side_by_side(jobs, usual_ms, delay) == list(range(len(usual_ms)))
    return seen


def test_the_longest_runs_here_and_the_others_elsewhere() -> None:
    here = threading.current_thread().name
    seen = run([2.0, 9.0, None], Delay())
    assert seen[1] == here
    assert seen[0].startswith("lsr-branch")
    assert seen[2].startswith("lsr-branch")


def test_short_jobs_are_not_handed_over() -> None:
    here = threading.current_thread().name
    assert set(run([0.05, 9.0, 0.2], Delay()).values()) == {here}


def test_nothing_is_handed_over_while_threads_begin_late_and_then_it_is_tried_again() -> None:
    here, delay = threading.current_thread().name, Delay()
    for _ in range(50):
        delay.measured(6.0)
    assert run([2.0, 3.0], delay)[0] == here
    assert run([2.0, 30.0], delay)[0] != here, "done long before the longest, however late"
    for _ in range(50):
        delay.measured(6.0)
    tries = next(n for n in range(100) if run([2.0, 3.0], delay)[0] != here)
    assert 5 < tries < 50


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_any_is_raised(failing: int) -> None:
    def job(at: int) -> int:
        if at == failing:
            raise ValueError("of a branch")
        return at

    with pytest.raises(ValueError, match="of a branch"):
        side_by_side([partial(job, 0), partial(job, 1)], [2.0, 3.0], Delay())
