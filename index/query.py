"""Queries on their way into the kernels, which check, quantise and order them themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.kernels.prepare import BAD_ORDER, TOO_LONG
from index.kernels.views import QueryBatch
from index.options import SearchOptions
from index.quantize import NARROW, NARROW_TERMS, WIDE, Width


def choose_width(n_terms: int, options: SearchOptions) -> Width:
    """Accumulator width for a query; depends on nothing but its number of terms."""
    if options.width == 0:
        return NARROW if n_terms <= NARROW_TERMS else WIDE
    return NARROW if options.width == 16 else WIDE


def empty_batch(n_queries: int, n_terms: int) -> QueryBatch:
    """Room for queries of ``n_terms`` terms together."""
    return QueryBatch(
        np.zeros(n_queries + 1, np.int64),
        np.empty(n_terms, np.uint32),
        np.empty(n_terms, np.float32),
        np.zeros(n_queries + 1, np.int64),
        np.empty(n_terms, np.uint32),
        np.empty(n_terms, np.uint32),
        np.ones(n_queries, np.float64),
        np.zeros(n_queries, np.int64),
    )


def fill_batch(
    batch: QueryBatch, indptr: Any, term_ids: NDArray[Any], weights: NDArray[Any]
) -> None:
    """Copy queries into a batch that has room for them; their contents are not looked at.

    Parameters
    ----------
    batch : QueryBatch
    indptr : (n_queries + 1,) int64, or the number of terms of a single query
    term_ids : (nnz,) integer
    weights : (nnz,) float

    Raises
    ------
    ValueError
        If the arrays are not of one length, or a term id does not fit 32 bits.
    """
    if term_ids.ndim != 1 or term_ids.shape != weights.shape:
        raise ValueError("query term ids and weights must be one-dimensional and of one length")
    n = len(term_ids)
    trusted = term_ids.dtype == np.uint32 or n == 0
    if not trusted and not 0 <= int(term_ids.min()) <= int(term_ids.max()) <= 0xFFFFFFFF:
        raise ValueError("query term ids must be in 0..2**32 - 1")
    batch.raw_terms[:n] = term_ids
    batch.raw_weights[:n] = weights
    if isinstance(indptr, int):
        batch.raw_indptr[1] = indptr
    else:
        batch.raw_indptr[:] = indptr


def sort_or_refuse(batch: QueryBatch, fault: int, again: bool, width: Width) -> None:
    """Sort the terms of the queries if that is what the kernel wants.

    Parameters
    ----------
    batch : QueryBatch
    fault : int
        What the kernel returned.
    again : bool
        The terms have been sorted before.
    width : Width

    Raises
    ------
    ValueError
        If a query repeats a term, has a weight that is not positive and finite, or has more terms
        than the accumulators can hold.
    """
    reason, at = fault & 3, fault >> 2
    indptr = batch.raw_indptr
    if reason == BAD_ORDER and not again:
        rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
        n = rows.size
        order = np.lexsort((batch.raw_terms[:n], rows))
        batch.raw_terms[:n] = batch.raw_terms[order]
        batch.raw_weights[:n] = batch.raw_weights[order]
        return
    if reason == BAD_ORDER:
        raise ValueError(f"query {at}: term ids must be unique")
    if reason == TOO_LONG:
        raise ValueError(
            f"query {at} has {int(indptr[at + 1] - indptr[at])} terms, "
            f"more than {width.weight_limit // 4}"
        )
    raise ValueError(f"query {at}: weights must be positive and finite")
