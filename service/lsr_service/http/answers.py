"""Answers to clients, made of what the engine returns.

Made on the threads of the pool, so that a thousand hits do not block the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Response
from pydantic import BaseModel

from lsr.highlight import highlights, snippet
from lsr_service.engine.engine import ServedIndex
from lsr_service.http import models

if TYPE_CHECKING:
    from lsr_index.hybrid import Hit, SearchResults
    from lsr_index.search.index import Index

_SNIPPET_CHARS = 320


def as_json(model: BaseModel) -> Response:
    """Return an answer as JSON."""
    return Response(model.model_dump_json().encode(), media_type="application/json")


def encoder_of(index: Index) -> models.EncoderInfo | None:
    """Return the encoder of an index; None for an index that was made of vectors."""
    fingerprint = index.fingerprint
    if fingerprint is None:
        return None
    kind = str(fingerprint.document.get("kind", "unknown"))
    return models.EncoderInfo(kind=kind, fingerprint=fingerprint.digest)


def search_response(
    name: str, index: Index, found: SearchResults, *, plain: bool
) -> models.SearchResponse:
    """Return the answer to a search of the index `name`.

    A `plain` search, of sparse vectors alone, has no branches in its answer.
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
    if not plain:
        response.mode = found.mode
        response.fusion = None if found.fusion is None else found.fusion.to_json()
        response.branches = [
            models.BranchAnswer.model_validate(branch) for branch in found.branches
        ]
        response.pool_size = found.pool_size
    return response


def _hit(hit: Hit) -> models.Hit:
    answer = models.Hit.model_validate(hit)
    if hit.explanation is not None or hit.branches is not None:
        terms = [term for term, _ in hit.explanation or ()]
        matched = highlights(hit.text, terms)
        answer.highlights = models.Highlights(
            title=highlights(hit.title or hit.id, terms),
            text=matched,
            snippet=snippet(hit.text, matched, _SNIPPET_CHARS),
        )
    return answer


def summary(served: ServedIndex) -> models.IndexSummary:
    """Return the summary of an index."""
    return models.IndexSummary(name=served.name, **_figures(served))


def details(served: ServedIndex) -> models.IndexDetails:
    """Return the details of an index."""
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
