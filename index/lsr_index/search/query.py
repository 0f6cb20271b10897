"""Queries on their way into the kernels, which check, quantise and order them themselves."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lsr.errors import VectorError
from lsr_index.kernels.accumulator import Width
from lsr_index.kernels.score.query_weights import BAD_OFFSETS, N_FAULTS, REPEATED_TERM, TOO_LONG

_TERM, _WEIGHT = np.dtype(np.uint32), np.dtype(np.float32)


def query_arrays(
    terms: NDArray[Any], weights: NDArray[Any]
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Term ids and weights as the kernels take them: the same arrays if they can be.

    The kernels are compiled for plain, writeable arrays; others are copied.

    Parameters
    ----------
    terms : (nnz,) integer
    weights : (nnz,) float

    Raises
    ------
    VectorError
        If the arrays are not of one length, or a term id does not fit 32 bits.
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


def refuse(fault: int, indptr: NDArray[np.int64], width: Width) -> NoReturn:
    """Say what is wrong with a query.

    Parameters
    ----------
    fault : int
        What the kernel returned, not 0.
    indptr : (n_queries + 1,) int64
    width : Width

    Raises
    ------
    VectorError
    """
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
