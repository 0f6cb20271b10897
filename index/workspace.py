"""Scratch arrays of the kernels, one set per thread and accumulator width."""

from __future__ import annotations

from collections.abc import Sequence
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np

from index.kernels.views import N_LANES, N_LONGS, N_WORDS, QueryBatch, Workspace
from index.quantize import Width
from index.query import empty_batch

if TYPE_CHECKING:
    from index.search import SegmentSearcher

# Rows of whole pages would make equal places of different rows compete for the same cache sets.
_SKEW = 96


class _Scratch(local):
    def __init__(self) -> None:
        self.by_width: dict[int, Workspace] = {}
        self.single = empty_batch(1, 64)


_scratch = _Scratch()


def single_query(n_terms: int) -> QueryBatch:
    """The calling thread's place for one query of up to that many terms."""
    if _scratch.single.raw_terms.size < n_terms:
        _scratch.single = empty_batch(1, n_terms)
    return _scratch.single


def workspace_for(segments: Sequence[SegmentSearcher], n_terms: int, width: Width) -> Workspace:
    """The calling thread's workspace, grown to fit these segments and queries.

    Parameters
    ----------
    segments : sequence of SegmentSearcher
    n_terms : int
        Most terms of a query.
    width : Width

    Returns
    -------
    Workspace
        Its table is zero; everything else holds whatever the last search left.
    """
    lanes = words = 1
    longs = max(256, n_terms)
    for segment in segments:
        lanes = max(lanes, segment.range_size)
        words = max(words, segment.n_dense)
        longs = max(longs, segment.n_ranges)
    words = max(words, lanes)
    have = _scratch.by_width.get(width.top)
    if have is not None:
        sizes = (have.lanes.shape[1], have.words.shape[1], have.longs.shape[1])
        if sizes[0] >= lanes and sizes[1] >= words and sizes[2] >= longs:
            return have
        lanes, words, longs = max(lanes, sizes[0]), max(words, sizes[1]), max(longs, sizes[2])
    rows: Any = np.zeros((N_LANES, lanes + _SKEW - lanes % 32), width.dtype)
    made = Workspace(
        rows,
        np.zeros((N_WORDS, words + _SKEW), np.uint32),
        np.zeros((N_LONGS, longs), np.int64),
    )
    _scratch.by_width[width.top] = made
    return made
