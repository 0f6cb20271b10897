"""Faults of other engines, approximate modes, cancelling, threads, compiled code."""

from __future__ import annotations

import os
import re
from typing import Any

import numba
import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from lsr_index.kernels.jit import JIT_ENABLED
from lsr_index.kernels.score import scan
from lsr_index.kernels.score.search import search_batch
from lsr_index.kernels.structs import MAX_PARTS
from lsr_index.search.execute import (
    Cancel,
    search_segments,
    search_segments_batch,
)
from lsr_index.search.hits import BatchHits, Hits
from lsr_index.search.options import EXHAUSTIVE, SearchOptions
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.quantize import fit_scale, quantize_documents
from tests import oracle, strategies
from tests.shared import shared_path

EVERY_QUERY = bool(os.environ.get("LSR_EVERY_QUERY"))


def searcher(matrix: NDArray[np.int64], **options: int) -> KernelSegment:
    settings = BuildOptions(block_size=16, range_size=64, threads=1, **options)  # type: ignore[arg-type]
    return KernelSegment(build_segment(*strategies.from_dense(matrix), options=settings))


def ask(segment: KernelSegment, terms: list[int], k: int, **more: object) -> Hits:
    ids = np.array(terms, dtype=np.uint32)
    return search_segments([segment], ids, np.ones(ids.size, np.float32), k, **more)  # type: ignore[arg-type]


def test_the_last_live_block_is_scored() -> None:
    """bmp never scores it: one live block answers nothing."""
    matrix = np.zeros((40, 3), np.int64)
    matrix[37, 1] = 9
    assert ask(searcher(matrix), [1], 10).ordinals.tolist() == [37]
    matrix = np.ones((200, 1), np.int64)
    assert ask(searcher(matrix), [0], 10).ordinals.tolist() == list(range(10))


@pytest.mark.parametrize("terms", [[], [77], [77, 4_000_000_000]])
def test_empty_and_unknown_queries_have_no_hits(terms: list[int]) -> None:
    """bmp panics on them."""
    found = ask(searcher(np.ones((5, 2), np.int64)), terms, 3)
    assert found.ordinals.size == 0
    assert found.rank_safe


def test_many_heavy_terms_do_not_wrap() -> None:
    """bmp wraps 16-bit scores at 20 terms of impact 255."""
    matrix = np.full((3, 20), 255, np.int64)
    matrix[1, 5] = 254
    found = ask(searcher(matrix), list(range(20)), 3)
    assert found.ordinals.tolist() == [0, 2, 1]


def test_documents_that_tie_the_threshold_are_kept() -> None:
    """Strict comparison with a k-th impact loses them and returns fewer than k."""
    found = ask(searcher(np.full((30, 1), 7, np.int64)), [0], 10)
    assert found.ordinals.tolist() == list(range(10))


def test_dead_documents_never_fill_up() -> None:
    live = np.zeros(50, bool)
    live[[3, 48]] = True
    found = ask(searcher(np.full((50, 2), 9, np.int64)), [0, 1], 10, live=[strategies.bitmap(live)])
    assert found.ordinals.tolist() == [3, 48]


def test_1024_terms() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 256, (60, 1024)) * (rng.random((60, 1024)) < 0.3)
    terms = np.arange(1024, dtype=np.uint32)
    weights = rng.random(1024).astype(np.float32) + 0.01
    found = search_segments([searcher(matrix)], terms, weights, 20)
    truth = oracle.best(oracle.scores(matrix, terms, weights, 32), 20)
    assert np.array_equal(found.ordinals, truth.ordinals)
    assert np.array_equal(found.int_scores, truth.scores)


@pytest.mark.parametrize(("block_size", "range_size"), [(16, 64), (16, 1024), (128, 128)])
def test_more_small_ranges_than_fit_into_a_group(block_size: int, range_size: int) -> None:
    """Segments of one to many ranges, deletes in some of them; all scores and ties as they are."""
    rng = np.random.default_rng(range_size + block_size)
    matrices = [
        rng.integers(1, 256, (n, 12)) * (rng.random((n, 12)) < 0.4)
        for n in (1, 700, 40, 2600, 64, 65, *rng.integers(1, 200, 20))
    ]
    options = BuildOptions(block_size=block_size, range_size=range_size, threads=1)
    segments = [
        KernelSegment(build_segment(*strategies.from_dense(m), options=options)) for m in matrices
    ]
    alive = [None if i % 3 else rng.random(len(m)) < 0.9 for i, m in enumerate(matrices)]
    words = [None if live is None else strategies.bitmap(live) for live in alive]
    kept = np.concatenate(
        [np.ones(len(m), bool) if a is None else a for a, m in zip(alive, matrices, strict=True)]
    )
    terms, weights = np.arange(12, dtype=np.uint32), rng.random(12).astype(np.float32) + 0.1
    everything = oracle.scores(np.concatenate(matrices), terms, weights, 16)
    for k in (1, 10, 100, 1000, 5000):
        found = search_segments(segments, terms, weights, k, live=words)
        truth = oracle.best(everything, k, kept)
        assert np.array_equal(found.ordinals, truth.ordinals), k
        assert np.array_equal(found.int_scores, truth.scores), k
        assert found.counters["ranges_visited"] > MAX_PARTS


@pytest.mark.parametrize("bad", [[1.0, np.nan], [1.0, np.inf], [1.0, 0.0], [1.0, -1.0]])
def test_bad_weights_are_refused(bad: list[float]) -> None:
    segment = searcher(np.ones((5, 2), np.int64))
    with pytest.raises(ValueError, match="positive and finite"):
        search_segments([segment], np.array([0, 1]), np.array(bad, np.float32), 3)
    with pytest.raises(ValueError, match="unique"):
        search_segments([segment], np.array([1, 1]), np.ones(2, np.float32), 3)
    with pytest.raises(ValueError, match="at least 1"):
        ask(segment, [0], 0)


def test_approximate_modes_report_a_gap_that_holds() -> None:
    rng = np.random.default_rng(1)
    for seed in range(60):
        matrix = strategies.random_matrix(np.random.default_rng(seed), "clustered")
        segment = searcher(matrix)
        for options in (
            SearchOptions(alpha=0.6, range_scan=False),
            SearchOptions(beta=0.5),
            SearchOptions(max_work=1),
        ):
            terms, weights = strategies.random_query(rng, matrix.shape[1])
            found = search_segments([segment], terms, weights, 5, options=options)
            exact = search_segments([segment], terms, weights, 5)
            kth = found.scores[-1] if found.ordinals.size == 5 else 0.0
            missed = ~np.isin(exact.ordinals, found.ordinals)
            if found.rank_safe:
                assert np.array_equal(found.ordinals, exact.ordinals)
            elif missed.any():
                best = exact.scores[missed].max()
                assert best <= kth + found.bound_gap + 1e-9


def test_a_set_cancel_flag_ends_the_search() -> None:
    cancel = Cancel()
    cancel.set()
    found = ask(searcher(np.ones((50, 2), np.int64)), [0], 3, cancel=cancel)
    assert found.cancelled
    assert not found.rank_safe


def test_threads_and_single_calls_agree() -> None:
    rng = np.random.default_rng(2)
    matrix = strategies.random_matrix(rng, "plain")
    segment = searcher(matrix)
    queries = [strategies.random_query(rng, matrix.shape[1]) for _ in range(90)]
    found = search_segments_batch(
        [segment],
        np.cumsum([0, *(len(terms) for terms, _ in queries)]),
        np.concatenate([terms for terms, _ in queries]),
        np.concatenate([weights for _, weights in queries]),
        7,
        threads=2,
    )
    for row, (terms, weights) in enumerate(queries):
        one = search_segments([segment], terms, weights, 7)
        count = int(found.counts[row])
        assert np.array_equal(found.ordinals[row, :count], one.ordinals)
        assert np.array_equal(found.scores[row, :count], one.scores)


@pytest.mark.skipif(not JIT_ENABLED, reason="needs compiled kernels")
def test_hot_loops_are_vectorised_and_specialised_once() -> None:
    lanes, blocks, cells = (
        np.zeros(256, np.uint16),
        np.zeros(64, np.uint16),
        np.zeros(256, np.uint8),
    )
    one = np.uint32(1)
    calls = {
        "add_row": (lanes, cells, 0, one),
        "add_bounds": (blocks, cells, 0, one),
        "all_maxima": (lanes, 16, blocks),
        "group_maxima": (blocks, blocks.copy(), blocks.copy(), 64),
    }
    for name, arguments in calls.items():
        fresh = numba.njit(getattr(scan, name).py_func)
        fresh(*arguments)
        assembly = "".join(fresh.inspect_asm().values())
        packed = re.findall(r"v?p(?:add|mul|max|or|srl|minpos)[a-z]*\s.*%[xyz]mm", assembly)
        assert len(packed) >= 2, name
    ask(searcher(np.ones((50, 2), np.int64)), [0, 1], 3)
    compiled: Any = search_batch
    assert len(compiled.signatures) <= 2  # one per accumulator width


def test_real_queries_equal_the_exhaustive_scan_and_float_recall() -> None:
    """All queries of the shared workload, k = 10, 100, 1000."""
    docs: Any = scipy.sparse.load_npz(shared_path("data/bench/real-docs-74k.npz"))
    queries: Any = scipy.sparse.load_npz(shared_path("data/bench/real-queries.npz"))
    docs, queries = docs.astype(np.float32).tocsr(), queries.astype(np.float32).tocsr()
    queries = queries if JIT_ENABLED else queries[:2]
    docs = docs if JIT_ENABLED else docs[:300]
    scale = fit_scale(float(docs.data.max()))
    impacts = quantize_documents(docs.data, scale)
    kept = impacts > 0
    rows = np.repeat(np.arange(docs.shape[0]), np.diff(docs.indptr))[kept]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=docs.shape[0]))])
    segment = KernelSegment(
        build_segment(indptr, docs.indices[kept].astype(np.uint32), impacts[kept], docs.shape[1])
    )
    by_term = docs.tocsc()
    for k in (10, 100, 1000):
        arguments = (queries.indptr, queries.indices, queries.data, k)
        pruned = search_segments_batch([segment], *arguments, threads=2)
        full = search_segments_batch([segment], *arguments, options=EXHAUSTIVE, threads=2)
        assert np.array_equal(pruned.ordinals, full.ordinals)
        assert np.array_equal(pruned.int_scores, full.int_scores)
        recalls = []
        for row in range(0, queries.shape[0], 25):
            query = queries[row]
            scores = by_term[:, query.indices] @ query.data
            kth = np.sort(scores)[::-1][:k][-1]
            found = pruned.ordinals[row][pruned.ordinals[row] >= 0]
            recalls.append((scores[found] >= kth).sum() / min(k, (scores > 0).sum()))
        assert np.mean(recalls) >= 0.99
        integers = docs.copy()
        integers.data = impacts.astype(np.int64)
        compare_with_plain_sums(integers.tocsc(), queries[:: 1 if EVERY_QUERY else 10], k, pruned)


def compare_with_plain_sums(by_term: Any, queries: Any, k: int, found: BatchHits) -> None:
    """The same hits from column sums in NumPy, which share no code with the search."""
    step = found.counts.size // queries.shape[0]
    for number in range(queries.shape[0]):
        query = queries[number]
        bits = 16 if query.indices.size <= 64 else 32
        weights, shift = oracle.integer_weights(query.data, bits)
        scores = np.zeros(by_term.shape[0], np.int64)
        for term, weight in zip(query.indices, weights, strict=True):
            part = slice(by_term.indptr[term], by_term.indptr[term + 1])
            scores[by_term.indices[part]] += (by_term.data[part] * weight) >> shift
        best = np.flatnonzero(scores)
        best = best[np.lexsort((best, -scores[best]))][:k]
        row, n = number * step, int(found.counts[number * step])
        assert np.array_equal(found.ordinals[row, :n], best)
        assert np.array_equal(found.int_scores[row, :n], scores[best])
