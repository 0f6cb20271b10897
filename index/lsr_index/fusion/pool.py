"""The pool: the documents of all branches, with their rank and score in each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.errors import DataError
from lsr_index.kernels.fusion import lay_out

_NO_KEYS = np.zeros(0, np.int64)
_NO_SCORES = np.zeros(0)


class RankedList(NamedTuple):
    """The hits of one branch, best first.

    Attributes
    ----------
    keys : (n,) int64
        Documents, unique; their order breaks ties.
    scores : (n,) float64
        Finite, descending; equal ones by key ascending.
    """

    keys: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, keys: ArrayLike, scores: ArrayLike) -> RankedList:
        """Sort hits by score descending, then key ascending; of equal keys the best counts.

        Raises DataError for arrays of different lengths, or a score that is not finite.
        """
        ids = np.asarray(keys, dtype=np.int64)
        values = np.asarray(scores, dtype=np.float64)
        if ids.ndim != 1 or ids.shape != values.shape:
            raise DataError(f"a ranking of {ids.shape} documents with {values.shape} scores")
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise DataError(f"a ranking holds the score {values[at]} (position {at}), not a number")
        falls = values[1:] < values[:-1]
        if not (falls | ((values[1:] == values[:-1]) & (ids[1:] > ids[:-1]))).all():
            order = np.lexsort((ids, -values))
            ids, values = ids[order], values[order]
        _, first = np.unique(ids, return_index=True)
        if len(first) < len(ids):
            first.sort()
            ids, values = ids[first], values[first]
        return cls(ids, values)


class Pool(NamedTuple):
    """The documents of several lists.

    Attributes
    ----------
    keys : (n,) int64
        Ascending.
    ranks : (n_branches, n) int64
        From 1; 0 where the branch did not return the document.
    scores : (n_branches, n) float64
        NaN where the branch has no score of the document.
    """

    keys: NDArray[np.int64]
    ranks: NDArray[np.int64]
    scores: NDArray[np.float64]

    def without_score(self, branch: int) -> NDArray[np.int64]:
        """Return the positions of documents without a score of a branch."""
        return np.flatnonzero(np.isnan(self.scores[branch]))


def gather(lists: Sequence[RankedList], depth: int | None = None) -> Pool:
    """Return the pool of the first `depth` documents of each list; None: of all."""
    keys = [each.keys[:depth] for each in lists]
    starts = np.array([0, *accumulate(len(ids) for ids in keys)], np.int64)
    together = np.concatenate([_NO_KEYS, *keys])
    values = np.concatenate([_NO_SCORES, *(each.scores[:depth] for each in lists)])
    return Pool(*lay_out(together, values, starts, np.argsort(together)))
