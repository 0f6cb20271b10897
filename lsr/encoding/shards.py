"""Shards on disk: vectors, counts, changes of the encoder; `EncodedCollection` reads them all."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CollectionStatistics, Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.errors import DataError
from lsr.files import write_bytes
from lsr.own_files import OWNER_FILE
from lsr.records import DocumentBatch
from lsr.vectors import read_parquet, write_parquet

_READ_BYTES = 1 << 20
"""Compressed bytes that a batch read back takes up, about."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """Counts over the documents of a shard, and its change of the encoder's state.

    The first `state_kept` bytes of the previous state are kept, and `state_added` follows them: few
    bytes, since a vocabulary only grows. `n_bytes` is the size of the file of vectors.
    """

    statistics: CollectionStatistics
    state_kept: int = 0
    state_added: bytes = b""
    n_bytes: int = 0


def vectors_path(folder: Path, number: int) -> Path:
    """Return the file of a shard's sparse vectors and documents."""
    return folder / f"shard-{number:05}.parquet"


def dense_path(folder: Path, number: int) -> Path:
    """Return the file of a shard's dense vectors."""
    return folder / f"shard-{number:05}.npy"


def record_path(folder: Path, number: int) -> Path:
    """Return the file of a shard's `ShardRecord`; it is written last."""
    return folder / f"shard-{number:05}.npz"


def start_path(folder: Path) -> Path:
    """Return the file of the state that the encoder had before the first shard."""
    return folder / "start.npz"


def write_vectors(path: Path, batches: Iterable[DocumentBatch]) -> None:
    """Write batches as one file, atomically."""
    write_parquet(path, batches)
    path.chmod(OWNER_FILE)  # as private as the index will be


def read_vectors(path: Path) -> Iterator[DocumentBatch]:
    """Stream the batches of a shard, smaller ones where documents are long."""
    mean_bytes = path.stat().st_size // max(1, read_parquet(path).n_docs)
    yield from read_parquet(path, batch_docs=min(1024, 1 + _READ_BYTES // max(1, mean_bytes)))


def write_dense(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write the dense vectors of a shard, (n_docs, dimension), whole or not at all."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(vectors, np.float32), allow_pickle=False)
    write_bytes(path, content.getbuffer(), OWNER_FILE)


def read_dense(folder: Path, number: int, n_docs: int, dimension: int) -> NDArray[np.float32]:
    """Map the dense vectors of a shard, (n_docs, dimension); raises DataError."""
    path = dense_path(folder, number)
    try:
        vectors: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    if vectors.shape != (n_docs, dimension) or vectors.dtype != np.float32:
        raise _damaged(path, f"has shape {vectors.shape}, expected {(n_docs, dimension)}")
    return vectors


def write_record(path: Path, record: ShardRecord) -> None:
    """Write the record of a shard, whole or not at all."""
    frequency = record.statistics.document_frequency
    term_ids = np.flatnonzero(frequency)
    n_docs, total_length = record.statistics.n_docs, record.statistics.total_length
    content = io.BytesIO()
    np.savez(
        content,
        counts=np.array([n_docs, total_length, record.state_kept, record.n_bytes], np.int64),
        term_ids=term_ids.astype(np.uint32),
        document_frequency=frequency[term_ids],
        state=np.frombuffer(record.state_added, np.uint8),
    )
    write_bytes(path, content.getbuffer(), OWNER_FILE)


def read_record(path: Path, vectors: Path | None = None) -> ShardRecord:
    """Read what a shard added; raises DataError.

    With `vectors`, also when that file has another size than the record says.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            n_docs, total_length, state_kept, n_bytes = (int(x) for x in arrays["counts"])
            term_ids = arrays["term_ids"].astype(np.int64)
            frequency = np.zeros(int(term_ids.max(initial=-1)) + 1, np.int64)
            frequency[term_ids] = arrays["document_frequency"]
            added = arrays["state"].tobytes()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    if vectors is not None:
        found = vectors.stat().st_size if vectors.exists() else None
        if found != n_bytes:
            what = "is missing" if found is None else f"has {found} bytes, expected {n_bytes}"
            raise _damaged(vectors, what)
    statistics = CollectionStatistics(n_docs, total_length, frequency)
    return ShardRecord(statistics, state_kept, added, n_bytes)


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
            for batch in read_vectors(vectors_path(self.folder, number)):
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
        n_docs = read_record(record_path(self.folder, number)).statistics.n_docs
        return read_dense(self.folder, number, n_docs, self.dense.dimension)

    def __iter__(self) -> Iterator[DocumentBatch]:
        return self.batches()


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: {what}, though the job counts this shard as complete; "
        f"remove the folder {path.parent} to start over"
    )
