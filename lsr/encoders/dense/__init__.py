"""Dense encoders: text to vectors of a fixed dimension, with one base class (`DenseEncoder`).

`load_dense_encoder` finds one by name, `restore_dense_encoder` makes the query side of an index
again. Importing loads neither torch nor transformers nor onnxruntime.
"""

from lsr.encoders.dense.base import DenseEncoder, Similarity
from lsr.encoders.dense.registry import (
    DENSE_ENCODERS,
    load_dense_encoder,
    register_dense_encoder,
    restore_dense_encoder,
)

__all__ = [
    "DENSE_ENCODERS",
    "DenseEncoder",
    "Similarity",
    "load_dense_encoder",
    "register_dense_encoder",
    "restore_dense_encoder",
]
