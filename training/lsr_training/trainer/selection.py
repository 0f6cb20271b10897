"""Selection of the best checkpoint, and early stopping."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lsr_training.recipe.schema import Evaluation
from lsr_training.trainer.evaluation import Measurement


class Selection:
    """Evaluations of a run, and the best of them.

    The best is the one with the highest nDCG@10 among those within ``max_flops``. As long as none
    is within, it is the one with the least FLOPS.
    """

    def __init__(self, settings: Evaluation) -> None:
        self._settings = settings
        self.start: Measurement | None = None
        self.best: Measurement | None = None
        self.best_step = 0
        self.last_step = -1
        self._since_best = 0

    def add(self, step: int, measured: Measurement) -> bool:
        """Add an evaluation; return whether it is the best so far.

        Step 0, the model before training, is never the best.
        """
        self.last_step = step
        if step == 0:
            self.start = measured
            return False
        better = self.best is None or self._rank(measured) > self._rank(self.best)
        if better:
            self.best, self.best_step, self._since_best = measured, step, 0
        else:
            self._since_best += 1
        return better

    def stop(self) -> str | None:
        """Return the reason to stop now, or None."""
        target, patience = self._settings.target_ndcg, self._settings.patience
        best = self.best
        if best and target and self._within(best) and best.ndcg_10 >= target:
            return f"nDCG@10 {best.ndcg_10:.4f} reached the target {target}"
        if patience and self._since_best >= patience:
            return f"no better evaluation in {patience}"
        return None

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "start": self.start and asdict(self.start),
            "best": self.best and asdict(self.best),
            "best_step": self.best_step,
            "last_step": self.last_step,
            "since_best": self._since_best,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load the state of a checkpoint."""
        start, best = state.get("start"), state.get("best")
        self.start, self.best = start and Measurement(**start), best and Measurement(**best)
        self.best_step, self.last_step = state["best_step"], state["last_step"]
        self._since_best = state["since_best"]

    def _within(self, measured: Measurement) -> bool:
        limit = self._settings.max_flops
        return limit is None or measured.flops <= limit

    def _rank(self, measured: Measurement) -> tuple[bool, float]:
        within = self._within(measured)
        return within, measured.ndcg_10 if within else -measured.flops
