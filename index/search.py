"""Queries in, ranked documents out: preparation, segments in turn, merging, threads.

A query runs through the segments one after the other; its running k-th score is the threshold the
next segment starts with. Results are ordered by score descending, then segment, then document id,
and are equal to an exhaustive scan unless an approximate option is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index import quantize
from index.kernels.search import search_batch as search_batch_kernel
from index.kernels.views import (
    N_OPTIONS,
    N_STATS,
    OPT_ALPHA,
    OPT_BOUNDS,
    OPT_COMPLETION_COST,
    OPT_DOC_BASE,
    OPT_ESTIMATE,
    OPT_FINISH,
    OPT_K,
    OPT_KTH,
    OPT_MAX_WORK,
    OPT_SPLIT,
    STAT_BLOCKS,
    STAT_COMPLETED,
    STAT_CUT,
    STAT_FINISHED,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_UNSEEN,
    QueryBatch,
    ResultState,
    SegmentView,
    Workspace,
)
from index.layout import SegmentArrays, readonly

MAX_QUERY_TERMS = 1 << 16
_ALL_LIVE = readonly(np.zeros(0, dtype=np.uint64))
_CHUNK = 32


@dataclass(frozen=True)
class SearchOptions:
    """Knobs of a search. The defaults are exact.

    Parameters
    ----------
    alpha : float
        Bounds are multiplied by it before they are compared with the threshold; below 1 more is
        skipped and the result is approximate (BMP, SIGIR 2024).
    beta : float
        Share of the query terms kept, heaviest first; below 1 approximate.
    max_work : int
        Postings (completions count as several) after which no further range is started; 0 = no cap.
    split, bounds, kth_threshold, estimates, finish : bool
        Levers of the exact search, for measurements: essential split, block-local bounds, stored
        k-th impacts, thresholds from partial scores, finishing by scatter. Off is never wrong.
    width : {0, 16, 32}
        Accumulator bits; 0 chooses from the number of query terms.
    completion_cost : int
        What completing one candidate costs, in scattered postings.
    """

    alpha: float = 1.0
    beta: float = 1.0
    max_work: int = 0
    split: bool = True
    bounds: bool = True
    kth_threshold: bool = True
    estimates: bool = True
    finish: bool = True
    width: Literal[0, 16, 32] = 0
    completion_cost: int = 80

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha must be in (0, 1], got {self.alpha!r}")
        if not 0 < self.beta <= 1:
            raise ValueError(f"beta must be in (0, 1], got {self.beta!r}")
        if self.max_work < 0:
            raise ValueError(f"max_work must be >= 0, got {self.max_work!r}")
        if self.width not in (0, 16, 32):
            raise ValueError(f"width must be 0, 16 or 32, got {self.width!r}")


EXACT = SearchOptions()
EXHAUSTIVE = SearchOptions(
    split=False, bounds=False, kth_threshold=False, estimates=False, finish=False
)


class Counters(NamedTuple):
    """What a search did."""

    postings_scored: int
    blocks_visited: int
    candidates_completed: int
    ranges_visited: int
    ranges_finished: int


class SearchResult(NamedTuple):
    """Hits of one query, best first.

    ``doc_ids`` count through the segments in the given order; ``segments`` and ``local_ids`` are
    the same taken apart. ``scores`` are the integers that decide the order, ``float_scores`` the
    reconstructed weights. With ``rank_safe`` the result is the exact top k; otherwise no left-out
    document beats the last hit by more than ``bound_gap``.
    """

    doc_ids: NDArray[np.int64]
    segments: NDArray[np.int32]
    local_ids: NDArray[np.int32]
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
        self.view: SegmentView = arrays.view


class Cancel:
    """A flag that ends the searches it was given to before their next range."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.uint8)

    def set(self) -> None:
        """End the searches; safe from any thread."""
        self.flag[0] = 1


class PreparedQueries(NamedTuple):
    """Quantised queries of one accumulator width."""

    batch: QueryBatch
    scales: NDArray[np.float64]
    dropped: NDArray[np.int64]
    width: quantize.Width


class _Scratch(local):
    """Workspaces of a thread, one per accumulator width."""

    def __init__(self) -> None:
        self.by_width: dict[int, Workspace] = {}


_scratch = _Scratch()


def _workspace(segments: Sequence[SegmentSearcher], n_terms: int, width: int) -> Workspace:
    """The calling thread's workspace, grown to fit."""
    views = [segment.view for segment in segments]
    sizes = np.max([view.sizes for view in views], axis=0) if views else np.ones(6, np.int64)
    _, _, n_ranges, range_size, n_blocks, n_dense = (int(size) for size in sizes)
    have = _scratch.by_width.get(width)
    if (
        have is not None
        and have.acc.size >= range_size
        and have.bounds.size >= n_blocks
        and have.table.size >= n_dense
        and have.order.size >= n_terms
        and have.range_order.size >= n_ranges
    ):
        return have
    if have is not None:
        range_size = max(range_size, have.acc.size)
        n_blocks = max(n_blocks, have.bounds.size)
        n_dense = max(n_dense, have.table.size)
        n_terms = max(n_terms, have.order.size)
        n_ranges = max(n_ranges, have.range_order.size)
    dtype = np.uint16 if width == 16 else np.uint32
    made = Workspace(
        acc=np.zeros(range_size, dtype),
        bounds=np.zeros(n_blocks, dtype),
        flags=np.zeros(n_blocks, dtype),
        groups=np.zeros(range_size, dtype),
        blocks=np.zeros(n_blocks, np.uint32),
        found_slots=np.zeros(range_size, np.uint32),
        found_blocks=np.zeros(range_size, np.uint32),
        found_scores=np.zeros(range_size, np.uint32),
        table=np.zeros(max(1, n_dense), np.uint32),
        histogram=np.zeros(256, np.int64),
        term_local=np.zeros(n_terms, np.int64),
        term_weight=np.zeros(n_terms, np.uint32),
        term_begin=np.zeros(n_terms, np.int64),
        term_end=np.zeros(n_terms, np.int64),
        term_peak=np.zeros(n_terms, np.int64),
        order=np.zeros(n_terms, np.int64),
        range_order=np.zeros(n_ranges, np.int64),
        range_peak=np.zeros(n_ranges, np.int64),
    )
    _scratch.by_width[width] = made
    return made


def _prepare_one(
    term_ids: NDArray[Any], weights: NDArray[Any], options: SearchOptions
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], float, int, quantize.Width]:
    """Terms by descending weight, quantised; and the largest score that dropped terms could add."""
    terms = np.asarray(term_ids)
    values = np.asarray(weights, dtype=np.float32)
    if terms.ndim != 1 or terms.shape != values.shape:
        raise ValueError("query term ids and weights must be one-dimensional and of one length")
    if terms.size > MAX_QUERY_TERMS:
        raise ValueError(f"a query may have {MAX_QUERY_TERMS} terms, got {terms.size}")
    if terms.size and (int(terms.min()) < 0 or int(terms.max()) > 0xFFFFFFFF):
        raise ValueError("query term ids must fit 32 bits")
    order = np.argsort(-values, kind="stable")
    terms = terms[order].astype(np.uint32)
    if np.unique(terms).size != terms.size:
        raise ValueError("query term ids must be unique")
    if options.width == 0:
        width = quantize.width_for(terms.size)
    else:
        width = quantize.NARROW if options.width == 16 else quantize.WIDE
    ints, scale = quantize.quantize_query(values[order], width)
    kept = ints.size if options.beta >= 1 else int(np.ceil(options.beta * ints.size))
    dropped = int(((np.int64(255) * ints[kept:]) >> width.shift).sum())
    return terms[:kept], ints[:kept], scale, dropped, width


def _pack(options: SearchOptions, k: int) -> NDArray[np.int64]:
    packed = np.zeros(N_OPTIONS, dtype=np.int64)
    packed[OPT_K] = k
    packed[OPT_ALPHA] = max(1, round(options.alpha * 65536))
    packed[OPT_MAX_WORK] = options.max_work
    packed[OPT_SPLIT] = options.split
    packed[OPT_BOUNDS] = options.bounds
    packed[OPT_KTH] = options.kth_threshold
    packed[OPT_ESTIMATE] = options.estimates
    packed[OPT_FINISH] = options.finish
    packed[OPT_COMPLETION_COST] = options.completion_cost
    return packed


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


def _run(
    segments: Sequence[SegmentSearcher],
    batch: QueryBatch,
    width: quantize.Width,
    live: Sequence[NDArray[np.uint64]],
    packed: NDArray[np.int64],
    cancel: Cancel,
) -> ResultState:
    """Search all segments for a batch in the calling thread; keys come back best first."""
    n_queries = batch.indptr.size - 1
    k = min(int(packed[OPT_K]), max(1, sum(segment.n_docs for segment in segments)))
    packed = packed.copy()
    packed[OPT_K] = k
    state = ResultState(
        keys=np.zeros((n_queries, k + max(k, 32)), dtype=np.uint64),
        counts=np.zeros(n_queries, dtype=np.int64),
        thresholds=np.zeros(n_queries, dtype=np.int64),
        kth_keys=np.zeros(n_queries, dtype=np.uint64),
        stats=np.zeros((n_queries, N_STATS), dtype=np.int64),
    )
    longest = int(np.diff(batch.indptr).max(initial=1))
    work = _workspace(segments, max(1, longest), 16 if width.dtype is np.uint16 else 32)
    base = 0
    for segment, words in zip(segments, live, strict=True):
        packed[OPT_DOC_BASE] = base
        search_batch_kernel(
            segment.view,
            batch,
            words,
            work,
            state,
            packed,
            np.uint32(width.shift),
            np.uint32(width.top),
            cancel.flag,
        )
        base += segment.n_docs
    return state


def _decode(
    keys: NDArray[np.uint64], counts: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Document ids and scores, best first, in rows padded with -1 and 0."""
    used = np.arange(keys.shape[1])[None, :] < counts[:, None]
    ranked = np.sort(np.where(used, keys, np.uint64(0)), axis=1)[:, ::-1][:, :k]
    scores = (ranked >> np.uint64(32)).astype(np.int64)
    doc_ids = np.int64(0xFFFFFFFF) - (ranked & np.uint64(0xFFFFFFFF)).astype(np.int64)
    doc_ids[ranked == 0] = -1
    return doc_ids, scores


def _gap(
    stats: NDArray[np.int64], kth_score: int, threshold: int, dropped: int, options: SearchOptions
) -> int:
    """How far an unseen document's bound may lie above the k-th score; 0 if nothing can."""
    unseen = int(stats[STAT_UNSEEN])
    if options.alpha < 1 and threshold > 0:
        alpha = max(1, round(options.alpha * 65536))
        unseen = max(unseen, -(-threshold * 65536 // alpha) - 1)
    return max(0, unseen - kth_score) + dropped


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
        One bitmap per segment, bit ``d`` of word ``d // 64`` set if document ``d`` may appear;
        ``None`` or an empty array means all.
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
    _check_call(segments, k)
    words = _check_live(segments, live)
    terms, ints, query_scale, dropped, width = _prepare_one(query_term_ids, query_weights, options)
    batch = QueryBatch(np.array([0, terms.size], dtype=np.int64), terms, ints)
    flag = cancel or Cancel()
    state = _run(segments, batch, width, words, _pack(options, k), flag)
    doc_ids, scores = _decode(state.keys, state.counts, k)
    count = min(k, int(state.counts[0]))
    ids, ranked = doc_ids[0, :count], scores[0, :count]
    bases = np.cumsum([0, *(segment.n_docs for segment in segments)])
    number = np.searchsorted(bases, ids, side="right") - 1
    stats = state.stats[0]
    kth_score = int(ranked[-1]) if count == k else 0
    gap = _gap(stats, kth_score, int(state.thresholds[0]), dropped, options)
    return SearchResult(
        doc_ids=ids,
        segments=number.astype(np.int32),
        local_ids=(ids - bases[number]).astype(np.int32),
        scores=ranked,
        float_scores=ranked * (scale * query_scale),
        rank_safe=gap == 0,
        bound_gap=gap * scale * query_scale,
        cancelled=bool(flag.flag[0]),
        counters=_counters(stats),
    )


def _counters(stats: NDArray[np.int64]) -> Counters:
    return Counters(
        int(stats[STAT_POSTINGS]),
        int(stats[STAT_BLOCKS]),
        int(stats[STAT_COMPLETED]),
        int(stats[STAT_RANGES]),
        int(stats[STAT_FINISHED]),
    )


def _check_call(segments: Sequence[SegmentSearcher], k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if sum(segment.n_docs for segment in segments) >= 0xFFFFFFFF:
        raise ValueError("the segments of one search must hold fewer than 2**32 - 1 documents")


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
    """
    _check_call(segments, k)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    words = _check_live(segments, live)
    flag = cancel or Cancel()
    n_queries = len(indptr) - 1
    packed = _pack(options, k)
    prepared = [
        _prepare_one(term_ids[a:b], weights[a:b], options)
        for a, b in zip(indptr[:-1], indptr[1:], strict=True)
    ]
    doc_ids = np.full((n_queries, k), -1, dtype=np.int64)
    scores = np.zeros((n_queries, k), dtype=np.int64)
    counts = np.zeros(n_queries, dtype=np.int64)
    stats = np.zeros((n_queries, N_STATS), dtype=np.int64)
    gaps = np.zeros(n_queries, dtype=np.int64)

    def one(rows: NDArray[np.int64]) -> None:
        width = prepared[rows[0]][4]
        lengths = [prepared[row][0].size for row in rows]
        batch = QueryBatch(
            np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)]),
            np.concatenate([prepared[row][0] for row in rows]),
            np.concatenate([prepared[row][1] for row in rows]),
        )
        state = _run(segments, batch, width, words, packed, flag)
        found_ids, found_scores = _decode(state.keys, state.counts, k)
        doc_ids[rows, : found_ids.shape[1]] = found_ids
        scores[rows, : found_ids.shape[1]] = found_scores
        counts[rows] = np.minimum(k, state.counts)
        stats[rows] = state.stats
        for at, row in enumerate(rows):
            kth_score = int(scores[row, k - 1])
            threshold = int(state.thresholds[at])
            gaps[row] = _gap(state.stats[at], kth_score, threshold, prepared[row][3], options)

    chunks = []
    for narrow in (True, False):
        chosen = [q for q, item in enumerate(prepared) if (item[4] is quantize.NARROW) == narrow]
        for at in range(0, len(chosen), _CHUNK):
            chunks.append(np.array(chosen[at : at + _CHUNK], dtype=np.int64))
    if threads == 1:
        for rows in chunks:
            one(rows)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, chunks))
    factors = scale * np.array([item[2] for item in prepared], dtype=np.float64)
    return BatchResult(
        doc_ids=doc_ids,
        scores=scores,
        float_scores=scores * factors[:, None],
        counts=counts,
        rank_safe=gaps == 0,
        bound_gap=gaps * factors,
        counters=stats,
    )


__all__ = [
    "EXACT",
    "EXHAUSTIVE",
    "STAT_CUT",
    "BatchResult",
    "Cancel",
    "Counters",
    "SearchOptions",
    "SearchResult",
    "SegmentSearcher",
    "search_segments",
    "search_segments_batch",
]
