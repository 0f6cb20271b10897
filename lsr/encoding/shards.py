"""Shards on disk: vectors, counts, and how each changed the encoder."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CollectionStatistics
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
    return folder / f"shard-{number:05}.parquet"


def dense_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05}.npy"


def record_path(folder: Path, number: int) -> Path:
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


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: {what}, though the job counts this shard as complete; "
        f"remove the folder {path.parent} to start over"
    )
