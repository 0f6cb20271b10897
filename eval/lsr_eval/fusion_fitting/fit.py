"""Finding a fusion, and telling on topics that had no part in finding it what it is worth.

A few dozen topics are few to find weights on and fewer to test them on: with a single split into
halves, the luck of the split is larger than what most fusions gain. So every topic is on both
sides (cross-fitting: Chernozhukov et al., The Econometrics Journal 21, 2018, sections 1 and 3): a
fusion is found on each half and tested on the other, over several splits into halves that are alike
(see `lsr_eval.fusion_fitting.halves`). The fusion that is kept is found in the same way on all
topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.progress import Progress
from lsr_eval.fusion_fitting.bagging import bag, beyond_chance, draws
from lsr_eval.fusion_fitting.grid import Bench, Measured
from lsr_eval.fusion_fitting.halves import N_SPLITS, halves_of
from lsr_eval.measures.significance import (
    SEED,
    Comparison,
    Interval,
    bootstrap_interval,
    compare,
    correct,
)
from lsr_index.fusion import Fusion

Values = NDArray[np.float64]

LEAST_TOPICS = 10
_CLEARLY = 3.0
"""Standard errors by which a setting has to be better than one that is preferred to it."""

_DIGITS = 12
"""The mean of ten equal numbers is not always that number: rounded, what is equal stays equal."""


class Half(NamedTuple):
    """What was found on one half of the topics.

    Attributes
    ----------
    fusion : Fusion
    gain : float
        On the other half, over what is the best branch there.
    """

    fusion: Fusion
    gain: float


@dataclass(frozen=True, slots=True)
class FusionFit:
    """A fitted fusion and its test.

    Attributes
    ----------
    fusion : Fusion
        Found on all topics, with weights.
    halves : sequence of Half, (2 * N_SPLITS,)
        What was tested.
    measure : str
    branches : sequence of str
    n_topics : int
    seed : int
        Of the splits.
    fused : float
        Mean over topics of what fusions found without the topic gave.
    interval : Interval
        Bootstrap confidence interval of `fused`.
    single : sequence of float
        Mean of each branch alone.
    comparisons : sequence of Comparison
        `fused` against each branch, corrected for their number (Holm).
    """

    fusion: Fusion
    halves: Sequence[Half]
    measure: str
    branches: Sequence[str]
    n_topics: int
    seed: int
    fused: float
    interval: Interval
    single: Sequence[float]
    comparisons: Sequence[Comparison]

    @property
    def best_branch(self) -> str:
        """The best branch alone."""
        return self.branches[int(np.argmax(self.single))]

    @property
    def refusal(self) -> str | None:
        """Why this fusion is not to be used; None when it gains something."""
        if np.count_nonzero(self.fusion.shares(self.branches)) < 2:
            return "the fusion found is one branch alone"
        if self.fused <= max(self.single) + 1e-12:
            return (
                f"on topics held out the fusion is no better than {self.best_branch} alone "
                f"({self.fused:.4f} {self.measure}, {self.best_branch} {max(self.single):.4f})"
            )
        return None


def fit(bench: Bench, *, seed: int = SEED, progress: Progress | None = None) -> FusionFit:
    """Find a fusion and test it on topics held out.

    Parameters
    ----------
    bench : Bench
    seed : int
        Of the splits and of the draws.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Raises
    ------
    UsageError
        Fewer than two branches or ten topics.
    """
    if len(bench.branches) < 2:
        raise UsageError(
            f"a fusion needs two branches or more, got {', '.join(bench.branches) or 'none'}"
        )
    if len(bench.topics) < LEAST_TOPICS:
        raise UsageError(
            f"fitting needs judgments of {LEAST_TOPICS} topics or more, got {len(bench.topics)}; "
            "with fewer, use a fixed fusion such as min-max"
        )
    measured = bench.measured(progress)
    single = measured.single.round(_DIGITS)
    held_out, halves = cross_fit(bench, measured, seed=seed, progress=progress)
    against = [compare(values, [held_out])[0] for values in single]
    corrected = correct([each.p_value for each in against])
    return FusionFit(
        choose(measured, seed=seed),
        halves,
        bench.measure,
        bench.branches,
        len(bench.topics),
        seed,
        float(held_out.mean()),
        bootstrap_interval(held_out),
        single.mean(axis=1).tolist(),
        [each._replace(p_corrected=p) for each, p in zip(against, corrected, strict=True)],
    )


def choose(measured: Measured, *, seed: int = SEED) -> Fusion:
    """Choose a fusion by all topics of `measured`."""
    counts = draws(measured.values.shape[2], np.random.default_rng(seed))
    chosen = None
    for family, values in zip(measured.families, measured.values, strict=True):
        bagged = bag(values, measured.grid, counts)
        if chosen is None or beyond_chance(bagged.left_out - chosen[1].left_out, _CLEARLY):
            chosen = family, bagged
    assert chosen is not None
    family, bagged = chosen
    weights = np.round(bagged.weights, 2).tolist()
    return replace(family, weights=dict(zip(measured.branches, weights, strict=True)))


def cross_fit(
    bench: Bench, measured: Measured, *, seed: int = SEED, progress: Progress | None = None
) -> tuple[Values, list[Half]]:
    """Choose a fusion on each half of several splits and test it on the other half.

    Parameters
    ----------
    bench : Bench
    measured : Measured
        From `Bench.measured`.
    seed, progress
        As in `fit`.

    Returns
    -------
    values : (n_topics,) float64
        The measure of each topic: the mean over the fusions that were chosen without it, one for
        each split.
    halves : list of Half
        In the order of the splits, two for each.
    """
    values = np.zeros(len(bench.topics))
    halves: list[Half] = []
    for fitting, held_out in halves_of(measured.single, seed):
        fusion = choose(measured.only(fitting), seed=seed)
        found = bench.fused(fusion, [fusion.shares(bench.branches)], held_out.tolist())[0]
        values[held_out] += found
        gain = float(found.mean() - measured.single[:, held_out].mean(axis=1).max())
        halves.append(Half(fusion, gain))
        if progress is not None:
            progress("test", len(halves), 2 * N_SPLITS)
    return (values / N_SPLITS).round(_DIGITS), halves
