"""Activations that turn pooled logits into term weights, named as in sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lsr.encoders.neural.pooling import Activation


def log1p_relu(logits: Tensor) -> Tensor:
    """Return ``log(1 + relu(x))``: Formal et al., "SPLADE" (SIGIR 2021), §3.1, equation 2."""
    return logits.relu().log1p()


def double_log(logits: Tensor) -> Tensor:
    """Return ``log(1 + log(1 + relu(x)))``, which flattens large weights further.

    The l0 activation of Shen, Geng, Yang (SIGIR 2025), §3.
    """
    return logits.relu().log1p().log1p()


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": log1p_relu,
    "log1p_relu": double_log,
}
