"""Bagging of branch weights, with out-of-bag estimates.

The best of many settings on a few dozen topics is mostly noise. The topics are therefore resampled
many times and the best weights of each resample averaged (bagging: Breiman, Machine Learning 24,
1996). Each topic is measured with the average over the resamples that do not contain it
(out-of-bag: Efron & Tibshirani, JASA 92, 1997).
"""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

N_DRAWS = 400
MOST_POINTS = 36
_TIED = 1e-12


class Bagged(NamedTuple):
    """Bagged weights and their out-of-bag measure.

    Attributes
    ----------
    weights : (n_branches,) float64
        With the sum 1.
    left_out : (n_topics,) float64
        Out-of-bag: the measure of each topic with the weights chosen without it.
    """

    weights: Values
    left_out: Values


def weight_grid(n_branches: int) -> Values:
    """Return an even grid of weights with sum 1, (n_points, n_branches) float64.

    It contains the single branches. Tenths for two branches, fifths or less for more, so that there
    are at most 36.
    """
    steps = next(
        steps
        for steps in (10, 5, 4, 3, 2, 1)
        if steps == 1 or comb(steps + n_branches - 1, n_branches - 1) <= MOST_POINTS
    )
    rows = []
    for bars in combinations(range(steps + n_branches - 1), n_branches - 1):
        edges = (-1, *bars, steps + n_branches - 1)
        rows.append([b - a - 1 for a, b in pairwise(edges)])
    return np.array(rows, np.float64) / steps


def draws(n_topics: int, rng: np.random.Generator, n_draws: int = N_DRAWS) -> NDArray[np.int64]:
    """Bootstrap counts: how often each topic is in each resample, (n_draws, n_topics)."""
    return rng.multinomial(n_topics, np.full(n_topics, 1 / n_topics), size=n_draws)


def bag(values: Values, grid: Values, counts: NDArray[np.int64]) -> Bagged:
    """Average the best weights over the resamples of `draws`.

    `values`, (n_points, n_topics) float64, is the measure of each topic with each row of `grid`.
    """
    means = values @ counts.T
    best = (means >= means.max(axis=0) - _TIED).astype(np.float64)
    chosen = (best / best.sum(axis=0)).T @ grid
    without = (counts == 0).astype(np.float64)
    # A topic that every draw holds cannot be judged without it; with 400 draws there is none.
    without[:, without.sum(axis=0) == 0] = 1.0
    averaged = (without.T @ chosen) / without.sum(axis=0)[:, None]
    nearest = np.abs(averaged[:, None, :] - grid[None]).sum(axis=2).argmin(axis=1)
    return Bagged(chosen.mean(axis=0), values[nearest, np.arange(values.shape[1])])


def beyond_chance(differences: Values, errors: float) -> bool:
    """Return whether a mean difference is larger than 0 by some standard errors."""
    n = len(differences)
    if n < 2:
        return False
    error = float(differences.std(ddof=1)) / np.sqrt(n)
    return bool(differences.mean() > max(errors * error, _TIED))
