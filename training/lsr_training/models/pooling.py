"""Pooling of token states into vocabulary logits with gradients, in blocks of terms.

Batch × tokens × vocabulary in float32 is 500 MB for 32 passages, and autograd would keep several of
them. The product is computed in blocks of terms instead. For the maximum, the backward pass needs
only the position of the largest token. It is recomputed for the few active terms, and the gradient
touches a few hundred rows of the output matrix for each text, where the plain backward pass costs
twice the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK_BYTES = {"cpu": 1 << 23, "cuda": 1 << 28}
"""Size of a block of logits."""


class _MaxPool(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        n, length, _ = states.shape
        n_terms = len(weight)
        pooled = torch.empty((n, n_terms), dtype=bias.dtype, device=states.device)
        # A real token once more in place of every other: no maximum changes.
        first = states[torch.arange(n, device=states.device), mask.int().argmax(dim=1)]
        rows = torch.where(mask[:, :, None], states, first[:, None]).to(dtype)
        for low, high in _blocks(n_terms, n * length, states.device):
            pooled[:, low:high] = (rows @ weight[low:high].to(dtype).T).amax(dim=1)
        ctx.save_for_backward(states, mask, weight)
        return pooled + bias

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        states, mask, weight = ctx.saved_tensors
        to_states = torch.zeros_like(states, dtype=weight.dtype)
        # A frozen output layer, as beside low-rank matrices, needs no gradient.
        to_weight = torch.zeros_like(weight) if ctx.needs_input_grad[2] else None
        for i in range(len(states)):
            # Which token won is found out for these terms only.
            terms = gradient[i].nonzero().squeeze(1)
            flow, rows = gradient[i, terms, None], weight[terms]
            real = states[i, mask[i]].to(weight.dtype)
            places = mask[i].nonzero().squeeze(1)[(rows @ real.T).argmax(dim=1)]
            to_states[i].index_add_(0, places, flow * rows)
            if to_weight is not None:
                to_weight[terms] += flow * states[i, places]
        return to_states.to(states.dtype), None, to_weight, gradient.sum(dim=0), None


def max_pool(states: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the largest logit of each term over the tokens of a text.

    ``max_t (W h_t + b)``. The activation comes after it: all of them are monotone.

    Parameters
    ----------
    states : (n, length, n_hidden) tensor
    mask : (n, length) bool tensor
        True for real tokens; at least one in each row.
    weight : (n_terms, n_hidden) tensor
    bias : (n_terms,) tensor

    Returns
    -------
    (n, n_terms) tensor
        Differentiable once. Of equal logits, one token's gets the gradient.
    """
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        pooled: Tensor = _MaxPool.apply(states, mask, weight, bias, dtype)
    return pooled


def sum_pool(
    states: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the sum of each term's activated logits over the tokens of a text.

    ``sum_t f(W h_t + b)``. Blocks are computed again in the backward pass instead of being kept.
    Shapes are those of `max_pool`; `activation` is `f`.
    """

    def block(some: Tensor, offset: Tensor) -> Tensor:
        return (activation(states @ some.T + offset) * mask[:, :, None]).sum(dim=1)

    n_tokens = states.shape[0] * states.shape[1]
    parts = [
        checkpoint(
            block, weight[low:high], bias[low:high], use_reentrant=False, preserve_rng_state=False
        )
        for low, high in _blocks(len(weight), n_tokens, states.device)
    ]
    return torch.cat(parts, dim=1)


def _blocks(n_terms: int, n_tokens: int, device: torch.device) -> list[tuple[int, int]]:
    size = max(64, BLOCK_BYTES.get(device.type, 1 << 23) // (4 * n_tokens) // 64 * 64)
    return [(low, min(low + size, n_terms)) for low in range(0, n_terms, size)]
