"""Queries on their way into the kernels, which check, quantise and order them themselves."""

from __future__ import annotations

import numpy as np

from index.kernels.prepare import BAD_ORDER, TOO_LONG
from index.kernels.views import QueryBatch
from index.options import SearchOptions
from index.quantize import NARROW, NARROW_TERMS, WIDE, Width


def choose_width(n_terms: int, options: SearchOptions) -> Width:
    """Accumulator width for a query; depends on nothing but its number of terms."""
    if options.width == 0:
        return NARROW if n_terms <= NARROW_TERMS else WIDE
    return NARROW if options.width == 16 else WIDE


def sort_or_refuse(batch: QueryBatch, n: int, fault: int, again: bool, width: Width) -> None:
    """Sort the terms of the queries if that is what the kernel wants.

    Parameters
    ----------
    batch : QueryBatch
    n : int
        Queries in it.
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
    indptr = batch.raw_indptr[: n + 1]
    if reason == BAD_ORDER and not again:
        rows = np.repeat(np.arange(n), np.diff(indptr))
        used = rows.size
        order = np.lexsort((batch.raw_terms[:used], rows))
        batch.raw_terms[:used] = batch.raw_terms[order]
        batch.raw_weights[:used] = batch.raw_weights[order]
        return
    if reason == BAD_ORDER:
        raise ValueError(f"query {at}: term ids must be unique")
    if reason == TOO_LONG:
        raise ValueError(
            f"query {at} has {int(indptr[at + 1] - indptr[at])} terms, "
            f"more than {width.weight_limit // 4}"
        )
    raise ValueError(f"query {at}: weights must be positive and finite")
