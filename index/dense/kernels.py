"""The compiled loops over half-precision vectors. No bounds are checked: see `index.dense.arrays`.

One kernel computes every inner product of the package, so a pair of vectors has the same score to
the last bit whichever way its document was reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from index.kernels.jit import kernel, summing_kernel

# A half is sign, 5 bits of exponent, 10 of fraction. Shifted into the place of a single's bits its
# exponent is 112 too small; multiplying by 2^112 corrects that, subnormal halves included.
_UNSHIFT = np.float32(2.0**112)
_MAGNITUDE = np.uint32(0x7FFF)
_SIGN = np.uint32(0x8000)
_SHIFT_MAGNITUDE = np.uint32(13)
_SHIFT_SIGN = np.uint32(16)


@summing_kernel
def score_rows(query: Any, codes: Any, rows: Any, out: Any) -> None:
    """Inner products of a query and some rows.

    Parameters
    ----------
    query : (d,) float32
    codes : (n, d) uint16
        IEEE half-precision numbers, finite.
    rows : (m,) int32
        0 to n - 1.
    out : (m,) float32
        Filled.
    """
    dimension = query.size
    for i in range(rows.size):
        row = rows[i]
        total = np.float32(0)
        for j in range(dimension):
            half = np.uint32(codes[row, j])
            bits = np.uint32(
                ((half & _MAGNITUDE) << _SHIFT_MAGNITUDE) | ((half & _SIGN) << _SHIFT_SIGN)
            )
            total += bits.view(np.float32) * query[j]
        out[i] = total * _UNSHIFT


@kernel
def live_rows(documents: Any, begin: Any, end: Any, words: Any, out: Any) -> Any:
    """Write the rows `begin` to `end` whose document passes a bitmap; return how many.

    Parameters
    ----------
    documents : (n,) int32
        The document of each row.
    words : (w,) uint64
        Bit ``d % 64`` of word ``d // 64`` belongs to document ``d``.
    out : (at least end - begin,) int32
    """
    count = 0
    for row in range(begin, end):
        document = documents[row]
        if (words[document >> 6] >> np.uint64(document & 63)) & np.uint64(1):
            out[count] = row
            count += 1
    return count
