"""Cross-validated fitting of a fusion.

With a few dozen topics, the variance of a single split into halves is larger than the gain of most
fusions. Every topic is therefore used for fitting and for testing (cross-fitting: Chernozhukov et
al., The Econometrics Journal 21, 2018, sections 1 and 3): a fusion is fitted on each half and
tested on the other, over several splits into paired halves
(`lsr_eval.fusion_fitting.paired_splits`). The fusion that is returned is fitted in the same way on
all topics.
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
from lsr_eval.fusion_fitting.paired_splits import N_SPLITS, paired_halves
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
"""Standard errors by which a setting must be better to replace a preferred one."""

_DIGITS = 12
"""Digits that means are rounded to: the float mean of ten equal numbers may differ from them."""


class Half(NamedTuple):
    """Fusion fitted on one half of the topics, and its gain on the other over the best branch."""

    fusion: Fusion
    gain: float


@dataclass(frozen=True, slots=True)
class FusionFit:
    """A fitted fusion and its test.

    Attributes
    ----------
    fusion : Fusion
        Fitted on all topics, with weights.
    halves : sequence of Half, (2 * N_SPLITS,)
        Fitted on one half and tested on the other.
    seed : int
        Of the splits.
    fused : float
        Mean over topics of the measure with fusions that were fitted without the topic.
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
        """Reason not to use this fusion; None when it is better than every branch."""
        if np.count_nonzero(self.fusion.shares(self.branches)) < 2:
            return "the fusion found is one branch alone"
        if self.fused <= max(self.single) + 1e-12:
            return (
                f"on topics held out the fusion is no better than {self.best_branch} alone "
                f"({self.fused:.4f} {self.measure}, {self.best_branch} {max(self.single):.4f})"
            )
        return None


def fit(bench: Bench, *, seed: int = SEED, progress: Progress | None = None) -> FusionFit:
    """Fit a fusion and test it on held-out topics.

    `seed` is that of the splits and of the draws. Raises `UsageError` for fewer than two branches
    or ten topics.
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
    """Choose the best fusion on all topics of `measured`."""
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
    """Fit a fusion on each half of several splits and test it on the other half.

    Returns
    -------
    values : (n_topics,) float64
        The measure of each topic: the mean over the fusions fitted without it, one for each split.
    halves : list of Half
        In the order of the splits, two for each.
    """
    values = np.zeros(len(bench.topics))
    halves: list[Half] = []
    for fitting, held_out in paired_halves(measured.single, seed):
        fusion = choose(measured.only(fitting), seed=seed)
        found = bench.fused(fusion, [fusion.shares(bench.branches)], held_out.tolist())[0]
        values[held_out] += found
        gain = float(found.mean() - measured.single[:, held_out].mean(axis=1).max())
        halves.append(Half(fusion, gain))
        if progress is not None:
            progress("test", len(halves), 2 * N_SPLITS)
    return (values / N_SPLITS).round(_DIGITS), halves
