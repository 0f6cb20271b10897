"""The learned half of the default model while it is trained, on a part of its vocabulary at a time.

The vocabulary projection is nine tenths of the work of a small encoder. A step needs little of it:
scores need the terms of the batch's queries, a few hundred. The FLOPS penalty is a sum over all
terms, which a sample of the others estimates without bias. So a step projects onto both, some
thousands of columns, and gets the exact scores and gradients of the full vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.models.backbone import Backbone
from training.models.pooling import max_pool
from training.models.tokens import pad

_CHUNK_TOKENS = 6144


class Columns(NamedTuple):
    """A part of the vocabulary.

    Attributes
    ----------
    ids : (c,) int64 tensor
        The terms of the batch's queries first, then the sampled ones.
    n_exact : int
        How many of them are not sampled.
    factor : float
        How many terms each sampled one stands for, itself included.
    """

    ids: Tensor
    n_exact: int
    factor: float


def choose_columns(
    wanted: NDArray[np.int64], allowed: NDArray[np.int64], n_sampled: int, rng: np.random.Generator
) -> Columns:
    """Draw the columns of a step.

    Parameters
    ----------
    wanted : (w,) int64
        Terms whose weights the scores need, without repeats.
    allowed : (a,) int64
        Terms that may be active at all.
    n_sampled : int
        How many of the other allowed terms to draw; all of them when there are not more.
    """
    others = np.setdiff1d(allowed, wanted)
    drawn = others
    if n_sampled < len(others):
        drawn = rng.choice(others, n_sampled, replace=False)
    factor = len(others) / len(drawn) if len(drawn) else 1.0
    return Columns(torch.from_numpy(np.concatenate([wanted, drawn])), len(wanted), factor)


class Student(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Documents to the weights of some terms: ``log(1 + relu(max_t (W h_t + b)))``.

    Parameters
    ----------
    backbone : Backbone
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, rows: Sequence[NDArray[np.int64]], columns: Columns) -> Tensor:
        """Return the weights: (n, c) float32.

        Parameters
        ----------
        rows : sequence of (length,) int64, (n,)
            Piece ids of documents, none of them empty.
        columns : Columns
        """
        weight = self.backbone.decoder.weight[columns.ids]
        bias = self.backbone.bias[columns.ids]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts, start = [], 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(rows[order[end]]) * (end + 1 - start) <= _CHUNK_TOKENS:
                end += 1
            tokens = pad([rows[i] for i in order[start:end]]).to(weight.device)
            parts.append(max_pool(self.backbone(tokens), tokens.mask, weight, bias))
            start = end
        place = torch.empty(len(order), dtype=torch.int64)
        place[torch.tensor(order)] = torch.arange(len(order))
        return torch.log1p(torch.relu(torch.cat(parts)[place]))


def sampled_flops(vectors: Tensor, columns: Columns, threshold: float) -> Tensor:
    """Estimate ``sum_j (mean_i M_i w_ij)^2`` over the allowed vocabulary without bias.

    ``M_i`` is 1 for documents of more than `threshold` active terms, by estimate: the l0 mask of
    Shen, Geng, Yang, "Exploring l0 Sparsification for Inference-free Sparse Retrievers" (SIGIR
    2025), §3. What the teachers say moves this student little at a time; a penalty that never
    rests would empty its vectors. The IDF stands in the score and not in here, as in Geng et al.
    (arXiv 2411.04403), §3.
    """
    dense = sampled_nnz(vectors.detach(), columns) > threshold
    squares = (vectors * dense[:, None]).mean(dim=0).square()
    exact, sampled = squares[: columns.n_exact], squares[columns.n_exact :]
    return exact.sum() + columns.factor * sampled.sum()


def sampled_nnz(vectors: Tensor, columns: Columns) -> Tensor:
    """Estimate how many terms of each document are active: (n,) float32."""
    active = (vectors > 0).float()
    exact, sampled = active[:, : columns.n_exact], active[:, columns.n_exact :]
    return exact.sum(dim=1) + columns.factor * sampled.sum(dim=1)
