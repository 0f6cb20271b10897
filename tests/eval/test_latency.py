"""Latency: what is timed, how often, and that the clocks say what they mean."""

import time

import pytest

from lsr.errors import UsageError
from lsr_eval.measures.latency import Percentiles, measure_latency


def test_percentiles() -> None:
    found = Percentiles.of(range(101))
    assert found == Percentiles(50, 95, 99, 50)


def test_waiting_takes_wall_time_but_no_processor_time() -> None:
    latency = measure_latency(lambda text, k: time.sleep(0.01), ["a"] * 10, warm_up_queries=0)
    assert latency.wall_ms.p50 >= 10
    assert latency.cpu_ms.p50 < 5
    assert latency.wall_ms.p50 <= latency.wall_ms.p95 <= latency.wall_ms.p99


def test_computing_takes_both() -> None:
    latency = measure_latency(lambda text, k: sum(range(300_000)), ["a"] * 10)
    assert latency.cpu_ms.p50 > 0.5


def test_warm_up_comes_first_and_is_stated() -> None:
    asked: list[tuple[str, int]] = []
    texts = [str(n) for n in range(50)]
    latency = measure_latency(
        lambda text, k: asked.append((text, k)), texts, k=7, max_queries=10, warm_up_queries=3
    )
    chosen = ["0", "5", "10", "15", "20", "25", "30", "35", "40", "45"]
    assert asked == [(text, 7) for text in chosen[:3] + chosen]
    assert (latency.n_queries, latency.warm_up_queries, latency.k) == (10, 3, 7)


def test_nothing_to_time() -> None:
    with pytest.raises(UsageError, match="without a query"):
        measure_latency(lambda text, k: None, [])
