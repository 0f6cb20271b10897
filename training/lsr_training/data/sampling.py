"""Batch sampling: a pure function of the seed and the number of the batch.

No state is kept between batches, so a run resumes bit for bit from a number and gives the same
result on any number of devices, each of which takes its share of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_training.data.examples import Example


class Pick(NamedTuple):
    """Sampled example, and the positions of its sampled documents: 0 (the positive) first."""

    source: int
    example: int
    documents: tuple[int, ...]


class BatchSampler:
    """Sampler of batches from several sources, without replacement within an epoch.

    `repeats` has a number for each source; `lsr_training.recipe.schema` describes it, `negatives`,
    `draw` and `one_source`. Raises UsageError where there are fewer examples than `batch_size`.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[Example]],
        *,
        repeats: Sequence[float],
        batch_size: int,
        negatives: int,
        draw: Literal["random", "stratified"] = "random",
        one_source: bool = False,
        seed: int = 0,
    ) -> None:
        self._sources = sources
        self._repeats = repeats
        self._batch_size = batch_size
        self._negatives = negatives
        self._draw = draw
        self._one_source = one_source
        self._seed = seed
        self._epoch = lru_cache(maxsize=2)(self._sample_epoch)
        counts = [round(len(s) * r) for s, r in zip(sources, repeats, strict=True)]
        sizes = [n // batch_size for n in counts] if one_source else [sum(counts) // batch_size]
        self.batches_per_epoch = sum(sizes)
        if self.batches_per_epoch == 0:
            raise UsageError(
                f"batch.queries = {batch_size}: there are only {sum(counts)} examples in an epoch; "
                "make the batch smaller or add data"
            )

    def batch(self, number: int) -> list[Pick]:
        """Return the sampled examples of a batch, counted from 0 over all epochs."""
        epoch, position = divmod(number, self.batches_per_epoch)
        chosen = self._epoch(epoch)[position]
        rng = np.random.default_rng([self._seed, 1, number])
        return [self._pick(int(s), int(e), rng) for s, e in chosen]

    def _sample_epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return the batches of an epoch: (n_batches, batch_size, 2) of source and example."""
        rng = np.random.default_rng([self._seed, 0, epoch])
        parts = []
        for i, (source, repeat) in enumerate(zip(self._sources, self._repeats, strict=True)):
            n = len(source)
            wanted = round(n * repeat)
            rounds = [rng.permutation(n) for _ in range(-(-wanted // n))]
            order = np.concatenate([np.zeros(0, np.int64), *rounds])[:wanted]
            parts.append(np.stack([np.full(wanted, i), order], axis=1))
        if not self._one_source:
            parts = [rng.permutation(np.concatenate(parts))]
        batches = np.concatenate([self._cut(part) for part in parts])
        return rng.permutation(batches) if self._one_source else batches

    def _cut(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        n = len(part) // self._batch_size
        return part[: n * self._batch_size].reshape(n, self._batch_size, 2)

    def _pick(self, source: int, example: int, rng: np.random.Generator) -> Pick:
        available = len(self._sources[source][example].documents) - 1
        wanted = min(self._negatives, available)
        if self._draw == "random" or wanted == 0:
            chosen = rng.choice(available, wanted, replace=False).tolist() if wanted else []
        else:
            edges = np.linspace(0, available, wanted + 1).astype(np.int64)
            chosen = [int(rng.integers(low, high)) for low, high in pairwise(edges)]
        return Pick(source, example, (0, *sorted(place + 1 for place in chosen)))
