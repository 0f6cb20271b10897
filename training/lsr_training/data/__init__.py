"""Training data: examples from files and collections, and batches drawn from them by seed."""

from lsr_training.data.batches import Batch, collate
from lsr_training.data.examples import Example
from lsr_training.data.loader import Examples, load_examples
from lsr_training.data.sampling import BatchSampler

__all__ = ["Batch", "BatchSampler", "Example", "Examples", "collate", "load_examples"]
