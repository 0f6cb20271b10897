"""Features of dense clusters: the distance of the centre, and the sparse results in the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr_index.dense.codes import check_query
from lsr_index.dense.sortable import descending
from lsr_index.search.dense_index import DenseIndex, Known

GUIDES = 1000
"""Sparse results that say something of clusters."""

BINS = (10, 50, 200, GUIDES)
"""Sparse ranks up to which documents of a cluster are counted together."""

N_SIGNS = 7 + len(BINS)
RANK, SIZE, COUNTS = 3, 4, 7
"""Columns: the logarithms of a centre's rank and of a list's size, the first of the bins."""

_NEAR = 20
_FARTHEST = -3.0

Features = NDArray[np.float64]
"""(lists, `N_SIGNS`)."""


class Signs(NamedTuple):
    """Features of the lists of all clustered segments, one segment after the other."""

    features: Features
    sizes: NDArray[np.int64]  # (n_lists,)
    known: Known  # the sparse results that have a vector


def signs_of(
    dense: DenseIndex, query: NDArray[np.floating], guides: NDArray[np.integer] | Sequence[int]
) -> Signs:
    """Return the features of each list of the clustered segments."""
    vector = check_query(np.asarray(query), dense.similarity, dense.dimension)
    clustered = [arrays for arrays in dense.segments if not arrays.flat]
    centres = np.concatenate([arrays.centroids @ vector for arrays in clustered])
    sizes = np.concatenate([np.diff(arrays.starts) for arrays in clustered])
    numbers = np.asarray(guides, np.int64)[:GUIDES]
    scores = dense.scores(query, numbers)  # scaled once, as in a search
    there = ~np.isnan(scores)
    known = Known(numbers[there], scores[there].astype(np.float32))
    deviation = max(float(centres.std()), 1e-6)
    ranks = np.empty(len(centres))
    ranks[descending(centres)] = np.arange(len(centres))
    below = (centres - centres.max()) / deviation
    near = float(centres.max())
    if len(known.scores):  # the score of the `_NEAR`-th known document
        near = float(np.sort(known.scores)[-min(_NEAR, len(known.scores))])
    places, lists = lists_of(dense, numbers)
    best = np.full(len(centres), -np.inf)
    np.maximum.at(best, lists, scores[places])
    features = np.empty((len(centres), N_SIGNS))
    features[:, 0] = 1
    features[:, 1] = below
    features[:, 2] = below**2
    features[:, RANK] = np.log1p(ranks)
    features[:, SIZE] = np.log(np.maximum(sizes, 1))
    features[:, 5] = (centres - near) / deviation
    features[:, 6] = np.maximum((best - near) / deviation, _FARTHEST)
    for i, (begin, end) in enumerate(pairwise((0, *BINS))):
        own = lists[(places >= begin) & (places < end)]
        features[:, COUNTS + i] = np.log1p(np.bincount(own, minlength=len(centres)))
    return Signs(features, sizes, known)


def lists_of(
    dense: DenseIndex, ordinals: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the places of documents with a vector in a clustered segment, and the list of each.

    Lists are counted through the clustered segments.
    """
    first: dict[int, int] = {}
    n_lists = 0
    for arrays in dense.segments:
        if not arrays.flat:
            first[id(arrays)] = n_lists
            n_lists += arrays.n_lists
    places: list[NDArray[np.intp]] = [np.zeros(0, np.intp)]
    lists: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for arrays, own, documents in dense.placed(np.asarray(ordinals, np.int64)):
        if not arrays.flat:
            rows = arrays.rows[documents]
            places.append(own[rows >= 0])
            at = np.searchsorted(arrays.starts, rows[rows >= 0], side="right").astype(np.int64)
            lists.append(at - 1 + first[id(arrays)])
    return np.concatenate(places), np.concatenate(lists)
