"""Low-rank adaptation (LoRA): trained matrices added to a frozen transformer.

``W x + (alpha / rank) B A x`` with `W` frozen and `B` zero at the start: Hu et al., "LoRA: Low-Rank
Adaptation of Large Language Models" (ICLR 2022), §4.1. For an export the product is added to `W`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lsr.errors import UsageError
from lsr_training.recipe.sections import LowRank


class LowRankLinear(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Frozen linear layer with trained low-rank matrices."""

    def __init__(self, frozen: nn.Linear, settings: LowRank) -> None:
        super().__init__()
        self.frozen = frozen
        self.down = nn.Linear(frozen.in_features, settings.rank, bias=False)
        self.up = nn.Linear(settings.rank, frozen.out_features, bias=False)
        nn.init.zeros_(self.up.weight)
        self.dropout = nn.Dropout(settings.dropout)
        self.scale = settings.alpha / settings.rank

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (..., n_out) of (..., n_in)."""
        learned: Tensor = self.up(self.down(self.dropout(inputs)))
        return self.frozen(inputs) + self.scale * learned

    def merged(self) -> nn.Linear:
        """Return one plain layer with the same output."""
        plain = nn.Linear(self.frozen.in_features, self.frozen.out_features, device="meta")
        weight = self.frozen.weight + self.scale * self.up.weight @ self.down.weight
        plain.weight = nn.Parameter(weight.detach(), requires_grad=False)
        plain.bias = self.frozen.bias
        return plain


def adapt(body: nn.Module, settings: LowRank) -> None:
    """Freeze a network and add low-rank matrices to its linear layers with names in ``targets``."""
    body.requires_grad_(False)
    linear = [(n, m) for n, m in body.named_modules() if isinstance(m, nn.Linear)]
    names = {name.rpartition(".")[2] for name, _ in linear}
    targets = names & set(settings.targets or names)
    if not targets:
        raise UsageError(
            f"model.lora.targets: no linear layer is called {' or '.join(settings.targets)}; "
            f"there are: {', '.join(sorted(names)) or 'none'}"
        )
    for name, layer in linear:
        if name.rpartition(".")[2] in targets:
            _put(body, name, LowRankLinear(layer, settings))


@contextmanager
def merged(body: nn.Module) -> Iterator[None]:
    """Replace adapted layers by plain ones, to save the network."""
    adapted = [(n, m) for n, m in body.named_modules() if isinstance(m, LowRankLinear)]
    with torch.no_grad():
        for name, module in adapted:
            _put(body, name, module.merged())
    try:
        yield
    finally:
        for name, module in adapted:
            _put(body, name, module)


def _put(body: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(body.get_submodule(parent), last, module)
