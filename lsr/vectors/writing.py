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

MAX_HELD_CHARS = 1 << 24
"""Long documents make a batch smaller, so that it stays in bounded memory."""


class Rechunked:
    """The same documents in batches of `n_docs`, the last one smaller.

    A batch is also complete when its texts reach `MAX_HELD_CHARS`.
    """

    def __init__(self, batches: Iterable[DocumentBatch], n_docs: int) -> None:
        self._batches = batches
        self._n_docs = n_docs

    def __iter__(self) -> Iterator[DocumentBatch]:
        held: list[DocumentBatch] = []
        n_held = n_chars = 0
        for batch in self._batches:
            start = 0
            for end, text in enumerate(batch.texts, 1):
                n_held += 1
                n_chars += len(text)
                if n_held == self._n_docs or n_chars >= MAX_HELD_CHARS:
                    yield _joined([*held, _part(batch, start, end)])
                    held, n_held, n_chars, start = [], 0, 0, end
            if start < batch.n_docs:
                held.append(_part(batch, start, batch.n_docs))
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
