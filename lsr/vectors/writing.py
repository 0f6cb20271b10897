"""Batches for a file of vectors: the same bytes for any cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lsr.records import DocumentBatch
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
    documents = [document for part in parts for document in part.documents()]
    return DocumentBatch.of(documents, SparseBatch.concatenate([part.vectors for part in parts]))
