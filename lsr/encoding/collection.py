"""`EncodedCollection`: a finished encode job, to be read any number of times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CollectionStatistics, Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoding import shards
from lsr.records import DocumentBatch


class EncodedCollection:
    """Documents of a corpus with their vectors, in the shards of `folder`.

    `statistics` are counts over all `n_docs` documents. `encoder` made the vectors and has these
    statistics, so that it can encode queries; `dense` made the dense vectors, if there are any.
    """

    def __init__(
        self,
        folder: Path,
        n_shards: int,
        statistics: CollectionStatistics,
        encoder: Encoder,
        dense: DenseEncoder | None = None,
    ) -> None:
        self.folder = folder
        self.n_docs = statistics.n_docs
        self.statistics = statistics
        self.encoder = encoder.with_statistics(statistics)
        self.dense = dense
        self._n_shards = n_shards

    def batches(self) -> Iterator[DocumentBatch]:
        """Stream the documents in the order of the corpus, with finished vectors."""
        for number in range(self._n_shards):
            dense, first = self._dense_of(number), 0
            for batch in shards.read_vectors(shards.vectors_path(self.folder, number)):
                finished = self.encoder.finish_documents(batch.vectors, self.statistics)
                rows = None if dense is None else np.asarray(dense[first : first + batch.n_docs])
                first += batch.n_docs
                yield batch._replace(vectors=finished, dense=rows)

    def dense_vectors(self) -> Iterator[NDArray[np.float32]]:
        """Stream the dense vectors alone, shard by shard, in the order of the corpus."""
        for number in range(self._n_shards):
            vectors = self._dense_of(number)
            if vectors is not None:
                yield vectors

    def _dense_of(self, number: int) -> NDArray[np.float32] | None:
        if self.dense is None:
            return None
        n_docs = shards.read_record(shards.record_path(self.folder, number)).statistics.n_docs
        return shards.read_dense(self.folder, number, n_docs, self.dense.dimension)

    def __iter__(self) -> Iterator[DocumentBatch]:
        return self.batches()
