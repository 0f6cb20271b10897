"""Writing a file of vectors: whole or not at all, and the same bytes for any cut into batches."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lsr.errors import StorageFullError
from lsr.records import DocumentBatch, Metadata
from lsr.sparse import SparseBatch


class Rechunked:
    """The same documents in batches of exactly `n_docs`, the last one smaller."""

    def __init__(self, batches: Iterable[DocumentBatch], n_docs: int) -> None:
        self._batches = batches
        self._n_docs = n_docs

    def __iter__(self) -> Iterator[DocumentBatch]:
        held: list[DocumentBatch] = []
        n_held = 0
        for batch in self._batches:
            start = 0
            while start < batch.n_docs:
                end = min(batch.n_docs, start + self._n_docs - n_held)
                held.append(_part(batch, start, end))
                n_held += end - start
                start = end
                if n_held == self._n_docs:
                    yield _joined(held)
                    held, n_held = [], 0
        if held:
            yield _joined(held)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place once everything is on the disk.

    Raises
    ------
    StorageFullError
        When no room is left; the temporary file is gone, what was at `path` untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFullError(
                f"{path}: no room left ({os.strerror(error.errno)}); free some and run again"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _part(batch: DocumentBatch, start: int, end: int) -> DocumentBatch:
    return DocumentBatch(
        batch.ids[start:end],
        batch.vectors.rows(start, end),
        batch.texts[start:end],
        batch.titles[start:end],
        batch.metadata[start:end],
    )


def _joined(parts: list[DocumentBatch]) -> DocumentBatch:
    if len(parts) == 1:
        return parts[0]
    ids: list[str] = []
    texts: list[str] = []
    titles: list[str] = []
    metadata: list[Metadata] = []
    for part in parts:
        ids += part.ids
        texts += part.texts
        titles += part.titles
        metadata += part.metadata
    return DocumentBatch(
        ids, SparseBatch.concatenate([part.vectors for part in parts]), texts, titles, metadata
    )
