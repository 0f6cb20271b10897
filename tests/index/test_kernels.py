"""Small kernels against NumPy, with and without the compiler (``NUMBA_DISABLE_JIT=1``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr_index.kernels.accumulator import (
    NARROW,
    WIDE,
    Width,
    contribution,
    shift_of,
    top_of,
)
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.queue import take_next
from lsr_index.kernels.score.evaluate_blocks import candidate_blocks, zero_deleted
from lsr_index.kernels.score.query_weights import REPEATED_TERM, prepare_query
from lsr_index.kernels.score.scan import all_maxima, block_maxima
from lsr_index.kernels.simd.vectors import add_vector, add_vector_pair
from lsr_index.kernels.structs import N_SCRATCH, QUERY_TERM, QUERY_WEIGHT, STATS
from lsr_index.kernels.topk import kth_largest, select_largest, sort_keys
from tests import strategies


@kernel
def take_next_of(counter: Any) -> Any:
    """The intrinsic, so that it can be called."""
    return take_next(counter)


@kernel
def widths_of(acc: Any) -> Any:
    """The intrinsics, so that they can be called."""
    return shift_of(acc), top_of(acc)


@kernel
def add_vectors(acc: Any, impacts: Any, weight: Any) -> None:
    """Add 16 and then 32 impacts, in vector registers."""
    add_vector(acc, 0, impacts, 0, weight)
    add_vector_pair(acc, 16, impacts, 16, weight)


WIDTHS: tuple[tuple[Any, int], ...] = ((np.uint16, (1 << 15) - 1), (np.uint32, (1 << 31) - 1))


def some_values(rng: np.random.Generator, n: int, dtype: Any, top: int) -> NDArray[Any]:
    """Few different values, many, all equal, or the largest possible; then room for a word."""
    most = int(rng.choice([1, 3, 1000, top]))
    values = np.full(n + 64, 77, dtype)
    values[:n] = rng.integers(0, most + 1, n)
    return values


@pytest.mark.parametrize(("dtype", "top"), WIDTHS)
def test_kth_largest(dtype: Any, top: int) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 63, 64, 65, 500):
        for k in {1, 2, n // 2, n} - {0}:
            values = some_values(rng, n, dtype, top)
            expected = np.sort(values[:n])[::-1][min(k, n) - 1]
            assert kth_largest(values, n, min(k, n)) == expected


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_vectors_add_what_the_definition_of_a_contribution_says(width: Width) -> None:
    assert [int(value) for value in widths_of(np.zeros(1, width.dtype))] == [width.shift, width.top]
    rng = np.random.default_rng(7)
    largest = width.weight_limit
    for weight in {1, 255, 256, 257, largest, *rng.integers(1, largest, 50).tolist()}:
        impacts = np.append(rng.integers(0, 256, 47), 255).astype(np.uint8)
        acc = np.zeros(48, width.dtype)
        add_vectors(acc, impacts, np.uint32(weight))
        expected = [(impact * weight) >> width.shift for impact in impacts.tolist()]
        assert acc.tolist() == expected
        assert [int(contribution(i, weight, width.shift)) for i in impacts.tolist()] == expected
        assert max(expected) < width.top


def test_select_largest_keeps_the_largest_keys_in_their_order() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 40, 300):
        for most in (1, 4, 30_000):
            scores = rng.integers(1, most + 1, n).astype(np.uint64)
            lower = rng.choice(2**32 - 1, n, replace=False).astype(np.uint64) + np.uint64(1)
            keys = (scores << np.uint64(32)) | lower
            for k in {1, n // 3, n - 1, n} - {0}:
                best = np.sort(keys)[::-1][:k]
                expected = [int(key) for key in keys if key >= best[-1]]
                buffer = keys.copy()
                smallest = select_largest(buffer, n, k, np.empty(n + 64, np.uint32))
                assert int(smallest) == int(best[-1])
                assert buffer[:k].tolist() == expected


def test_sort_keys() -> None:
    rng = np.random.default_rng(2)
    for n in (0, 1, 2, 64, 65, 400):
        for top in (1, 255, 2**20, 2**63):
            keys = rng.integers(0, top, n + 3).astype(np.uint64)
            expected = np.concatenate([np.sort(keys[:n]), keys[n:]])
            sort_keys(keys, n, np.empty(n, np.uint64), np.empty(256, np.int64))
            assert np.array_equal(keys, expected)


@pytest.mark.parametrize("block_size", [16, 32, 128])
@pytest.mark.parametrize(("dtype", "top"), WIDTHS)
def test_maxima_of_blocks(dtype: Any, top: int, block_size: int) -> None:
    rng = np.random.default_rng(3)
    for n_blocks in (4, 16, 20, 32, 100):
        size = n_blocks * block_size
        acc = some_values(rng, size, dtype, top)
        maxima = np.full(n_blocks + 5, 9, dtype)
        all_maxima(acc[:size], block_size, maxima)
        expected = acc[:size].reshape(n_blocks, block_size).max(axis=1)
        assert np.array_equal(maxima[:n_blocks], expected)
        assert (maxima[n_blocks:] == 9).all()

        first_slot = 64 * int(rng.integers(0, 3))
        alive = rng.random(first_slot + size) < rng.choice([0.02, 0.5])
        bounds = np.ones(n_blocks, dtype)
        live = strategies.bitmap(alive)
        block_maxima(acc[:size], live, first_slot, block_size, maxima, bounds)
        mine = alive[first_slot:].reshape(n_blocks, block_size)
        expected = (acc[:size].reshape(n_blocks, block_size) * mine).max(axis=1)
        assert np.array_equal(maxima[:n_blocks], expected)
        assert np.array_equal(bounds != 0, mine.any(axis=1))


@pytest.mark.parametrize(("dtype", "top"), WIDTHS)
def test_candidate_blocks(dtype: Any, top: int) -> None:
    rng = np.random.default_rng(4)
    for n in (64, 192):
        maxima = some_values(rng, n, dtype, top // 2)[:n]
        bounds = some_values(rng, n, dtype, top // 2)[:n]
        blocks = np.empty(n, np.uint32)
        for level in (1, int(maxima[0]) + int(bounds[0]) + 1, top + 1):
            expected = np.flatnonzero(maxima.astype(np.int64) + bounds >= level)
            for origin in (0, 128):
                found = candidate_blocks(maxima, bounds, level, n, blocks, origin)
                assert np.array_equal(blocks[:found], origin + expected)
        assert (
            candidate_blocks(maxima, bounds, 0, 1, blocks, 0) == 64
        )  # ends with the word that fills it


def test_deleted_documents_score_zero_in_copies() -> None:
    rng = np.random.default_rng(5)
    alive = rng.random(640) < 0.5
    blocks = np.array([1, 4, 7], np.uint32)
    copies = np.ones(96, np.uint16)
    zero_deleted(copies, strategies.bitmap(alive), 320, 32, blocks, 3)
    expected = np.concatenate([alive[320 + 32 * b : 320 + 32 * b + 32] for b in (1, 4, 7)])
    assert np.array_equal(copies, expected)
    zero_deleted(copies, np.zeros(0, np.uint64), 320, 32, blocks, 3)
    assert np.array_equal(copies, expected)


def test_queries_are_ordered_by_weight_then_by_term() -> None:
    rng = np.random.default_rng(6)
    for n in (1, 7, 64, 65, 200):
        terms = rng.choice(2**32 - 1, n, replace=False).astype(np.uint32)
        weights = rng.choice([0.25, 1.0, 1.5], n).astype(np.float32)
        scratch, stats = np.zeros((N_SCRATCH, 256), np.int64), np.zeros(1, STATS)[0]
        fault, kept = prepare_query(terms, weights, NARROW.weight_limit, 0.5, scratch, stats)
        assert (fault, kept) == (0, -(-n // 2))
        order = np.lexsort((terms, -weights))
        assert np.array_equal(scratch[QUERY_TERM, :n], terms[order])
        assert (np.diff(scratch[QUERY_WEIGHT, :n]) <= 0).all()
        assert stats.dropped == scratch[QUERY_WEIGHT, kept:n].sum()
        twice = np.append(terms, terms[n // 2])
        more = np.append(weights, np.float32(1))
        fault, _ = prepare_query(twice, more, NARROW.weight_limit, 1.0, scratch, stats)
        assert fault == REPEATED_TERM


def test_the_queue_gives_every_number_once() -> None:
    counter = np.zeros(1, np.int64)
    assert [int(take_next_of(counter)) for _ in range(4)] == [0, 1, 2, 3]
    assert counter[0] == 4
