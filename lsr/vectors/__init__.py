"""Files of sparse vectors, streamed in and out: Parquet and Anserini JSON lines.

Readers check everything that comes in, once: `SparseBatch` is trusted from then on. They hold one
batch of rows in memory, whatever the size of the file, and can be read from the start again.
"""

from lsr.vectors.anserini import AnseriniVectors, read_anserini, write_anserini
from lsr.vectors.parquet import ParquetVectors, read_parquet, write_parquet

__all__ = [
    "AnseriniVectors",
    "ParquetVectors",
    "read_anserini",
    "read_parquet",
    "write_anserini",
    "write_parquet",
]
