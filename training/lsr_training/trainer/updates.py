"""AdamW for a sparse model: parameter groups with weight decay and learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from lsr_training.models import SparseModel
from lsr_training.models.sides import TableSide
from lsr_training.recipe.schema import Recipe
from lsr_training.schedules import learning_rate


class Updates:
    """Optimiser with its learning rate schedule, a function of the step."""

    def __init__(self, model: SparseModel, recipe: Recipe) -> None:
        settings = recipe.optimiser
        self._recipe = recipe
        self.parameters: list[nn.Parameter] = [p for p in model.parameters() if p.requires_grad]
        table = model.queries.parameters() if isinstance(model.queries, TableSide) else ()
        tables = {id(p) for p in table}
        rest = [p for p in self.parameters if id(p) not in tables]
        table_lr = settings.table_lr or settings.lr
        groups = [
            ([p for p in rest if p.dim() > 1], settings.lr, settings.weight_decay),
            # Biases, norms and tables are not pulled towards zero.
            ([p for p in rest if p.dim() <= 1], settings.lr, 0.0),
            ([p for p in self.parameters if id(p) in tables], table_lr, 0.0),
        ]
        groups = [group for group in groups if group[0]]
        self._peaks = [lr for _, lr, _ in groups]
        self.optimiser = torch.optim.AdamW(
            [{"params": own, "lr": lr, "weight_decay": decay} for own, lr, decay in groups]
        )

    def gradient_norm(self) -> float:
        """Return the norm of all gradients, which are clipped if the recipe says so."""
        limit = self._recipe.optimiser.max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit or math.inf)
        return float(norm)

    def apply(self, step: int) -> float:
        """Update the weights with the learning rate of a step, counted from 0, and return it."""
        settings = self._recipe.optimiser
        for group, peak in zip(self.optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = learning_rate(
                peak,
                step,
                warmup_steps=settings.warmup_steps,
                total_steps=self._recipe.steps,
                decay=settings.decay,
            )
        self.optimiser.step()
        return float(self.optimiser.param_groups[0]["lr"])
