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

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr_index.fusion.method import Fusion
from lsr_index.fusion.pool import Pool
from lsr_index.kernels.fusion import CODES, fuse_scores

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
    n_branches = len(shares)
    lowest = [math.nan if each is None else each for each in bounds or [None] * n_branches]
    normalised = np.empty((n_branches, len(pool.keys)))
    contributions, fused = np.empty_like(normalised), np.empty(len(pool.keys))
    fuse_scores(
        CODES[fusion.method],
        float(fusion.k),
        pool.ranks,
        pool.scores,
        np.array(lowest, np.float64),
        np.array(shares, np.float64),
        normalised,
        contributions,
        fused,
    )
    order = np.argsort(-fused, kind="stable")  # the keys of a pool rise
    return Fused(pool.keys[order], fused[order], order, pool, normalised, contributions)
