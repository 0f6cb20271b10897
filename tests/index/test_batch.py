"""Batches: threads share the queries of one, and every query is answered as if it were alone."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr_index.kernels.jit import JIT_ENABLED
from lsr_index.kernels.score.search import search_batch
from lsr_index.search.execute import search_segments, search_segments_batch
from lsr_index.search.thread_pool import side_by_side
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from tests import strategies

Query = tuple[NDArray[np.uint32], NDArray[np.float32]]


@pytest.fixture(scope="module")
def segment() -> KernelSegment:
    rng = np.random.default_rng(5)
    matrix = rng.integers(1, 256, (200, 120)) * (rng.random((200, 120)) < 0.3)
    options = BuildOptions(range_size=64, threads=1)
    return KernelSegment(build_segment(*strategies.from_dense(matrix), options=options))


def mixed_queries(rng: np.random.Generator, n: int) -> list[Query]:
    """Short and long ones, for both widths of accumulators, empty ones among them."""
    sizes = rng.choice([0, 1, 5, 20, 64, 65, 100], n)
    return [
        (
            np.sort(rng.choice(130, size, replace=False)).astype(np.uint32),
            rng.random(size).astype(np.float32) + np.float32(0.01),
        )
        for size in sizes
    ]


def as_csr(queries: list[Query]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return (
        np.cumsum([0, *(len(terms) for terms, _ in queries)]),
        np.concatenate([terms for terms, _ in queries]),
        np.concatenate([weights for _, weights in queries]),
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("k", [3, 500])
def test_every_query_is_answered_once_and_as_if_alone(
    segment: KernelSegment, threads: int, k: int
) -> None:
    queries = mixed_queries(np.random.default_rng(threads), 60)
    found = search_segments_batch([segment], *as_csr(queries), k, threads=threads)
    assert found.ordinals.shape == (60, k)
    for row, (terms, weights) in enumerate(queries):
        alone = search_segments([segment], terms, weights, k)
        n = len(alone.ordinals)
        assert found.counts[row] == n
        assert np.array_equal(found.ordinals[row, :n], alone.ordinals)
        assert np.array_equal(found.int_scores[row, :n], alone.int_scores)
        assert np.array_equal(found.scores[row, :n], alone.scores)
        assert (found.ordinals[row, n:] == -1).all()
        assert not found.int_scores[row, n:].any()
        assert not found.scores[row, n:].any()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bad_query_is_named(segment: KernelSegment, threads: int) -> None:
    queries = mixed_queries(np.random.default_rng(0), 40)
    queries[17] = (np.array([3, 8, 3], np.uint32), np.ones(3, np.float32))
    with pytest.raises(ValueError, match="query 17: term ids must be unique"):
        search_segments_batch([segment], *as_csr(queries), 5, threads=threads)
    queries[17] = (np.array([3, 8], np.uint32), np.array([1, np.nan], np.float32))
    with pytest.raises(ValueError, match="query 17: weights must be positive and finite"):
        search_segments_batch([segment], *as_csr(queries), 5, threads=threads)


def test_the_order_of_terms_does_not_matter(segment: KernelSegment) -> None:
    rng = np.random.default_rng(1)
    for size in (2, 30, 100):
        terms = np.sort(rng.choice(120, size, replace=False)).astype(np.uint32)
        weights = rng.choice([0.5, 1.0, 2.0], size).astype(np.float32)  # ties among them
        order = rng.permutation(size)
        one = search_segments([segment], terms, weights, 50)
        other = search_segments([segment], terms[order], weights[order], 50)
        assert np.array_equal(one.ordinals, other.ordinals)
        assert np.array_equal(one.int_scores, other.int_scores)


def test_results_of_searches_at_the_same_time_do_not_mix(segment: KernelSegment) -> None:
    queries = mixed_queries(np.random.default_rng(7), 30)
    truth = search_segments_batch([segment], *as_csr(queries), 20)
    found = side_by_side(
        lambda: [search_segments_batch([segment], *as_csr(queries), 20) for _ in range(10)], 4
    )
    for batch in chain.from_iterable(found):
        assert np.array_equal(batch.ordinals, truth.ordinals)
        assert np.array_equal(batch.int_scores, truth.int_scores)


@pytest.mark.skipif(not JIT_ENABLED, reason="needs compiled kernels")
def test_arrays_of_any_kind_are_answered_by_the_same_code(segment: KernelSegment) -> None:
    """Another type, read-only, reversed, every second one: nothing is compiled for them."""
    terms, weights = np.array([1, 5, 9], np.uint32), np.array([1, 2, 3], np.float32)
    truth = search_segments([segment], terms, weights, 9)
    compiled: Any = search_batch
    before = len(compiled.signatures)
    frozen = terms.copy()
    frozen.flags.writeable = False
    spread = np.repeat(weights, 2)[::2]
    for ids in (terms.astype(np.int64), terms.astype(">u4"), frozen, terms[::-1][::-1]):
        for values in (weights.astype(np.float64), spread, weights):
            found = search_segments([segment], ids, values, 9)
            assert np.array_equal(found.ordinals, truth.ordinals)
    assert len(compiled.signatures) == before


def test_side_by_side_raises_what_a_run_raised_and_waits_for_the_others() -> None:
    ended: list[int] = []

    def fail() -> None:
        ended.append(1)
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        side_by_side(fail, 3)
    assert 1 <= len(ended) <= 3
    assert side_by_side(lambda: 4, 1) == [4]
    assert set(side_by_side(lambda: 4, 3)) == {4}
