"""`DenseIndex`: the dense vectors of one generation of an index, opened for reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.encoders.dense import DenseEncoder, restore_dense_encoder
from lsr.encoders.dense.base import Similarity
from lsr.errors import EncoderMismatchError, UsageError
from lsr_index.dense.arrays import DenseArrays
from lsr_index.dense.codes import check_query, decode
from lsr_index.dense.sortable import sortable
from lsr_index.search.dense_probe import (
    Opening,
    SegmentHits,
    best,
    score_documents,
    search_segment,
)
from lsr_index.search.hits import Hits, SearchedIndex
from lsr_index.search.query import ordinals_of, require_k
from lsr_index.segment.delete_bitmap import Words
from lsr_index.segment.encoder_store import differences, read_assets
from lsr_index.storage.container import Container
from lsr_index.storage.dense_part import DensePart


class Known(NamedTuple):
    """Documents, (n,), that pass the filter, and their scores from `DenseIndex.scores`."""

    ordinals: NDArray[np.int64]  # unique
    scores: NDArray[np.float32]


Openings = Sequence[Opening | None]
"""Lists to open in each segment; None: the nearest ones."""


class DenseIndex:
    """The dense vectors of one generation, `Index.dense`. Safe to use from several threads.

    Ordinals are those of the index. Deleted documents are never returned, and filters are exact.
    `bases`, (n_segments + 1,) int64, are the ordinals of each segment's first document; `encoder`
    is the stored one; `bitmaps` maps a filter to the bitmap of each segment, None: all documents.
    """

    def __init__(
        self,
        owner: SearchedIndex,
        part: DensePart,
        segments: Sequence[DenseArrays],
        bases: NDArray[np.int64],
        encoder: Container | None,
        bitmaps: Callable[[Any], Sequence[Words | None]],
    ) -> None:
        self._owner = owner
        self._encoder = encoder
        self._bases = bases
        self._bitmaps = bitmaps
        self.part = part
        self.segments = segments

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.part.dimension

    @property
    def similarity(self) -> Similarity:
        """Similarity of vectors: "cosine" (scores from -1 to 1) or "dot"."""
        return self.part.similarity

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Fingerprint of the encoder that made the vectors."""
        return self.part.fingerprint

    @property
    def n_vectors(self) -> int:
        """Number of vectors, with those of deleted documents."""
        return sum(arrays.n_vectors for arrays in self.segments)

    @property
    def exact(self) -> bool:
        """Whether every search compares every vector: no segment has clusters."""
        return all(arrays.flat for arrays in self.segments)

    def stats(self) -> dict[str, Any]:
        """Return counts and the encoder, as JSON values."""
        stored = self.fingerprint
        return {
            "n_vectors": self.n_vectors,
            "dimension": self.dimension,
            "similarity": self.similarity,
            "n_lists": sum(arrays.n_lists for arrays in self.segments),
            "vectors_bytes": sum(arrays.n_bytes for arrays in self.segments),
            "encoder": None if stored is None else dict(stored.document),
            "fingerprint": None if stored is None else stored.digest,
        }

    @cached_property
    def encoder_assets(self) -> EncoderAssets | None:
        """The stored encoder, read and checked on first use."""
        return None if self._encoder is None else read_assets(self._encoder)

    def restore_encoder(self) -> DenseEncoder:
        """Return the stored encoder, or raise UsageError where the index stores none."""
        if self.encoder_assets is None:
            raise UsageError(
                f"{self._owner.path}: the dense vectors were made elsewhere and no model is stored "
                "with them; search by vector, or name the model that made them"
            )
        return restore_dense_encoder(self.encoder_assets)

    def require_encoder(self, encoder: DenseEncoder) -> None:
        """Raise EncoderMismatchError unless an encoder makes vectors like those of the index."""
        stored, actual = self.fingerprint, encoder.fingerprint
        if encoder.dimension != self.dimension:
            raise EncoderMismatchError(
                f"{self._owner.path}: the dense vectors of the index have {self.dimension} "
                f"numbers, those of the given encoder {encoder.dimension}; use the model that the "
                "index was made with"
            )
        if stored is None or stored.digest == actual.digest:
            return
        raise EncoderMismatchError(
            f"{self._owner.path}: the dense vectors were made by another encoder "
            f"({differences(stored, actual)}); scores would mean nothing. Leave out the encoder to "
            "use the stored one, or encode the documents again with dense= (lsr reindex)"
        )

    def search(
        self,
        query: NDArray[np.floating],
        k: int = 10,
        *,
        filter: Any = None,
        probes: int | None = None,
        exact: bool = False,
        openings: Openings | None = None,
        known: Known | None = None,
    ) -> Hits:
        """Return the `k` best documents for one query vector.

        Parameters
        ----------
        query : (dimension,) floats
            Scaled to length 1 if the similarity is the cosine.
        k : int
            1 to 1,000,000; may exceed the number of documents.
        filter : mapping, optional
            Condition on metadata; see `lsr_index.search.filters`.
        probes : int, optional
            Lists to open in a clustered segment; more until there are `k` documents. Default: one
            in six.
        exact : bool
            Compare every vector.
        openings : sequence of Opening or None, optional
            Lists to open in each segment. Default: the nearest ones.
        known : Known, optional
            Documents that compete with those of the lists.

        Raises
        ------
        UsageError, VectorError
            An argument out of range; a query with a number that is not finite, or only zeros.
        """
        self._require_options(k, probes, openings)
        vector = check_query(np.asarray(query), self.similarity, self.dimension)
        return self._search(vector, int(k), self._bitmaps(filter), probes, exact, openings, known)

    def search_batch(
        self,
        queries: NDArray[np.floating],
        k: int = 10,
        *,
        threads: int = 1,
        filter: Any = None,
        probes: int | None = None,
        exact: bool = False,
    ) -> list[Hits]:
        """Return the `k` best documents for each row of `queries`; otherwise as `search`."""
        self._require_options(k, probes)
        if threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads}")
        matrix = np.atleast_2d(np.asarray(queries))
        vectors = [check_query(row, self.similarity, self.dimension) for row in matrix]
        live = self._bitmaps(filter)

        def one(vector: NDArray[np.float32]) -> Hits:
            return self._search(vector, int(k), live, probes, exact)

        if threads == 1 or len(vectors) < 2:
            return [one(vector) for vector in vectors]
        with ThreadPoolExecutor(threads, "dense") as pool:
            return list(pool.map(one, vectors))

    def scores(
        self, query: NDArray[np.floating], ordinals: NDArray[np.integer] | Sequence[int]
    ) -> NDArray[np.float64]:
        """Return the scores of documents, (n,) float64, to the last bit those of a search.

        NaN for a document without a vector. Ordinals may be in any order, of deleted documents too.
        """
        vector = check_query(np.asarray(query), self.similarity, self.dimension)
        numbers = ordinals_of(ordinals, self._bases[-1])
        found = np.full(len(numbers), np.nan)
        for segment, places, documents in self.placed(numbers):
            found[places] = score_documents(segment, vector, documents)
        return found

    def vectors(self, ordinals: NDArray[np.integer] | Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of documents, (n, dimension) float32; zeros where there is none."""
        numbers = ordinals_of(ordinals, self._bases[-1])
        found = np.zeros((len(numbers), self.dimension), np.float32)
        for segment, places, documents in self.placed(numbers):
            found[places] = decode(segment.codes_of(documents))
        return found

    def _search(
        self,
        vector: NDArray[np.float32],
        k: int,
        live: Sequence[Words | None],
        probes: int | None,
        exact: bool,
        openings: Openings | None = None,
        known: Known | None = None,
    ) -> Hits:
        chosen = [None] * len(self.segments) if openings is None else openings
        found = [
            search_segment(arrays, vector, k, words, opening, probes=probes, exact=exact)
            for arrays, words, opening in zip(self.segments, live, chosen, strict=True)
        ]
        ordinals = [part.documents + base for part, base in zip(found, self._bases, strict=False)]
        numbers = np.concatenate([np.zeros(0, np.int64), *ordinals])
        scores = np.concatenate([np.zeros(0, np.float32), *(part.scores for part in found)])
        if known is not None:
            new = ~np.isin(known.ordinals, numbers)
            numbers = np.concatenate([numbers, known.ordinals[new]])
            scores = np.concatenate([scores, known.scores[new]])
        numbers, scores = best(numbers, scores, k)
        gap, safe = _gap(found, scores, k)
        n_compared = sum(part.n_compared for part in found)
        counters = {
            "vectors_compared": n_compared + (0 if known is None else len(known.ordinals)),
            "lists_opened": sum(part.n_opened for part in found),
        }
        floats = scores.astype(np.float64)
        return Hits(numbers, floats, sortable(scores), safe, gap, self._owner, counters=counters)

    def _require_options(
        self, k: int, probes: int | None, openings: Openings | None = None
    ) -> None:
        """Raise UsageError for an option that is out of range."""
        require_k(k)
        whole = isinstance(probes, (int, np.integer)) and not isinstance(probes, bool)
        if probes is not None and not (whole and probes >= 1):
            raise UsageError(f"probes must be a whole number of at least 1, got {probes!r}")
        if openings is not None and len(openings) != len(self.segments):
            raise UsageError(f"{len(openings)} openings for {len(self.segments)} segments")
        for arrays, opening in zip(self.segments, openings or (), strict=False):
            if opening is not None and not opening.fits(arrays.n_lists):
                raise UsageError(f"an opening names each list from 0 to {arrays.n_lists - 1} once")

    def placed(
        self, numbers: NDArray[np.int64]
    ) -> list[tuple[DenseArrays, NDArray[np.intp], NDArray[np.int64]]]:
        """Return for each segment the places of its documents in `numbers`, and their positions."""
        if len(self.segments) == 1:
            return [(self.segments[0], np.arange(len(numbers)), numbers)]
        owners = np.searchsorted(self._bases, numbers, side="right") - 1
        placed = []
        for number, segment in enumerate(self.segments):
            places = np.flatnonzero(owners == number)
            if len(places):
                placed.append((segment, places, numbers[places] - self._bases[number]))
        return placed


def _gap(found: Sequence[SegmentHits], scores: NDArray[np.float32], k: int) -> tuple[float, bool]:
    """Return by how much a vector that was not compared can beat the last hit; whether none can."""
    bound = max((part.bound for part in found), default=-math.inf)
    if bound == -math.inf:
        return 0.0, True
    gap = max(0.0, bound - float(scores[-1])) if len(scores) else max(0.0, bound)
    return gap, gap == 0 and len(scores) == k
