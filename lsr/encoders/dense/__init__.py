"""Dense encoders: text to vectors of a fixed dimension, behind one protocol (`DenseEncoder`).

`load_dense_encoder` finds one by name, `restore_dense_encoder` makes the query side of an index
again. Importing loads neither torch nor transformers nor onnxruntime.
"""

from lsr.encoders.dense.base import DenseEncoder, DenseEncoderAssets, Similarity
from lsr.encoders.dense.loading import load_dense_encoder, restore_dense_encoder
from lsr.encoders.dense.packaged import PACKAGED

__all__ = [
    "PACKAGED",
    "DenseEncoder",
    "DenseEncoderAssets",
    "Similarity",
    "load_dense_encoder",
    "restore_dense_encoder",
]
