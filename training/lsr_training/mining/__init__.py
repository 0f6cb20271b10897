"""Mining of hard negatives and teachers' scores with an `lsr_index` index."""

from lsr_training.mining.miner import MiningOptions, MiningResult, mine

__all__ = ["MiningOptions", "MiningResult", "mine"]
