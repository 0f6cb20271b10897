"""`train`: trains and exports the model of a recipe, resumable at every step."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lsr.encoders.base import CollectionStatistics
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import UsageError
from lsr.progress import Progress
from lsr_training.data import Examples, load_examples
from lsr_training.data.loader import documents_of
from lsr_training.export import export_model
from lsr_training.failures import DivergedError
from lsr_training.models.factory import build_model, count_pieces
from lsr_training.recipe.schema import Recipe
from lsr_training.trainer.checkpoint import BEST, LAST, read_checkpoint, write_checkpoint
from lsr_training.trainer.curves import draw_curves
from lsr_training.trainer.devices import Devices
from lsr_training.trainer.evaluation import (
    EvaluationSet,
    Measurement,
    evaluate,
    mean,
    open_evaluation_set,
)
from lsr_training.trainer.log import BOARD, LOG, Log
from lsr_training.trainer.report import OnStep
from lsr_training.trainer.run import Run


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training run.

    Attributes
    ----------
    model : Path
        The exported folder.
    step : int
        Of the exported weights.
    steps_done : int
    measured : Measurement or None
        Mean over the collections of the recipe, of the exported weights.
    start : Measurement or None
        The same before training.
    stopped : str or None
        Reason why the run ended before its last step.
    skipped : int
        Malformed records left out of the data.
    curves : Path or None
        Picture of the log, where matplotlib is installed.
    """

    model: Path
    step: int
    steps_done: int
    measured: Measurement | None
    start: Measurement | None
    stopped: str | None
    skipped: int
    curves: Path | None


def train(
    recipe: Recipe,
    *,
    restart: bool = False,
    progress: Progress | None = None,
    on_step: OnStep | None = None,
) -> TrainingResult:
    """Train and export a model; `lsr.train` describes parameters, result and errors.

    The same call after an interruption resumes the run; on a CPU the result is bit for bit that
    of an uninterrupted run. `on_step` is called with the report of every step.
    """
    devices = Devices(recipe.device)
    try:
        return _Training(recipe, devices, progress or (lambda *_: None)).run(restart, on_step)
    finally:
        devices.close()


class _Training:
    def __init__(self, recipe: Recipe, devices: Devices, progress: Progress) -> None:
        self.recipe = recipe
        self.devices = devices
        self.progress = progress
        self.output = Path(recipe.output)
        self.checkpoints = self.output / "checkpoints"
        self.writes = devices.rank == 0
        self.log: Log | None = None

    def run(self, restart: bool, on_step: OnStep | None) -> TrainingResult:
        scored = self.recipe.loss.needs_scores
        sources = [
            load_examples(source, needs_scores=scored, progress=self.progress)
            for source in self.recipe.data.sources
        ]
        wanted = self.recipe.evaluation
        sets = [
            open_evaluation_set(folder, wanted.split, wanted.max_queries)
            for folder in wanted.collections
        ]
        self._prepare(restart)
        run = self._start(sources)
        try:
            stopped = self._steps(run, sets, on_step)
        finally:
            if self.log is not None:
                self.log.close()
        return self._finish(run, sources, stopped)

    def _prepare(self, restart: bool) -> None:
        if self.output.exists() and not self.output.is_dir():
            raise UsageError(f"{self.output}: is a file; choose another output")
        if self.writes:
            if restart:
                for name in ("checkpoints", "model", BOARD):
                    shutil.rmtree(self.output / name, ignore_errors=True)
                (self.output / LOG).unlink(missing_ok=True)
            self.output.mkdir(parents=True, exist_ok=True)
        # No process reads checkpoints before the first one has removed the files of earlier runs.
        self.devices.wait()

    def _start(self, sources: Sequence[Examples]) -> Run:
        torch.manual_seed(self.recipe.seed)

        def count(pieces: WordPieces) -> CollectionStatistics:
            return count_pieces(pieces, documents_of(sources), self.progress)

        model = build_model(self.recipe.model, count).to(self.devices.device)
        run = Run(self.recipe, model, sources, self.devices)
        last = self.checkpoints / LAST
        if last.exists():
            run.load_state(read_checkpoint(last, self.devices.device), last)
        if self.writes:
            self.log = Log(self.output, run.step, tensorboard=self.recipe.tensorboard)
        return run

    def _steps(self, run: Run, sets: Sequence[EvaluationSet], on_step: OnStep | None) -> str | None:
        recipe = self.recipe
        try:
            while True:
                if sets and self._evaluation_is_due(run):
                    self._evaluate(run, sets)
                stopped = run.selection.stop()
                finished = stopped is not None or run.step >= recipe.steps
                if run.step and (finished or run.step % recipe.checkpoint_steps == 0):
                    self._save(run, LAST)
                if finished:
                    return stopped
                report = run.advance()
                if run.step % recipe.log_steps == 0 or run.step == recipe.steps:
                    self._record(report.record())
                if on_step is not None:
                    on_step(report)
                self.progress("training", run.step, recipe.steps)
        except KeyboardInterrupt:
            self._save(run, LAST)
            raise
        except DivergedError:
            if run.weights_are_finite():
                self._save(run, LAST)
            raise

    def _evaluation_is_due(self, run: Run) -> bool:
        at_end = run.step == self.recipe.steps
        due = at_end or run.step % self.recipe.evaluation.every_steps == 0
        return due and run.selection.last_step != run.step

    def _evaluate(self, run: Run, sets: Sequence[EvaluationSet]) -> None:
        found: dict[str, Measurement] = {}
        for i, data in enumerate(sets):
            self.progress("evaluating", i, len(sets))
            found[data.name] = evaluate(run.model, data, self.recipe.batch.chunk)
        self.progress("evaluating", len(sets), len(sets))
        measured = mean(list(found.values()))
        collections = {name: asdict(m) for name, m in found.items()}
        record = {"kind": "evaluation", "step": run.step, **asdict(measured)}
        self._record({**record, "collections": collections})
        if run.selection.add(run.step, measured):
            self._save(run, BEST)

    def _record(self, record: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(record)

    def _save(self, run: Run, name: str) -> None:
        if self.writes:
            write_checkpoint(self.checkpoints / name, run.state())

    def _finish(self, run: Run, sources: Sequence[Examples], stopped: str | None) -> TrainingResult:
        done, step, best = run.step, run.step, run.selection.best
        if best is not None and run.selection.best_step != run.step:
            kept = read_checkpoint(self.checkpoints / BEST, self.devices.device)
            run.model.load_state_dict(kept["model"])
            step = int(kept["step"])
        folder = self.output / "model"
        curves = None
        if self.log is not None:
            records = self.log.records()
            export_model(run.model, folder, _facts(self.recipe, sources, records, step))
            curves = draw_curves(records, self.output / "curves.png")
        skipped = sum(len(examples.skipped) for examples in sources)
        start = run.selection.start
        return TrainingResult(folder, step, done, best, start, stopped, skipped, curves)


def _facts(
    recipe: Recipe, sources: Sequence[Examples], records: Sequence[dict[str, Any]], step: int
) -> dict[str, Any]:
    """Return the facts of the model card."""
    measured = [r for r in records if r["kind"] == "evaluation" and r["step"] in (0, step)]
    return {
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
        "step": step,
        "sources": [{"path": e.source.path, "n_examples": len(e.items)} for e in sources],
        "measured": {r["step"]: r["collections"] for r in measured},
    }
