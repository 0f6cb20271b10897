"""Dense vectors added to an index, or replaced: encoded from its stored texts, or made elsewhere.

The index serves its old generation until the new one is committed. Its postings do not change.
Vectors from a file are copied into the index, so that commits, deletes, filters, merges and checks
cover them; the file is not needed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.lines import read_text_lines
from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
)
from lsr.encoders.dense.base import DenseEncoder, Similarity
from lsr.errors import DataError, EncoderMismatchError
from lsr.progress import Progress
from lsr.sparse import SparseBatch
from lsr_index.build.builder import write_dense_part
from lsr_index.build.foreign_vectors import blocks, open_vectors, similarity_of
from lsr_index.build.reencode import encoded_anew
from lsr_index.dense.codes import encode_rows
from lsr_index.search.index import Index, open_index
from lsr_index.segment.geometry import DEFAULT_MEMORY_BYTES
from lsr_index.segment.quantized_batch import Chunk, blank_rows
from lsr_index.segment.reader import merged_chunks
from lsr_index.segment.writer import write_segment
from lsr_index.storage.dense_part import DensePart, DenseSpec
from lsr_index.storage.directory import DISK, Files
from lsr_index.update.working import WorkingIndex

_READ_DOCS = 4096


class _NoTerms(Encoder):
    """Encodes every text as an empty vector: only the dense vectors are made."""

    n_terms = 0
    fingerprint = Fingerprint({"kind": "blank"})

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        return EncodedDocuments(SparseBatch.empty(len(texts)), CollectionStatistics(len(texts)))

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        return SparseBatch.empty(len(texts))

    def term(self, term_id: int) -> str:
        return str(term_id)

    def term_id(self, term: str) -> int | None:
        return None

    def assets(self) -> EncoderAssets:
        return EncoderAssets({"kind": "blank"})


def encode_dense(
    path: Path | str,
    encoder: DenseEncoder,
    *,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Progress | None = None,
) -> Index:
    """Encode the stored documents of an index and make the vectors its dense part.

    Interruption and errors are those of `lsr_index.build.reencode.reindex`.
    """
    path = Path(path)
    with encoded_anew(path, _NoTerms(), dense=encoder, progress=progress) as (index, collection):
        return set_dense(
            path,
            DenseSpec.of(encoder),
            collection.dense_vectors(),
            generation=index.generation,
            memory_bytes=memory_bytes,
            progress=progress,
        )


def set_dense(
    path: Path | str,
    spec: DenseSpec,
    vectors: Iterable[NDArray[np.float32]],
    *,
    generation: int | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Progress | None = None,
    files: Files = DISK,
) -> Index:
    """Make vectors the dense part of an index, replacing the one it may have.

    `vectors` yields (n, dimension) float32, together a row for each document that is not deleted,
    in their order (`Index.select({})`); a row of zeros is allowed for a document without a term
    only. Raises DataError where there are not as many rows as documents, VectorError for a row that
    cannot be stored, IndexStateError where the index has changed since `generation` (nothing was
    replaced), IndexNotFoundError, IndexLockedError, CorruptIndexError, StorageFullError.
    """
    path = Path(path)
    work = WorkingIndex(path, files, memory_bytes, generation)
    with work.folder:
        for reader in work.readers:
            reader.container.check()  # damage must not be copied under fresh checksums
        with work.folder.transaction(), work.folder.scratch() as scratch:
            part = write_dense_part(work.folder, spec)
            chunks = _with_vectors(merged_chunks(work.readers, scratch), vectors, part)
            segment = write_segment(
                work.folder,
                chunks,
                n_terms=work.n_terms,
                scale=work.manifest.scale,
                options=work.options,
                generation=work.manifest.generation + 1,
                dense=part,
                progress=progress,
                total=work.manifest.n_docs,
                limited=False,
            )
            segments = (segment,) if segment.n_docs else ()
            work.publish(replace(work.manifest, segments=segments, dense=part))
        work.collect()
    return open_index(path, files=files)


def _with_vectors(
    chunks: Iterator[Chunk], vectors: Iterable[NDArray[np.float32]], part: DensePart
) -> Iterator[Chunk]:
    pieces, held, n_docs = iter(vectors), np.zeros((0, part.dimension), np.float32), 0
    for chunk in chunks:
        n = len(chunk.doc_ids)
        while len(held) < n:
            piece = next(pieces, None)
            if piece is None:
                raise DataError(
                    f"there are {n_docs + len(held)} dense vectors, fewer than the documents of "
                    "the index; expected one for each"
                )
            held = np.concatenate([held, piece]) if len(held) else piece
        n_docs += n
        own, held = held[:n], held[n:]
        blank = blank_rows(chunk.vectors.indptr)
        yield chunk._replace(
            dense=encode_rows(own, part.similarity, part.dimension, chunk.doc_ids, blank)
        )
    if len(held) or any(len(piece) for piece in pieces):
        raise DataError(f"there are more dense vectors than the {n_docs} documents of the index")


def attach_vectors(
    path: Path | str,
    vectors: Path | str,
    ids: Path | str,
    *,
    similarity: Similarity | None = None,
    encoder: DenseEncoder | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Progress | None = None,
) -> tuple[Index, int]:
    """Make vectors from a file the dense part of an index.

    Returns the index, and how many vectors belong to none of its documents and were skipped.

    Parameters
    ----------
    vectors : path
        ``.npy`` or a faiss index file; see `lsr_index.build.foreign_vectors`.
    ids : path
        Text: line `i` is the id of the document that vector `i` belongs to.
    similarity : {"cosine", "dot"}, optional
        Default: cosine when all vectors have length 1, else dot.
    encoder : DenseEncoder, optional
        The model that made the vectors, to encode queries with.

    Raises
    ------
    DataError
        Vectors and ids do not match, an id is twice, or a document has no vector.
    VectorError, EncoderMismatchError, IndexStateError
    """
    source = open_vectors(vectors)
    if encoder is not None and encoder.dimension != source.dimension:
        raise EncoderMismatchError(
            f"{vectors}: vectors of {source.dimension} numbers, the encoder given makes "
            f"{encoder.dimension}; name the model that made them"
        )
    number_of = _numbers(Path(ids), source.n_vectors)
    with open_index(path) as index:
        order = _order(index, number_of, Path(ids))
        generation = index.generation
    chosen = similarity or similarity_of(source)
    spec = DenseSpec(source.dimension, chosen)
    if encoder is not None:
        spec = replace(DenseSpec.of(encoder), similarity=chosen)
    made = set_dense(
        path,
        spec,
        blocks(source, order),
        generation=generation,
        memory_bytes=memory_bytes,
        progress=progress,
    )
    return made, source.n_vectors - len(order)


def _numbers(path: Path, n_vectors: int) -> dict[str, int]:
    lines = [doc_id for _, doc_id in read_text_lines(path)]
    if len(lines) != n_vectors:
        raise DataError(
            f"{path}: {len(lines)} ids for {n_vectors} vectors; expected one id a line, in the "
            "order of the vectors"
        )
    number_of: dict[str, int] = {}
    for number, doc_id in enumerate(lines):
        if number_of.setdefault(doc_id, number) != number:
            raise DataError(f"{path}:{number + 1}: id {doc_id!r} is there twice")
    return number_of


def _order(index: Index, number_of: dict[str, int], path: Path) -> NDArray[np.int64]:
    ordinals = index.select({})
    starts = range(0, len(ordinals), _READ_DOCS)
    doc_ids = (d for at in starts for d in index.doc_ids(ordinals[at : at + _READ_DOCS]))
    order = np.fromiter((number_of.get(d, -1) for d in doc_ids), np.int64, len(ordinals))
    missing = np.flatnonzero(order < 0)
    if len(missing):
        first = index.doc_ids(ordinals[missing[:1]])[0]
        raise DataError(
            f"{path}: {len(missing):,} of {len(ordinals):,} documents of the index have no vector, "
            f"the first of them {first!r}; every document needs one"
        )
    return order
