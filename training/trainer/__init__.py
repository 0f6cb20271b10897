"""The training loop."""

from training.trainer.loop import TrainingResult, train
from training.trainer.report import StepReport

__all__ = ["StepReport", "TrainingResult", "train"]
