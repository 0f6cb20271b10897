"""What an index answers: the hits of a search, and counts of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lsr_index.search.execute import Counters
from lsr_index.segment.reader import SegmentReader
from lsr_index.storage.manifest import Manifest


class DocIdLookup(Protocol):
    """Gives documents' own ids by their numbers."""

    def doc_ids(self, ordinals: NDArray[np.int64]) -> list[str]:
        """Return the ids of documents by their numbers."""


@dataclass(eq=False)
class Hits:
    """What a search found, best first: score descending, then document number ascending.

    Attributes
    ----------
    ordinals : (n,) int64
        Document numbers, valid in this generation only.
    scores : (n,) float64
    int_scores : (n,) int64
        What the order was decided by.
    rank_safe : bool
        True: exactly what an exhaustive scan returns.
    bound_gap : float
        By how much a document left out can beat the last hit; 0 when `rank_safe`.
    generation : int
        The state of the index that answered.
    cancelled : bool
        The search was ended early.
    counters : Counters or None
        What the search did.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float64]
    int_scores: NDArray[np.int64]
    rank_safe: bool
    bound_gap: float
    generation: int
    cancelled: bool = False
    counters: Counters | None = None
    index: DocIdLookup | None = field(repr=False, compare=False, default=None)

    def __len__(self) -> int:
        return len(self.ordinals)

    def first(self, n: int) -> Self:
        """Return the first `n` hits; what left-out documents can have over the last one stays."""
        if len(self) <= n:
            return self
        return replace(
            self,
            ordinals=self.ordinals[:n],
            scores=self.scores[:n],
            int_scores=self.int_scores[:n],
        )

    @cached_property
    def ids(self) -> list[str]:
        """The documents' own ids. Looked up when first asked for."""
        return [] if self.index is None else self.index.doc_ids(self.ordinals)


class IndexStats(NamedTuple):
    """Counts of one generation. Bytes are those of the files it needs.

    `n_clipped` and `n_dropped` say what quantising has cost since the index was built; see
    `lsr_index.segment.weight_scale`.
    """

    generation: int
    n_docs: int
    n_deleted: int
    n_segments: int
    n_terms: int
    n_postings: int
    n_bytes: int
    postings_bytes: int
    documents_bytes: int
    scale: float
    compact: bool
    reordered: bool
    n_clipped: int
    n_dropped: int


def count_index(manifest: Manifest, segments: Sequence[SegmentReader]) -> IndexStats:
    """Count what a generation holds; reads directories only."""

    def bytes_of(*prefixes: str) -> int:
        return sum(
            entry.nbytes
            for segment in segments
            for entry in segment.container.entries.values()
            if entry.name.startswith(prefixes)
        )

    return IndexStats(
        generation=manifest.generation,
        n_docs=manifest.n_docs,
        n_deleted=sum(entry.n_deleted for entry in manifest.segments),
        n_segments=len(segments),
        n_terms=manifest.n_terms,
        n_postings=sum(segment.arrays.n_postings for segment in segments),
        n_bytes=sum(entry.length for entry in manifest.entries()),
        postings_bytes=bytes_of("postings/"),
        documents_bytes=bytes_of("documents/", "docnos/", "columns/"),
        scale=manifest.scale,
        compact=bool(manifest.settings.get("compact")),
        reordered=bool(segments) and all(segment.arrays.reordered for segment in segments),
        n_clipped=manifest.loss.n_clipped,
        n_dropped=manifest.loss.n_dropped,
    )
