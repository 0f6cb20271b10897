"""From what the engine returns to what a client gets.

Called on the threads of the pool, so that turning a thousand hits into JSON does not hold up the
event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsr_service.engine.engine import ServedIndex
from lsr_service.http import models

if TYPE_CHECKING:
    from lsr.records import Document
    from lsr_index.hybrid import HybridAnswer, HybridQuery
    from lsr_index.hybrid.text_index import Hit, QueryInput, Retriever, SearchAnswer
    from lsr_index.search.execute import Cancel
    from lsr_index.search.index import Index


def new_cancel() -> Cancel:
    """Return a flag that ends a search."""
    from lsr_index.search.execute import Cancel

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


def hybrid_query_of(request: models.SearchRequest) -> HybridQuery:
    """Return the query of a request as the branches take it."""
    import numpy as np

    from lsr_index.hybrid import HybridQuery

    dense = request.dense_vector
    return HybridQuery(
        request.query,
        None if request.query is not None or has_no_query(request) else query_of(request),
        None if dense is None else np.array(dense, np.float32),
    )


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


def search_response(name: str, retriever: Retriever, answer: SearchAnswer) -> models.SearchResponse:
    """Return the answer to one search."""
    return models.SearchResponse(
        index=name,
        generation=answer.generation,
        took_ms=round(answer.took_ms, 3),
        rank_safe=answer.rank_safe,
        bound_gap=answer.bound_gap,
        encoder=encoder_of(retriever.index),
        unknown_terms=answer.unknown_terms,
        hits=[_hit(hit) for hit in answer.hits],
    )


def hybrid_response(
    name: str, mode: str, index: Index, answer: HybridAnswer
) -> models.SearchResponse:
    """Return the answer to a search of one or several branches."""
    branches = [models.BranchAnswer(**branch._asdict()) for branch in answer.branches]
    hits = [_hit(hit) for hit in answer.hits]
    for hit, scores in zip(hits, answer.branch_scores, strict=False):
        hit.branches = {
            branch: models.BranchScore(**score._asdict()) for branch, score in scores.items()
        }
    return models.SearchResponse(
        index=name,
        generation=answer.generation,
        took_ms=round(answer.took_ms, 3),
        rank_safe=answer.rank_safe,
        bound_gap=answer.bound_gap,
        encoder=encoder_of(index),
        unknown_terms=answer.unknown_terms,
        mode=mode,  # type: ignore[arg-type]  # checked by the model
        fusion=None if answer.fusion is None else answer.fusion.to_json(),
        branches=branches,
        pool_size=answer.pool_size,
        hits=hits,
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
