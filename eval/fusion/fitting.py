"""Finding a fusion on half of the topics, and telling on the other half what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.fusion.bagging import bag, best_single, beyond_chance, draws, weight_grid
from eval.fusion.grid import Bench
from eval.significance import (
    SEED,
    Comparison,
    Interval,
    bootstrap_interval,
    compare,
    correct,
)
from index.fusion import Fusion
from lsr.errors import UsageError

Values = NDArray[np.float64]
Progress = Callable[[str, int, int | None], None]

LEAST_TOPICS = 10
_CLEARLY = 2.0
"""Standard errors by which a setting has to be better than one that is preferred to it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen on the fitting half.

    Attributes
    ----------
    fusion : Fusion
        With weights.
    best_branch : str
        The best branch alone.
    gain, error : float
        Of the fusion over the best branch on topics that neither was chosen on (see
        `eval.fusion.bagging`), and the standard error of that mean.
    convincing : bool
        False: the best branch alone is the safer choice.
    """

    fusion: Fusion
    best_branch: str
    gain: float
    error: float
    convincing: bool


@dataclass(frozen=True, slots=True)
class FusionFit:
    """A fitted fusion and its test.

    Attributes
    ----------
    choice : Choice
    measure : str
    branches : sequence of str
    n_fitting, n_held_out : int
        Topics of each half.
    seed : int
        Of the split.
    fused : float
        Mean of the fusion on the held-out half.
    interval : Interval
        Bootstrap confidence interval of `fused`.
    single : sequence of float
        Mean of each branch alone, there.
    comparisons : sequence of Comparison
        The fusion against each branch, corrected for their number (Holm).
    """

    choice: Choice
    measure: str
    branches: Sequence[str]
    n_fitting: int
    n_held_out: int
    seed: int
    fused: float
    interval: Interval
    single: Sequence[float]
    comparisons: Sequence[Comparison]

    @property
    def refusal(self) -> str | None:
        """Why this fusion is not to be used; None when it gains something."""
        best = self.choice.best_branch
        if not self.choice.convincing:
            return (
                f"on the fitting half the fusion is not convincingly better than {best} alone "
                f"({self.choice.gain:+.4f} {self.measure}, standard error {self.choice.error:.4f})"
            )
        if self.fused < max(self.single) - 1e-12:
            better = self.branches[int(np.argmax(self.single))]
            return (
                f"on the held-out half {better} alone is better "
                f"({max(self.single):.4f} {self.measure}, the fusion {self.fused:.4f})"
            )
        return None


def fit(bench: Bench, *, seed: int = SEED, progress: Progress | None = None) -> FusionFit:
    """Choose a fusion on half of the topics and test it on the other half.

    Parameters
    ----------
    bench : Bench
    seed : int
        Of the split and of the draws.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Raises
    ------
    UsageError
        Fewer than two branches or ten topics.
    """
    n = len(bench.topics)
    if len(bench.branches) < 2:
        raise UsageError(
            f"a fusion needs two branches or more, got {', '.join(bench.branches) or 'none'}"
        )
    if n < LEAST_TOPICS:
        raise UsageError(
            f"fitting needs judgments of {LEAST_TOPICS} topics or more, got {n}; "
            "with fewer, use a fixed fusion such as min-max"
        )
    shuffled = np.random.default_rng(seed).permutation(n)
    fitting, held_out = np.sort(shuffled[: n // 2]), np.sort(shuffled[n // 2 :])
    choice = choose(bench.only(fitting.tolist()), seed=seed, progress=progress)
    return judge(bench.only(held_out.tolist()), choice, n_fitting=len(fitting), seed=seed)


def choose(bench: Bench, *, seed: int = SEED, progress: Progress | None = None) -> Choice:
    """Choose a fusion; all topics of the bench are looked at."""
    counts = draws(len(bench.topics), np.random.default_rng(seed))
    single = bench.single()
    best, alone = best_single(single, counts)
    grid = weight_grid(len(bench.branches))
    corners = grid.argmax(axis=1)
    is_corner = grid.max(axis=1) == 1
    families = list(bench.families())
    chosen = None
    for done, family in enumerate(families):
        _tell(progress, done, len(families))
        values = np.empty((len(grid), single.shape[1]))
        values[is_corner] = single[corners[is_corner]]
        values[~is_corner] = bench.fused(family, grid[~is_corner])
        bagged = bag(values, grid, counts)
        if chosen is None or beyond_chance(bagged.left_out - chosen[1].left_out, _CLEARLY):
            chosen = family, bagged
    _tell(progress, len(families), len(families))
    assert chosen is not None
    family, bagged = chosen
    weights = np.round(bagged.weights, 2)
    gains = bagged.left_out - alone
    others = [single[best] - values for at, values in enumerate(single) if at != best]
    # Where the branches cannot be told apart, to name the best of them is a gamble as well.
    clear_winner = all(beyond_chance(difference) for difference in others)
    convincing = beyond_chance(gains, 1.0 if clear_winner else 0.0)
    several = np.count_nonzero(weights) > 1
    return Choice(
        replace(family, weights=dict(zip(bench.branches, weights.tolist(), strict=True))),
        bench.branches[best],
        float(gains.mean()),
        float(gains.std(ddof=1) / np.sqrt(len(gains))),
        bool(convincing and several),
    )


def judge(bench: Bench, choice: Choice, *, n_fitting: int, seed: int = SEED) -> FusionFit:
    """Test a choice on topics it was not made on."""
    single = bench.single()
    fused = bench.fused(choice.fusion, [choice.fusion.shares(bench.branches)])[0]
    against = [compare(values, [fused])[0] for values in single]
    corrected = correct([each.p_value for each in against])
    return FusionFit(
        choice,
        bench.measure,
        bench.branches,
        n_fitting,
        len(bench.topics),
        seed,
        float(fused.mean()),
        bootstrap_interval(fused),
        single.mean(axis=1).tolist(),
        [each._replace(p_corrected=p) for each, p in zip(against, corrected, strict=True)],
    )


def _tell(progress: Any, done: int, total: int) -> None:
    if progress is not None:
        progress("fit", done, total)
