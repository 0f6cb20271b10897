"""Paired splits of topics into halves, for cross-validation.

The gain of a fusion on a topic depends mostly on which branch is better there. Random halves of a
few dozen topics differ in that by more than a fusion gains, so that a fusion fitted on one half
does not suit the other. Topics with similar measures of the branches are therefore paired, and each
half gets one of each pair (stratification: Kohavi, IJCAI 1995, sections 2 and 5, finds less bias
and less variance).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Positions = NDArray[np.intp]

N_SPLITS = 10
_DIGITS = 12
"""Digits that projections are rounded to, so that the order of topics is equal on every machine."""


def paired_halves(single: Values, seed: int) -> Iterator[tuple[Positions, Positions]]:
    """Yield the topics to fit on and those held out: two for each split, with halves swapped.

    Parameters
    ----------
    single : (n_branches, n_topics) float64
        The measure of each branch alone. Splits must not depend on the measure of any fusion.
    seed : int

    Yields
    ------
    fitting, held_out : (n_topics / 2,) intp
        Ascending. With an odd number of topics, the second half has one topic without a partner.
    """
    rng = np.random.default_rng(seed)
    contrast = _contrast(single)
    level = single.mean(axis=0).round(_DIGITS)
    n_topics = single.shape[1]
    for _ in range(N_SPLITS):
        order = np.lexsort((rng.permutation(n_topics), level, contrast))
        alone = rng.choice(order, n_topics % 2)
        pairs = rng.permuted(order[~np.isin(order, alone)].reshape(-1, 2), axis=1)
        first, second = np.sort(pairs[:, 0]), np.sort(np.append(pairs[:, 1], alone))
        yield first, second
        yield second, first


def _contrast(single: Values) -> Values:
    """Return the main contrast between branches on each topic, (n_topics,).

    Of two branches it is the difference; of more, the first principal component of the differences
    from the mean of the branches.
    """
    apart = single - single.mean(axis=0)
    centred = apart - apart.mean(axis=1, keepdims=True)
    direction = np.linalg.svd(centred, full_matrices=False)[0][:, 0]
    direction *= np.sign(direction[np.abs(direction).argmax()])
    found: Values = (direction @ apart).round(_DIGITS)
    return found
