"""`Branch`: one of the ways in which an index, or one of several, can be searched.

A branch turns a query into its own kind of vector, finds documents with it and scores given ones.
"""

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
    """What every branch of a search is told.

    Attributes
    ----------
    filter : mapping or None
        See `lsr_index.search.filters`; each index applies it to its own metadata.
    cancel : Cancel or None
        Ends sparse searches from another thread.
    sparse : SearchOptions
        The default is exact.
    probes : int or None
        Lists of dense vectors to open in a clustered segment; None: one in six.
    exact : bool
        Compare every dense vector.
    """

    filter: Any = None
    cancel: Cancel | None = None
    sparse: SearchOptions = EXACT
    probes: int | None = None
    exact: bool = False


class Branch(Protocol):
    """One way to search."""

    name: str
    index: Index
    usual_ms: dict[str, float]
    """How long its steps took lately, by name; kept by whoever runs it."""

    @property
    def kind(self) -> Kind:
        """What its vectors are."""

    @property
    def least_score(self) -> float | None:
        """The least score there can be; None where there is no such bound."""

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Identity of the encoder."""

    def encode(self, query: QueryParts) -> tuple[Any, list[str]]:
        """Return the vector of a query, and the terms that are not in the vocabulary."""

    def load(self) -> None:
        """Load what encoding a text needs, so that the first query does not wait for it."""

    def search(self, vector: Any, k: int, options: BranchOptions) -> Hits:
        """Return the `k` best documents."""

    def scores(self, vector: Any, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of documents; NaN where there is none."""

    def expand(self, vector: Any, ordinals: NDArray[np.int64], feedback: Feedback) -> Any:
        """Return the vector moved towards documents."""


def identities(branches: Sequence[Branch]) -> list[BranchIdentity]:
    """Return the names, kinds and encoders of branches, as an artefact keeps them."""
    return [
        BranchIdentity(
            branch.name,
            branch.kind,
            None if branch.fingerprint is None else branch.fingerprint.digest,
        )
        for branch in branches
    ]
