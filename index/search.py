"""Queries in, ranked documents out: checks, segments side by side, threads.

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

from index.kernels.search import UNKNOWN_LISTS
from index.kernels.search import search_batch as search_batch_kernel
from index.kernels.views import (
    N_STATS,
    STAT_COUNT,
    STAT_THRESHOLD,
    STAT_UNSEEN,
)
from index.options import ALPHA_ONE, EXACT, EXHAUSTIVE, SearchOptions
from index.quantize import NARROW, WIDE, Width
from index.query import choose_width, sort_or_refuse
from index.searchers import LiveBitmaps, Segments, SegmentSearcher
from index.workspace import Frame, frame_for

# Queries per kernel call: enough to make the call itself cheap, few enough to spread over threads.
_CHUNK = 64


class Counters(NamedTuple):
    """What a search did.

    Postings scattered from lists, cells of dense rows added range-wide, blocks completed on their
    own, ranges entered, and those of them that got their rows added as a whole.
    """

    postings_scored: int
    cells_added: int
    blocks_completed: int
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


class Cancel:
    """A flag that ends the searches it was given to before their next range."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.uint8)

    def set(self) -> None:
        """End the searches; safe from any thread."""
        self.flag[0] = 1


_NEVER = Cancel()


def _prepared(
    segments: Segments | Sequence[SegmentSearcher],
    live: LiveBitmaps | Sequence[NDArray[np.uint64] | None] | None,
    k: int,
) -> tuple[Segments, LiveBitmaps, int]:
    """Segments, bitmaps, and how many hits there can be."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not isinstance(segments, Segments):
        segments = Segments(segments)
    if not isinstance(live, LiveBitmaps):
        live = segments.bitmaps(live)
    return segments, live, min(k, max(1, segments.n_docs))


def _run(
    segments: Segments,
    queries: tuple[NDArray[np.int64] | int, NDArray[Any], NDArray[Any]],
    width: Width,
    live: LiveBitmaps,
    options: SearchOptions,
    k: int,
    cancel: Cancel,
    scale: float,
) -> tuple[Frame, NDArray[np.int64]]:
    """Search all segments for a batch of queries in the calling thread.

    Queries are ``indptr`` (or the length of a single one), term ids and weights.

    Returns
    -------
    Frame
        Counters and query factors, until the thread's next search.
    (n_queries, 3, k) int64
        Documents, scores and the bits of float scores.
    """
    indptr, terms, weights = queries
    n = 1 if isinstance(indptr, int) else indptr.size - 1
    frame = frame_for(n, len(terms), k, segments, width)
    frame.load(indptr, terms, weights)
    out = np.empty((n, 3, k), np.int64)
    packed = options.packed(k)
    again = False
    table = live.table
    while fault := search_batch_kernel(
        segments.table, table, frame.table, frame.lanes, out, packed, cancel.flag,
        options.beta, scale,
    ):  # fmt: skip
        if fault == UNKNOWN_LISTS:
            batch = frame.batch
            table = live.learn(batch.terms[: batch.indptr[n]])
            continue
        sort_or_refuse(frame.batch, n, fault, again, width)
        again = True
    return frame, out


def _gap(
    stats: Sequence[int], full: bool, kth_score: int, dropped: int, options: SearchOptions
) -> int:
    """How far an unseen document's bound may lie above the k-th score; 0 if nothing can."""
    unseen = stats[STAT_UNSEEN]
    if options.alpha < 1:
        threshold = stats[STAT_THRESHOLD]
        unseen = max(unseen, -(-threshold * ALPHA_ONE // options.alpha_units) - 1)
    return max(0, unseen - (kth_score if full else 0)) + dropped


def _query_scale(frame: Frame, row: int, width: Width) -> float:
    """What brings integer scores back to query weight times impact."""
    return (1 << width.shift) / frame.batch.factors.item(row)


def _dropped(frame: Frame, row: int, width: Width) -> int:
    """The largest score that terms removed by ``beta`` could have added."""
    return (255 * frame.batch.dropped.item(row)) >> width.shift


def search_segments(
    segments: Segments | Sequence[SegmentSearcher],
    query_term_ids: NDArray[Any],
    query_weights: NDArray[Any],
    k: int,
    *,
    live: LiveBitmaps | Sequence[NDArray[np.uint64] | None] | None = None,
    scale: float = 1.0,
    options: SearchOptions = EXACT,
    cancel: Cancel | None = None,
) -> SearchResult:
    """Top ``k`` documents of one query over all segments.

    Parameters
    ----------
    segments : Segments, or sequence of SegmentSearcher
        A `Segments` saves their preparation.
    query_term_ids : (n,) integer
        Unique; unknown ids are allowed.
    query_weights : (n,) float32
        Positive and finite.
    k : int
        At least 1; more than there are documents is allowed.
    live : LiveBitmaps, or a sequence that it takes, optional
        Which documents may appear.
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
    segments, live, room = _prepared(segments, live, k)
    n_terms = len(query_term_ids)
    width = choose_width(n_terms, options)
    flag = cancel or _NEVER
    queries = (n_terms, query_term_ids, query_weights)
    frame, out = _run(segments, queries, width, live, options, room, flag, scale)
    stats = frame.stats[0].tolist()
    n = stats[STAT_COUNT]
    gap = 0
    if stats[STAT_UNSEEN] or options.alpha < 1 or options.beta < 1:
        full = n == k
        kth_score = int(out[0, 1, -1]) if full else 0
        gap = _gap(stats, full, kth_score, _dropped(frame, 0, width), options)
    doc_ids, scores, bits = out[0, :, :n]
    return SearchResult(
        doc_ids,
        scores,
        bits.view(np.float64),
        gap == 0,
        gap * scale * _query_scale(frame, 0, width) if gap else 0.0,
        bool(flag.flag[0]),
        Counters(*stats[:5]),
    )


def search_segments_batch(
    segments: Segments | Sequence[SegmentSearcher],
    indptr: NDArray[Any],
    term_ids: NDArray[Any],
    weights: NDArray[Any],
    k: int,
    *,
    threads: int = 1,
    live: LiveBitmaps | Sequence[NDArray[np.uint64] | None] | None = None,
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
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    prepared, bitmaps, room = _prepared(segments, live, k)
    flag = cancel or _NEVER
    offsets = np.ascontiguousarray(indptr, dtype=np.int64)
    if offsets.size == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise ValueError("indptr must start with 0 and ascend")
    if offsets[-1] != len(term_ids):
        raise ValueError("indptr must end at the number of term ids")
    n_queries = offsets.size - 1
    result = BatchResult(
        doc_ids=np.empty((n_queries, k), dtype=np.int64),
        scores=np.empty((n_queries, k), dtype=np.int64),
        float_scores=np.empty((n_queries, k), dtype=np.float64),
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
        queries = (part, term_ids[places], weights[places])
        frame, out = _run(prepared, queries, width, bitmaps, options, room, flag, scale)
        stats = frame.stats[: rows.size]
        counts = stats[:, STAT_COUNT].copy()
        if counts.min() < room:
            unused = np.arange(room) >= counts[:, None]
            out[:, 0][unused] = -1
            out[:, 1:][np.broadcast_to(unused[:, None], (rows.size, 2, room))] = 0
        for target, part, empty in (
            (result.doc_ids, out[:, 0], -1),
            (result.scores, out[:, 1], 0),
            (result.float_scores, out[:, 2].view(np.float64), 0),
        ):
            target[rows, :room] = part
            target[rows, room:] = empty
        result.counts[rows] = counts
        result.counters[rows] = stats
        if options.alpha == 1 and options.beta == 1 and not stats[:, STAT_UNSEEN].any():
            return
        for at, row in enumerate(rows.tolist()):
            full = int(counts[at]) == k
            kth_score = int(out[at, 1, -1]) if full else 0
            gap = _gap(stats[at].tolist(), full, kth_score, _dropped(frame, at, width), options)
            result.rank_safe[row] = gap == 0
            result.bound_gap[row] = gap * scale * _query_scale(frame, at, width)

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
    "LiveBitmaps",
    "SearchOptions",
    "SearchResult",
    "SegmentSearcher",
    "Segments",
    "search_segments",
    "search_segments_batch",
]
