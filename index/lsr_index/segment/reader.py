"""Reading a segment: its arrays, ids, texts, metadata columns and dense vectors, mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError
from lsr_index.dense.arrays import DenseArrays
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.delete_bitmap import Words, complement, mask_of, read_deletes
from lsr_index.segment.doc_ids import DocIdReader
from lsr_index.segment.doc_store import DocumentReader
from lsr_index.segment.format import DTYPES
from lsr_index.segment.forward_index import VectorReader, select
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.metadata_columns import Columns
from lsr_index.segment.quantized_batch import Chunk
from lsr_index.segment.structure import check_indexing, check_structure
from lsr_index.storage.container import Container
from lsr_index.storage.dense_part import DensePart
from lsr_index.storage.directory import Files
from lsr_index.storage.manifest import SegmentEntry


class SegmentReader:
    """One segment of one generation, mapped: nothing is read before it is needed.

    `live` is the bitmap of documents that are not deleted, None: all; `deletes` its file.
    """

    def __init__(
        self,
        files: Files,
        folder: Path,
        entry: SegmentEntry,
        scale: float,
        dense: DensePart | None = None,
    ) -> None:
        self.entry = entry
        self.container = container = Container(files, folder, entry.file)
        for name, expected in (("n_docs", entry.n_docs), ("scale", scale)):
            found = container.params.get(name)
            if found != expected:
                message = f"the segment has {name} {found!r}, the manifest says {expected!r}"
                raise CorruptIndexError(message, container.path)
        self.deletes = Container(files, folder, entry.deletes) if entry.deletes else None
        self.live: Words | None = (
            complement(read_deletes(self.deletes, entry), entry.n_docs) if self.deletes else None
        )
        self.doc_ids = DocIdReader(container, entry.n_docs)
        self.documents = DocumentReader(container, entry.n_docs)
        self.columns = Columns(container, entry.n_docs, self.documents)
        self.arrays = self._postings()
        self.dense = None if dense is None else DenseArrays(container, dense, entry.n_docs)

    @property
    def n_docs(self) -> int:
        """Documents in the file, deleted ones included."""
        return self.entry.n_docs

    @cached_property
    def kernel_segment(self) -> KernelSegment:
        """Kernel view, checked on first use: no number leads out of an array."""
        return KernelSegment(self._checked_arrays)

    @cached_property
    def vectors(self) -> VectorReader:
        """The documents' vectors; checked as `kernel_segment` is."""
        return VectorReader(self._checked_arrays, self.container.path)

    @cached_property
    def _checked_arrays(self) -> SegmentArrays:
        self._check(check_indexing)
        return self.arrays

    def find(self, doc_id: str) -> int | None:
        """Return the position of a live document, or None."""
        at = self.doc_ids.find(doc_id)
        if at is None or self.live is None:
            return at
        return at if int(self.live[at >> 6]) >> (at & 63) & 1 else None

    def live_mask(self) -> NDArray[np.bool_]:
        """Return which documents are not deleted, (n_docs,) bool."""
        if self.live is None:
            return np.ones(self.n_docs, np.bool_)
        return mask_of(self.live, self.n_docs)

    def check_structure(self) -> None:
        """Check that the arrays agree; reads everything. Raises CorruptIndexError."""
        self._check(check_structure)
        self.doc_ids.check()
        self.documents.check()
        self.columns.check()
        if self.dense is not None:
            self.dense.check()

    def _check(self, rules: Callable[[SegmentArrays], None]) -> None:
        try:
            rules(self.arrays)
        except ValueError as error:
            raise self.container.corrupt("postings/terms", str(error)) from None

    def chunks(self, scratch: Path | None = None) -> Iterator[Chunk]:
        """Yield the live documents in order, as stored."""
        live = self.live_mask()
        stored = self.documents.all_parts()
        for first, vectors in self.vectors.chunks(scratch):
            kept = np.flatnonzero(live[first : first + len(vectors.indptr) - 1])
            parts = [next(stored) for _ in range(len(vectors.indptr) - 1)]
            if len(kept):
                yield Chunk(
                    self.doc_ids.doc_ids(first + kept),
                    [parts[i] for i in kept],
                    vectors if len(kept) == len(parts) else select(vectors, kept),
                    None if self.dense is None else self.dense.codes_of(first + kept),
                )

    def _postings(self) -> SegmentArrays:
        container = self.container
        stored = {name: container.array(f"postings/{name}") for name in DTYPES}
        try:
            arrays = SegmentArrays.from_arrays(stored, container.params["postings"])
            if arrays.n_docs != self.entry.n_docs:
                raise ValueError(f"the postings are of {arrays.n_docs} documents")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise container.corrupt("postings/terms", str(error)) from None
        return arrays


def merged_chunks(segments: Iterable[SegmentReader], scratch: Path | None) -> Iterator[Chunk]:
    """Yield the live documents of several segments, in order."""
    return chain.from_iterable(segment.chunks(scratch) for segment in segments)
