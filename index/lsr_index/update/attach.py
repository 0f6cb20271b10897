"""Vectors of the user and their ids, attached to an index of the documents.

The vectors are copied into the index, so that commits, deletes, filters, merges and checks cover
them; the file is not needed afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.lines import read_text_lines
from lsr.encoders.dense.base import DenseEncoder, Similarity
from lsr.errors import DataError, EncoderMismatchError
from lsr.progress import Progress
from lsr_index.build.foreign_vectors import blocks, open_vectors, similarity_of
from lsr_index.build.index_corpus import DEFAULT_MEMORY_BYTES
from lsr_index.search.index import Index, open_index
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.dense_vectors import set_dense

_READ_DOCS = 4096


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
