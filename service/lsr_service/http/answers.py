"""From what the engine returns to what a client gets.

Called on the threads of the pool, so that turning a thousand hits into JSON does not hold up the
event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsr.highlight import highlights, snippet
from lsr_service.engine.engine import ServedIndex
from lsr_service.http import models

if TYPE_CHECKING:
    from lsr.records import Document
    from lsr_index.hybrid import Hit, QueryParts, SearchResults
    from lsr_index.search.execute import Cancel
    from lsr_index.search.index import Index

_SNIPPET_CHARS = 320


def new_cancel() -> Cancel:
    """Return a flag that ends a search."""
    from lsr_index.search.execute import Cancel

    return Cancel()


def query_of(request: models.SearchRequest) -> QueryParts:
    """Return the query of a request as the branches take it."""
    from lsr_index.hybrid import QueryParts

    dense = None
    if request.dense_vector is not None:
        import numpy as np

        dense = np.array(request.dense_vector, np.float32)
    if request.vector is None:
        return QueryParts(request.query, request.tokens, dense)
    from lsr.sparse import SparseBatch

    entries = zip(request.vector.indices, request.vector.values, strict=True)
    return QueryParts(request.query, SparseBatch.from_rows([dict(entries)]), dense)


def has_no_query(request: models.SearchRequest) -> bool:
    """Return whether nothing but a dense vector was given."""
    return request.query is None and request.tokens is None and request.vector is None


def encoder_of(index: Index) -> models.EncoderInfo | None:
    """Return which encoder an index was made with, where it is known."""
    fingerprint = index.fingerprint
    if fingerprint is None:
        return None
    kind = str(fingerprint.document.get("kind", "unknown"))
    return models.EncoderInfo(kind=kind, fingerprint=fingerprint.digest)


def search_response(
    name: str, index: Index, found: SearchResults, *, plain: bool
) -> models.SearchResponse:
    """Return the answer to one search.

    Parameters
    ----------
    name : str
        Of the index.
    index : Index
    found : SearchResults
    plain : bool
        Say nothing of branches: sparse vectors alone were asked for, and nothing else.
    """
    response = models.SearchResponse(
        index=name,
        generation=found.generation,
        took_ms=round(found.took_ms, 3),
        rank_safe=found.rank_safe,
        bound_gap=found.bound_gap,
        encoder=encoder_of(index),
        unknown_terms=found.unknown_terms,
        hits=[_hit(hit) for hit in found.hits],
    )
    if plain:
        return response
    return response.model_copy(
        update={
            "mode": found.mode,
            "fusion": None if found.fusion is None else found.fusion.to_json(),
            "branches": [models.BranchAnswer(**branch._asdict()) for branch in found.branches],
            "pool_size": found.pool_size,
        }
    )


def _hit(hit: Hit) -> models.Hit:
    explanation = None
    if hit.explanation is not None:
        explanation = [
            models.TermContribution(term=term, contribution=contribution)
            for term, contribution in hit.explanation
        ]
    return models.Hit(
        rank=hit.rank,
        id=hit.id,
        score=hit.score,
        title=hit.title,
        text=hit.text,
        metadata=dict(hit.metadata),
        explanation=explanation,
        highlights=None if hit.explanation is None and hit.branches is None else _highlights(hit),
        branches=None
        if hit.branches is None
        else {name: models.BranchScore(**said._asdict()) for name, said in hit.branches.items()},
    )


def _highlights(hit: Hit) -> models.Highlights:
    terms = [term for term, _ in hit.explanation or ()]
    matched = highlights(hit.text, terms)
    return models.Highlights(
        title=highlights(hit.title or hit.id, terms),
        text=matched,
        snippet=snippet(hit.text, matched, _SNIPPET_CHARS),
    )


def document_response(document: Document) -> models.DocumentResponse:
    """Return a stored document."""
    return models.DocumentResponse(
        id=document.id, title=document.title, text=document.text, metadata=dict(document.metadata)
    )


def summary(served: ServedIndex) -> models.IndexSummary:
    """Return the line of an index in a list."""
    return models.IndexSummary(name=served.name, **_figures(served))


def details(served: ServedIndex) -> models.IndexDetails:
    """Return an index with its figures."""
    if served.retriever is None:
        return models.IndexDetails(
            name=served.name, n_terms=0, encoder=None, stats={}, **_figures(served)
        )
    index = served.retriever.index
    return models.IndexDetails(
        name=served.name,
        n_terms=index.n_terms,
        encoder=encoder_of(index),
        modes=["sparse"] if index.dense is None else ["sparse", "dense", "hybrid"],
        fusion=None if served.fusion is None else served.fusion.to_json(),
        selective=None if served.selection is None else served.selection.share,
        stats=index.stats()._asdict(),
        **_figures(served),
    )


def _figures(served: ServedIndex) -> dict[str, Any]:
    if served.retriever is None:
        return {"state": "unavailable", "n_docs": 0, "generation": 0}
    index = served.retriever.index
    return {"state": "ready", "n_docs": index.n_docs, "generation": index.generation}
