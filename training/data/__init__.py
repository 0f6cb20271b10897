"""Training data: examples from files and collections, and batches drawn from them by seed."""

from training.data.batches import Batch, collate
from training.data.drawing import Drawing
from training.data.examples import Example
from training.data.loading import Examples, load_examples

__all__ = ["Batch", "Drawing", "Example", "Examples", "collate", "load_examples"]
