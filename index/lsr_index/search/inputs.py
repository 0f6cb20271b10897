"""What callers hand in, checked and brought into one form: batches, queries, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index.segment.weight_scale import WeightSpread

Batches = Callable[[], Iterable[DocumentBatch]] | Iterable[DocumentBatch] | SparseBatch | Any
"""A callable that returns batches, a collection of them, vectors alone, or a SciPy matrix."""

CHUNK_DOCS = 4096
MAX_K = 1_000_000


def as_batches(source: Batches) -> Callable[[], Iterator[DocumentBatch]]:
    """Return a function that starts over at each call.

    Raises
    ------
    UsageError
        `source` is nothing of the kind, or can be read only once.
    """
    if isinstance(source, SparseBatch):
        return lambda: _batches_of(source)
    if isinstance(source, DocumentBatch):
        return lambda: iter([source])
    if problem := dense_matrix_problem(source):
        raise UsageError(f"cannot build an index of {problem}")
    if hasattr(source, "tocsr"):
        vectors = SparseBatch.from_scipy(source)
        return lambda: _batches_of(vectors)
    if callable(source):
        return lambda: _checked(source())
    if isinstance(source, Iterator):
        raise UsageError(
            "the batches can be read only once, and building reads them twice: pass a list, an "
            "object with __iter__, or a function that returns an iterator"
        )
    if isinstance(source, Iterable):
        return lambda: _checked(source)
    raise UsageError(
        f"cannot build an index of {type(source).__name__}; expected batches of documents, a "
        "SparseBatch or a SciPy sparse matrix"
    )


def _checked(batches: Iterable[DocumentBatch]) -> Iterator[DocumentBatch]:
    for number, batch in enumerate(batches):
        if not isinstance(batch, DocumentBatch):
            raise UsageError(
                f"batch {number} is of type {type(batch).__name__}; expected a DocumentBatch "
                "(`lsr.create` also takes documents as mappings)"
            )
        yield batch


def dense_matrix_problem(given: Any) -> str | None:
    """Return what is wrong with a dense or foreign matrix that stands for sparse vectors."""
    if hasattr(given, "is_sparse") and hasattr(given, "detach"):  # torch
        if given.is_sparse or "sparse" in str(given.layout):
            return (
                "a torch sparse tensor; expected a SciPy sparse matrix or a SparseBatch: make one "
                "with scipy.sparse.csr_array of its values, indices and shape"
            )
        kind = "a dense torch tensor"
    elif isinstance(given, np.ndarray):
        kind = "a dense matrix"
    else:
        return None
    return (
        f"{kind} of shape {tuple(given.shape)}; expected a SciPy sparse matrix (such as "
        "scipy.sparse.csr_array) or a SparseBatch for sparse vectors. Use dense= for dense vectors"
    )


def spread(batches: Iterable[DocumentBatch]) -> tuple[WeightSpread, int]:
    """Return how the weights are spread, and the number of terms used."""
    weights, n_terms = WeightSpread(), 0
    for batch in batches:
        if batch.vectors.nnz:
            weights.add(batch.vectors.values)
            n_terms = max(n_terms, int(batch.vectors.indices.max()) + 1)
    return weights, n_terms


def single_vector(query: Any) -> SparseBatch:
    """Return a query given as `SparseBatch` or SciPy matrix, which must be one row.

    Raises
    ------
    UsageError, VectorError
    """
    batch = query if isinstance(query, SparseBatch) else vectors_of(query)
    if batch.n_rows != 1:
        raise UsageError(
            f"a query is one vector, got {batch.n_rows}; search_batch takes more of them"
        )
    return batch


def vectors_of(queries: Any) -> SparseBatch:
    """Return vectors given as `SparseBatch` or SciPy matrix."""
    if isinstance(queries, SparseBatch):
        return queries
    if not hasattr(queries, "tocsr"):
        raise UsageError(
            f"a query is a SparseBatch or a SciPy sparse matrix, got {type(queries).__name__}"
        )
    return SparseBatch.from_scipy(queries)


def document_numbers(
    ordinals: NDArray[np.integer] | Sequence[int], n_docs: int
) -> NDArray[np.int64]:
    """Return document numbers as (n,) int64, or raise UsageError for one not below `n_docs`."""
    numbers = np.ascontiguousarray(ordinals, np.int64).reshape(-1)
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < n_docs):
        raise UsageError("a document number is not one of this generation")
    return numbers


def check_k(k: int) -> None:
    """Raise UsageError unless `k` is a number of hits."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= MAX_K:
        raise UsageError(f"k must be a whole number from 1 to {MAX_K}, got {k!r}")


def check_page(k: int, offset: int) -> None:
    """Raise UsageError unless there can be a page of `k` hits after `offset` others."""
    check_k(k)
    whole = isinstance(offset, (int, np.integer)) and not isinstance(offset, bool)
    if not whole or offset < 0:
        raise UsageError(f"offset must be a whole number from 0, got {offset!r}")
    if k + offset > MAX_K:
        raise UsageError(f"k + offset must be at most {MAX_K}, got {k} + {offset}")


def _batches_of(vectors: SparseBatch) -> Iterator[DocumentBatch]:
    for start in range(0, vectors.n_rows, CHUNK_DOCS):
        part = vectors.rows(start, min(start + CHUNK_DOCS, vectors.n_rows))
        n = part.n_rows
        ids = np.arange(start, start + n).astype(str).tolist()
        yield DocumentBatch(ids, part, [""] * n, [""] * n, [{}] * n)
