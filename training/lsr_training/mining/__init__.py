"""Hard negatives and teachers' scores, through our own index."""

from lsr_training.mining.miner import MiningOptions, MiningResult, mine
from lsr_training.mining.teachers import open_teacher

__all__ = ["MiningOptions", "MiningResult", "mine", "open_teacher"]
