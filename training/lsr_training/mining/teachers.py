"""Teachers: models that score the documents of a query.

Names: ``bm25`` or a SPLADE model (scores of an `lsr_index` index), ``dense:NAME`` (an embedding
model of sentence-transformers), ``cross-encoder:NAME`` (reads query and document together).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.cross_encoder import CrossEncoder
from lsr.errors import MissingDependencyError, ModelError
from lsr_index.hybrid import QueryParts, Retriever

DENSE, CROSS = "dense:", "cross-encoder:"


class Candidates(NamedTuple):
    """A query and the documents to score for it.

    Attributes
    ----------
    query : str
    doc_ids : list of str
        Ids in the collection of the mining.
    texts : list of str
    """

    query: str
    doc_ids: list[str]
    texts: list[str]


class Teacher(Protocol):
    """Scores documents."""

    def score(self, candidates: Sequence[Candidates]) -> list[list[float]]:
        """Return a score for each document of each query."""


class IndexTeacher:
    """Scores of an index: BM25 or sparse vectors, as a search would give them.

    Parameters
    ----------
    retriever : Retriever
        Over the collection of the mining.
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        (self._branch,) = retriever.chosen("sparse")

    def score(self, candidates: Sequence[Candidates]) -> list[list[float]]:
        """Return the scores; 0 for a document that shares no term with the query."""
        return [self._of_query(c.query, c.doc_ids) for c in candidates]

    def _of_query(self, query: str, doc_ids: Sequence[str]) -> list[float]:
        vector, _ = self._branch.encode(QueryParts(query))
        scores = []
        for doc_id in doc_ids:
            ordinal = self._retriever.index.find(doc_id)
            assert ordinal is not None, "every candidate comes from the collection"
            explained = self._retriever.index.explain(vector, ordinal)
            scores.append(sum(contribution for _, contribution in explained))
        return scores


class DenseTeacher:
    """Similarities of an embedding model.

    Parameters
    ----------
    name : str
        A folder or hub id.
    batch_size : int
    """

    def __init__(self, name: str, batch_size: int = 32) -> None:
        with _named(name):
            self._model = _sentence_transformers().SentenceTransformer(name)
        self._batch_size = batch_size

    def score(self, candidates: Sequence[Candidates]) -> list[list[float]]:
        """Return the model's own similarity, usually the cosine."""
        queries = self._encode([c.query for c in candidates])
        distinct = list(dict.fromkeys(text for c in candidates for text in c.texts))
        documents = dict(zip(distinct, self._encode(distinct), strict=True))
        scores = []
        for query, c in zip(queries, candidates, strict=True):
            stacked = np.stack([documents[text] for text in c.texts])
            row = self._model.similarity(query[None], stacked).numpy()[0]
            scores.append([float(value) for value in row])
        return scores

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._model.encode(
            list(texts), batch_size=self._batch_size, show_progress_bar=False
        )
        return vectors


class CrossEncoderTeacher:
    """Scores of a model that reads query and document together.

    Parameters
    ----------
    name : str
        A folder or hub id.
    batch_size : int
    """

    def __init__(self, name: str, batch_size: int = 32) -> None:
        with _named(name):
            self._model = CrossEncoder(name, batch_size=batch_size)

    def score(self, candidates: Sequence[Candidates]) -> list[list[float]]:
        """Return the logits of the model."""
        scores = self._model.score_pairs([(c.query, text) for c in candidates for text in c.texts])
        flat = iter(scores.tolist())
        return [[next(flat) for _ in c.texts] for c in candidates]


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
    makers: Mapping[str, Callable[[str], Teacher]] = {
        DENSE: DenseTeacher,
        CROSS: CrossEncoderTeacher,
    }
    for prefix, make in makers.items():
        if name.startswith(prefix):
            return make(name.removeprefix(prefix))
    return IndexTeacher(retriever(name))


def _sentence_transformers() -> Any:
    try:
        import sentence_transformers
    except ImportError as error:
        raise MissingDependencyError("a dense teacher", "peers") from error
    return sentence_transformers


@contextmanager
def _named(name: str) -> Any:
    try:
        yield
    except MissingDependencyError:
        raise
    except Exception as error:  # a foreign model can fail in any way; say which
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{name}: cannot be loaded as a teacher ({reason[:300]})") from error
