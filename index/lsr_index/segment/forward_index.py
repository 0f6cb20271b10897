"""Document vectors of a segment, read back from its posting lists and rows.

One range at a time is transposed. In a reordered segment the documents of a range lie anywhere, and
the transposed ranges are kept (in a scratch file) until documents can be read in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError
from lsr_index.kernels.build.transpose import count_slots, gather_slot, impact_at, transpose_range
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.geometry import NO_DOC
from lsr_index.storage.spool import Spool

CHUNK_DOCS = 4096


class Vectors(NamedTuple):
    """Quantised vectors of some documents, as CSR; term ids strictly ascend within a document."""

    indptr: NDArray[np.int64]
    term_ids: NDArray[np.uint32]
    impacts: NDArray[np.uint8]


class _Range(NamedTuple):
    """Lists and rows of one range."""

    offsets: NDArray[np.uint32]
    slots: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    rows: NDArray[np.uint8]


class VectorReader:
    """Document vectors of a segment.

    `arrays` must be checked (`lsr_index.segment.structure.check_indexing`): kernels index with
    them. `path` is named in errors.
    """

    def __init__(self, arrays: SegmentArrays, path: Path) -> None:
        self._arrays = arrays
        self._path = path

    def vector(self, document: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Return the term ids and impacts of one document; O(terms of the segment)."""
        number, slot = self._place(document)
        found = np.empty(self._arrays.terms.size, np.uint8)
        size = self._arrays.geometry.range_size
        gather_slot(self._arrays.row_of_term, *self._range(number), size, slot, found)
        kept = np.flatnonzero(found)
        return self._arrays.terms[kept], found[kept]

    def impacts(self, document: int, term_ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return the impacts of some terms in one document; 0 where it lacks a term."""
        number, slot = self._place(document)
        part = self._range(number)
        terms, rows = self._arrays.terms, self._arrays.row_of_term
        size = self._arrays.geometry.range_size
        found = np.zeros(len(term_ids), np.uint8)
        for i, local in enumerate(np.searchsorted(terms, term_ids)):
            if local < terms.size and terms[local] == term_ids[i]:
                found[i] = impact_at(*part, size, rows[local], local, slot)
        return found

    def chunks(self, scratch: Path | None = None) -> Iterator[tuple[int, Vectors]]:
        """Yield all documents in order as (first document, vectors).

        `scratch` is an existing folder for large reordered segments; without it memory is used.
        """
        if self._arrays.reordered:
            yield from self._reordered_chunks(scratch)
            return
        first = 0
        for number in range(self._arrays.n_ranges):
            turned = self._turned(number)
            _, order = self._in_order(number)
            for at in range(0, len(order), CHUNK_DOCS):
                yield first + at, select(turned, order[at : at + CHUNK_DOCS])
            first += len(order)

    def _reordered_chunks(self, scratch: Path | None) -> Iterator[tuple[int, Vectors]]:
        n_docs = self._arrays.n_docs
        starts, lengths = np.zeros(n_docs, np.int64), np.full(n_docs, -1, np.int64)
        terms = Spool(np.uint32, scratch and scratch / "turned-terms.tmp")
        impacts = Spool(np.uint8, scratch and scratch / "turned-impacts.tmp")
        with closing(terms), closing(impacts):
            for number in range(self._arrays.n_ranges):
                turned = self._turned(number)
                documents, order = self._in_order(number)
                starts[documents] = terms.size + turned.indptr[order]
                lengths[documents] = turned.indptr[order + 1] - turned.indptr[order]
                terms.append(turned.term_ids)
                impacts.append(turned.impacts)
            if n_docs and lengths.min() < 0:
                raise self._corrupt(
                    "postings/slot_docs: not every document has a place in the layout"
                )
            for first in range(0, n_docs, CHUNK_DOCS):
                rows = range(first, min(first + CHUNK_DOCS, n_docs))
                spans = [(int(starts[i]), int(starts[i] + lengths[i])) for i in rows]
                indptr = np.concatenate([[0], np.cumsum(lengths[rows.start : rows.stop])])
                yield (
                    first,
                    Vectors(
                        indptr.astype(np.int64),
                        np.concatenate([terms.read(a, b) for a, b in spans]),
                        np.concatenate([impacts.read(a, b) for a, b in spans]),
                    ),
                )

    def _in_order(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the documents of a range, ascending, and the slot of each."""
        size, n_docs = self._arrays.geometry.range_size, self._arrays.n_docs
        first = number * size
        if not self._arrays.reordered:
            slots = np.arange(max(0, min(size, n_docs - first)))
            return slots + first, slots
        documents = self._arrays.slot_docs[first : first + size]
        slots = np.flatnonzero(documents != NO_DOC)
        order = slots[np.argsort(documents[slots], kind="stable")]
        return documents[order].astype(np.int64), order

    def _turned(self, number: int) -> Vectors:
        part = self._range(number)
        n_slots = self._arrays.geometry.range_size
        counts = np.zeros(n_slots, np.int64)
        count_slots(part.slots, part.rows, counts)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        term_ids, impacts = np.empty(indptr[-1], np.uint32), np.empty(indptr[-1], np.uint8)
        transpose_range(
            self._arrays.terms, self._arrays.row_of_term, *part, indptr, term_ids, impacts
        )
        return Vectors(indptr, term_ids, impacts)

    def _place(self, document: int) -> tuple[int, int]:
        """Return range and slot of a document."""
        size = self._arrays.geometry.range_size
        if not self._arrays.reordered:
            return divmod(document, size)
        found = np.flatnonzero(self._arrays.slot_docs == document)
        if not found.size:
            raise self._corrupt(
                f"postings/slot_docs: document {document} has no place in the layout"
            )
        return divmod(int(found[0]), size)

    def _range(self, number: int) -> _Range:
        arrays = self._arrays
        offsets = np.ascontiguousarray(arrays.offsets[number :: arrays.n_ranges])
        start, end = int(arrays.range_base[number]), int(arrays.range_base[number + 1])
        width = arrays.n_dense * arrays.geometry.range_size
        return _Range(
            offsets,
            arrays.slots[start:end],
            arrays.impacts[start:end],
            arrays.rows[number * width : (number + 1) * width],
        )

    def _corrupt(self, message: str) -> CorruptIndexError:
        return CorruptIndexError(message, self._path)


def select(vectors: Vectors, rows: NDArray[np.integer]) -> Vectors:
    """Return rows of vectors, in the order of `rows`."""
    lengths = np.diff(vectors.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    entries = np.arange(indptr[-1]) + np.repeat(vectors.indptr[rows] - indptr[:-1], lengths)
    return Vectors(indptr, vectors.term_ids[entries], vectors.impacts[entries])
