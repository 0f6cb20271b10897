"""Arguments of a search: query vectors, ordinals, pages. Kernels check the values of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError, VectorError
from lsr.sparse import SparseBatch
from lsr_index.kernels.accumulator import Width
from lsr_index.kernels.score.query_weights import BAD_OFFSETS, N_FAULTS, REPEATED_TERM, TOO_LONG

MAX_K = 1_000_000
_TERM, _WEIGHT = np.dtype(np.uint32), np.dtype(np.float32)


def query_arrays(
    terms: NDArray[Any], weights: NDArray[Any]
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return term ids and weights, (nnz,) each, as contiguous writeable arrays for the kernels.

    Other arrays are copied. VectorError: other lengths, or a term id that does not fit 32 bits.
    """
    if not (terms.dtype is _TERM and terms.flags.carray and terms.ndim == 1):
        terms = _term_ids(terms)
    if not (weights.dtype is _WEIGHT and weights.flags.carray and weights.ndim == 1):
        weights = np.array(weights, dtype=np.float32)
    if terms.shape != weights.shape:
        raise VectorError("query term ids and weights must be one-dimensional and of one length")
    return terms, weights


def _term_ids(terms: NDArray[Any]) -> NDArray[np.uint32]:
    if terms.ndim != 1:
        raise VectorError("query term ids and weights must be one-dimensional and of one length")
    if terms.size and not 0 <= terms.min() <= terms.max() <= 0xFFFFFFFF:
        raise VectorError("query term ids must be in 0..2**32 - 1")
    return np.array(terms, dtype=np.uint32)


def raise_fault(fault: int, indptr: NDArray[np.int64], width: Width) -> NoReturn:
    """Raise VectorError for the `fault` that the kernel returned, which is not 0."""
    at, reason = divmod(fault, N_FAULTS)
    if reason == REPEATED_TERM:
        raise VectorError(f"query {at}: term ids must be unique")
    if reason == TOO_LONG:
        raise VectorError(
            f"query {at} has {int(indptr[at + 1] - indptr[at])} terms, "
            f"more than {width.weight_limit // 4}"
        )
    if reason == BAD_OFFSETS:
        raise VectorError(f"query {at}: offsets must ascend from 0 to the number of term ids")
    raise VectorError(f"query {at}: weights must be positive and finite")


def single_vector(query: Any) -> SparseBatch:
    """Return a `SparseBatch` or SciPy matrix of one row as SparseBatch, or raise UsageError."""
    batch = query if isinstance(query, SparseBatch) else vectors_of(query)
    if batch.n_rows != 1:
        raise UsageError(
            f"a query is one vector, got {batch.n_rows}; search_batch takes more of them"
        )
    return batch


def vectors_of(queries: Any) -> SparseBatch:
    """Return a `SparseBatch` or SciPy matrix as SparseBatch, or raise UsageError."""
    if isinstance(queries, SparseBatch):
        return queries
    if not hasattr(queries, "tocsr"):
        raise UsageError(
            f"a query is a SparseBatch or a SciPy sparse matrix, got {type(queries).__name__}"
        )
    return SparseBatch.from_scipy(queries)


def ordinals_of(ordinals: NDArray[np.integer] | Sequence[int], n_docs: int) -> NDArray[np.int64]:
    """Return ordinals as (n,) int64, or raise UsageError for one not below `n_docs`."""
    numbers = np.ascontiguousarray(ordinals, np.int64).reshape(-1)
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < n_docs):
        raise UsageError("a document number is not one of this generation")
    return numbers


def require_k(k: int) -> None:
    """Raise UsageError unless `k` is a number of hits, 1 to `MAX_K`."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= MAX_K:
        raise UsageError(f"k must be a whole number from 1 to {MAX_K}, got {k!r}")


def require_page(k: int, offset: int) -> None:
    """Raise UsageError unless there can be a page of `k` hits after `offset` others."""
    require_k(k)
    whole = isinstance(offset, (int, np.integer)) and not isinstance(offset, bool)
    if not whole or offset < 0:
        raise UsageError(f"offset must be a whole number from 0, got {offset!r}")
    if k + offset > MAX_K:
        raise UsageError(f"k + offset must be at most {MAX_K}, got {k} + {offset}")
