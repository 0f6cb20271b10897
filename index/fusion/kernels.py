"""The compiled loop that lays lists side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from index.kernels.jit import kernel


@kernel
def lay_out(
    together: Any, values: Any, starts: Any, order: Any, keys: Any, ranks: Any, scores: Any
) -> Any:
    """Put the hits of several lists under the documents they are of.

    Parameters
    ----------
    together : (n,) int64
        Documents of one list after the other.
    values : (n,) float64
        Their scores.
    starts : (n_lists + 1,) int64
        Where each list begins.
    order : (n,) int64
        Places by document.
    keys : (n,) int64
        Filled from its beginning: the documents, rising.
    ranks : (n_lists, n) int64
        Zeros; the first columns are filled.
    scores : (n_lists, n) float64
        NaN; the first columns are filled.

    Returns
    -------
    int64
        How many documents there are.
    """
    n = np.int64(0)
    for at in order:
        if n == 0 or keys[n - 1] != together[at]:
            keys[n] = together[at]
            n += 1
        branch = np.int64(0)
        while starts[branch + 1] <= at:
            branch += 1
        ranks[branch, n - 1] = at - starts[branch] + 1
        scores[branch, n - 1] = values[at]
    return n
