"""From what the engine returns to what a client gets.

Called on the threads of the pool, so that turning a thousand hits into JSON does not hold up the
event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.engine import ServedIndex
from service.http import models

if TYPE_CHECKING:
    from index.retriever import Hit, QueryInput, Retriever, SearchAnswer
    from index.search import Cancel
    from lsr.records import Document


def new_cancel() -> Cancel:
    """Return a flag that ends a search."""
    from index.search import Cancel

    return Cancel()


def query_of(request: models.SearchRequest) -> QueryInput:
    """Return the query of a request as the retriever takes it."""
    if request.query is not None:
        return request.query
    if request.tokens is not None:
        return request.tokens
    from lsr.sparse import SparseBatch

    assert request.vector is not None
    entries = zip(request.vector.indices, request.vector.values, strict=True)
    return SparseBatch.from_rows([dict(entries)])


def encoder_of(retriever: Retriever) -> models.EncoderInfo | None:
    """Return which encoder an index was made with, where it is known."""
    fingerprint = retriever.index.fingerprint
    if fingerprint is None:
        return None
    kind = str(fingerprint.document.get("kind", "unknown"))
    return models.EncoderInfo(kind=kind, fingerprint=fingerprint.digest)


def search_response(name: str, retriever: Retriever, answer: SearchAnswer) -> models.SearchResponse:
    """Return the answer to one search."""
    return models.SearchResponse(
        index=name,
        generation=answer.generation,
        took_ms=round(answer.took_ms, 3),
        rank_safe=answer.rank_safe,
        bound_gap=answer.bound_gap,
        encoder=encoder_of(retriever),
        unknown_terms=answer.unknown_terms,
        hits=[_hit(hit) for hit in answer.hits],
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
    )


def document_response(document: Document) -> models.DocumentResponse:
    """Return a stored document."""
    return models.DocumentResponse(
        id=document.id,
        title=document.title,
        text=document.text,
        metadata=dict(document.metadata),
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
        encoder=encoder_of(served.retriever),
        stats=index.stats()._asdict(),
        **_figures(served),
    )


def _figures(served: ServedIndex) -> dict[str, Any]:
    if served.retriever is None:
        return {"state": "unavailable", "n_docs": 0, "generation": 0}
    index = served.retriever.index
    return {"state": "ready", "n_docs": index.n_docs, "generation": index.generation}
