"""Documents in the form in which a segment stores them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr.records import DocumentBatch
from lsr_index.dense.codes import Codes, encode_rows
from lsr_index.segment.doc_store import encode_record
from lsr_index.segment.forward_index import Vectors
from lsr_index.segment.quantize import LossCount, quantize_documents
from lsr_index.storage.dense_part import DensePart


class Chunk(NamedTuple):
    """Some documents as they are stored; `parts` are title, text and metadata of each, encoded.

    `dense`, (n, dimension) uint16, in an index with dense vectors; a row of zeros is no vector.
    """

    doc_ids: list[str]
    parts: list[list[bytes]]
    vectors: Vectors
    dense: Codes | None = None


def store_batch(
    batch: DocumentBatch, scale: float, n_terms: int, dense: DensePart | None, lost: LossCount
) -> Chunk:
    """Encode and quantise a batch; `lost` counts the weights that are clipped or round to 0.

    Raises DataError for a document that cannot be stored, or a weight that does not fit the scale
    where `lost` does not clip.
    """
    parts = encode_batch(batch, n_terms)
    try:
        impacts = quantize(batch.vectors.values, scale, lost)
    except ValueError as error:
        raise DataError(f"the weights do not fit the max_weight given: {error}") from None
    vectors = without_zeros(batch.vectors.indptr, batch.vectors.indices, impacts)
    return Chunk(list(batch.ids), parts, vectors, dense_codes(batch, dense))


def encode_batch(batch: DocumentBatch, n_terms: int) -> list[list[bytes]]:
    """Return title, text and metadata of each document as stored.

    Raises DataError for a field of another length, a document that cannot be stored, or a term id
    that is not below `n_terms`.
    """
    vectors = batch.vectors
    columns = (batch.ids, batch.titles, batch.texts, batch.metadata)
    sizes = {len(column) for column in columns}
    if sizes != {vectors.n_rows}:
        raise DataError(
            f"a batch has {vectors.n_rows} vectors, but ids, texts, titles and metadata of "
            f"{sorted(sizes)} documents; expected as many of each"
        )
    beyond = vectors.indices >= n_terms
    if beyond.any():
        at = int(np.argmax(beyond))
        row = int(np.searchsorted(vectors.indptr, at, side="right")) - 1
        raise DataError(
            f"document {batch.ids[row]!r} has term id {vectors.indices[at]}, but the vocabulary "
            f"of the index has {n_terms} terms; where it has grown, give its size (n_terms)"
        )
    return [encode_record(*fields) for fields in zip(*columns, strict=True)]


def quantize(weights: NDArray[np.float32], scale: float, lost: LossCount) -> NDArray[np.uint8]:
    """Return impacts; count what is clipped or rounds to 0."""
    impacts = quantize_documents(lost.clip(weights, scale) if lost.clips else weights, scale)
    lost.drop(impacts)
    return impacts


def dense_codes(batch: DocumentBatch, part: DensePart | None) -> Codes | None:
    """Return the dense vectors of a batch as stored, None for an index without any.

    Raises DataError where only one of batch and index has dense vectors, VectorError for one that
    cannot be stored.
    """
    if part is None:
        if batch.dense is not None:
            raise DataError("the batch has dense vectors, but the index was made without any")
        return None
    if batch.dense is None:
        raise DataError(
            f"the index has dense vectors of {part.dimension} numbers, the batch has none; give "
            "them as its field dense"
        )
    blank = blank_rows(batch.vectors.indptr)
    return encode_rows(batch.dense, part.similarity, part.dimension, batch.ids, blank)


def blank_rows(indptr: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which documents have no term, (n,); they may lack a dense vector, too."""
    return np.equal(np.diff(indptr), 0)


def without_zeros(
    indptr: NDArray[np.int64], term_ids: NDArray[np.uint32], impacts: NDArray[np.uint8]
) -> Vectors:
    """Return vectors without the entries whose weight was below half a step of the scale."""
    kept = impacts > 0
    if kept.all():
        return Vectors(indptr, term_ids, impacts)
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return Vectors(before[indptr], term_ids[kept], impacts[kept])


def rescaled(chunk: Chunk, old: float, new: float, lost: LossCount) -> Chunk:
    """Quantise a chunk again for a larger scale; an impact moves by at most half a step."""
    impacts = np.rint(chunk.vectors.impacts * (old / new)).astype(np.uint8)
    lost.drop(impacts)
    return chunk._replace(
        vectors=without_zeros(chunk.vectors.indptr, chunk.vectors.term_ids, impacts)
    )
