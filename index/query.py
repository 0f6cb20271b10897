"""Queries as the kernels take them: checked once, quantised, heaviest term first."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.kernels.prepare import BAD_ORDER, TOO_LONG, prepare_queries
from index.kernels.views import QueryBatch
from index.options import SearchOptions
from index.quantize import NARROW, NARROW_TERMS, WIDE, Width


class Prepared(NamedTuple):
    """Quantised queries of one accumulator width.

    ``scales`` bring integer scores back to query weight times impact; ``dropped`` is the largest
    score that terms removed by ``beta`` could have added.
    """

    batch: QueryBatch
    width: Width
    scales: NDArray[np.float64]
    dropped: NDArray[np.int64]


def choose_width(n_terms: int, options: SearchOptions) -> Width:
    """Accumulator width for a query; depends on nothing but its number of terms."""
    if options.width == 0:
        return NARROW if n_terms <= NARROW_TERMS else WIDE
    return NARROW if options.width == 16 else WIDE


def prepare(
    indptr: NDArray[np.int64],
    term_ids: NDArray[Any],
    weights: NDArray[Any],
    width: Width,
    options: SearchOptions,
) -> Prepared:
    """Check and quantise queries that share an accumulator width.

    Parameters
    ----------
    indptr : (n_queries + 1,) int64
    term_ids : (nnz,) integer
        Unique within a query, in any order.
    weights : (nnz,) float
        Positive and finite.
    width : Width
    options : SearchOptions

    Returns
    -------
    Prepared

    Raises
    ------
    ValueError
        If a query is not as described or has more terms than the width can hold.
    """
    if term_ids.dtype != np.uint32:
        if term_ids.size and (int(term_ids.min()) < 0 or int(term_ids.max()) > 0xFFFFFFFF):
            raise ValueError("query term ids must be in 0..2**32 - 1")
        term_ids = term_ids.astype(np.uint32)
    values = np.ascontiguousarray(weights, dtype=np.float32)
    terms = np.ascontiguousarray(term_ids)
    if terms.shape != values.shape or terms.ndim != 1:
        raise ValueError("query term ids and weights must be one-dimensional and of one length")
    n_queries = indptr.size - 1
    out = (
        np.empty(n_queries + 1, np.int64),
        np.empty(terms.size, np.uint32),
        np.empty(terms.size, np.uint32),
    )
    factors, dropped = np.empty(n_queries, np.float64), np.empty(n_queries, np.int64)
    limit = width.weight_limit
    fault, at = prepare_queries(indptr, terms, values, limit, options.beta, out, factors, dropped)
    if fault == BAD_ORDER:
        terms, values = _by_term(indptr, terms, values)
        fault, at = prepare_queries(
            indptr, terms, values, limit, options.beta, out, factors, dropped
        )
    if fault == BAD_ORDER:
        raise ValueError(f"query {at}: term ids must be unique")
    if fault == TOO_LONG:
        raise ValueError(
            f"query {at} has {int(indptr[at + 1] - indptr[at])} terms, more than {limit // 4}"
        )
    if fault:
        raise ValueError(f"query {at}: weights must be positive and finite")
    return Prepared(
        QueryBatch(*out), width, (1 << width.shift) / factors, (255 * dropped) >> width.shift
    )


def _by_term(
    indptr: NDArray[np.int64], terms: NDArray[np.uint32], values: NDArray[np.float32]
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The same queries with ascending terms."""
    rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    order = np.lexsort((terms, rows))
    return terms[order], values[order]
