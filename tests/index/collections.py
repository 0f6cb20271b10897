"""Small collections for the tests of the index, and what must be found in them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from lsr.records import Document, DocumentBatch
from lsr.sparse import SparseBatch

N_TERMS = 40


def batch_of(
    rows: Mapping[str, Mapping[int, float]], documents: Mapping[str, Document] | None = None
) -> DocumentBatch:
    """Make a batch of vectors by id; texts come from `documents` or from the id."""
    found = [
        documents[doc_id]
        if documents
        else Document(doc_id, f"text of {doc_id}", doc_id.upper(), {})
        for doc_id in rows
    ]
    return DocumentBatch(
        list(rows),
        SparseBatch.from_rows(rows.values()),
        [document.text for document in found],
        [document.title for document in found],
        [document.metadata for document in found],
    )


def random_rows(
    seed: int, doc_ids: Sequence[str], *, nnz: int = 6, n_terms: int = N_TERMS, top: float = 3.0
) -> dict[str, dict[int, float]]:
    """Draw vectors whose weights are whole steps of ``top / 255``, so that nothing is rounded."""
    rng = random.Random(seed)
    step = top / 255
    return {
        doc_id: {
            term: step * rng.randint(1, 255)
            for term in rng.sample(range(n_terms), rng.randint(0, nnz))
        }
        for doc_id in doc_ids
    }


def numbered(n: int, prefix: str = "d") -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def exhaustive(
    rows: Mapping[str, Mapping[int, float]], query: Mapping[int, float], k: int
) -> list[tuple[str, float]]:
    """The `k` best ids and scores by plain arithmetic, earlier documents first among equals."""
    scored = [
        (doc_id, sum(weight * query.get(term, 0.0) for term, weight in row.items()))
        for doc_id, row in rows.items()
    ]
    found = [pair for pair in scored if pair[1] > 0]
    return sorted(found, key=lambda pair: -pair[1])[:k]


def query_of(weights: Mapping[int, float]) -> SparseBatch:
    return SparseBatch.from_rows([weights])


def dense(batch: SparseBatch, n_terms: int) -> np.ndarray:
    return batch.to_scipy(n_terms).toarray()
