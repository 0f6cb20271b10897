"""`Retriever`: an index together with the encoder of its queries.

The one place where text meets postings. The command line, the HTTP service and the evaluation all
search through it, which is why they return the same ids, scores and order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lsr.encoders import restore_encoder
from lsr.encoders.base import QueryEncoder
from lsr.errors import EncoderMismatchError, UsageError
from lsr.records import Metadata
from lsr.sparse import SparseBatch
from lsr_index.search.hits import Hits
from lsr_index.search.index import Index, open_index
from lsr_index.segment.encoder_store import differences

if TYPE_CHECKING:
    from lsr_index.hybrid import HybridRetriever

QueryInput = str | Mapping[str, float] | SparseBatch
"""A text, weights by term, or a batch of one vector."""


class TermContribution(NamedTuple):
    """What one matched term adds to the score of a hit."""

    term: str
    contribution: float


class Hit(NamedTuple):
    """One result.

    Attributes
    ----------
    rank : int
        Counted from 1 over the whole result, whatever page it is on.
    id : str
    score : float
    title, text : str
        Empty where the index stores no documents.
    metadata : mapping
    explanation : list of TermContribution or None
        Largest contribution first; they sum to the score.
    """

    rank: int
    id: str
    score: float
    title: str
    text: str
    metadata: Metadata
    explanation: list[TermContribution] | None


@dataclass(frozen=True)
class SearchAnswer:
    """The hits of one query and what is known of them.

    Attributes
    ----------
    hits : list of Hit
        Score descending, then order of insertion.
    rank_safe : bool
        True: exactly what an exhaustive scan returns.
    bound_gap : float
        How much score a document left out may have over the last hit; 0 when `rank_safe`.
    generation : int
        State of the index that answered.
    unknown_terms : list of str
        Terms of the query that the vocabulary does not have; they match nothing.
    took_ms : float
        Wall time of encoding and search.
    """

    hits: list[Hit]
    rank_safe: bool
    bound_gap: float
    generation: int
    unknown_terms: list[str]
    took_ms: float


class Retriever:
    """Search an index by text, by term weights or by vector.

    Parameters
    ----------
    index : Index
    encoder : QueryEncoder, optional
        Without one, only vectors can be searched.
    """

    def __init__(self, index: Index, encoder: QueryEncoder | None) -> None:
        self.index = index
        self.encoder = encoder

    @classmethod
    def open(cls, path: Path | str, *, encoder: QueryEncoder | None = None) -> Retriever:
        """Open an index and restore the query encoder it was made with.

        Parameters
        ----------
        path : path
        encoder : QueryEncoder, optional
            Use this one instead of the stored one.

        Raises
        ------
        EncoderMismatchError
            `encoder` makes other vectors than the ones in the index.
        """
        index = open_index(path)
        if encoder is not None:
            _refuse_another_encoder(index, encoder, path)
        elif index.encoder_assets is not None:
            encoder = restore_encoder(index.encoder_assets)
        return cls(index, encoder)

    def search(
        self,
        query: QueryInput,
        k: int = 10,
        *,
        offset: int = 0,
        explain: bool = False,
        **modes: Any,
    ) -> SearchAnswer:
        """Return hits `offset` to `offset + k` of a query.

        Parameters
        ----------
        query : str, mapping of term to weight, or SparseBatch of one row
        k : int
            Number of hits, at least 1.
        offset : int
            Hits to skip, for paging.
        explain : bool
            Say what each matched term contributes.
        **modes
            Passed to `Index.search`: the approximate modes and limits.

        Raises
        ------
        UsageError
            `k` below 1, `offset` below 0, or a query that this index cannot encode.
        """
        started = time.perf_counter()
        if k < 1 or offset < 0:
            raise UsageError(f"k must be at least 1 and offset at least 0, got {k} and {offset}")
        vector, unknown = self.encode(query)
        found = self.index.search(vector, k=offset + k, **modes)
        hits = self._hits(found, vector, offset, explain)
        took_ms = (time.perf_counter() - started) * 1e3
        return SearchAnswer(
            hits, found.rank_safe, found.bound_gap, found.generation, unknown, took_ms
        )

    def search_batch(
        self, texts: Sequence[str], k: int = 10, *, threads: int = 1, **modes: Any
    ) -> list[Hits]:
        """Search many texts at once; ids and scores only, for runs and evaluation."""
        return self.index.search_batch(
            self._encoder_of_texts().encode_queries(texts), k=k, threads=threads, **modes
        )

    def encode(self, query: QueryInput) -> tuple[SparseBatch, list[str]]:
        """Return the vector of a query and the terms that the vocabulary lacks."""
        if isinstance(query, SparseBatch):
            return query, []
        if isinstance(query, str):
            return self._encoder_of_texts().encode_queries([query]), []
        if self.encoder is None:
            raise UsageError(
                "this index has no vocabulary of terms; search it by term ids (indices and values)"
            )
        ids = {term: self.encoder.term_id(term) for term in query}
        known = {i: query[term] for term, i in ids.items() if i is not None}
        return SparseBatch.from_rows([known]), [term for term, i in ids.items() if i is None]

    def _encoder_of_texts(self) -> QueryEncoder:
        if self.encoder is None:
            raise UsageError(
                "this index was made of vectors and knows no encoder for text; "
                "search it by vector, or name the encoder that made the vectors"
            )
        return self.encoder

    def _hits(self, found: Hits, query: SparseBatch, offset: int, explain: bool) -> list[Hit]:
        ordinals = found.ordinals[offset:]
        documents = self.index.documents(ordinals)
        return [
            Hit(
                rank=offset + position + 1,
                id=document.id,
                score=float(found.scores[offset + position]),
                title=document.title,
                text=document.text,
                metadata=document.metadata,
                explanation=self.explain(query, int(ordinal)) if explain else None,
            )
            for position, (ordinal, document) in enumerate(zip(ordinals, documents, strict=True))
        ]

    def explain(self, query: SparseBatch, ordinal: int) -> list[TermContribution]:
        """Return what each matched term contributes to the score of a document, largest first."""
        contributions = [
            TermContribution(self._term(term_id), contribution)
            for term_id, contribution in self.index.explain(query, ordinal)
        ]
        return sorted(contributions, key=lambda c: (-c.contribution, c.term))

    def _term(self, term_id: int) -> str:
        return str(term_id) if self.encoder is None else self.encoder.term(term_id)

    @cached_property
    def hybrid(self) -> HybridRetriever:
        """What searches the dense vectors of the index too, and fuses."""
        from lsr_index.hybrid import HybridRetriever

        return HybridRetriever.of(self)

    def close(self) -> None:
        """Release the files of the index."""
        self.index.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _refuse_another_encoder(index: Index, encoder: QueryEncoder, path: Path | str) -> None:
    stored = index.fingerprint
    if stored is None or stored.digest == encoder.fingerprint.digest:
        return
    raise EncoderMismatchError(
        f"{path}: the index was made by another encoder "
        f"({differences(stored, encoder.fingerprint)}); "
        "scores would mean nothing. Leave out the encoder to use the stored one, "
        "or index the corpus again with this one"
    )
