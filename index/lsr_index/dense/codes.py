"""Stored vectors: IEEE half-precision numbers, kept as their 16 bits.

Half precision rounds each number by at most 1/2,048 of itself, which moves the cosine of two
vectors of 384 numbers by some 0.00005, and halves the bytes that a search reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.dense.base import Similarity
from lsr.errors import DataError, UsageError, VectorError

Codes = NDArray[np.uint16]
"""(n, d), C order."""

LARGEST = 65504.0
_EXPONENT = np.uint16(0x7C00)
_MAGNITUDE = np.uint16(0x7FFF)
# Vectors within this of length 1 are taken as they are, so that stored ones can be stored again
# without a change.
_UNIT_TOLERANCE = 1e-3
_LONGEST_QUERY = 2.0**60


def encode_rows(
    vectors: NDArray[np.float32],
    similarity: Similarity,
    dimension: int,
    doc_ids: Sequence[str],
    blank: NDArray[np.bool_],
) -> Codes:
    """Check the vectors of documents, (n, dimension), and return them as stored.

    With "cosine" vectors are scaled to length 1. `blank`, (n,), marks documents without any
    content: only they may have a row of zeros, no vector. VectorError names the document of a
    vector with another shape, a number that is not finite or too large, or zeros.
    """
    rows = _matrix(vectors, dimension, len(doc_ids))

    def refuse(wrong: Any, what: str) -> None:
        if wrong.any():
            raise VectorError(
                f"document {doc_ids[int(np.argmax(wrong))]!r}: its dense vector {what}"
            )

    refuse(
        ~np.isfinite(rows).all(axis=1),
        "holds a number that is not finite (NaN or infinity); every number must be finite",
    )
    nonzero = np.not_equal(rows, 0).any(axis=1)
    refuse(
        ~(nonzero | blank),
        "is all zeros, which is near to nothing; encode the document again, or leave it out",
    )
    if similarity == "cosine":
        rows = unit(rows)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    refuse(
        (largest > LARGEST) & (largest == largest.max(initial=0.0)),
        f"holds {largest.max(initial=0.0):.3g}; at most {LARGEST:.0f} can be stored, scale the "
        "vectors down",
    )
    codes: Codes = rows.astype("<f2").view("<u2")
    refuse(
        nonzero & ~present(codes), "is too small to be stored (below 3e-8); scale the vectors up"
    )
    return codes


def decode(codes: Codes) -> NDArray[np.float32]:
    """Return the numbers of codes."""
    return codes.view("<f2").astype(np.float32)


def present(codes: Codes) -> NDArray[np.bool_]:
    """Return which rows are vectors, (n,) bool; a row of zeros is none."""
    return np.asarray((codes & _MAGNITUDE).any(axis=1), np.bool_)


def finite(codes: Codes) -> bool:
    """Return whether every number is finite."""
    return not bool(((codes & _EXPONENT) == _EXPONENT).any())


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length 1; zeros, and rows of that length already, stay."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    keep = (np.abs(norms - 1) <= _UNIT_TOLERANCE) | (norms == 0)
    scaled: NDArray[np.float32] = (rows / np.where(keep, 1.0, norms)).astype(np.float32)
    return scaled


def check_query(
    query: NDArray[np.floating], similarity: Similarity, dimension: int
) -> NDArray[np.float32]:
    """Check one query vector; scale it to length 1 if the index compares by cosine.

    Raises UsageError for another shape, VectorError for a number that is not finite, or only zeros.
    """
    if query.dtype.kind not in "fiu":
        raise UsageError(f"a dense query vector holds real numbers, got {query.dtype}")
    with np.errstate(over="ignore"):  # what overflows is refused below
        vector = np.ascontiguousarray(query, np.float32)
    if vector.shape == (1, dimension):
        vector = vector[0]
    if vector.shape != (dimension,):
        raise UsageError(
            f"the dense vectors of this index have {dimension} numbers, the query has "
            f"{' x '.join(map(str, vector.shape)) or 'none'}; encode it with the model of the index"
        )
    wide = vector.astype(np.float64)
    norm = math.sqrt(float(wide @ wide))
    if not norm < _LONGEST_QUERY:
        raise VectorError(
            "the dense query vector holds a number that is not finite or far too large"
        )
    if norm == 0:
        raise VectorError("the dense query vector is all zeros, which has no direction")
    if similarity == "cosine":
        vector = np.ascontiguousarray(vector / norm, np.float32)
    return vector


def _matrix(vectors: NDArray[np.float32], dimension: int, n_rows: int) -> NDArray[np.float32]:
    rows = np.asarray(vectors)
    if rows.dtype.kind != "f":
        raise DataError(f"dense vectors are floating-point numbers, got {rows.dtype}")
    if rows.ndim != 2 or rows.shape[0] != n_rows:
        raise DataError(
            f"dense vectors are a matrix with a row for each of {n_rows} documents, got shape "
            f"{rows.shape}"
        )
    if rows.shape[1] != dimension:
        raise VectorError(
            f"the dense vectors have {rows.shape[1]} numbers, those of the index {dimension}; they "
            "come from another model"
        )
    return np.ascontiguousarray(rows, np.float32)
