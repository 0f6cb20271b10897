"""Batches of documents to build from, in any form, as a function that starts over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index.segment.quantize import WeightSpread

Batches = Callable[[], Iterable[DocumentBatch]] | Iterable[DocumentBatch] | SparseBatch | Any
"""A callable that returns batches, a collection of them, vectors alone, or a SciPy matrix."""

CHUNK_DOCS = 4096


def as_batches(source: Batches) -> Callable[[], Iterator[DocumentBatch]]:
    """Return a function that starts over at each call.

    Raises
    ------
    UsageError
        `source` is nothing of the kind, or can be read only once.
    """
    if isinstance(source, SparseBatch):
        return lambda: batches_of(source)
    if isinstance(source, DocumentBatch):
        return lambda: iter([source])
    if problem := dense_matrix_problem(source):
        raise UsageError(f"cannot build an index of {problem}")
    if hasattr(source, "tocsr"):
        vectors = SparseBatch.from_scipy(source)
        return lambda: batches_of(vectors)
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
    """Return the spread of the weights and the number of terms."""
    weights, n_terms = WeightSpread(), 0
    for batch in batches:
        if batch.vectors.nnz:
            weights.add(batch.vectors.values)
            n_terms = max(n_terms, int(batch.vectors.indices.max()) + 1)
    return weights, n_terms


def batches_of(
    vectors: SparseBatch, ids: Sequence[str] | None = None, dense: NDArray[np.float32] | None = None
) -> Iterator[DocumentBatch]:
    """Yield vectors as documents without texts; ids are row numbers where none are given."""
    for start in range(0, vectors.n_rows, CHUNK_DOCS):
        part = slice(start, min(start + CHUNK_DOCS, vectors.n_rows))
        n = part.stop - start
        names = np.arange(start, part.stop).astype(str).tolist() if ids is None else ids[part]
        yield DocumentBatch(
            list(names),
            vectors.rows(start, part.stop),
            [""] * n,
            [""] * n,
            [{}] * n,
            None if dense is None else dense[part],
        )
