"""Evaluation during training: nDCG@10 and the cost of search."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import open_corpus
from lsr.corpus.queries import open_queries
from lsr.errors import CorpusError
from lsr.sparse import SparseBatch
from lsr.trec.measures import measure_run, parse_measures
from lsr.trec.qrels import Qrels
from lsr.trec.runs import Ranking, Run
from lsr_training.data.judged import read_split
from lsr_training.models import SparseModel

DEPTH = 100
_MEASURE = "nDCG@10"
_QUERIES_AT_A_TIME = 64


@dataclass(frozen=True)
class Measurement:
    """Quality and cost on one collection, or the means over several.

    Attributes
    ----------
    ndcg_10 : float
    flops : float
        ``sum_j p_j^q p_j^d``: multiplications of a query with a document.
    nnz_queries, nnz_documents : float
        Mean non-zeros.
    postings_mean, postings_p50 : float
        Postings in the lists of a query's terms, which an exhaustive search reads.
    """

    ndcg_10: float
    flops: float
    nnz_queries: float
    nnz_documents: float
    postings_mean: float
    postings_p50: float


@dataclass(frozen=True)
class EvaluationSet:
    """Judged collection in memory: ids with texts, and judgments."""

    name: str
    documents: Mapping[str, str]
    queries: Mapping[str, str]
    judgments: Qrels


def open_evaluation_set(
    folder: str | Path, split: str, max_queries: int | None = None
) -> EvaluationSet:
    """Read a folder in BEIR layout; only judged queries are kept."""
    folder = Path(folder)
    judgments = read_split(folder, split)
    queries = {q.id: q.text for q in open_queries(folder) if q.id in judgments}
    kept = dict(list(queries.items())[:max_queries])
    if not kept:
        raise CorpusError(f"split {split}: no judged query", folder)
    documents = {doc.id: doc.contents for doc in open_corpus(folder)}
    return EvaluationSet(folder.name, documents, kept, {q: judgments[q] for q in kept})


def evaluate(model: SparseModel, data: EvaluationSet, batch_size: int = 32) -> Measurement:
    """Encode a collection, rank every document for every query, and measure.

    Exhaustive and in memory: meant for collections of some thousand documents.
    """
    documents = model.encode(list(data.documents.values()), queries=False, batch_size=batch_size)
    queries = model.encode(list(data.queries.values()), queries=True, batch_size=batch_size)
    lists = np.bincount(documents.indices, minlength=model.n_terms)
    per_query = [int(lists[queries.row(i)[0]].sum()) for i in range(queries.n_rows)]
    used = np.bincount(queries.indices, minlength=model.n_terms)
    run = _rankings(data, queries, documents, model.n_terms)
    return Measurement(
        ndcg_10=measure_run(run, data.judgments, parse_measures([_MEASURE])).overall[_MEASURE],
        flops=float(used @ lists) / (queries.n_rows * documents.n_rows),
        nnz_queries=queries.nnz / queries.n_rows,
        nnz_documents=documents.nnz / documents.n_rows,
        postings_mean=statistics.fmean(per_query),
        postings_p50=statistics.median(per_query),
    )


def mean(measurements: Sequence[Measurement]) -> Measurement:
    """Return the mean of each measurement over collections."""
    rows = [asdict(m) for m in measurements]
    return Measurement(**{key: statistics.fmean(row[key] for row in rows) for key in rows[0]})


def _rankings(
    data: EvaluationSet, queries: SparseBatch, documents: SparseBatch, n_terms: int
) -> Run:
    by_term = documents.to_scipy(n_terms).T.tocsr()
    vectors = queries.to_scipy(n_terms)
    doc_ids, qids = list(data.documents), list(data.queries)
    rankings = {}
    for start in range(0, len(qids), _QUERIES_AT_A_TIME):
        scores = (vectors[start : start + _QUERIES_AT_A_TIME] @ by_term).toarray()
        for qid, row in zip(qids[start:], scores, strict=False):
            top = _top(row)
            rankings[qid] = Ranking.of([doc_ids[i] for i in top], row[top])
    return Run("training", rankings)


def _top(scores: NDArray[Any]) -> NDArray[np.int64]:
    order = np.argsort(-scores, kind="stable")[:DEPTH]
    return order[scores[order] > 0]
