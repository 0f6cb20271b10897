"""Schedules of the learning rate and of penalty weights.

Pure functions of the step, counted from 0, so that resuming needs no saved state.
"""

from __future__ import annotations

from typing import Literal

Decay = Literal["linear", "constant"]
Growth = Literal["quadratic", "linear", "constant"]


def penalty_weight(
    weight: float, step: int, warmup_steps: int, growth: Growth = "quadratic"
) -> float:
    """Return the weight of a penalty at a step.

    ``weight * (min(step, T) / T)^2`` for quadratic growth: Paria et al. (ICLR 2020), §4, and every
    SPLADE since. A penalty at full weight from the start makes the vectors empty before they
    are trained. `T` is `warmup_steps`; 0 starts at full weight.
    """
    if growth == "constant" or step >= warmup_steps:
        return weight
    share = step / warmup_steps
    return weight * (share * share if growth == "quadratic" else share)


def learning_rate(
    lr: float, step: int, *, warmup_steps: int, total_steps: int, decay: Decay = "linear"
) -> float:
    """Return the learning rate at a step: linear warm-up from 0, then linear decay to 0.

    Step 0 takes ``lr / warmup_steps`` rather than 0, so no step is wasted, and the last step does
    not take 0 either. `lr` is the peak.
    """
    if step < warmup_steps:
        return lr * (step + 1) / warmup_steps
    if decay == "constant":
        return lr
    return lr * max(0, total_steps - step) / max(1, total_steps - warmup_steps)
