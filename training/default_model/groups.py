"""Batches: queries of one source with the documents they are trained against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.default_model.pool import Pool


class Group(NamedTuple):
    """Queries and documents of a step; every query is scored with every document.

    Attributes
    ----------
    queries : (n,) int64
        Positions in the pool.
    documents : (m,) int64
        Positions in the pool, without repeats.
    positive : (n,) int64
        Position in `documents`; -1 where no document is known to answer.
    barred : (n, m) bool
        The document a sentence was taken from: it would be found by any means.
    """

    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    positive: NDArray[np.int64]
    barred: NDArray[np.bool_]


def draw_groups(
    pool: Pool,
    ranked: Sequence[NDArray[np.int32]],
    sources: NDArray[np.int64],
    *,
    queries: int,
    documents: int,
    rng: np.random.Generator,
) -> Iterator[Group]:
    """Yield the batches of one pass over the queries, in random order.

    Parameters
    ----------
    pool : Pool
    ranked : sequence of (m, depth) int32
        The best documents of each miner; -1 where there are none.
    sources : (m,) int64
        Which source each query came from; a batch holds queries of one source, so that the
        documents of the others are worth telling apart.
    queries, documents : int
        Queries of a batch, and documents drawn for each, its positive included.
    """
    cuts = []
    for source in np.unique(sources):
        members = rng.permutation(np.flatnonzero(sources == source))
        cuts += [members[i : i + queries] for i in range(0, len(members) - queries + 1, queries)]
    for i in rng.permutation(len(cuts)):
        chosen = cuts[i]
        drawn = [_draw(pool, ranked, int(q), documents, rng) for q in chosen]
        unique = np.unique(np.concatenate(drawn))
        place = {int(d): at for at, d in enumerate(unique)}
        positives = [pool.positives[q] for q in chosen]
        origins = [pool.origins[q] for q in chosen]
        yield Group(
            chosen,
            unique,
            np.array([-1 if d is None else place[d] for d in positives]),
            np.array([unique == (-1 if d is None else d) for d in origins]),
        )


def _draw(
    pool: Pool,
    ranked: Sequence[NDArray[np.int32]],
    query: int,
    wanted: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Take the positive, then turn by turn a document of each miner, better ones more often."""
    positive, origin = pool.positives[query], pool.origins[query]
    taken = [] if positive is None else [positive]
    turn = 0
    while len(taken) < wanted:
        of_miner = ranked[turn % len(ranked)][query]
        at = int(len(of_miner) * rng.random() ** 2)
        document = int(of_miner[at])
        if document >= 0 and document != origin and document not in taken:
            taken.append(document)
        turn += 1
        if turn > 20 * wanted:
            break
    return np.array(taken, np.int64)
