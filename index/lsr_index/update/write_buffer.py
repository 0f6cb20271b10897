"""Documents and deletes of a writer that are not committed yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr.records import DocumentBatch
from lsr_index.dense.codes import Codes
from lsr_index.search.filters import Filter
from lsr_index.segment.doc_ids import encode_id
from lsr_index.segment.metadata_columns import (
    ColumnName,
    column_names,
    field_types,
    require_columns,
)
from lsr_index.segment.quantize import LossCount
from lsr_index.segment.quantized_batch import (
    Chunk,
    dense_codes,
    encode_batch,
    quantize,
    without_zeros,
)
from lsr_index.storage.dense_part import DensePart

_CHUNK_DOCS = 4096


class PendingDocument(NamedTuple):
    """A document to be added: encoded, but not quantised, since the scale may still change."""

    parts: list[bytes]
    term_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]
    dense: Codes | None = None


class Pending:
    """Documents to add, in the order of their last writing, and ids to delete from the index.

    `gone` holds the ids whose committed document is deleted, or replaced by one of `documents`.
    `columns` returns the metadata columns of the index; it is called with the first document that
    has metadata.
    """

    def __init__(
        self,
        n_terms: int,
        dense: DensePart | None = None,
        columns: Callable[[], set[ColumnName]] = set,
    ) -> None:
        self._dense = dense
        self._committed_columns = columns
        self._columns: set[ColumnName] | None = None
        self.documents: dict[str, PendingDocument] = {}
        self.gone: set[str] = set()
        self.n_terms = n_terms

    def __bool__(self) -> bool:
        return bool(self.documents or self.gone)

    def add(self, batch: DocumentBatch, n_terms: int | None) -> None:
        """Add a batch, or raise DataError and add nothing of it."""
        limit = max(self.n_terms, n_terms or 0)
        rows = list(_rows(batch, limit, self._dense))
        self._take_columns(row.parts[2] for _, row in rows)
        self.n_terms = limit
        for doc_id, row in rows:
            self.documents.pop(doc_id, None)  # the last one written is the last in order
            self.documents[doc_id] = row
            self.gone.add(doc_id)

    def _take_columns(self, metadata: Iterable[bytes]) -> None:
        names = set[ColumnName]().union(*map(column_names, metadata))
        if not names:
            return
        if self._columns is None:
            self._columns = self._committed_columns()
        after = set(self._columns)
        for name in sorted(names - after):
            require_columns(after, name)
            after.add(name)
        self._columns = after

    def remove(self, doc_id: str) -> bool:
        """Delete a document; return whether a pending one was removed."""
        self.gone.add(doc_id)
        return self.documents.pop(doc_id, None) is not None

    def matching(self, condition: Filter) -> list[str]:
        """Return the ids of the documents whose metadata passes a filter."""
        return [
            doc_id
            for doc_id, row in self.documents.items()
            if condition.matches(json.loads(row.parts[2] or b"{}"))
        ]

    def fields(self) -> dict[str, set[str]]:
        """Return the metadata fields of the pending documents, and the types of their values."""
        stored = (row.parts[2] for row in self.documents.values())
        return field_types(name for metadata in stored for name in column_names(metadata))

    def weights(self) -> Iterator[NDArray[np.float32]]:
        """Yield the weights of each document, (n,) float32."""
        return (row.weights for row in self.documents.values())

    def chunks(self, scale: float, lost: LossCount) -> Iterator[Chunk]:
        """Yield the documents, quantised; weights beyond the scale are clipped and counted."""
        doc_ids = list(self.documents)
        for start in range(0, len(doc_ids), _CHUNK_DOCS):
            part = doc_ids[start : start + _CHUNK_DOCS]
            rows = [self.documents[doc_id] for doc_id in part]
            indptr = np.cumsum([0, *(len(row.term_ids) for row in rows)], dtype=np.int64)
            impacts = quantize(np.concatenate([row.weights for row in rows]), scale, lost)
            term_ids = np.concatenate([row.term_ids for row in rows])
            dense = None
            if self._dense is not None:
                dense = np.stack([row.dense for row in rows if row.dense is not None])
            vectors = without_zeros(indptr, term_ids, impacts)
            yield Chunk(part, [row.parts for row in rows], vectors, dense)


def _rows(
    batch: DocumentBatch, n_terms: int, dense: DensePart | None
) -> Iterator[tuple[str, PendingDocument]]:
    parts, codes = encode_batch(batch, n_terms), dense_codes(batch, dense)
    seen: set[str] = set()
    for i, doc_id in enumerate(batch.ids):
        encode_id(doc_id)
        if doc_id in seen:
            raise DataError(f"document id {doc_id!r} appears twice in one batch")
        seen.add(doc_id)
        row = batch.vectors.row(i)
        yield doc_id, PendingDocument(parts[i], *row, None if codes is None else codes[i])
