"""Writing a segment: documents with their vectors, ids and texts, in one immutable file.

Chunks of stored documents come from new batches (`lsr_index.segment.quantized_batch.store_batch`)
or from older segments (`SegmentReader.chunks`): adding, merging and compacting are the same code.
Ordinals follow the order of arrival, whatever the layout of the postings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr.progress import Progress
from lsr_index.dense.writer import DenseWriter
from lsr_index.segment.doc_ids import DocIdWriter
from lsr_index.segment.doc_store import DocumentWriter
from lsr_index.segment.geometry import BuildOptions
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
        Read once.
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
        Raise for more metadata fields than an index may have; off for documents accepted before.
    """
    n_docs = 0

    def report(stage: str, done: int, of: int | None) -> None:
        if progress is not None:
            progress(stage, done, of)

    def fill(container: ContainerWriter) -> Mapping[str, Any]:
        nonlocal n_docs
        source = iter(chunks)
        head, large = _read_what_fits(source, options.memory_bytes // _MEMORY_SHARE)
        with writable.scratch() if large else nullcontext() as scratch:
            builder = SegmentBuilder(
                max(1, n_terms), options, scratch, partial(report, "inverting")
            )
            documents, doc_ids = DocumentWriter(container), DocIdWriter()
            columns = ColumnWriter(limited)
            vectors = DenseWriter(dense, options.memory_bytes, scratch) if dense else None
            for chunk in chain(_emptied(head), source):
                n_docs += len(chunk.doc_ids)
                if n_docs > MAX_DOCS:
                    raise DataError(f"a segment holds at most {MAX_DOCS} documents")
                report("storing", n_docs, total)
                doc_ids.add(chunk.doc_ids)
                for parts in chunk.parts:
                    documents.add(parts)
                    columns.add(parts[2])
                builder.add(*chunk.vectors)
                if vectors is not None:
                    assert chunk.dense is not None, "store_batch refuses a batch without them"
                    vectors.add(chunk.dense)
            params: dict[str, Any] = {"generation": generation, "n_docs": n_docs}
            params |= {"ordinal": serial, "scale": scale, "column_rules": COLUMN_RULES}
            documents.finish()
            doc_ids.write(container)
            params["columns"] = columns.write(container)
            if vectors is not None:
                params["dense"] = vectors.write(container)
            segment = builder.finish()
            for name, array in segment.arrays().items():
                _copy_array(container, f"postings/{name}", array, scratch and scratch / name)
            return {**params, "postings": segment.params()}

    with storage_errors(writable.folder):
        file = writable.write_container("segment", fill)
        return SegmentEntry(file, n_docs)


def _read_what_fits(chunks: Iterator[Chunk], limit: int) -> tuple[list[Chunk], bool]:
    """Return the first chunks, and whether they reach the limit of bytes held in memory."""
    head: list[Chunk] = []
    n_bytes = 0
    for chunk in chunks:
        head.append(chunk)
        n_bytes += len(chunk.vectors.term_ids) * _BYTES_PER_POSTING
        n_bytes += sum(len(part) for parts in chunk.parts for part in parts)
        n_bytes += 0 if chunk.dense is None else chunk.dense.nbytes
        if n_bytes > limit:
            return head, True
    return head, False


def _emptied(chunks: list[Chunk]) -> Iterator[Chunk]:
    """Yield the items of a list, removing each from it."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()


def _copy_array(
    container: ContainerWriter, name: str, array: NDArray[Any], scratch: Path | None
) -> None:
    """Append an array; one in a scratch file is read in pieces and its file removed.

    Reading it through its map would count the whole array as memory of this process.
    """
    file = scratch and scratch.with_name(f"{scratch.name}.bin")
    if file is None or not file.exists() or not array.nbytes:
        container.add(name, array)
        return
    step = _COPY_BYTES // array.itemsize
    container.begin(name, array.dtype)
    for at in range(0, array.size, step):
        container.append(np.fromfile(file, array.dtype, step, offset=at * array.itemsize))
    container.end()
    file.unlink()
