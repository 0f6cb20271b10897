"""The hits of a search and of a batch, and counts of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lsr_index.segment.reader import SegmentReader
from lsr_index.storage.manifest import Manifest


class SearchedIndex(Protocol):
    """The index that hits belong to."""

    path: Path

    @property
    def generation(self) -> int:
        """State of the index; each commit adds one."""

    def doc_ids(self, ordinals: NDArray[np.int64]) -> list[str]:
        """Return the ids of documents by their ordinals."""


@dataclass(eq=False)
class Hits:
    """The hits of a sparse or dense search: score descending, then ordinal ascending.

    Attributes
    ----------
    ordinals : (n,) int64
        Document numbers, valid in this generation only.
    scores : (n,) float64
    int_scores : (n,) int64
        Integers that decide the order.
    rank_safe : bool
        True: exactly what an exhaustive scan returns.
    bound_gap : float
        By how much a document that is not a hit can beat the last hit; 0 when `rank_safe`.
    index : SearchedIndex or None
    cancelled : bool
        The search was ended early.
    counters : mapping of str to int
        Work of the search. Sparse: ``postings_scored`` from lists, ``cells_added`` of dense rows to
        whole ranges, ``blocks_evaluated`` (pairs of block and row), ``ranges_visited``, and
        ``ranges_scanned``, those to which whole rows were added. Dense: ``vectors_compared``,
        ``lists_opened``. Empty for the queries of a sparse batch.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float64]
    int_scores: NDArray[np.int64]
    rank_safe: bool
    bound_gap: float
    index: SearchedIndex | None = field(repr=False, default=None)
    cancelled: bool = False
    counters: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ordinals)

    def first(self, n: int) -> Self:
        """Return the first `n` hits, with the `bound_gap` of all."""
        if len(self) <= n:
            return self
        return replace(
            self,
            ordinals=self.ordinals[:n],
            scores=self.scores[:n],
            int_scores=self.int_scores[:n],
        )

    @property
    def generation(self) -> int:
        """State of the index that answered; 0 without an index."""
        return 0 if self.index is None else self.index.generation

    @cached_property
    def ids(self) -> list[str]:
        """The documents' own ids, read on first use."""
        return [] if self.index is None else self.index.doc_ids(self.ordinals)


class BatchHits(NamedTuple):
    """The hits of many queries, see `Hits`; unused places hold ordinal -1 and score 0.

    Attributes
    ----------
    ordinals : (n_queries, k) int64
    scores : (n_queries, k) float64
    int_scores : (n_queries, k) int64
    counts : (n_queries,) int64
        Hits of each query.
    rank_safe : (n_queries,) bool
    bound_gap : (n_queries,) float64
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float64]
    int_scores: NDArray[np.int64]
    counts: NDArray[np.int64]
    rank_safe: NDArray[np.bool_]
    bound_gap: NDArray[np.float64]

    def by_query(self, index: SearchedIndex) -> list[Hits]:
        """Return the hits of each query."""
        rows = zip(
            self.ordinals,
            self.scores,
            self.int_scores,
            self.counts.tolist(),
            self.rank_safe.tolist(),
            self.bound_gap.tolist(),
            strict=True,
        )
        return [
            Hits(ordinals[:n], scores[:n], int_scores[:n], safe, gap, index)
            for ordinals, scores, int_scores, n, safe, gap in rows
        ]


class IndexStats(NamedTuple):
    """Counts of one generation; bytes are those of the files it needs.

    `n_clipped` and `n_dropped` count what quantising lost since the index was built; see
    `lsr_index.segment.quantize`.
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
