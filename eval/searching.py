"""All topics of a collection against one index: the run, the sparsity, the latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.collections import JudgedCollection
from eval.latency import Latency, measure_latency
from eval.results import Answers, Indexing
from eval.runs import Ranking, Run
from eval.sparsity import VectorCounter, count_documents, measure_sparsity
from index.reader import Index
from index.retriever import Retriever
from lsr.encoders.base import QueryEncoder
from lsr.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from eval.systems import Progress, SearchSettings

QUERIES_PER_STEP = 64


def answers_of(
    retriever: Retriever,
    indexing: Indexing,
    collection: JudgedCollection,
    settings: SearchSettings,
    tag: str,
    progress: Progress,
) -> Answers:
    """Search an index for all topics.

    Parameters
    ----------
    retriever : Retriever
        With an encoder of its own.
    indexing : Indexing
        What is known of how the index was made.
    collection : JudgedCollection
    settings : SearchSettings
    tag : str
        Name of the run.
    progress : callable

    Raises
    ------
    UsageError
        The index has no encoder for text.
    CorpusError
        None of the relevant documents is in the index.
    """
    encoder = retriever.encoder
    if encoder is None:
        raise UsageError(
            "the index was made of vectors and knows no encoder for the text of queries; "
            "evaluate a TREC run instead, made by searching it by vector"
        )
    warnings = absent_documents(retriever.index, collection)
    documents, queries = count_documents(retriever.index), VectorCounter()
    run, rank_safe = _search(retriever, encoder, collection, settings, tag, queries, progress)
    return Answers(
        run,
        rank_safe,
        encoder.fingerprint.digest,
        measure_sparsity(documents, queries),
        _latency(retriever, collection, settings, progress),
        indexing,
        warnings,
        least_score=0.0,
    )


def _search(
    retriever: Retriever,
    encoder: QueryEncoder,
    collection: JudgedCollection,
    settings: SearchSettings,
    tag: str,
    counter: VectorCounter,
    progress: Progress,
) -> tuple[Run, bool]:
    # One hit more where the query itself will be dropped, so that k remain.
    k = settings.k + collection.drop_query_id
    rankings: dict[str, Ranking] = {}
    names: dict[str, str] = {}  # one string per document, not one per hit
    rank_safe = True
    total = len(collection.queries)
    progress("search", 0, total)
    for start in range(0, total, QUERIES_PER_STEP):
        step = collection.queries[start : start + QUERIES_PER_STEP]
        vectors = encoder.encode_queries([query.text for query in step])
        counter.add(vectors)
        found = retriever.index.search_batch(vectors, k=k, threads=settings.threads)
        for query, hits in zip(step, found, strict=True):
            ranking = Ranking.of(
                [names.setdefault(docno, docno) for docno in hits.ids], hits.scores
            )
            if collection.drop_query_id:
                ranking = ranking.without(query.id).top(settings.k)
            rankings[query.id] = ranking
            rank_safe &= hits.rank_safe
        progress("search", min(start + QUERIES_PER_STEP, total), total)
    return Run(tag, rankings), rank_safe


def _latency(
    retriever: Retriever,
    collection: JudgedCollection,
    settings: SearchSettings,
    progress: Progress,
) -> Latency | None:
    if settings.latency_k == 0:
        return None
    progress("latency", 0, None)
    texts = [query.text for query in collection.queries]
    return measure_latency(retriever.search, texts, k=settings.latency_k)


def absent_documents(index: Index, collection: JudgedCollection) -> tuple[str, ...]:
    """Say how many judged documents are not in the index; refuse when no relevant one is.

    An index of another corpus would otherwise score 0 without a word.
    """
    relevance: dict[str, bool] = {}
    for judged in collection.qrels.values():
        for docno, grade in judged.items():
            relevance[docno] = relevance.get(docno, False) or grade > 0
    absent = [docno for docno in relevance if index.find(docno) is None]
    n_relevant = sum(relevance.values())
    if n_relevant and sum(relevance[docno] for docno in absent) == n_relevant:
        raise CorpusError(
            f"none of the {n_relevant} relevant documents of {collection.name} {collection.split} "
            f"(such as {next(d for d in relevance if relevance[d])!r}) is in the index; "
            "it is an index of another corpus, or its ids differ"
        )
    if not absent:
        return ()
    return (
        f"{len(absent)} of {len(relevance)} judged documents are not in the index and cannot be "
        f"found ({', '.join(absent[:3])}{', …' if len(absent) > 3 else ''})",
    )
