"""Teachers: models that score the documents of a query.

Names: ``bm25`` or a SPLADE model (scores of an `lsr_index` index), ``dense:NAME`` (an embedding
model of sentence-transformers), ``cross-encoder:NAME`` (reads query and document together).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lsr.encoders.neural.cross_encoder import CrossEncoder
from lsr.errors import MissingDependencyError, ModelError
from lsr_index.hybrid import QueryParts, Retriever

DENSE, CROSS = "dense:", "cross-encoder:"
BATCH = 32
"""Texts that a model scores at a time."""


class Candidates(NamedTuple):
    """Documents to score for a query: their texts, and their ids in the collection of mining."""

    query: str
    doc_ids: list[str]
    texts: list[str]


Teacher = Callable[[Sequence[Candidates]], list[list[float]]]
"""Function that returns a score for each document of each query."""


def open_teacher(name: str, retriever: Callable[[str], Retriever]) -> Teacher:
    """Open a teacher by name.

    Parameters
    ----------
    name : str
    retriever : callable
        Gives the index of the collection for the name of an encoder, building it if need be.

    Raises
    ------
    MissingDependencyError
        A dense model without sentence-transformers, a cross-encoder without torch.
    ModelError
        The model cannot be loaded.
    """
    if name.startswith(DENSE):
        return partial(_similarities, _loaded(_load_dense, name.removeprefix(DENSE)))
    if name.startswith(CROSS):
        load = partial(CrossEncoder, batch_size=BATCH)
        return partial(_pair_scores, _loaded(load, name.removeprefix(CROSS)))
    return partial(_index_scores, retriever(name))


def _index_scores(retriever: Retriever, candidates: Sequence[Candidates]) -> list[list[float]]:
    """Score as a search of an index does: 0 for a document that shares no term with the query."""
    (branch,) = retriever.chosen("sparse")
    scores = []
    for c in candidates:
        vector, _ = branch.encode(QueryParts(c.query))
        scores.append([_index_score(retriever, vector, doc_id) for doc_id in c.doc_ids])
    return scores


def _index_score(retriever: Retriever, vector: Any, doc_id: str) -> float:
    ordinal = retriever.index.find(doc_id)
    assert ordinal is not None, "every candidate comes from the collection"
    return sum(contribution for _, contribution in retriever.index.explain(vector, ordinal))


def _similarities(model: Any, candidates: Sequence[Candidates]) -> list[list[float]]:
    """Score by the similarity of an embedding model, usually the cosine."""
    encode = partial(model.encode, batch_size=BATCH, show_progress_bar=False)
    queries = encode([c.query for c in candidates])
    distinct = list(dict.fromkeys(text for c in candidates for text in c.texts))
    documents = dict(zip(distinct, encode(distinct), strict=True))
    scores = []
    for query, c in zip(queries, candidates, strict=True):
        stacked = np.stack([documents[text] for text in c.texts])
        scores.append(model.similarity(query[None], stacked)[0].tolist())
    return scores


def _pair_scores(model: CrossEncoder, candidates: Sequence[Candidates]) -> list[list[float]]:
    """Score by the logits of a model that reads query and document together."""
    scores = model.score_pairs([(c.query, text) for c in candidates for text in c.texts])
    flat = iter(scores.tolist())
    return [[next(flat) for _ in c.texts] for c in candidates]


def _load_dense(name: str) -> Any:
    try:
        import sentence_transformers
    except ImportError as error:
        raise MissingDependencyError("a dense teacher", "peers") from error
    return sentence_transformers.SentenceTransformer(name)


def _loaded(load: Callable[[str], Any], name: str) -> Any:
    try:
        return load(name)
    except MissingDependencyError:
        raise
    except Exception as error:  # a foreign model can fail in any way; say which
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{name}: cannot be loaded as a teacher ({reason[:300]})") from error
