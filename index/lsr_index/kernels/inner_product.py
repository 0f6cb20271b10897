"""Inner products of half-precision vectors; `lsr_index.dense.arrays` checks the bounds.

One kernel computes every inner product of the package, so a pair of vectors has the same score to
the last bit in every kind of search.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsr_index.kernels.jit import kernel, summing_kernel
from lsr_index.kernels.simd.half_precision import single
from lsr_index.kernels.simd.prefetch import prefetch

# Rows between the one that is computed and the one that is prefetched; values in a cache line.
_AHEAD, _LINE = 8, 32


@summing_kernel
def score_rows(query: Any, codes: Any, rows: Any, out: Any) -> None:
    """Inner products of a query, (dimension,) float32, with some rows.

    Parameters
    ----------
    codes : (n, dimension) uint16
        IEEE half-precision numbers, finite.
    rows : (m,) int32
        0 to n - 1, or -1 for no row.
    out : (m,) float32
        Filled; NaN where there is no row.
    """
    dimension = query.size
    for i in range(rows.size):
        # The processor prefetches rows that follow one another by itself.
        if i + _AHEAD < rows.size and rows[i + _AHEAD] - rows[i] != _AHEAD:
            begin = max(np.int64(0), np.int64(rows[i + _AHEAD])) * dimension
            for j in range(begin, begin + dimension, _LINE):
                prefetch(codes, j)
        row = rows[i]
        if row < 0:
            out[i] = np.nan
            continue
        total = np.float32(0)
        for j in range(dimension):
            total += single(codes[row, j]) * query[j]
        out[i] = total


@kernel
def open_lists(
    starts: Any, order: Any, min_lists: Any, min_rows: Any, documents: Any, words: Any, out: Any
) -> Any:
    """Collect rows of IVF lists whose documents may be returned.

    Parameters
    ----------
    starts : (n_lists + 1,) int64
        List ``j`` is rows ``starts[j]`` to ``starts[j + 1]``.
    order : (n_lists,) int64
        Lists in the order in which they are opened.
    min_lists, min_rows : int64
        Lists to open at least, and more of them until there are so many rows.
    documents : (n_vectors,) int32
        The document of each row.
    words : (n_words,) uint64
        Bitmap of documents; empty: all may be returned.
    out : (n_vectors,) int32
        Filled from its beginning.

    Returns
    -------
    (int64, int64)
        Numbers of rows and of lists opened.
    """
    n_rows, n_opened = np.int64(0), np.int64(0)
    for i in range(order.size):
        if n_opened >= min_lists and n_rows >= min_rows:
            break
        n_opened += 1
        for row in range(starts[order[i]], starts[order[i] + 1]):
            document = np.int64(documents[row])
            if words.size:
                bit = (words[document >> 6] >> np.uint64(document & 63)) & np.uint64(1)
                out[n_rows] = row
                n_rows += np.int64(bit)
            else:
                out[n_rows] = row
                n_rows += 1
    return n_rows, n_opened
