"""The training loop."""

from lsr_training.trainer.loop import TrainingResult, train
from lsr_training.trainer.report import StepReport

__all__ = ["StepReport", "TrainingResult", "train"]
