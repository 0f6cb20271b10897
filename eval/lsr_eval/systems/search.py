"""Search of an index for all topics of a collection: run, sparsity and latency.

The sparse vectors alone are searched in batches, and counted (`answers_of`); other branches, and
several fused, one topic at a time (`branch_answers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsr.encoders.base import QueryEncoder
from lsr.errors import UsageError
from lsr.trec.qrels import absent_documents
from lsr.trec.runs import Ranking, Run
from lsr_eval.measures.sparsity import VectorCounter, count_documents, measure_sparsity
from lsr_eval.results import Answers, Indexing
from lsr_eval.systems.task import Trial
from lsr_index.hybrid import Mode, Retriever
from lsr_index.search.index import Index

if TYPE_CHECKING:  # sparse vectors are searched without these
    from lsr_index.fusion import Fusion
    from lsr_index.search.cluster_selection import Selection

QUERIES_PER_STEP = 64


def answers_of(retriever: Retriever, indexing: Indexing, tag: str, trial: Trial) -> Answers:
    """Search the sparse vectors of an index for all topics; `tag` is the name of the run.

    Raises UsageError if the index has no encoder for text, CorpusError if it has none of the
    relevant documents.
    """
    encoder = retriever.encoder
    if encoder is None:
        raise UsageError(
            "the index was made of vectors and knows no encoder for the text of queries; "
            "evaluate a TREC run instead, made by searching it by vector"
        )
    warnings = _absent(retriever.index, trial)
    documents, queries = count_documents(retriever.index), VectorCounter()
    rankings, rank_safe = _search(retriever.index, encoder, queries, trial)
    return Answers(
        Run(tag, rankings),
        rank_safe,
        encoder.fingerprint.digest,
        measure_sparsity(documents, queries),
        trial.latency(retriever.search),
        indexing,
        warnings,
        least_score=0.0,
    )


def _search(
    index: Index, encoder: QueryEncoder, counter: VectorCounter, trial: Trial
) -> tuple[dict[str, Ranking], bool]:
    queries, threads = trial.collection.queries, trial.settings.threads
    rankings: dict[str, Ranking] = {}
    names: dict[str, str] = {}  # one string per document, not one per hit
    rank_safe = True
    total = len(queries)
    trial.progress("search", 0, total)
    for start in range(0, total, QUERIES_PER_STEP):
        step = queries[start : start + QUERIES_PER_STEP]
        vectors = encoder.encode_queries([query.text for query in step])
        counter.add(vectors)
        found = index.search_batch(vectors, k=trial.depth, threads=threads)
        for query, hits in zip(step, found, strict=True):
            doc_ids = [names.setdefault(doc_id, doc_id) for doc_id in hits.ids]
            rankings[query.id] = trial.ranking(query.id, doc_ids, hits.scores)
            rank_safe &= hits.rank_safe
        trial.progress("search", min(start + QUERIES_PER_STEP, total), total)
    return rankings, rank_safe


def branch_answers(
    retriever: Retriever,
    mode: Mode,
    indexing: Indexing,
    tag: str,
    trial: Trial,
    *,
    fusion: Fusion | None = None,
    selection: Selection | None = None,
) -> Answers:
    """Search the dense branch of an index, or all branches fused, for all topics.

    `mode`, `fusion` and `selection` are those of `Retriever.search`, the rest as in `answers_of`.
    """
    branches = retriever.chosen(mode)
    warnings = _absent(branches[0].index, trial)
    for branch in branches:
        branch.load()
    rankings, rank_safe = {}, True
    total = len(trial.collection.queries)
    for done, query in enumerate(trial.collection.queries):
        trial.progress("search", done, total)
        (found,) = retriever.search_batch(
            [query.text], trial.depth, mode=mode, fusion=fusion, selection=selection
        )
        rankings[query.id] = trial.ranking(query.id, found.ids, found.scores)
        rank_safe &= found.rank_safe
    trial.progress("search", total, total)
    latency = trial.latency(
        lambda text, k: retriever.search(text, k, mode=mode, fusion=fusion, selection=selection)
    )
    digests = [b.fingerprint.digest for b in branches if b.fingerprint is not None]
    return Answers(
        Run(tag, rankings),
        rank_safe,
        "+".join(digests) or None,
        None,
        latency,
        indexing,
        warnings,
        branches[0].least_score if len(branches) == 1 else None,
    )


def _absent(index: Index, trial: Trial) -> tuple[str, ...]:
    collection = trial.collection
    name = f"{collection.name} {collection.split}"
    return absent_documents(collection.qrels, name, lambda doc_id: index.find(doc_id) is not None)
