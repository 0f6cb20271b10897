"""The pool of several ranked lists, and `fuse`, which combines their normalised scores into one.

Normalisations are those of the methods (`lsr_index.fusion.methods`). The weights of the branches
have the sum 1; for ``rrf`` the mean 1, so that equal weights give the formula of its paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.errors import DataError
from lsr_index.fusion.method import Fusion
from lsr_index.fusion.methods import METHODS, Combination, Values
from lsr_index.kernels.fusion import MAX, MIN_MAX, RRF, add_up, fuse_scores, lay_out

_COMBINATIONS: dict[Combination, int] = {"sum": MIN_MAX, "largest": MAX, "rank-sum": RRF}
"""Methods of the kernel that combine in each way."""
_NO_KEYS = np.zeros(0, np.int64)
_NO_SCORES = np.zeros(0)


class RankedList(NamedTuple):
    """The hits of one branch, best first.

    `keys`, (n,) int64, are unique documents, `scores`, (n,) float64, finite and descending; equal
    ones are ordered by key ascending.
    """

    keys: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, keys: ArrayLike, scores: ArrayLike) -> RankedList:
        """Sort hits by score descending, then key ascending; of equal keys the best counts.

        Raises DataError for arrays of different lengths, or a score that is not finite.
        """
        ids = np.asarray(keys, dtype=np.int64)
        values = np.asarray(scores, dtype=np.float64)
        if ids.ndim != 1 or ids.shape != values.shape:
            raise DataError(f"a ranking of {ids.shape} documents with {values.shape} scores")
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise DataError(f"a ranking holds the score {values[at]} (position {at}), not a number")
        falls = values[1:] < values[:-1]
        if not (falls | ((values[1:] == values[:-1]) & (ids[1:] > ids[:-1]))).all():
            order = np.lexsort((ids, -values))
            ids, values = ids[order], values[order]
        _, first = np.unique(ids, return_index=True)
        if len(first) < len(ids):
            first.sort()
            ids, values = ids[first], values[first]
        return cls(ids, values)


class Pool(NamedTuple):
    """The documents of several lists; ranks and scores are (n_branches, n)."""

    keys: NDArray[np.int64]  # (n,), ascending
    ranks: NDArray[np.int64]  # from 1; 0 where the branch did not return the document
    scores: NDArray[np.float64]  # NaN where the branch has no score of the document

    def without_score(self, branch: int) -> NDArray[np.int64]:
        """Return the positions of documents without a score of a branch."""
        return np.flatnonzero(np.isnan(self.scores[branch]))


def gather(lists: Sequence[RankedList], depth: int | None = None) -> Pool:
    """Return the pool of the first `depth` documents of each list; None: of all."""
    keys = [each.keys[:depth] for each in lists]
    starts = np.array([0, *accumulate(len(ids) for ids in keys)], np.int64)
    together = np.concatenate([_NO_KEYS, *keys])
    values = np.concatenate([_NO_SCORES, *(each.scores[:depth] for each in lists)])
    return Pool(*lay_out(together, values, starts, np.argsort(together)))


class BranchScore(NamedTuple):
    """Rank, score and contribution of a hit in one branch.

    `rank` is None where the branch did not return the hit within the depth, `score` where it was
    not computed. `contribution` is weighted: added to the score of the hit, or its maximum with
    ``max``.
    """

    rank: int | None
    score: float | None
    normalised: float
    contribution: float


class Fused(NamedTuple):
    """A fused ranking, (n,): score descending, then key ascending."""

    keys: NDArray[np.int64]
    scores: Values
    order: NDArray[np.int64]  # positions in the pool
    pool: Pool
    normalised: Values  # (n_branches, n), by position in the pool
    contributions: Values  # (n_branches, n), by position in the pool

    def explain(self, position: int) -> list[BranchScore]:
        """Return rank, score and contribution of each branch for the hit at a position."""
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
    """Rank a pool. The result does not depend on the order of the branches, to the last bit.

    Scores of documents that a branch did not return may be added to the pool of `gather`. `shares`
    and `bounds` are (n_branches,): the weights of `Fusion.shares`, and the least possible scores
    for ``theoretical-min``, None: that of the list. Raises DataError if a registered method returns
    a value that is not finite.
    """
    method = METHODS[fusion.method]
    n_branches = len(shares)
    lowest = [math.nan if each is None else each for each in bounds or [None] * n_branches]
    weights = np.array(shares, np.float64)
    normalised = np.empty((n_branches, len(pool.keys)))
    contributions, fused = np.empty_like(normalised), np.empty(len(pool.keys))
    if method.kernel_code is None:
        for branch, bound in enumerate(lowest):
            normalised[branch] = method.normalise(
                pool.ranks[branch], pool.scores[branch], bound, **fusion.parameters
            )
        if not np.isfinite(normalised).all():
            raise DataError(f"the fusion method {method.name} gave a value that is not finite")
        add_up(_COMBINATIONS[method.combine], weights, normalised, contributions, fused)
    else:
        k, lows = fusion.parameters.get("k", 0.0), np.array(lowest, np.float64)
        fuse_scores(
            method.kernel_code, k, pool.ranks, pool.scores, lows, weights,
            normalised, contributions, fused,
        )  # fmt: skip
    order = np.argsort(-fused, kind="stable")  # the keys of a pool rise
    return Fused(pool.keys[order], fused[order], order, pool, normalised, contributions)
