"""What a search needs besides the index, kept from one search of a thread to the next."""

from __future__ import annotations

from threading import local
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.kernels.views import KEY_ROOM, N_LANES, N_LONGS, N_STATS, N_WORDS, QueryBatch
from index.quantize import Width
from index.searchers import Segments

# Rows of whole pages would make equal places of different rows compete for the same cache sets.
_SKEW = 160


class Sizes(NamedTuple):
    """What a frame has room for.

    Queries, their terms together, keys of all queries and of one more as scratch, slots of the
    largest range, terms of a query (or ranges of a segment), segments.
    """

    n_queries: int
    n_terms: int
    n_keys: int
    lanes: int
    longs: int
    n_segments: int


class Frame:
    """Queries on their way in, accumulators and other scratch, keys and counters.

    Parameters
    ----------
    sizes : Sizes
    width : Width
        Of the accumulators.
    """

    def __init__(self, sizes: Sizes, width: Width) -> None:
        self.sizes = sizes
        n_queries, n_terms, n_keys, lanes, longs, n_segments = sizes
        self.batch = QueryBatch(
            np.zeros(n_queries + 1, np.int64),
            np.empty(n_terms, np.uint32),
            np.empty(n_terms, np.float32),
            np.zeros(n_queries + 1, np.int64),
            np.empty(n_terms, np.uint32),
            np.empty(n_terms, np.uint32),
            np.ones(n_queries, np.float64),
            np.zeros(n_queries, np.int64),
        )
        self._raw_indptr, self._raw_terms, self._raw_weights = self.batch[:3]
        # Blocks are looked at by the word: their rows are read up to the next multiple of 64.
        row = lanes + _SKEW - lanes % 64
        self.lanes: Any = np.zeros((N_LANES, row), width.dtype)
        self._words = np.zeros((N_WORDS, row), np.uint32)
        self._longs = np.zeros((N_LONGS, longs), np.int64)
        self._keys = np.empty(n_keys, np.uint64)
        self.stats = np.zeros((n_queries, N_STATS), np.int64)
        self._found = np.empty((n_segments, 2, longs), np.int64)
        self._n_found = np.empty(n_segments, np.int64)
        scratch = (
            self._words, self._longs, self._keys, self.stats, self._found, self._n_found,
        )  # fmt: skip
        self.table: NDArray[np.int64] = np.array(
            [(array.ctypes.data, array.size) for array in (*self.batch, *scratch)], np.int64
        )
        self.table[8:10, 1] = row, longs
        self.table[12, 1] = longs

    def load(
        self, indptr: NDArray[np.int64] | int, terms: NDArray[Any], weights: NDArray[Any]
    ) -> None:
        """Copy queries in; their contents are not looked at.

        Parameters
        ----------
        indptr : (n_queries + 1,) int64, or the number of terms of a single query
        terms : (nnz,) integer
        weights : (nnz,) float

        Raises
        ------
        ValueError
            If the arrays are not of one length, or a term id does not fit 32 bits.
        """
        if terms.ndim != 1 or terms.shape != weights.shape:
            raise ValueError("query term ids and weights must be one-dimensional and of one length")
        n = len(terms)
        if terms.dtype != np.uint32 and n and not 0 <= terms.min() <= terms.max() <= 0xFFFFFFFF:
            raise ValueError("query term ids must be in 0..2**32 - 1")
        self._raw_terms[:n] = terms
        self._raw_weights[:n] = weights
        if isinstance(indptr, int):
            self._raw_indptr[:2] = 0, indptr
            self.table[0, 1] = 2
        else:
            self._raw_indptr[: indptr.size] = indptr
            self.table[0, 1] = indptr.size


class _Frames(local):
    def __init__(self) -> None:
        self.by_width: dict[int, Frame] = {}


_frames = _Frames()


def frame_for(n_queries: int, n_terms: int, k: int, segments: Segments, width: Width) -> Frame:
    """The calling thread's frame, grown to fit.

    Parameters
    ----------
    n_queries, n_terms, k : int
    segments : Segments
    width : Width
    """
    have = _frames.by_width.get(width.top)
    n_keys = (n_queries + 1) * (k + max(k, KEY_ROOM))
    if have is not None:
        queries, terms, keys, lanes, longs, held = have.sizes
        if (
            queries >= n_queries and terms >= n_terms and keys >= n_keys and held >= segments.n
            and lanes >= segments.range_size and longs >= segments.n_ranges and longs >= n_terms
        ):  # fmt: skip
            return have
    need = Sizes(
        n_queries, max(64, n_terms), n_keys, max(64, segments.range_size),
        max(256, n_terms, segments.n_ranges), max(1, segments.n),
    )  # fmt: skip
    if have is not None:
        need = Sizes(*map(max, need, have.sizes))
    made = Frame(need, width)
    _frames.by_width[width.top] = made
    return made
