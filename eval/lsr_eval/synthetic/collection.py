"""Synthetic documents and queries, generated block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_eval.synthetic.model import SpliceModel, splice

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK_DOCS = 4096
"""Documents per block. Block number and seed alone determine a block."""
WINDOW = 20
"""Largest distance of a partner from its base in source order."""
PARTNER_DRAWS = 3
"""Partners drawn, of which the one whose length is nearest to the base's is taken: a mixture of two
random documents would vary less in length than documents do."""


@dataclass(frozen=True)
class SyntheticCollection:
    """`n_docs` documents with the profile of `model`, as an iterable of blocks.

    Every iteration gives the same documents. Document ``i`` is based on the real document
    ``i % n_real``: a large collection is many variations of the real one.
    """

    model: SpliceModel
    n_docs: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_docs < 1:
            raise UsageError(f"n_docs must be at least 1, got {self.n_docs}")

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary, that of the real collection."""
        return self.model.n_terms

    @property
    def n_blocks(self) -> int:
        """Number of blocks iterated over."""
        return -(-self.n_docs // BLOCK_DOCS)

    def __iter__(self) -> Iterator[SparseBatch]:
        return (self.block(number) for number in range(self.n_blocks))

    def to_scipy(self) -> csr_array[Any, tuple[int, int]]:
        """Make all documents, as (n_docs, n_terms) CSR of float32."""
        return SparseBatch.concatenate(list(self)).to_scipy(self.n_terms)

    def block(self, number: int) -> SparseBatch:
        """Make block `number`: documents ``number * BLOCK_DOCS`` onwards."""
        rng = np.random.default_rng([self.seed, number])
        first = number * BLOCK_DOCS
        n_real = self.model.docs.n_rows
        base = np.arange(first, min(first + BLOCK_DOCS, self.n_docs), dtype=np.int64) % n_real
        return splice(self.model, base, self._partners(base, rng), rng)

    def _partners(self, base: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        lengths = np.diff(self.model.docs.indptr)
        shape = (PARTNER_DRAWS, len(base))
        steps = rng.integers(1, WINDOW + 1, shape) * rng.choice([-1, 1], shape)
        drawn = np.clip(base + steps, 0, self.model.docs.n_rows - 1)
        nearest = np.argmin(np.abs(lengths[drawn] - lengths[base]), axis=0)
        return np.asarray(drawn[nearest, np.arange(len(base))], np.int64)


@dataclass(frozen=True)
class SyntheticQueries:
    """`n_queries` queries spliced from real ones; the partner is any other real query.

    `model` is fitted to real queries, with the groups of the documents' model.
    """

    model: SpliceModel
    n_queries: int
    seed: int = 0

    def batch(self) -> SparseBatch:
        """Make all queries."""
        rng = np.random.default_rng([self.seed, self.n_queries])
        n_real = self.model.docs.n_rows
        base = np.arange(self.n_queries, dtype=np.int64) % n_real
        partner = rng.integers(0, n_real, self.n_queries)
        return splice(self.model, base, partner, rng, run_length=1)
