"""Training data: examples from files and collections, and batches drawn from them by seed."""

from lsr_training.data.batches import Batch, collate
from lsr_training.data.drawing import Drawing
from lsr_training.data.examples import Example
from lsr_training.data.loading import Examples, load_examples

__all__ = ["Batch", "Drawing", "Example", "Examples", "collate", "load_examples"]
