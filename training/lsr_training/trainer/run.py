"""`Run`: the state of a training run, and its training step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsr_training.data import BatchSampler, Examples, collate
from lsr_training.failures import CollapsedError, DivergedError, OutOfMemoryError
from lsr_training.models import SparseModel
from lsr_training.recipe.schema import Recipe
from lsr_training.trainer.checkpoint import LAST, require_same_run
from lsr_training.trainer.devices import Devices
from lsr_training.trainer.gradients import BatchGradient
from lsr_training.trainer.interruption import uninterrupted
from lsr_training.trainer.objective import Objective
from lsr_training.trainer.randomness import RandomState, random_state, set_random_state
from lsr_training.trainer.report import StepReport, measure_sparsity
from lsr_training.trainer.selection import Selection
from lsr_training.trainer.updates import Updates

EMPTY_STEPS = 3
"""Consecutive steps with empty vectors after which a run counts as collapsed."""

UNRELATED = {"output", "evaluation", "checkpoint_steps", "log_steps", "device"}
"""Keys of a recipe that may change between an interruption and resuming."""

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Run:
    """Model (on its device), optimiser, objective, data position and random numbers of a run."""

    def __init__(
        self, recipe: Recipe, model: SparseModel, sources: Sequence[Examples], devices: Devices
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.step = 0
        self.selection = Selection(recipe.evaluation)
        self._items = [examples.items for examples in sources]
        self._fingerprints = [examples.fingerprint for examples in sources]
        self._devices = devices
        self._updates = Updates(model, recipe)
        self._objective = Objective(recipe, model.n_terms)
        self._gradient = BatchGradient(model, self._objective, recipe, devices)
        self._empty_steps = {"documents": 0, "queries": 0}
        self._drawing = BatchSampler(
            self._items,
            repeats=[examples.source.repeat for examples in sources],
            batch_size=recipe.batch.queries,
            negatives=recipe.data.negatives,
            draw=recipe.data.draw,
            one_source=recipe.data.one_source,
            seed=recipe.seed,
        )

    def advance(self) -> StepReport:
        """Take one step; a failure leaves the state unchanged.

        Ctrl-C takes effect after the step: raised in the middle of a backward pass, it would reach
        the caller as an error of torch. Raises DivergedError, CollapsedError or OutOfMemoryError.
        """
        with uninterrupted():
            return self._advance()

    def _advance(self) -> StepReport:
        started = time.perf_counter()
        before = random_state()
        try:
            parts, queries, documents, norm = self._gradients()
        except BaseException as error:
            set_random_state(before)
            if _is_out_of_memory(error):
                raise OutOfMemoryError(self._memory_advice()) from error
            raise
        rate = self._updates.apply(self.step)
        for side, frequencies in self._objective.frequencies.items():
            frequencies.count(documents if side == "document" else queries)
        self.step += 1
        sparsity = measure_sparsity(queries, documents)
        self._require_active(sparsity)
        seconds = time.perf_counter() - started
        loss = sum(parts.values())
        return StepReport(self.step, loss, parts, rate, norm, seconds, **sparsity)

    def _gradients(self) -> tuple[dict[str, float], Tensor, Tensor, float]:
        """Compute the gradients of a step; return the parts of the loss and the last vectors."""
        self.model.train()
        self._updates.optimiser.zero_grad(set_to_none=True)
        accumulate = self.recipe.batch.accumulate
        total: dict[str, float] = {}
        needs_scores = self.recipe.loss.needs_scores
        teachers = self.recipe.teachers.names if needs_scores else ()
        for i in range(accumulate):
            number = self.step * accumulate + i
            batch = collate(self._drawing.batch(number), self._items, teachers)
            parts, queries, documents = self._gradient.add(batch, self.step, 1 / accumulate)
            for name, value in parts.items():
                if not math.isfinite(value):
                    raise DivergedError(self._divergence(f"{name} is {value}", batch.queries[0]))
                total[name] = total.get(name, 0.0) + value / accumulate
        self._devices.sum_gradients(self._updates.parameters)
        norm = self._updates.gradient_norm()
        if not math.isfinite(norm):
            raise DivergedError(
                self._divergence(f"the gradient's norm is {norm}", batch.queries[0])
            )
        return total, queries, documents, norm

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        randomness = random_state()
        return {
            "step": self.step,
            "run": self.identity(),
            "model": self.model.state_dict(),
            "optimiser": self._updates.optimiser.state_dict(),
            "frequencies": {k: v.state() for k, v in self._objective.frequencies.items()},
            "selection": self.selection.state(),
            "random_cpu": randomness.cpu,
            "random_gpus": randomness.gpus,
        }

    def load_state(self, state: dict[str, Any], where: Path) -> None:
        """Load the state of a checkpoint of the same recipe and data."""
        require_same_run(where, state["run"], self.identity())
        self.model.load_state_dict(state["model"])
        self._updates.optimiser.load_state_dict(state["optimiser"])
        for side, kept in state["frequencies"].items():
            self._objective.frequencies[side].load_state(kept)
        self.selection.load_state(state["selection"])
        cpu, gpus = state["random_cpu"].cpu(), [gpu.cpu() for gpu in state["random_gpus"]]
        set_random_state(RandomState(cpu, gpus))
        self.step = int(state["step"])

    def identity(self) -> dict[str, Any]:
        """Return what must not change between an interruption and resuming."""
        recipe = self.recipe.model_dump(mode="json", exclude=UNRELATED)
        return {"recipe": recipe, "data": self._fingerprints}

    def weights_are_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(torch.isfinite(p).all()) for p in self._updates.parameters)

    def _require_active(self, sparsity: dict[str, float]) -> None:
        for side in ("documents", "queries"):
            empty = sparsity[f"nnz_{side}"] == 0
            self._empty_steps[side] = self._empty_steps[side] + 1 if empty else 0
            if self._empty_steps[side] >= EMPTY_STEPS:
                raise CollapsedError(
                    f"step {self.step}: all {side} have had empty vectors for {EMPTY_STEPS} steps, "
                    "which no gradient can undo; lower the weight under penalties, make its "
                    "warmup_steps longer, lower optimiser.lr, or add penalties.anti_collapse, and "
                    "start over with --restart"
                )

    def _divergence(self, what: str, query: str) -> str:
        checkpoint = Path(self.recipe.output) / "checkpoints" / LAST
        return (
            f"step {self.step + 1}: {what} (first query of the batch: {query[:60]!r}); the last "
            f"good weights are in {checkpoint}. Lower optimiser.lr, lengthen warmup_steps, set "
            "optimiser.max_grad_norm, or use precision fp32, and start over with --restart"
        )

    def _memory_advice(self) -> str:
        batch = self.recipe.batch
        if not batch.grad_cache:
            how = "set batch.grad_cache to true, which keeps one chunk in memory at a time"
        elif batch.chunk > 1:
            how = f"lower batch.chunk (now {batch.chunk})"
        else:
            how = f"lower batch.queries (now {batch.queries}) or data.negatives"
        length = self.recipe.model.max_length.document
        return (
            f"step {self.step + 1}: out of memory; {how}; or shorten model.max_length.document "
            f"(now {length}). The results are the same for any chunk, with or without grad_cache"
        )


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The CPU allocator raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _NO_MEMORY)
