"""Vocabulary projection and pooling over tokens, in tiles.

A SPLADE vector is ``pool over tokens of f(W h_t + b)``; computed literally, that is a tensor of
batch × tokens × vocabulary: 1 GB for 32 passages. Here the product is cut into tiles of vocabulary
rows × tokens that fit the second-level cache, and each tile is reduced over its tokens at once.
Tokens come as one flat matrix without padding.

For max pooling, bias and activation follow the maximum: both are monotone, in floating point too,
so the result is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lsr.sparse import SparseBatch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Pooling = Literal["max", "sum"]
Activation = Literal["relu", "log1p_relu"]
"""Names of sentence-transformers: ``relu`` is log(1 + relu(x)), ``log1p_relu`` takes the log twice
(the ℓ0 activation of Shen, Geng, Yang, SIGIR 2025, §3)."""

TILE_BYTES = 1 << 20
"""Size of a tile of logits on a CPU: what the second-level caches of two cores hold."""

TILE_TOKENS = 512
"""Tokens that share a tile. Texts longer than that get tiles of their own."""

GPU_TILE_BYTES = 1 << 28


@dataclass(frozen=True)
class Projection:
    """The output layer of a masked language model, its pooling and activation.

    Attributes
    ----------
    weight : (n_terms, n_hidden) float32 or bfloat16 tensor
    bias : (n_terms,) float32 tensor
    dropped : (n,) int64 tensor
        Terms whose weight is set to zero: the special tokens, for the models that do so.
    """

    weight: Tensor
    bias: Tensor
    pooling: Pooling
    activation: Activation
    dropped: Tensor

    @property
    def n_terms(self) -> int:
        return int(self.weight.shape[0])

    def vectors(self, states: Tensor, lengths: Sequence[int]) -> SparseBatch:
        """Pool token states, (sum of lengths, n_hidden), into a sparse vector for each text.

        States are what the output layer sees, text after text without padding; each of `lengths` is
        at least 1.
        """
        on_cpu = states.device.type == "cpu"
        pooled = (_pool_flat if on_cpu else _pool_padded)(self, states, lengths)
        if self.pooling == "max":
            pooled += self.bias
        pooled[:, self.dropped] = 0
        return self._sparse(pooled)

    def activate(self, logits: Tensor) -> Tensor:
        """Apply the activation in place and return the tensor."""
        logits.relu_().log1p_()
        return logits.log1p_() if self.activation == "log1p_relu" else logits

    def _sparse(self, pooled: Tensor) -> SparseBatch:
        rows, terms = (pooled > 0).nonzero(as_tuple=True)
        weights = pooled[rows, terms]
        if self.pooling == "max":
            weights = self.activate(weights)
        counts = np.bincount(rows.cpu().numpy(), minlength=len(pooled))
        return SparseBatch.of_lengths(
            counts, terms.cpu().numpy().astype(np.uint32), weights.float().cpu().numpy()
        )


def _pool_flat(projection: Projection, states: Tensor, lengths: Sequence[int]) -> Tensor:
    """Pool on a CPU: for each group of texts, for each block of terms, one tile."""
    import torch

    pooled = torch.empty((len(lengths), projection.n_terms), dtype=torch.float32)
    largest = max(TILE_TOKENS, *lengths)
    scratch = torch.empty(max(TILE_BYTES // 4, largest * 64), dtype=torch.float32)
    for first, last, start, end in _groups(lengths):
        group = states[start:end].T
        block = max(64, scratch.numel() // (end - start) // 64 * 64)
        for low in range(0, projection.n_terms, block):
            high = min(low + block, projection.n_terms)
            tile = scratch[: (high - low) * (end - start)].view(high - low, end - start)
            torch.mm(projection.weight[low:high], group, out=tile)
            if projection.pooling == "sum":
                projection.activate(tile.add_(projection.bias[low:high, None]))
            _reduce(projection.pooling, tile, lengths[first:last], pooled[first:last, low:high])
    return pooled


def _groups(lengths: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Cut texts into runs of at most `TILE_TOKENS` tokens: first, last text, first, last token."""
    groups = []
    first = start = end = 0
    for i, length in enumerate(lengths):
        if end > start and end + length - start > TILE_TOKENS:
            groups.append((first, i, start, end))
            first, start = i, end
        end += length
    groups.append((first, len(lengths), start, end))
    return groups


def _reduce(pooling: Pooling, tile: Tensor, lengths: Sequence[int], out: Tensor) -> None:
    """Reduce a tile, terms × tokens, over the tokens of each text; `out` is texts × terms."""
    import torch

    start = 0
    for row, length in enumerate(lengths):
        part = tile[:, start : start + length]
        if pooling == "max":
            torch.amax(part, dim=1, out=out[row])
        else:
            torch.sum(part, dim=1, out=out[row])
        start += length


def _pool_padded(projection: Projection, states: Tensor, lengths: Sequence[int]) -> Tensor:
    """Pool on a GPU: blocks of terms over all texts at once, padding masked inside of a block."""
    import torch

    device = states.device
    longest = max(lengths)
    counts = torch.tensor(lengths, device=device)
    real = torch.arange(longest, device=device)[None, :] < counts[:, None]
    padded = states.new_zeros((len(lengths), longest, states.shape[1]))
    padded[real] = states
    block = max(64, GPU_TILE_BYTES // (4 * len(lengths) * longest) // 64 * 64)
    pieces = []
    for low in range(0, projection.n_terms, block):
        logits = (padded @ projection.weight[low : low + block].T).float()
        if projection.pooling == "sum":
            active = projection.activate(logits.add_(projection.bias[low : low + block]))
            pieces.append((active * real[:, :, None]).sum(dim=1))
        else:
            pieces.append(logits.masked_fill_(~real[:, :, None], -torch.inf).amax(dim=1))
    return torch.cat(pieces, dim=1)


def projection_of(
    model: Any, pooling: Pooling, activation: Activation, dropped: Sequence[int], dtype: torch.dtype
) -> Projection:
    """Return the output layer of a masked language model as a `Projection`."""
    import torch

    layer = model.get_output_embeddings()
    weight = layer.weight.detach().to(dtype).contiguous()
    # A matrix mapped from a file starts where it happens to; the last bits of a product depend on
    # that, and vectors must not change when a file is only written anew.
    if weight.data_ptr() % 64:
        weight = weight.clone()
    bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    ids = torch.tensor(sorted(dropped), dtype=torch.int64, device=weight.device)
    return Projection(weight, bias.float().to(weight.device), pooling, activation, ids)
