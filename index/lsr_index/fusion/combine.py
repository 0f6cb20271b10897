"""`fuse`: the normalised scores of a document in several lists combined into one score.

Normalisations are those of the methods (`lsr_index.fusion.methods`). The weights of the branches
have the sum 1; for ``rrf`` the mean 1, so that equal weights give the formula of its paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr_index.fusion.method import Fusion
from lsr_index.fusion.methods import METHODS, Combination, Values
from lsr_index.fusion.pool import Pool
from lsr_index.kernels.fusion import MAX, MIN_MAX, RRF, add_up, fuse_scores

_COMBINATIONS: dict[Combination, int] = {"sum": MIN_MAX, "largest": MAX, "rank-sum": RRF}
"""Methods of the kernel that combine in each way."""


class BranchScore(NamedTuple):
    """Rank, score and contribution of a hit in one branch.

    Attributes
    ----------
    rank : int or None
        None where the branch did not return it within the depth.
    score : float or None
        Of the branch; None where it was not computed.
    normalised : float
    contribution : float
        Weighted; added to the score of the hit, or compared with others with ``max``.
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

    Parameters
    ----------
    pool : Pool
        From `gather`; scores of documents that a branch did not return may be added.
    shares : sequence of float, (n_branches,)
        From `Fusion.shares`.
    bounds : sequence of float or None, (n_branches,)
        Least possible score of each branch, for ``theoretical-min``; None: that of the list.

    Raises
    ------
    DataError
        A registered method returned a value that is not finite.
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
        fuse_scores(
            method.kernel_code,
            fusion.parameters.get("k", 0.0),
            pool.ranks,
            pool.scores,
            np.array(lowest, np.float64),
            weights,
            normalised,
            contributions,
            fused,
        )
    order = np.argsort(-fused, kind="stable")  # the keys of a pool rise
    return Fused(pool.keys[order], fused[order], order, pool, normalised, contributions)
