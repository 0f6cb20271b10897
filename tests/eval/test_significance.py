"""Significance: against SciPy, and against what must hold whatever the numbers."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lsr.errors import UsageError
from lsr_eval.measures.significance import (
    bootstrap_interval,
    compare,
    correct,
    permutation_test,
    t_test,
)


def values(n: int, shift: float = 0.05, seed: int = 1) -> tuple[NDArray[np.float64], ...]:
    rng = np.random.default_rng(seed)
    a = rng.beta(1, 2, n)
    return a, np.clip(a + shift + 0.2 * rng.standard_normal(n), 0, 1)


@pytest.mark.parametrize("n", [2, 5, 50, 300])
def test_t_test_equals_scipy(n: int) -> None:
    a, b = values(n)
    assert t_test(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-12)


def p_of_scipy(a: NDArray[np.float64], b: NDArray[np.float64], **options: Any) -> float:
    found = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        **options,
    )
    return float(found.pvalue)


@pytest.mark.parametrize("n", [1, 2, 6, 13])
def test_few_topics_are_enumerated(n: int) -> None:
    a, b = values(n)
    d = b - a
    sums = [abs(np.dot(signs, d)) for signs in itertools.product([1, -1], repeat=n)]
    expected = np.mean([s >= abs(d.sum()) - 1e-12 for s in sums])
    assert permutation_test(a, b) == pytest.approx(expected)
    if n > 1:
        assert permutation_test(a, b) == pytest.approx(p_of_scipy(a, b, n_resamples=np.inf))


def test_many_topics_are_sampled() -> None:
    a, b = values(200, shift=0.03)
    ours = permutation_test(a, b)
    assert ours == permutation_test(a, b), "the seed is fixed"
    assert ours == permutation_test(b, a)
    theirs = p_of_scipy(a, b, n_resamples=9999, rng=np.random.default_rng(0))
    assert 0.001 < theirs < 0.2, "the case is a useful one"
    assert ours == pytest.approx(theirs, abs=4 * (theirs / 10_000) ** 0.5)


def test_equal_systems_do_not_differ() -> None:
    a, _ = values(100)
    assert permutation_test(a, a) == 1
    assert t_test(a, a) == 1
    assert t_test([0.1], [0.5]) == 1


def test_a_sure_difference() -> None:
    a, _ = values(100)
    assert permutation_test(a, a + 0.5, n_resamples=999) == 1 / 1000
    assert t_test(a, a + 0.5) < 1e-100


def test_sampled_false_positives_stay_at_their_level() -> None:
    """Of 200 comparisons without a difference, about one in ten falls below 0.1."""
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((200, 40))
    p_values = [permutation_test(d, np.zeros(40), n_resamples=500) for d in noise]
    assert 5 <= sum(p < 0.1 for p in p_values) <= 38


def test_bootstrap_equals_scipy() -> None:
    a, _ = values(300)
    ours = bootstrap_interval(a)
    theirs = stats.bootstrap(
        (a,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=2e-3)
    assert ours.high == pytest.approx(theirs.high, abs=2e-3)
    assert ours.low < a.mean() < ours.high
    wider = bootstrap_interval(a, confidence=0.99)
    assert wider.low < ours.low < ours.high < wider.high


def test_bootstrap_of_equal_values() -> None:
    assert bootstrap_interval([0.25] * 5) == (0.25, 0.25)


def test_corrections() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert correct(p, "none") == p
    assert correct(p, "bonferroni") == pytest.approx([0.05, 0.2, 0.15, 0.025, 1.0])
    # Sorted 0.005·5, 0.01·4, 0.03·3, then 0.04·2 = 0.08 may not fall below 0.09, then 0.5·1.
    assert correct(p, "holm") == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.5])
    assert correct([0.9, 0.9], "holm") == [1.0, 1.0]
    assert correct([], "holm") == []


def test_compare() -> None:
    baseline, better = values(60, shift=0.1)
    equal = baseline.copy()
    first, second = compare(baseline, [better, equal])
    assert first.difference == pytest.approx((better - baseline).mean())
    assert first.interval.low <= first.difference <= first.interval.high
    assert first.p_value == permutation_test(better, baseline)
    assert first.p_corrected == min(1, 2 * first.p_value)
    assert (first.wins + first.ties + first.losses, first.wins) == (
        60,
        (better > baseline).sum(),
    )
    assert second == (0.0, (0.0, 0.0), 1.0, 1.0, 0, 60, 0)
    assert compare(baseline, [better], test="t-test")[0].p_value == t_test(better, baseline)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="same topics"):
        t_test([1.0, 2.0], [1.0])
    with pytest.raises(UsageError, match="same topics"):
        permutation_test([], [])
    with pytest.raises(UsageError, match="expected one of"):
        compare([1.0], [[1.0]], test="z-test")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="holm, bonferroni, none"):
        correct([0.5], "fdr")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="between 0 and 1"):
        bootstrap_interval([1.0], confidence=95)
    with pytest.raises(UsageError, match="at least one topic"):
        bootstrap_interval([])
