"""Significance of differences between systems.

Paired tests over the values of the same topics. The randomisation test assumes nothing about their
distribution (Smucker, Allan & Carterette, CIKM 2007, recommend it together with the t-test); the
bootstrap says how large the difference may be. Everything random starts from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.errors import UsageError

SEED = 20240701
N_RESAMPLES = 10_000
_CHUNK = 1 << 22
"""Random numbers drawn at a time; bounds memory and does not change results."""

Correction = Literal["holm", "bonferroni", "none"]
Test = Literal["permutation", "t-test"]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Comparison(NamedTuple):
    """A system against the baseline, on one measure.

    Attributes
    ----------
    difference : float
        Mean of system minus baseline.
    interval : Interval
        Bootstrap confidence interval of `difference`.
    p_value : float
        Two-sided, not corrected.
    p_corrected : float
        Corrected for the number of systems compared with the baseline on this measure.
    wins, ties, losses : int
        Topics on which the system is better, equal, worse.
    """

    difference: float
    interval: Interval
    p_value: float
    p_corrected: float
    wins: int
    ties: int
    losses: int

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return self._asdict() | {"interval": list(self.interval)}


def compare(
    baseline: ArrayLike,
    systems: Sequence[ArrayLike],
    *,
    test: Test = "permutation",
    correction: Correction = "holm",
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> list[Comparison]:
    """Compare systems with a baseline on one measure.

    Parameters
    ----------
    baseline : (n_topics,) float64
    systems : sequence of (n_topics,) float64
        Values of the same topics, in the same order.
    test : {"permutation", "t-test"}
    correction : {"holm", "bonferroni", "none"}
        Family: the systems given.
    confidence : float
        Of the intervals; these are not corrected.
    n_resamples, seed : int
        Of the randomisation test and the bootstrap.
    """
    check_choices(test, correction)
    p_values = [
        t_test(system, baseline)
        if test == "t-test"
        else permutation_test(system, baseline, n_resamples=n_resamples, seed=seed)
        for system in systems
    ]
    corrected = correct(p_values, correction)
    comparisons = []
    for system, p_value, p_corrected in zip(systems, p_values, corrected, strict=True):
        difference = _differences(system, baseline)
        interval = bootstrap_interval(
            difference, confidence=confidence, n_resamples=n_resamples, seed=seed
        )
        signs = [int((np.sign(difference) == sign).sum()) for sign in (1, 0, -1)]
        comparisons.append(
            Comparison(float(difference.mean()), interval, p_value, p_corrected, *signs)
        )
    return comparisons


def permutation_test(
    a: ArrayLike, b: ArrayLike, *, n_resamples: int = N_RESAMPLES, seed: int = SEED
) -> float:
    """Two-sided paired randomisation test of the mean difference.

    Under the hypothesis of no difference each topic's values could as well have come in the other
    order. All ``2**n`` orders are tried when they are at most `n_resamples`, else that many are
    drawn, and the observed order counts as one of them (no p-value of 0).
    `a` and `b` are (n,) float64; the p-value is 1 when all differences are 0.
    """
    difference = _differences(a, b)
    n = len(difference)
    observed = abs(difference.sum())
    # Sums of the same numbers in another order differ in the last bits; those are ties.
    limit = observed - 1e-12 * float(np.abs(difference).sum())
    exact = n < 63 and 2**n <= n_resamples
    total = 2**n if exact else n_resamples
    rng = np.random.default_rng(seed)
    at_least = 0
    step = max(1, _CHUNK // n)
    for start in range(0, total, step):
        size = min(step, total - start)
        if exact:
            codes = np.arange(start, start + size)[:, None]
            flips = (codes >> np.arange(n)) & 1
        else:
            flips = rng.integers(0, 2, (size, n), dtype=np.int8)
        sums = difference.sum() - 2.0 * (flips @ difference)
        at_least += int((np.abs(sums) >= limit).sum())
    return at_least / total if exact else (at_least + 1) / (total + 1)


def t_test(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided paired t-test.

    The p-value is 1 when all differences are 0 or there is one topic only, 0 when they are all the
    same other number.
    """
    from scipy.special import stdtr

    difference = _differences(a, b)
    n = len(difference)
    if n < 2 or not difference.any():
        return 1.0
    error = difference.std(ddof=1) / np.sqrt(n)
    if error == 0:
        return 0.0
    return float(2 * stdtr(n - 1, -abs(difference.mean()) / error))


def bootstrap_interval(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Percentile bootstrap interval of the mean of `values`, (n,) float64, over topics."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample):
        raise UsageError(f"expected values of at least one topic, got shape {sample.shape}")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence {confidence}: expected a number between 0 and 1")
    rng = np.random.default_rng(seed)
    means = np.empty(n_resamples)
    step = max(1, _CHUNK // len(sample))
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        drawn = rng.integers(0, len(sample), (size, len(sample)))
        means[start : start + size] = sample[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def correct(p_values: Sequence[float], correction: Correction = "holm") -> list[float]:
    """Correct p-values for multiple tests (family-wise error rate).

    "bonferroni" multiplies each by their number; "holm" (1979) multiplies the smallest by their
    number, the next by one less and so on, never falling: as safe, and never less powerful.
    """
    check_choices("permutation", correction)
    n = len(p_values)
    if correction == "none":
        return list(p_values)
    if correction == "bonferroni":
        return [min(1.0, n * p) for p in p_values]
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, dtype=np.float64)[order] * np.arange(n, 0, -1)
    corrected = np.empty(n)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected.tolist()


def check_choices(test: Test, correction: Correction) -> None:
    """Raise `UsageError` for an unknown test or correction."""
    for what, given, choices in (
        ("test", test, get_args(Test)),
        ("correction", correction, get_args(Correction)),
    ):
        if given not in choices:
            raise UsageError(f"{what} {given!r}: expected one of {', '.join(choices)}")


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise UsageError(
            "a paired test needs the values of the same topics, one or more, of both systems; "
            f"got shapes {first.shape} and {second.shape}"
        )
    return first - second
