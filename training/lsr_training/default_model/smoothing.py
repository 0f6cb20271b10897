"""Smoothing factors: inputs of matrices are divided by them before 8-bit quantisation.

A few dimensions of BERT's states are a hundred times as large as the others, so that one step size
for all of them leaves few steps to the others. Dividing the input and multiplying the matrix by the
same factors changes no product: Xiao et al., "SmoothQuant" (ICML 2023), §4, equation 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MIGRATION = 0.8
"""Share of the range that moves into the matrix. Of .3 to .8, .8 kept most of the embeddings."""


def measure_smoothing(
    network: Any, rows: Sequence[NDArray[np.int64]]
) -> dict[str, NDArray[np.float32]]:
    """Return the factors of every smoothed input, under the name of the matrix.

    Queries, keys and values of attention have one input, under the name of the query.

    Parameters
    ----------
    network : BertModel
        On the CPU.
    rows : sequence of (length,) int64
        Pieces of some typical documents.
    """
    matrices = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("encoder.")
    }
    largest = _largest_inputs(network, matrices, rows)
    return {
        name: _factors(largest[name], _same_input(name, matrices))
        for name in matrices
        if not name.endswith((".key", ".value"))
    }


def _largest_inputs(
    network: Any, matrices: Mapping[str, nn.Module], rows: Sequence[NDArray[np.int64]]
) -> dict[str, Tensor]:
    largest: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found = inputs[0].abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(largest.get(name, found), found)

        return look

    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in matrices.items()]
    try:
        with torch.inference_mode():
            for row in rows:
                network(input_ids=torch.from_numpy(row)[None])
    finally:
        for hook in hooks:
            hook.remove()
    return largest


def _same_input(name: str, matrices: Mapping[str, nn.Module]) -> list[Tensor]:
    stem, _, last = name.rpartition(".")
    parts = ("query", "key", "value") if last == "query" else (last,)
    return [matrices[f"{stem}.{part}"].weight.detach() for part in parts]


def _factors(largest_input: Tensor, weights: Sequence[Tensor]) -> NDArray[np.float32]:
    largest_weight = torch.cat(list(weights)).abs().amax(0).clamp(min=1e-5)
    factors = largest_input**MIGRATION / largest_weight ** (1 - MIGRATION)
    clamped: NDArray[np.float32] = factors.clamp(min=1e-4).float().numpy()
    return clamped
