"""Sparse search of segments: checks, scratch, calls of the kernel, threads.

A query is evaluated in one segment after the other; its k-th score so far is the threshold that the
next segment starts with. Hits are ordered by score descending, then ordinal ascending; they equal
those of an exhaustive scan unless an approximate option is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.kernels.accumulator import NARROW, WIDE, Width, contribution, width_for
from lsr_index.kernels.score.search import MISSING_LISTS
from lsr_index.kernels.score.search import search_batch as search_batch_kernel
from lsr_index.kernels.structs import N_STATS, STATS
from lsr_index.search.hits import BatchHits, Hits, SearchedIndex
from lsr_index.search.options import ALPHA_ONE, EXACT, SearchOptions
from lsr_index.search.query import query_arrays, raise_fault
from lsr_index.search.scratch import return_frame, take_frame
from lsr_index.search.segment_set import LiveBitmaps, Segments
from lsr_index.search.thread_pool import side_by_side
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.quantize import MAX_IMPACT


class Cancel:
    """A flag that ends searches before their next range."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.uint8)

    def set(self) -> None:
        """End the searches; safe from any thread."""
        self.flag[0] = 1


Live = LiveBitmaps | Sequence[NDArray[np.uint64] | None] | None
"""Documents of each segment that may be returned; None: all."""

_NEVER = Cancel()
_TERMS_AT_ONCE = 1024  # terms; finding those that are missing is quadratic
_COUNT, _UNSEEN = map((STATS.names or ()).index, ("count", "unseen"))
_ONE_QUERY = np.zeros(0, np.int64)  # the queue of a single query
_COUNTERS = (  # of `STATS`
    "postings_scored", "cells_added", "blocks_evaluated", "ranges_visited", "ranges_scanned",
)  # fmt: skip


def _prepared(
    segments: Segments | Sequence[KernelSegment], live: Live, k: int
) -> tuple[Segments, LiveBitmaps, int]:
    """Return segments, bitmaps, and the largest possible number of hits."""
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    if not isinstance(segments, Segments):
        segments = Segments(segments)
    if not isinstance(live, LiveBitmaps):
        live = segments.bitmaps(live)
    if live.segments is not segments.segments:
        raise ValueError("the bitmaps were made for other segments; use Segments.bitmaps")
    return segments, live, min(k, max(1, segments.n_docs))


def search_segments(
    segments: Segments | Sequence[KernelSegment],
    query_term_ids: NDArray[Any],
    query_weights: NDArray[Any],
    k: int,
    *,
    live: Live = None,
    scale: float = 1.0,
    options: SearchOptions = EXACT,
    cancel: Cancel | None = None,
    index: SearchedIndex | None = None,
) -> Hits:
    """Return the top ``k`` documents of one query over all segments, as hits of `index`.

    Raises UsageError or VectorError for an argument that is not as described.

    Parameters
    ----------
    segments : Segments, or sequence of KernelSegment
        Ordinals count through them. A `Segments` is prepared once for many searches.
    query_term_ids, query_weights : (n,) integer, (n,) float32
        Unique ids, unknown ones allowed; weights positive and finite.
    k : int
        At least 1; may exceed the number of documents.
    scale : float
        Document scale, for the scores.
    """
    segments, live, k = _prepared(segments, live, k)
    terms, weights = query_arrays(query_term_ids, query_weights)
    n_terms = len(terms)
    width = width_for(n_terms, options.width)
    frame = take_frame(n_terms, k, segments, width)
    frame.indptr[1] = n_terms
    flag = cancel or _NEVER
    ordinals, int_scores = np.empty(k, np.int64), np.empty(k, np.int64)
    scores = np.empty(k, np.float64)
    table = live.table
    while fault := search_batch_kernel(
        segments.table, table, frame.table, frame.acc, frame.indptr, terms, weights,
        _ONE_QUERY, ordinals, int_scores, scores, frame.counters, options.packed(k), flag.flag,
        options.beta, scale,
    ):  # fmt: skip
        if fault != MISSING_LISTS:
            raise_fault(fault, frame.indptr, width)
        table = live.table_with(terms)
    stats = frame.counters.tolist()
    n = stats[_COUNT]
    gap = 0.0
    if stats[_UNSEEN] or options.approximate:
        gap = _gap(frame.counters.view(STATS)[0], int(int_scores[k - 1]), width, options, scale)
    return_frame(frame)
    if n < k:
        ordinals, scores, int_scores = ordinals[:n], scores[:n], int_scores[:n]
    counters = dict(zip(_COUNTERS, stats, strict=False))
    return Hits(ordinals, scores, int_scores, gap == 0, gap, index, bool(flag.flag[0]), counters)


def _gap(stats: Any, kth_score: int, width: Width, options: SearchOptions, scale: float) -> float:
    """Return by how much a document that is not a hit can beat the k-th score."""
    unseen = int(stats.unseen)
    if options.alpha < 1:
        unseen = max(unseen, -(-int(stats.threshold) * ALPHA_ONE // options.alpha_units) - 1)
    # What the terms removed by beta could have added, at most.
    dropped = int(contribution(MAX_IMPACT, int(stats.dropped), width.shift))
    gap = max(0, unseen - kth_score) + dropped
    return gap * scale * (1 << width.shift) / float(stats.factor)


def search_segments_batch(
    segments: Segments | Sequence[KernelSegment],
    indptr: NDArray[Any],
    term_ids: NDArray[Any],
    weights: NDArray[Any],
    k: int,
    *,
    threads: int = 1,
    live: Live = None,
    scale: float = 1.0,
    options: SearchOptions = EXACT,
    cancel: Cancel | None = None,
) -> BatchHits:
    """Return the top ``k`` documents of many queries, which threads take from a queue.

    Queries are CSR: `indptr` (n_queries + 1,), `term_ids` and `weights` (nnz,). Each thread has its
    own scratch and makes one call, without the GIL. Other parameters, errors: `search_segments`.
    """
    if threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}")
    prepared, bitmaps, room = _prepared(segments, live, k)
    offsets = np.array(indptr, dtype=np.int64)
    if offsets.size == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise UsageError("indptr must start with 0 and ascend")
    if offsets[-1] != len(term_ids):
        raise UsageError("indptr must end at the number of term ids")
    terms, values = query_arrays(np.asarray(term_ids), np.asarray(weights))
    n_queries = offsets.size - 1
    ordinals, int_scores = np.empty((2, n_queries, room), np.int64)
    scores = np.empty((n_queries, room), np.float64)
    counters = np.zeros((n_queries, N_STATS), np.int64)
    stats = counters.view(STATS)[:, 0]
    gaps = np.zeros(n_queries, np.float64)
    packed, flag = options.packed(room), (cancel or _NEVER).flag
    lengths = np.diff(offsets)

    def search_rows(width: Width, rows: NDArray[np.int64]) -> list[int]:
        """Search the queries ``rows``; return the fault code of each thread, 0 for none."""
        longest = int(lengths[rows].max())
        queue = np.concatenate([np.zeros(1, np.int64), rows])

        def search_queue() -> int:
            frame = take_frame(longest, room, prepared, width)
            fault: int = search_batch_kernel(
                prepared.table, table, frame.table, frame.acc, offsets, terms, values, queue,
                ordinals.ravel(), int_scores.ravel(), scores.ravel(), counters.ravel(), packed,
                flag, options.beta, scale,
            )  # fmt: skip
            return_frame(frame)
            return fault

        return side_by_side(search_queue, min(threads, rows.size))

    table = bitmaps.table
    for width, rows in _by_width(lengths, options):
        while any(faults := search_rows(width, rows)):
            if MISSING_LISTS not in faults:
                raise_fault(min(filter(None, faults)), offsets, width)
            table = _table_with_terms(bitmaps, terms)
        if options.approximate or stats["unseen"][rows].any():
            for row in rows.tolist():
                gaps[row] = _gap(stats[row], int(int_scores[row, -1]), width, options, scale)
    return BatchHits(
        _widened(ordinals, k, -1),
        _widened(scores, k, 0),
        _widened(int_scores, k, 0),
        stats["count"].copy(),
        gaps == 0,
        gaps,
    )


def _table_with_terms(live: LiveBitmaps, terms: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Make the filtered posting lists of all terms; return the live table to search with."""
    table, unique = live.table, np.unique(terms)
    for first in range(0, unique.size, _TERMS_AT_ONCE):
        table = live.table_with(unique[first : first + _TERMS_AT_ONCE])
    return table


def _by_width(
    lengths: NDArray[np.int64], options: SearchOptions
) -> list[tuple[Width, NDArray[np.int64]]]:
    """Return the rows of the queries of each accumulator width."""
    widths = [width_for(n, options.width) for n in lengths.tolist()]
    groups = ((width, np.flatnonzero([w is width for w in widths])) for width in (NARROW, WIDE))
    return [(width, rows) for width, rows in groups if rows.size]


def _widened(rows: NDArray[Any], k: int, empty: int) -> NDArray[Any]:
    """Return rows padded to ``k`` places, where there are fewer documents."""
    if rows.shape[1] == k:
        return rows
    out = np.full((len(rows), k), empty, rows.dtype)
    out[:, : rows.shape[1]] = rows
    return out
