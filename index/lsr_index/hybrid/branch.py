"""`Branch`: sparse or dense vectors of an index with the encoder of their queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import Fingerprint
from lsr_index.fusion import BranchIdentity
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.results import Kind
from lsr_index.search.execute import Cancel
from lsr_index.search.hits import Hits
from lsr_index.search.index import Index
from lsr_index.search.options import EXACT, SearchOptions


@dataclass(frozen=True, slots=True)
class BranchOptions:
    """Options that all branches of a search share.

    Each index applies the filter to its own metadata. `cancel` and `sparse` are for sparse
    branches, `probes` and `exact` for dense ones, as in `DenseIndex.search`.
    """

    filter: Any = None
    cancel: Cancel | None = None
    sparse: SearchOptions = EXACT
    probes: int | None = None
    exact: bool = False


class Branch(Protocol):
    """One ranking of an index: encodes a query, searches with its vector, scores documents."""

    name: str
    index: Index
    usual_ms: dict[str, float]
    """How long its steps took lately, by name; kept by whoever runs it."""

    @property
    def kind(self) -> Kind:
        """Kind of the vectors."""

    @property
    def least_score(self) -> float | None:
        """The least possible score; None without such a bound."""

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Fingerprint of the encoder."""

    def encode(self, query: QueryParts) -> tuple[Any, list[str]]:
        """Return the vector of a query, and the terms that are not in the vocabulary."""

    def load(self) -> None:
        """Load the query encoder before the first query."""

    def search(self, vector: Any, k: int, options: BranchOptions) -> Hits:
        """Return the `k` best documents."""

    def scores(self, vector: Any, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of documents, (n,); NaN without one."""

    def expand(self, vector: Any, ordinals: NDArray[np.int64], feedback: Feedback) -> Any:
        """Return the vector moved towards documents."""


def identities(branches: Sequence[Branch]) -> list[BranchIdentity]:
    """Return names, kinds and encoders of branches, for a fusion artefact."""
    return [
        BranchIdentity(
            branch.name,
            branch.kind,
            None if branch.fingerprint is None else branch.fingerprint.digest,
        )
        for branch in branches
    ]
