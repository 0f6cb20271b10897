"""Dense search of one segment: the lists it opens, the vectors it compares, their scores."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr_index.dense.arrays import DenseArrays
from lsr_index.dense.sortable import descending
from lsr_index.kernels.inner_product import open_lists, score_rows
from lsr_index.segment.delete_bitmap import Words, count

# Rounding of a bound computed in single precision, as a share of what went into it.
_SLACK = 1e-5
_SAMPLE = 4096
_ALL_LIVE = np.zeros(0, np.uint64)


class Opening(NamedTuple):
    """Lists of a segment to open: `least` of them, more until there are enough documents."""

    order: NDArray[np.intp]  # (n_lists,): all lists, most promising first
    least: int

    def fits(self, n_lists: int) -> bool:
        """Return whether `order` names each list of a segment once."""
        order = self.order
        inside = len(order) == n_lists and order.min() >= 0 and order.max() < n_lists
        return bool(inside and (np.bincount(order, minlength=n_lists) == 1).all())


class SegmentHits(NamedTuple):
    """The best documents of one segment, (n,), and the vectors compared and lists opened."""

    documents: NDArray[np.int64]
    scores: NDArray[np.float32]
    bound: float  # of the scores of vectors that were not compared; -inf: all were
    n_compared: int
    n_opened: int


def default_probes(n_lists: int) -> int:
    """Return the number of lists to open by default, one in six.

    With questions and passages of MiniLM that finds 0.93 of the first 10 and 0.89 of the first 100.
    """
    return min(n_lists, max(8, math.ceil(n_lists / 6)))


def search_segment(
    arrays: DenseArrays,
    query: NDArray[np.float32],
    k: int,
    live: Words | None,
    opening: Opening | None = None,
    *,
    probes: int | None,
    exact: bool,
) -> SegmentHits:
    """Return the `k` best documents of a segment.

    Parameters
    ----------
    query : (dimension,) float32
        From `lsr_index.dense.codes.check_query`.
    live : bitmap or None
        Documents that may be returned; None: all.
    opening : Opening, optional
        Default: the `probes` lists with the nearest centres.
    probes : int or None
        Lists to open, more until there are `k` documents; None: see `default_probes`.
    exact : bool
        Compare every vector.
    """
    arrays = arrays.checked
    n_lists = arrays.n_lists
    every = arrays.flat or exact
    least = opening.least if opening else probes or default_probes(n_lists)
    if not every and live is not None:
        # A filter that leaves less than the lists hold is cheaper, and exact, without them.
        every = count(live) <= _held(arrays, opening, least)
    if every or least >= n_lists:
        rows, _ = _opened(arrays, np.arange(n_lists), n_lists, 0, live)
        return _ranked(arrays, query, k, rows, -math.inf, n_lists)
    centres: NDArray[np.float32] = arrays.centroids @ query
    order = opening.order if opening else descending(centres)
    rows, n_opened = _opened(arrays, order, least, k, live)
    bound = _bound(arrays, query, centres, order[:n_opened])
    return _ranked(arrays, query, k, rows, bound, n_opened)


def _held(arrays: DenseArrays, opening: Opening | None, least: int) -> int:
    """Return the number of vectors in the lists to open, an estimate for the nearest ones."""
    if opening is None:
        return arrays.n_vectors * least // arrays.n_lists
    return int(np.diff(arrays.starts)[opening.order[:least]].sum())


def score_documents(
    arrays: DenseArrays, query: NDArray[np.float32], documents: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the scores of documents, (n,); NaN without a vector."""
    arrays = arrays.checked
    return _scores(arrays, query, arrays.rows[documents])


def best(
    documents: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the `k` best: score descending, then document ascending."""
    kept = _at_least_kth(scores, k)
    documents, scores = documents[kept], scores[kept]
    order = np.lexsort((documents, -scores))[:k]
    return documents[order], scores[order]


def _at_least_kth(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the places of the `k` best scores, and of those equal to the last of them."""
    if len(scores) <= k:
        return np.arange(len(scores))
    # The k-th of some scores is a bound for the k-th of all: most are dropped by one comparison.
    kept = np.flatnonzero(scores >= _kth(scores[: max(_SAMPLE, 4 * k)], k))
    values = scores[kept]
    return kept[values >= _kth(values, k)]


def _kth(scores: NDArray[np.float32], k: int) -> np.float32:
    at = len(scores) - k
    kth: np.float32 = np.partition(scores, at)[at]
    return kth


def _opened(
    arrays: DenseArrays, order: NDArray[np.intp], least: int, wanted: int, live: Words | None
) -> tuple[NDArray[np.int32], int]:
    """Return the rows of `least` lists, more until there are `wanted`; and the number of lists."""
    if live is None and least >= arrays.n_lists:
        return arrays.all_rows, arrays.n_lists
    out = np.empty(arrays.n_vectors, np.int32)
    words = _ALL_LIVE if live is None else live
    n_rows, n_opened = open_lists(arrays.starts, order, least, wanted, arrays.documents, words, out)
    return out[:n_rows], n_opened


def _scores(
    arrays: DenseArrays, query: NDArray[np.float32], rows: NDArray[np.int32]
) -> NDArray[np.float32]:
    out = np.empty(len(rows), np.float32)
    score_rows(query, arrays.vectors, rows, out)
    return out


def _bound(
    arrays: DenseArrays,
    query: NDArray[np.float32],
    centres: NDArray[np.float32],
    opened: NDArray[np.intp],
) -> float:
    """Return the largest possible score in lists that are not opened.

    No vector of a list with centre c and radius r scores more than ``q.c + |q| r``.
    """
    closed = np.diff(arrays.starts) > 0
    closed[opened] = False
    if not closed.any():
        return -math.inf
    length = float(np.linalg.norm(query))
    reach = length * arrays.radii[closed].astype(np.float64)
    bounds = centres[closed] + reach
    slack = _SLACK * (np.abs(centres[closed]) + reach + length)
    return float((bounds + slack).max())


def _ranked(
    arrays: DenseArrays,
    query: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int32],
    bound: float,
    n_opened: int,
) -> SegmentHits:
    scores = _scores(arrays, query, rows)
    kept = _at_least_kth(scores, k)
    documents = arrays.documents[rows[kept]].astype(np.int64)
    return SegmentHits(*best(documents, scores[kept], k), bound, len(rows), n_opened)
