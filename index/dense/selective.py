"""Sparse results choose the dense clusters worth opening.

After Yang et al., "CluSD: Cluster-based Selective Dense Retrieval" (2024): a cluster is worth
opening when its centre is near the query or when the sparse search found documents of it. How much
each sign counts is learned: the paper uses an LSTM, this module a Poisson regression of the number
of wanted documents in a cluster, which is fitted in a second and needs no judgements, since the
wanted documents are those that an exact dense search finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.dense.arrays import DenseArrays
from index.dense.codes import check_query
from index.dense.view import DenseIndex, Lists
from lsr.errors import DataError, UsageError

BINS = (10, 50, 200, 1000)
"""Sparse ranks up to which documents of a cluster are counted together."""

N_SIGNS = 4 + len(BINS)
WANTED = 100
_ITERATIONS = 30
_RIDGE = 1e-2
_LARGEST = 20.0

Features = NDArray[np.float64]
"""(lists, 4 + bins)."""


@dataclass(frozen=True)
class Selection:
    """How signs are weighed.

    Attributes
    ----------
    weights : tuple of float, (4 + bins,)
        Of: one; how many standard deviations the centre scores below the best one; the logarithms
        of the centre's rank, of the cluster's size, and of the number of sparse results within each
        of `BINS`.
    """

    weights: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"bins": list(BINS), "weights": list(self.weights)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Selection:
        """Read what `to_json` made; raises DataError for anything else."""
        try:
            weights = tuple(float(weight) for weight in body["weights"])
        except (KeyError, TypeError, ValueError):
            weights = ()
        fits = len(weights) == N_SIGNS and bool(np.isfinite(weights).all())
        if body.get("bins") != list(BINS) or not fits:
            raise DataError("this is no selection of clusters, or that of another version")
        return cls(weights)


DEFAULT = Selection((-0.53, 0.22, -0.84, 0.72, 0.22, 0.14, 0.13, 0.0))
"""Fitted with BM25 and MiniLM on 90,000 Wikipedia passages and questions of MS MARCO."""


def select_lists(
    dense: DenseIndex,
    query: NDArray[np.floating],
    sparse: NDArray[np.integer] | Sequence[int],
    budget: int,
    selection: Selection = DEFAULT,
) -> Lists:
    """Return the lists to open, for `DenseIndex.search`.

    Parameters
    ----------
    dense : DenseIndex
    query : (dimension,) floats
    sparse : (n,) integers
        Document numbers that a sparse search found, best first.
    budget : int
        Vectors that may be compared with the query. Lists are taken by the number of wanted
        documents expected for each comparison, the first one whatever its size.
    selection : Selection, optional
        Fitted for this index by `fit_selection`.

    Raises
    ------
    UsageError, VectorError
    """
    if budget < 1:
        raise UsageError(f"a budget is at least 1 vector, got {budget}")
    features, sizes = signs(dense, query, sparse)
    expected = features @ np.array(selection.weights) - np.log(np.maximum(sizes, 1))
    order = np.argsort(-np.where(sizes > 0, expected, -np.inf), kind="stable")
    spent = np.cumsum(sizes[order])
    n_chosen = max(1, int(np.searchsorted(spent, budget, side="right")))
    chosen = np.sort(order[:n_chosen])
    starts = np.cumsum([0, *(arrays.n_lists for arrays in dense.segments)])
    return [
        chosen[np.searchsorted(chosen, a) : np.searchsorted(chosen, b)] - a
        for a, b in pairwise(starts)
    ]


def fit_selection(
    dense: DenseIndex,
    queries: NDArray[np.floating],
    sparse: Sequence[NDArray[np.integer]],
    *,
    wanted: int = WANTED,
) -> Selection:
    """Learn how signs are weighed, from queries without judgements.

    Parameters
    ----------
    dense : DenseIndex
    queries : (n, dimension) floats
        Some hundred; like those that will be searched.
    sparse : sequence of (m,) integers, (n,)
        What a sparse search found for each, best first.
    wanted : int
        Documents of an exact dense search that should be found.

    Raises
    ------
    UsageError
        There is no query, or not as many results as queries.
    """
    if not len(queries) or len(queries) != len(sparse):
        raise UsageError(
            f"{len(queries)} queries and {len(sparse)} sparse results; expected one result each, "
            "and at least one"
        )
    rows, counts = [], []
    for query, found in zip(queries, sparse, strict=True):
        features, sizes = signs(dense, query, found)
        hits = dense.search(query, wanted, exact=True)
        labels = np.bincount(_lists_of(dense, hits.doc_ids), minlength=len(sizes))
        informative = (features[:, 2] < np.log1p(256)) | (features[:, 4:].any(axis=1))
        rows.append(features[informative])
        counts.append(labels[informative])
    return Selection(tuple(_poisson(np.concatenate(rows), np.concatenate(counts)).tolist()))


def signs(
    dense: DenseIndex, query: NDArray[np.floating], sparse: NDArray[np.integer] | Sequence[int]
) -> tuple[Features, NDArray[np.int64]]:
    """Return what speaks for each list, those of all segments one after the other, and its size."""
    vector = check_query(np.asarray(query), dense.similarity, dense.dimension)
    centres = np.concatenate([arrays.centroids @ vector for arrays in dense.segments])
    sizes = np.concatenate([np.diff(arrays.starts) for arrays in dense.segments])
    ranks = np.empty(len(centres))
    ranks[np.argsort(-centres, kind="stable")] = np.arange(len(centres))
    features = np.ones((len(centres), N_SIGNS))
    features[:, 1] = (centres - centres.max()) / max(float(centres.std()), 1e-6)
    features[:, 2] = np.log1p(ranks)
    features[:, 3] = np.log(np.maximum(sizes, 1))
    numbers, first = np.asarray(sparse, np.int64), 0
    for i, last in enumerate(BINS):
        lists = _lists_of(dense, numbers[first:last])
        features[:, 4 + i] = np.log1p(np.bincount(lists, minlength=len(centres)))
        first = last
    return features, sizes


def _lists_of(dense: DenseIndex, doc_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the list of each document that has a vector, counted through all segments."""
    found = [np.zeros(0, np.int64)]
    for arrays, _, documents in dense.placed(doc_ids):
        rows = arrays.rows[documents]
        lists = np.searchsorted(arrays.starts, rows[rows >= 0], side="right") - 1
        found.append(lists + _first_list(dense, arrays))
    return np.concatenate(found)


def _first_list(dense: DenseIndex, wanted: DenseArrays) -> int:
    base = 0
    for arrays in dense.segments:
        if arrays is wanted:
            break
        base += arrays.n_lists
    return base


def _poisson(features: Features, counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Weights w that make ``exp(features @ w)`` the expected counts (Newton's method)."""
    weights = np.zeros(features.shape[1])
    weights[0] = np.log(max(float(counts.mean()), 1e-6))
    ridge = _RIDGE * np.eye(len(weights))
    ridge[0, 0] = 0
    for _ in range(_ITERATIONS):
        expected = np.exp(np.clip(features @ weights, -_LARGEST, _LARGEST))
        slope = features.T @ (counts - expected) - ridge @ weights
        curve = features.T @ (features * expected[:, None]) + ridge
        step = np.linalg.solve(curve, slope)
        # A long step would overshoot: the rate is an exponential.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return weights
