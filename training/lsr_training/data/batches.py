"""Batches: sampled examples as the arrays of a training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr_training.data.examples import Example
from lsr_training.data.sampling import Pick


class Batch(NamedTuple):
    """Global batch of `n` queries and `m` documents.

    Attributes
    ----------
    queries : list of str, (n,)
    documents : list of str, (m,)
        Each query's documents follow each other, its positive first.
    groups : (n, g) int64
        Positions in `documents` of each query's own; -1 where it has fewer than `g`.
    texts : (m,) int64
        Equal numbers for equal texts.
    scores : (n_teachers, n, g) float32
        0 where there is no document; ``n_teachers`` is 0 when the examples have none.
    bounds : (n_teachers, n, 2) float32
        Lowest and highest score over all documents of a query, drawn or not.
    """

    queries: list[str]
    documents: list[str]
    groups: NDArray[np.int64]
    texts: NDArray[np.int64]
    scores: NDArray[np.float32]
    bounds: NDArray[np.float32]


def collate(
    picks: Sequence[Pick],
    sources: Sequence[Sequence[Example]],
    teachers: Sequence[str] | None = (),
) -> Batch:
    """Make a batch of sampled examples.

    Uses the scores of `teachers`; None uses those of the first example. Raises DataError where an
    example lacks them.
    """
    examples = [sources[pick.source][pick.example] for pick in picks]
    if teachers is None:
        teachers = sorted(examples[0].scores)
    width = max(len(pick.documents) for pick in picks)
    groups = np.full((len(picks), width), -1, np.int64)
    scores = np.zeros((len(teachers), len(picks), width), np.float32)
    bounds = np.zeros((len(teachers), len(picks), 2), np.float32)
    documents: list[str] = []
    for i, (pick, example) in enumerate(zip(picks, examples, strict=True)):
        n = len(pick.documents)
        groups[i, :n] = np.arange(len(documents), len(documents) + n)
        documents.extend(example.documents[d] for d in pick.documents)
        for t, teacher in enumerate(teachers):
            known = _scores(example, teacher)
            scores[t, i, :n] = known[list(pick.documents)]
            bounds[t, i] = known.min(), known.max()
    numbers: dict[str, int] = {}
    texts = [numbers.setdefault(text, len(numbers)) for text in documents]
    queries = [example.query for example in examples]
    return Batch(queries, documents, groups, np.array(texts, np.int64), scores, bounds)


def _scores(example: Example, teacher: str) -> NDArray[np.float64]:
    if teacher not in example.scores:
        known = ", ".join(example.scores) or "none"
        raise DataError(
            f"the query {example.query[:60]!r} has no scores of the teacher {teacher!r} (it has: "
            f"{known}); name the teachers that all examples have in teachers.names"
        )
    return np.array(example.scores[teacher])
