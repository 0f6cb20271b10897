"""Queries in, ranked documents out: segments in turn, merging, threads.

A query runs through the segments one after the other; its running k-th score is the threshold the
next segment starts with. Results are ordered by score descending, then segment, then document id,
and are equal to an exhaustive scan unless an approximate option is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.kernels.address import address_table
from index.kernels.search import search_batch as search_batch_kernel
from index.kernels.views import (
    N_STATS,
    OPT_DOC_BASE,
    OPT_K,
    OPT_LAST,
    OPT_LIVE,
    OPT_LIVE_WORDS,
    OPT_PREPARE,
    STAT_COUNT,
    STAT_THRESHOLD,
    STAT_UNSEEN,
    QueryBatch,
    ResultState,
    SegmentView,
)
from index.layout import SegmentArrays, readonly
from index.options import ALPHA_ONE, EXACT, EXHAUSTIVE, SearchOptions
from index.quantize import NARROW, WIDE, Width
from index.query import choose_width, empty_batch, fill_batch, sort_or_refuse
from index.workspace import single_query, workspace_for

_ALL_LIVE = readonly(np.zeros(0, dtype=np.uint64))
_MAX_DOCS = 0xFFFFFFFF
# Queries per kernel call: enough to make the call itself cheap, few enough to spread over threads.
_CHUNK = 32


class Counters(NamedTuple):
    """What a search did."""

    postings_scored: int
    blocks_visited: int
    candidates_completed: int
    ranges_visited: int
    ranges_finished: int


class SearchResult(NamedTuple):
    """Hits of one query, best first.

    ``doc_ids`` count through the segments in the given order. ``scores`` are the integers that
    decide the order, ``float_scores`` the reconstructed weights. With ``rank_safe`` the result is
    the exact top k; otherwise no left-out document beats the last hit by more than ``bound_gap``.
    """

    doc_ids: NDArray[np.int64]
    scores: NDArray[np.int64]
    float_scores: NDArray[np.float64]
    rank_safe: bool
    bound_gap: float
    cancelled: bool
    counters: Counters


class BatchResult(NamedTuple):
    """Hits of many queries, in rows of ``k``; unused places hold doc id -1 and score 0."""

    doc_ids: NDArray[np.int64]
    scores: NDArray[np.int64]
    float_scores: NDArray[np.float64]
    counts: NDArray[np.int64]
    rank_safe: NDArray[np.bool_]
    bound_gap: NDArray[np.float64]
    counters: NDArray[np.int64]


class SegmentSearcher:
    """A segment ready for the kernels.

    Parameters
    ----------
    arrays : SegmentArrays
    """

    def __init__(self, arrays: SegmentArrays) -> None:
        self.arrays = arrays
        self.n_docs = arrays.n_docs
        self.n_ranges = arrays.n_ranges
        self.n_dense = arrays.n_dense
        self.range_size = arrays.geometry.range_size
        self.view: SegmentView = arrays.view
        self.table = address_table(self.view)


class Cancel:
    """A flag that ends the searches it was given to before their next range."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.uint8)

    def set(self) -> None:
        """End the searches; safe from any thread."""
        self.flag[0] = 1


_NEVER = Cancel()


def _check_live(
    segments: Sequence[SegmentSearcher], live: Sequence[NDArray[np.uint64] | None] | None
) -> list[NDArray[np.uint64]]:
    if live is None:
        return [_ALL_LIVE] * len(segments)
    if len(live) != len(segments):
        raise ValueError(f"{len(live)} live bitmaps for {len(segments)} segments")
    out = []
    for segment, words in zip(segments, live, strict=True):
        if words is None or words.size == 0:
            out.append(_ALL_LIVE)
            continue
        if words.dtype != np.uint64 or words.size != (segment.n_docs + 63) // 64:
            raise ValueError(
                f"a live bitmap of {segment.n_docs} documents needs {(segment.n_docs + 63) // 64} "
                f"uint64 words, got {words.size} of {words.dtype}"
            )
        out.append(readonly(words))
    return out


def _count_docs(segments: Sequence[SegmentSearcher], k: int) -> int:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    n_docs = sum([segment.n_docs for segment in segments])
    if n_docs >= _MAX_DOCS:
        raise ValueError("the segments of one search must hold fewer than 2**32 - 1 documents")
    return n_docs


def _run(
    segments: Sequence[SegmentSearcher],
    batch: QueryBatch,
    width: Width,
    live: Sequence[NDArray[np.uint64]],
    options: SearchOptions,
    k: int,
    cancel: Cancel,
    scale: float,
) -> ResultState:
    """Search all segments for a batch in the calling thread; the batch is prepared on the way."""
    n_queries = batch.raw_indptr.size - 1
    state = ResultState(
        np.empty((n_queries, k + max(k, 32)), np.uint64),
        np.zeros((n_queries, N_STATS), np.int64),
        np.empty((n_queries, k), np.int64),
        np.empty((n_queries, k), np.int64),
        np.empty((n_queries, k), np.float64),
    )
    work = workspace_for(segments, batch.raw_terms.size, width)
    packed = options.template.copy()
    packed[OPT_K] = k
    packed[OPT_PREPARE] = 1
    base, left = 0, len(segments)
    for segment, words in zip(segments, live, strict=True):
        left -= 1
        packed[OPT_LAST] = left == 0
        packed[OPT_DOC_BASE] = base
        packed[OPT_LIVE_WORDS] = words.size
        if words.size:
            packed[OPT_LIVE] = words.ctypes.data
        again = False
        while fault := search_batch_kernel(
            segment.table, *batch, *work, *state, packed, cancel.flag, options.beta, scale
        ):
            sort_or_refuse(batch, fault, again, width)
            again = True
        packed[OPT_PREPARE] = 0
        base += segment.n_docs
    return state


def _gap(
    stats: Sequence[int], full: bool, kth_score: int, dropped: int, options: SearchOptions
) -> int:
    """How far an unseen document's bound may lie above the k-th score; 0 if nothing can."""
    unseen = stats[STAT_UNSEEN]
    if options.alpha < 1:
        threshold = stats[STAT_THRESHOLD]
        unseen = max(unseen, -(-threshold * ALPHA_ONE // options.alpha_units) - 1)
    return max(0, unseen - (kth_score if full else 0)) + dropped


def _query_scale(batch: QueryBatch, row: int, width: Width) -> float:
    """What brings integer scores back to query weight times impact."""
    return (1 << width.shift) / batch.factors.item(row)


def _dropped(batch: QueryBatch, row: int, width: Width) -> int:
    """The largest score that terms removed by ``beta`` could have added."""
    return (255 * batch.dropped.item(row)) >> width.shift


def search_segments(
    segments: Sequence[SegmentSearcher],
    query_term_ids: NDArray[Any],
    query_weights: NDArray[Any],
    k: int,
    *,
    live: Sequence[NDArray[np.uint64] | None] | None = None,
    scale: float = 1.0,
    options: SearchOptions = EXACT,
    cancel: Cancel | None = None,
) -> SearchResult:
    """Top ``k`` documents of one query over all segments.

    Parameters
    ----------
    segments : sequence of SegmentSearcher
        Together below 2**32 documents.
    query_term_ids : (n,) integer
        Unique; unknown ids are allowed.
    query_weights : (n,) float32
        Positive and finite.
    k : int
        At least 1; more than there are documents is allowed.
    live : sequence of (ceil(n_docs / 64),) uint64, optional
        One bitmap per segment, bit ``d % 64`` of word ``d // 64`` set if document ``d`` may
        appear; ``None`` or an empty array means all.
    scale : float
        Document scale, for ``float_scores``.
    options : SearchOptions
    cancel : Cancel, optional

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        If an argument is not as described.
    """
    room = min(k, max(1, _count_docs(segments, k)))
    words = _check_live(segments, live)
    n_terms = len(query_term_ids)
    width = choose_width(n_terms, options)
    batch = single_query(n_terms)
    fill_batch(batch, n_terms, query_term_ids, query_weights)
    flag = cancel or _NEVER
    state = _run(segments, batch, width, words, options, room, flag, scale)
    stats = state.stats[0].tolist()
    n = stats[STAT_COUNT]
    gap = 0
    if stats[STAT_UNSEEN] or options.alpha < 1 or options.beta < 1:
        full = n == k
        gap = _gap(
            stats, full, int(state.scores[0, -1]) if full else 0, _dropped(batch, 0, width), options
        )
    return SearchResult(
        doc_ids=state.doc_ids[0, :n],
        scores=state.scores[0, :n],
        float_scores=state.float_scores[0, :n],
        rank_safe=gap == 0,
        bound_gap=gap * scale * _query_scale(batch, 0, width) if gap else 0.0,
        cancelled=bool(flag.flag[0]),
        counters=Counters(*stats[:5]),
    )


def search_segments_batch(
    segments: Sequence[SegmentSearcher],
    indptr: NDArray[Any],
    term_ids: NDArray[Any],
    weights: NDArray[Any],
    k: int,
    *,
    threads: int = 1,
    live: Sequence[NDArray[np.uint64] | None] | None = None,
    scale: float = 1.0,
    options: SearchOptions = EXACT,
    cancel: Cancel | None = None,
) -> BatchResult:
    """Top ``k`` documents of many queries, in chunks over ``threads`` threads.

    Parameters
    ----------
    segments, k, live, scale, options, cancel
        As in `search_segments`.
    indptr, term_ids, weights : (n_queries + 1,), (nnz,), (nnz,)
        Queries as CSR.
    threads : int
        Each has a workspace of its own; the kernels release the GIL.

    Returns
    -------
    BatchResult

    Raises
    ------
    ValueError
        If an argument is not as described.
    """
    room = min(k, max(1, _count_docs(segments, k)))
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    words = _check_live(segments, live)
    flag = cancel or _NEVER
    offsets = np.ascontiguousarray(indptr, dtype=np.int64)
    if offsets.size == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise ValueError("indptr must start with 0 and ascend")
    if offsets[-1] != len(term_ids):
        raise ValueError("indptr must end at the number of term ids")
    n_queries = offsets.size - 1
    result = BatchResult(
        doc_ids=np.full((n_queries, k), -1, dtype=np.int64),
        scores=np.zeros((n_queries, k), dtype=np.int64),
        float_scores=np.zeros((n_queries, k), dtype=np.float64),
        counts=np.zeros(n_queries, dtype=np.int64),
        rank_safe=np.ones(n_queries, dtype=np.bool_),
        bound_gap=np.zeros(n_queries, dtype=np.float64),
        counters=np.zeros((n_queries, N_STATS), dtype=np.int64),
    )

    def one(job: tuple[Width, NDArray[np.int64]]) -> None:
        width, rows = job
        lengths = offsets[rows + 1] - offsets[rows]
        part = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.repeat(offsets[rows] - part[:-1], lengths) + np.arange(part[-1])
        batch = empty_batch(rows.size, places.size)
        fill_batch(batch, part, term_ids[places], weights[places])
        state = _run(segments, batch, width, words, options, room, flag, scale)
        for at, row in enumerate(rows.tolist()):
            stats = state.stats[at].tolist()
            n = stats[STAT_COUNT]
            result.doc_ids[row, :n] = state.doc_ids[at, :n]
            result.scores[row, :n] = state.scores[at, :n]
            result.float_scores[row, :n] = state.float_scores[at, :n]
            result.counts[row] = n
            result.counters[row] = stats
            kth_score = int(state.scores[at, -1]) if n == k else 0
            gap = _gap(stats, n == k, kth_score, _dropped(batch, at, width), options)
            result.rank_safe[row] = gap == 0
            result.bound_gap[row] = gap * scale * _query_scale(batch, at, width)

    term_ids, weights = np.asarray(term_ids), np.asarray(weights)
    jobs = _chunks(np.diff(offsets), options)
    if threads == 1:
        for job in jobs:
            one(job)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, jobs))
    return result


def _chunks(
    lengths: NDArray[np.int64], options: SearchOptions
) -> list[tuple[Width, NDArray[np.int64]]]:
    """Query numbers in groups of one accumulator width."""
    jobs = []
    narrow = np.array([choose_width(n, options) is NARROW for n in lengths.tolist()], dtype=bool)
    for width, chosen in ((NARROW, np.flatnonzero(narrow)), (WIDE, np.flatnonzero(~narrow))):
        for at in range(0, chosen.size, _CHUNK):
            jobs.append((width, chosen[at : at + _CHUNK]))
    return jobs


__all__ = [
    "EXACT",
    "EXHAUSTIVE",
    "BatchResult",
    "Cancel",
    "Counters",
    "SearchOptions",
    "SearchResult",
    "SegmentSearcher",
    "search_segments",
    "search_segments_batch",
]
