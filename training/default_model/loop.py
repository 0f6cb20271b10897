"""The loop: AdamW over the student, a checkpoint every few minutes, going on where it stopped."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from training.default_model.groups import Group, draw_groups
from training.default_model.learning import Material, Weights, objective
from training.default_model.pool import Pool
from training.default_model.student import Student
from training.failures import TrainingError
from training.schedules import learning_rate, penalty_weight
from training.trainer.checkpoint import read_checkpoint, refuse_other_run, write_checkpoint


class Settings(NamedTuple):
    """How long and how fast."""

    steps: int = 180
    queries: int = 64
    documents: int = 3
    lr: float = 1e-4
    warmup_steps: int = 20
    penalty_steps: int = 60
    max_grad_norm: float = 1.0
    keep_every: int = 30
    seed: int = 20261122
    weights: Weights = Weights()

    def plain(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {**self._asdict(), "weights": self.weights._asdict()}


def train(
    student: Student,
    material: Material,
    pool: Pool,
    ranked: Sequence[NDArray[np.int32]],
    settings: Settings,
    folder: Path,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Train the student in place.

    Every step depends on the seed and its number alone, so an interrupted run goes on as if it had
    never stopped.

    Parameters
    ----------
    ranked : sequence of (m, depth) int32
        See `draw_groups`.
    folder : Path
        Gets ``last.pt``, weights of every `keep_every` steps, and ``log.jsonl``.

    Raises
    ------
    TrainingError
        The loss is no number any more; the last checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(student.parameters(), lr=settings.lr, weight_decay=0.01)
    first = _resume(student, optimiser, settings, folder)
    student.eval()  # no dropout: the student is small, and the targets are soft
    groups = _from_step(pool, ranked, settings, first)
    started = time.perf_counter()
    for step, group in zip(range(first, settings.steps), groups, strict=False):
        rng = np.random.default_rng([settings.seed, 1, step])
        share = penalty_weight(1.0, step, settings.penalty_steps)
        loss, parts = objective(student, material, group, settings.weights, share, rng)
        if not math.isfinite(float(loss)):
            raise TrainingError(
                f"the loss is {float(loss)} at step {step}; {folder / 'last.pt'} is from before. "
                "Try a smaller learning rate"
            )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), settings.max_grad_norm)
        for parameters in optimiser.param_groups:
            parameters["lr"] = learning_rate(
                settings.lr,
                step,
                warmup_steps=settings.warmup_steps,
                total_steps=settings.steps,
            )
        optimiser.step()
        line = {"step": step, **parts._asdict(), "seconds": time.perf_counter() - started}
        with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        report(" ".join(f"{key} {value:.4g}" for key, value in line.items()))
        if (step + 1) % settings.keep_every == 0 or step + 1 == settings.steps:
            torch.save(student.state_dict(), folder / f"weights-{step + 1:05}.pt")
            state = {
                "step": step + 1,
                "student": student.state_dict(),
                "optimiser": optimiser.state_dict(),
                "settings": settings.plain(),
            }
            write_checkpoint(folder / "last.pt", state)


def _resume(
    student: Student, optimiser: torch.optim.Optimizer, settings: Settings, folder: Path
) -> int:
    path = folder / "last.pt"
    if not path.is_file():
        return 0
    state = read_checkpoint(path)
    refuse_other_run(path, state["settings"], settings.plain())
    student.load_state_dict(state["student"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _from_step(
    pool: Pool, ranked: Sequence[NDArray[np.int32]], settings: Settings, first: int
) -> Iterator[Group]:
    sources = np.asarray(pool.sources, np.int64)
    at = 0
    for number in count():
        rng = np.random.default_rng([settings.seed, 0, number])
        for group in draw_groups(
            pool,
            ranked,
            sources,
            queries=settings.queries,
            documents=settings.documents,
            rng=rng,
        ):
            if at >= first:
                yield group
            at += 1
