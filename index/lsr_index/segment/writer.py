"""Writing a segment: some documents with their vectors, ids and texts, in one immutable file.

Chunks of stored documents come from new batches (`lsr_index.segment.quantized_batch.store_batch`)
or from older segments (`SegmentReader.chunks`): adding, merging and compacting are the same code.
Documents are numbered in the order in which they arrive, whatever the layout of the postings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr.progress import Progress
from lsr_index.dense.writer import DenseWriter
from lsr_index.segment.build_options import BuildOptions
from lsr_index.segment.doc_ids import DocIdWriter
from lsr_index.segment.doc_store import DocumentWriter
from lsr_index.segment.inverter import SegmentBuilder
from lsr_index.segment.metadata_columns import COLUMN_RULES, ColumnWriter
from lsr_index.segment.quantized_batch import Chunk
from lsr_index.storage.container import ContainerWriter
from lsr_index.storage.dense_part import DensePart
from lsr_index.storage.directory import storage_errors
from lsr_index.storage.manifest import MAX_DOCS, SegmentEntry
from lsr_index.storage.transaction import WritableFolder

# Postings up to this share of the memory bound are held in memory; more go to a scratch folder.
_MEMORY_SHARE = 8
_BYTES_PER_POSTING = 5
_COPY_BYTES = 8 << 20


def write_segment(
    writable: WritableFolder,
    chunks: Iterable[Chunk],
    *,
    n_terms: int,
    scale: float,
    options: BuildOptions,
    generation: int,
    serial: int = 0,
    dense: DensePart | None = None,
    progress: Progress | None = None,
    total: int | None = None,
    limited: bool = True,
) -> SegmentEntry:
    """Write a segment; its file is durable on return, but part of the index only once published.

    Parameters
    ----------
    chunks : iterable of Chunk
        Read once. Documents are numbered in this order.
    n_terms : int
        Every term id is smaller.
    scale : float
        The scale that the impacts were quantised with.
    options : BuildOptions
        Its `memory_bytes` bounds the working memory.
    generation, serial : int
        Which commit the segment is written for, and which of its segments it is. They make the
        files of equal documents in two commits differ.
    dense : DensePart, optional
        The dense vectors that every chunk then has.
    total : int, optional
        Documents expected, for `progress`.
    limited : bool
        Refuse more metadata fields than an index may have; off where documents are that were
        accepted before.
    """
    filler = _SegmentFiller(writable, chunks, n_terms, options, dense, progress, total, limited)

    def fill(container: ContainerWriter) -> Mapping[str, Any]:
        postings = filler.fill(container)
        params = {
            "column_rules": COLUMN_RULES,
            "columns": filler.columns,
            "generation": generation,
            "n_docs": filler.n_docs,
            "ordinal": serial,
            "postings": postings,
            "scale": scale,
        }
        return params if filler.dense is None else {**params, "dense": filler.dense}

    with storage_errors(writable.folder):
        return SegmentEntry(writable.write_container("segment", fill), filler.n_docs)


@dataclass
class _SegmentFiller:
    """Takes chunks in, writes arrays out."""

    writable: WritableFolder
    chunks: Iterable[Chunk]
    n_terms: int
    options: BuildOptions
    dense_part: DensePart | None
    progress: Progress | None
    total: int | None
    limited: bool
    n_docs: int = 0
    columns: list[dict[str, str]] = field(default_factory=list)
    dense: dict[str, int] | None = None

    def fill(self, container: ContainerWriter) -> dict[str, int | bool]:
        chunks = iter(self.chunks)
        head, large = self._take_what_fits(chunks)
        with self.writable.scratch() if large else nullcontext() as scratch:
            builder = SegmentBuilder(
                max(1, self.n_terms), self.options, scratch, self._report_inverting
            )
            documents, doc_ids, columns = (
                DocumentWriter(container),
                DocIdWriter(),
                ColumnWriter(self.limited),
            )
            vectors = self._dense_writer(scratch)
            for chunk in chain(_emptied(head), chunks):
                self._report_storing(len(chunk.doc_ids))
                doc_ids.add(chunk.doc_ids)
                for parts in chunk.parts:
                    documents.add(parts)
                    columns.add(parts[2])
                builder.add(*chunk.vectors)
                if vectors is not None:
                    assert chunk.dense is not None, "store_batch refuses a batch without them"
                    vectors.add(chunk.dense)
            documents.finish()
            doc_ids.write(container)
            self.columns = columns.write(container)
            if vectors is not None:
                self.dense = vectors.write(container)
            segment = builder.finish()
            for name, array in segment.arrays().items():
                _copy_array(container, f"postings/{name}", array, scratch and scratch / name)
            return segment.params()

    def _dense_writer(self, scratch: Path | None) -> DenseWriter | None:
        if self.dense_part is None:
            return None
        return DenseWriter(self.dense_part, self.options.memory_bytes, scratch)

    def _take_what_fits(self, chunks: Iterator[Chunk]) -> tuple[list[Chunk], bool]:
        """Hold chunks back while all of them may fit in memory."""
        head: list[Chunk] = []
        n_bytes = 0
        for chunk in chunks:
            head.append(chunk)
            n_bytes += len(chunk.vectors.term_ids) * _BYTES_PER_POSTING
            n_bytes += sum(len(part) for parts in chunk.parts for part in parts)
            n_bytes += 0 if chunk.dense is None else chunk.dense.nbytes
            if n_bytes > self.options.memory_bytes // _MEMORY_SHARE:
                return head, True
        return head, False

    def _report_storing(self, n: int) -> None:
        self.n_docs += n
        if self.n_docs > MAX_DOCS:
            raise DataError(f"a segment holds at most {MAX_DOCS} documents")
        if self.progress is not None:
            self.progress("storing", self.n_docs, self.total)

    def _report_inverting(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress("inverting", done, total)


def _emptied(chunks: list[Chunk]) -> Iterator[Chunk]:
    """Yield what is in a list, letting go of it one by one."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()


def _copy_array(
    container: ContainerWriter, name: str, array: NDArray[Any], scratch: Path | None
) -> None:
    """Append an array; one that lies in a scratch file is read in pieces and its file removed.

    Reading it through its map would count the whole array as memory of this process.
    """
    file = scratch and scratch.with_name(f"{scratch.name}.bin")
    if file is None or not file.exists() or not array.nbytes:
        container.add(name, array)
        return
    step = _COPY_BYTES // array.itemsize
    container.stream(
        name,
        array.dtype,
        (
            np.fromfile(file, array.dtype, step, offset=at * array.itemsize)
            for at in range(0, array.size, step)
        ),
    )
    file.unlink()
