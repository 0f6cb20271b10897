"""The methods: how the ranks or scores of a document in several lists become one score.

==================  ============================================  ===============================
method              what a branch gives a document it returned    … and one that it did not
==================  ============================================  ===============================
``rrf``             ``1 / (k + rank)``                            0
``min-max``         ``(s - min) / (max - min)``                   the same for its score, or 0
``theoretical-min`` ``(s - bound) / (max - bound)``               …, or that of the last returned
``z-score``         ``(s - mean) / deviation``                    …, or that of the last returned
``dbsf``            ``(s - mean + 3 dev.) / (6 dev.)``            …, or 0
==================  ============================================  ===============================

These are added up with weights whose sum is 1, for ``rrf`` whose mean is 1, so that equal weights
give the formula of its paper. ``max`` is the largest of the weighted ``min-max`` values. Minimum,
maximum, mean and deviation are those of the list, so that what a branch says does not depend on the
other branches; *bound* is the least score there can be (0 for sparse vectors, -1 for the cosine).

A list whose scores are all equal, a single hit for one, tells its documents from the others and no
more: they get 1, the others 0 (``z-score``: 0 and -1; ``dbsf``: 0.5 and 0).

References
----------
``rrf``: Cormack, Clarke & Büttcher, SIGIR 2009, section 2. ``min-max`` and ``max`` (CombMAX): Fox &
Shaw, TREC-2, 1993; Lee, SIGIR 1997, section 3. ``theoretical-min`` and the convex combination:
Bruch, Gai & Ingber, ACM TOIS 42(1), 2023, sections 4 and 5. ``z-score``: Montague & Aslam, CIKM
2001, section 3. ``dbsf``: distribution-based score fusion, known from Mazzeschi (2023) and Qdrant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.fusion.method import Fusion
from index.fusion.pool import Pool

Values = NDArray[np.float64]


class BranchScore(NamedTuple):
    """What one branch says of a hit.

    Attributes
    ----------
    rank : int or None
        None where the branch did not return it within the depth.
    score : float or None
        As the branch gave it; None where it was not computed.
    normalised : float
    contribution : float
        Weighted; what was added to the score of the hit, or offered to it with ``max``.
    """

    rank: int | None
    score: float | None
    normalised: float
    contribution: float


class Fused(NamedTuple):
    """A fused ranking.

    Attributes
    ----------
    keys : (n,) int64
        Score descending, then key ascending.
    scores : (n,) float64
    order : (n,) int64
        Positions in the pool.
    pool : Pool
    normalised, contributions : (n_branches, n) float64
        By position in the pool.
    """

    keys: NDArray[np.int64]
    scores: Values
    order: NDArray[np.int64]
    pool: Pool
    normalised: Values
    contributions: Values

    def explain(self, position: int) -> list[BranchScore]:
        """Return what each branch says of the hit at a position of the ranking."""
        at = int(self.order[position])
        return [
            BranchScore(
                int(rank) or None,
                None if np.isnan(score) else float(score),
                float(normalised),
                float(contribution),
            )
            for rank, score, normalised, contribution in zip(
                self.pool.ranks[:, at],
                self.pool.scores[:, at],
                self.normalised[:, at],
                self.contributions[:, at],
                strict=True,
            )
        ]


def fuse(
    pool: Pool,
    fusion: Fusion,
    shares: Sequence[float],
    bounds: Sequence[float | None] | None = None,
) -> Fused:
    """Rank a pool.

    Parameters
    ----------
    pool : Pool
        From `gather`; a score put where a branch did not return a document is used for it.
    fusion : Fusion
    shares : sequence of float, (n_branches,)
        From `Fusion.shares`.
    bounds : sequence of float or None, (n_branches,)
        Least score each branch can give, for ``theoretical-min``; None: that of the list.

    Returns
    -------
    Fused
        Does not depend on the order of the branches, to the last bit.
    """
    lowest = [None] * len(shares) if bounds is None else bounds
    normalised = np.empty_like(pool.scores)
    for branch, bound in enumerate(lowest):
        ranks, scores = pool.ranks[branch], pool.scores[branch]
        normalised[branch] = (
            _reciprocal_ranks(ranks, fusion.k)
            if fusion.method == "rrf"
            else _normalised(fusion.method, ranks > 0, scores, bound)
        )
    contributions, fused = weigh(fusion.method, normalised, np.asarray(shares, np.float64))
    order = np.argsort(-fused, kind="stable")  # the keys of a pool rise
    return Fused(pool.keys[order], fused[order], order, pool, normalised, contributions)


def weigh(method: str, normalised: Values, shares: Values) -> tuple[Values, Values]:
    """Return the weighted values of the branches, and what they are together.

    Parameters
    ----------
    method : str
    normalised : (n_branches, n) float64
    shares : (n_branches,) float64
    """
    if method == "max":
        weighted = normalised * (shares / shares.max())[:, None]
        left_out = np.where((shares > 0)[:, None], weighted, -np.inf)
        return weighted, left_out.max(axis=0)
    factor = np.count_nonzero(shares) if method == "rrf" else 1
    weighted = normalised * (shares * factor)[:, None]
    # A sum of floats depends on the order of its terms; by size it is the same for any order.
    terms = np.sort(weighted, axis=0) if len(weighted) > 2 else weighted
    return weighted, terms.sum(axis=0)


def _reciprocal_ranks(ranks: NDArray[np.int64], k: float) -> Values:
    return np.where(ranks > 0, 1.0 / (k + np.maximum(ranks, 1)), 0.0)


def _normalised(
    method: str, listed: NDArray[np.bool_], scores: Values, bound: float | None
) -> Values:
    found = scores[listed]
    if not len(found):
        return np.zeros(len(scores))
    least, most = float(found.min()), float(found.max())
    origin, unit = _line(method, found, least, most, bound)
    if unit == 0:
        high, low = {"z-score": (0.0, -1.0), "dbsf": (0.5, 0.0)}.get(method, (1.0, 0.0))
        return np.where(listed | (scores >= least), high, low)
    last = (least - origin) / unit
    if method == "dbsf" or least == most:
        last = min(0.0, last)
    values = (scores - origin) / unit
    values[np.isnan(values)] = last
    return values


def _line(
    method: str, found: Values, least: float, most: float, bound: float | None
) -> tuple[float, float]:
    """Return what is taken off a score, and what it is divided by then."""
    if method == "theoretical-min":
        origin = least if bound is None else min(bound, least)
        return origin, most - origin
    if method in ("min-max", "max"):
        return least, most - least
    mean, deviation = float(found.mean()), float(found.std())
    if least == most:
        deviation = 0.0  # the mean of equal floats need not be one of them
    return (mean, deviation) if method == "z-score" else (mean - 3 * deviation, 6 * deviation)
