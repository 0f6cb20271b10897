"""Selection of dense clusters by sparse results.

After Yang et al., "CluSD: Cluster-based Selective Dense Retrieval" (2024): a cluster is opened when
its centre is near the query or when the sparse search found documents of it. The weights of these
features are learned: the paper uses an LSTM, this module a Poisson regression of the number of
relevant documents in a cluster, fitted in seconds. It needs no judgements: relevant are documents
that an exact dense search finds.

Sparse results are compared with the query too, so a query near its sparse results opens few
clusters, and one far from them opens many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError, UsageError
from lsr_index.search.cluster_features import (
    BINS,
    COUNTS,
    N_SIGNS,
    RANK,
    SIZE,
    Features,
    Signs,
    lists_of,
    signs_of,
)
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.dense_probe import Opening
from lsr_index.search.hits import Hits

SHARE = 0.1
"""Default share of the vectors to compare, on average."""

SHARES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.2, 0.3, 0.5)
WANTED = 100
_RANKS = 256
_ITERATIONS = 50
_RIDGE = 1e-2
_LARGEST = 20.0


@dataclass(frozen=True)
class Selection:
    """Weights of the features, and the threshold of opening a cluster.

    Attributes
    ----------
    weights : tuple of float, (`N_SIGNS`,)
        Of: one; how many standard deviations the centre scores below the best one, and the square
        of that; the logarithms of the centre's rank and of the cluster's size; how many deviations
        the centre, and the cluster's best known document, score over the 20th best known document;
        the logarithm of the number of sparse results within each of `BINS`.
    levels : tuple of float, (len(`SHARES`),)
        Thresholds of the logarithm of the expected relevant documents per comparison; with each of
        them the share of `SHARES` is compared on average.
    share : float
        Share of the vectors to compare, 0 to 0.5.
    """

    weights: tuple[float, ...]
    levels: tuple[float, ...]
    share: float = SHARE

    def __post_init__(self) -> None:
        check_share(self.share)

    @property
    def level(self) -> float:
        """The threshold for `share`."""
        return float(np.interp(np.log(self.share), np.log(SHARES), self.levels))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"bins": list(BINS), "shares": list(SHARES), **asdict(self)}

    @classmethod
    def from_json(cls, body: Any) -> Selection:
        """Read what `to_json` returned; raises DataError for anything else."""
        try:
            fits = body["bins"] == list(BINS) and body["shares"] == list(SHARES)
            weights, levels = (tuple(map(float, body[key])) for key in ("weights", "levels"))
            fits &= (len(weights), len(levels)) == (N_SIGNS, len(SHARES))
            fits &= bool(np.isfinite([*weights, *levels]).all())
            found = cls(weights, levels, float(body["share"])) if fits else None
        except (KeyError, TypeError, ValueError):
            found = None
        if found is None:
            raise DataError("this is no selection of clusters, or that of another version")
        return found


def check_share(share: float) -> None:
    """Raise UsageError unless a share is in range."""
    if not 0 < share <= SHARES[-1]:
        raise UsageError(
            f"the share of the vectors to compare is above 0 and at most {SHARES[-1]}, got {share}"
        )


def search_selectively(
    dense: DenseIndex,
    query: NDArray[np.floating],
    k: int,
    guides: NDArray[np.integer],
    selection: Selection,
    *,
    filter: Any = None,
) -> Hits:
    """Return the `k` best documents of the selected clusters and of the sparse results.

    `query` is (dimension,) floats; `guides`, (n,) integers, are the hits of a sparse search with
    the same filter, best first, of which the first thousand count. Errors as `DenseIndex.search`.
    """
    if dense.exact:
        return dense.search(query, k, filter=filter)
    signs = signs_of(dense, query, guides)
    openings = openings_of(dense, signs, selection)
    return dense.search(query, k, filter=filter, openings=openings, known=signs.known)


def openings_of(dense: DenseIndex, signs: Signs, selection: Selection) -> list[Opening | None]:
    """Return the lists of each segment, most promising first, and how many of them to open."""
    worth = _worth(signs, selection.weights)
    openings: list[Opening | None] = []
    first = 0
    for arrays in dense.segments:
        if arrays.flat:
            openings.append(None)
            continue
        own = worth[first : first + arrays.n_lists]
        first += arrays.n_lists
        n_worth = int(np.count_nonzero(own >= selection.level))
        openings.append(Opening(np.argsort(-own, kind="stable"), n_worth))
    return openings


def fit_selection(
    dense: DenseIndex,
    queries: NDArray[np.floating],
    guides: Sequence[NDArray[np.integer]],
    *,
    share: float = SHARE,
    wanted: int = WANTED,
) -> Selection:
    """Fit the weights to queries without judgements.

    `queries`, (n, dimension) floats, are some hundred like those of later searches; `guides` the
    sparse hits of each, (m,) integers, best first; `share` the average share of the vectors to
    compare; `wanted` the number of documents of an exact dense search to find. Raises UsageError
    for an index without clusters, no query, or not as many results as queries.
    """
    if dense.exact:
        raise UsageError(
            "no segment of this index has clusters to choose from (they begin at "
            f"{dense.part.flat_below:,} vectors); every dense search compares all vectors"
        )
    if not len(queries) or len(queries) != len(guides):
        raise UsageError(
            f"{len(queries)} queries and {len(guides)} sparse results; expected one result each, "
            "and at least one"
        )
    every, rows, counts = [], [], []
    for query, found in zip(queries, guides, strict=True):
        signs = signs_of(dense, query, found)
        hits = dense.search(query, wanted, exact=True)
        missing = np.setdiff1d(hits.ordinals, signs.known.ordinals)
        labels = np.bincount(lists_of(dense, missing)[1], minlength=len(signs.sizes))
        near = signs.features[:, RANK] < np.log1p(_RANKS)
        informative = near | signs.features[:, COUNTS:].any(axis=1)
        every.append(signs)
        rows.append(signs.features[informative])
        counts.append(labels[informative])
    weights = tuple(_poisson(np.concatenate(rows), np.concatenate(counts)).tolist())
    return Selection(weights, _levels(every, weights, dense.n_vectors), share)


def _worth(signs: Signs, weights: Sequence[float]) -> NDArray[np.float64]:
    """Return the logarithm of the expected relevant documents per comparison in each list."""
    expected = signs.features @ np.array(weights) - signs.features[:, SIZE]
    found: NDArray[np.float64] = np.where(signs.sizes > 0, expected, -np.inf)
    return found


def _levels(every: Sequence[Signs], weights: Sequence[float], n_vectors: int) -> tuple[float, ...]:
    """Return the thresholds with which each of `SHARES` is compared on average."""
    worth = np.concatenate([_worth(signs, weights) for signs in every])
    sizes = np.concatenate([signs.sizes for signs in every])
    order = np.argsort(-worth, kind="stable")
    compared = np.cumsum(sizes[order]) / (len(every) * n_vectors)
    last = int(np.flatnonzero(sizes[order] > 0)[-1])
    return tuple(
        float(worth[order[min(int(np.searchsorted(compared, share)), last)]]) for share in SHARES
    )


def _poisson(features: Features, counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return weights w that make ``exp(features @ w)`` the expected counts (Newton's method)."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    centre[0], spread[spread < 1e-9] = 0, 1
    scaled = (features - centre) / spread
    weights = np.zeros(features.shape[1])
    weights[0] = np.log(max(float(counts.mean()), 1e-6))
    ridge = _RIDGE * np.eye(len(weights))
    ridge[0, 0] = 0
    for _ in range(_ITERATIONS):
        expected = np.exp(np.clip(scaled @ weights, -_LARGEST, _LARGEST))
        slope = scaled.T @ (counts - expected) - ridge @ weights
        curve = scaled.T @ (scaled * expected[:, None]) + ridge
        step = np.linalg.solve(curve, slope)
        # A long step would overshoot: the rate is an exponential.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    unscaled: NDArray[np.float64] = weights / spread
    unscaled[0] -= float((unscaled * centre).sum())
    return unscaled
