"""Document reordering by recursive graph bisection.

Neighbouring documents that share terms make block bounds tight. Following Dhulipala et al. (KDD
2016) and the one-selection variant of Mackenzie et al. (2021): halve the documents, swap those that
gain most between the halves until nothing gains, then divide the halves.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.build.bisect import bisect_slice

# A term in more documents than this share, or in fewer than the count, says nothing about order.
_MAX_SHARE = 0.25
_MIN_COUNT = 8
_ITERATIONS = 12


def reorder_documents(
    leaf_size: int,
    threads: int,
    indptr: NDArray[np.int64],
    read_terms: Callable[[int, int], NDArray[Any]],
    terms: NDArray[np.uint32],
    counts: NDArray[np.int64],
) -> NDArray[np.uint32]:
    """Return an order in which neighbours resemble each other: the document at each position.

    Slices of `leaf_size` documents are not divided further. ``read_terms(begin, end)`` returns term
    ids of the CSR of `indptr`; `terms`, ascending, and `counts` are the dictionary. The result,
    (n_docs,) uint32, does not depend on `threads`.
    """
    n_docs = indptr.size - 1
    order = np.arange(n_docs, dtype=np.uint32)
    useful = np.flatnonzero((counts >= _MIN_COUNT) & (counts <= _MAX_SHARE * n_docs))
    if n_docs <= leaf_size or useful.size == 0:
        return order
    graph = _graph(indptr, read_terms, terms, useful)
    gains = np.zeros(n_docs, dtype=np.float64)
    slices = [(0, n_docs)]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        while slices:
            list(
                pool.map(
                    lambda part: bisect_slice(
                        *graph, order, gains, part[0], part[1], useful.size, _ITERATIONS
                    ),
                    slices,
                )
            )
            halves = []
            for begin, end in slices:
                middle = (begin + end) // 2
                halves += [(begin, middle), (middle, end)]
            slices = [part for part in halves if part[1] - part[0] > leaf_size]
    return order


def _graph(
    indptr: NDArray[np.int64],
    read_terms: Callable[[int, int], NDArray[Any]],
    terms: NDArray[np.uint32],
    useful: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Documents as CSR over the numbers of useful terms."""
    wanted = terms[useful]
    n_docs = indptr.size - 1
    lengths = np.zeros(n_docs + 1, dtype=np.int64)
    parts = []
    step = 1 << 16
    for first in range(0, n_docs, step):
        last = min(first + step, n_docs)
        part = read_terms(int(indptr[first]), int(indptr[last]))
        place = np.minimum(np.searchsorted(wanted, part), wanted.size - 1)
        kept = wanted[place] == part
        rows = np.repeat(np.arange(last - first), np.diff(indptr[first : last + 1]))
        lengths[first + 1 : last + 1] = np.bincount(rows[kept], minlength=last - first)
        parts.append(place[kept].astype(np.uint32))
    return np.cumsum(lengths), np.concatenate(parts)
