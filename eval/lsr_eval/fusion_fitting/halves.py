"""Splitting topics into halves that are alike.

What decides how a fusion does on a topic is mostly which branch does well on it. Halves at random
differ in that by chance, on a few dozen topics by more than a fusion gains: what is found on one
does not suit the other. So topics that the branches answer alike are paired, and each half gets
one of each pair (stratification: Kohavi, IJCAI 1995, sections 2 and 5, finds less bias and less
variance).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Positions = NDArray[np.intp]

N_SPLITS = 10
_DIGITS = 12
"""Kept of a direction, so that the order of topics is that of their values on every machine."""


def halves_of(single: Values, seed: int) -> Iterator[tuple[Positions, Positions]]:
    """Yield the topics to choose by and those held out: twice for each split, turned around.

    Parameters
    ----------
    single : (n_branches, n_topics) float64
        The measure of each branch alone. Nothing else is known of a topic here, least of all what
        a fusion does on it.
    seed : int

    Yields
    ------
    fitting, held_out : (n_topics / 2,) intp
        Rising. Of an odd number of topics, any one is in the second half without a partner.
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
    """Return how topics differ most in which branch is better, (n_topics,).

    Of two branches it is the difference; of more, the first principal component of the differences
    from the mean of the branches.
    """
    apart = single - single.mean(axis=0)
    centred = apart - apart.mean(axis=1, keepdims=True)
    direction = np.linalg.svd(centred, full_matrices=False)[0][:, 0]
    direction *= np.sign(direction[np.abs(direction).argmax()])
    found: Values = (direction @ apart).round(_DIGITS)
    return found
