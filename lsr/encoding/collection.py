"""`EncodedCollection`: a finished encode job, to be read any number of times."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from lsr.encoders.base import CollectionStatistics, Encoder
from lsr.encoding.shards import read_vectors, vectors_path
from lsr.records import DocumentBatch


class EncodedCollection:
    """The documents of a corpus with their vectors, on disk.

    Attributes
    ----------
    folder : Path
        Where the shards are.
    n_docs : int
        How many documents.
    statistics : CollectionStatistics
        Counts over all of them.
    encoder : Encoder
        The one that made the vectors, with the statistics: it encodes queries.
    """

    def __init__(
        self, folder: Path, n_shards: int, statistics: CollectionStatistics, encoder: Encoder
    ) -> None:
        self.folder = folder
        self.n_docs = statistics.n_docs
        self.statistics = statistics
        self.encoder = encoder.with_statistics(statistics)
        self._n_shards = n_shards

    def batches(self) -> Iterator[DocumentBatch]:
        """Stream the documents in the order of the corpus, with finished vectors.

        Memory is bounded by one batch, some hundred documents.
        """
        for number in range(self._n_shards):
            for batch in read_vectors(vectors_path(self.folder, number)):
                finished = self.encoder.finish_documents(batch.vectors, self.statistics)
                yield batch._replace(vectors=finished)

    def __iter__(self) -> Iterator[DocumentBatch]:
        return self.batches()

    @cached_property
    def max_weight(self) -> float:
        """Largest weight of all finished vectors; 0 without any. Costs one pass over the shards."""
        return max(
            (float(batch.vectors.weights.max(initial=0.0)) for batch in self.batches()),
            default=0.0,
        )
