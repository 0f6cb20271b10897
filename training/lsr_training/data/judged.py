"""Training pairs from judged collections: each relevant document of a query is a positive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lsr.corpus import open_corpus
from lsr.corpus.ir_collection import fetched, load_dataset, read_judgments
from lsr.corpus.opening import IR_DATASETS_PREFIX
from lsr.corpus.queries import open_queries
from lsr.errors import CorpusError, UsageError
from lsr.trec.qrels import Qrels, read_qrels
from lsr_training.data.files import Place


def read_split(folder: Path, split: str) -> Qrels:
    """Read ``qrels/<split>.tsv`` of a folder in BEIR layout."""
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        present = sorted(p.stem for p in (folder / "qrels").glob("*.tsv"))
        raise UsageError(f"{folder}: no split {split!r}; there are: {', '.join(present) or 'none'}")
    return read_qrels(path)


def judged_pairs(folder: Path, split: str) -> Iterator[Place]:
    """Yield a pair for every judgment above 0 of a folder in BEIR layout."""
    yield from _pairs(read_split(folder, split), str(folder))


def ir_datasets_pairs(name: str) -> Iterator[Place]:
    """Yield triples where a collection of ir-datasets lists them, else a pair for each judgment."""
    dataset = load_dataset(name.removeprefix(IR_DATASETS_PREFIX))
    if dataset.has_docpairs():
        yield from _triples(name, dataset)
        return
    if not (dataset.has_qrels() and dataset.has_queries() and dataset.has_docs()):
        raise CorpusError("to train on, a collection needs documents, queries and qrels", name)
    yield from _pairs(read_judgments(name, dataset), name)


def _pairs(judgments: Qrels, collection: str) -> Iterator[Place]:
    wanted = {d for grades in judgments.values() for d, grade in grades.items() if grade > 0}
    texts = {doc.id: doc.contents for doc in open_corpus(collection) if doc.id in wanted}
    number = 0
    for query in open_queries(collection):
        for doc_id, grade in judgments.get(query.id, {}).items():
            if grade <= 0:
                continue
            number += 1
            if doc_id in texts:
                yield Place(number, {"query": query.text, "positive": texts[doc_id]})
            else:
                yield Place(number, f"judged document {doc_id!r} is not in the corpus")


def _triples(name: str, dataset: Any) -> Iterator[Place]:
    queries = {str(q.query_id): q.default_text() for q in fetched(name, dataset.queries_iter)}
    documents = dataset.docs_store()
    for number, pair in enumerate(fetched(name, dataset.docpairs_iter), 1):
        record = {
            "query": queries.get(str(pair.query_id), ""),
            "positive": documents.get(pair.doc_id_a).default_text(),
            "negative": documents.get(pair.doc_id_b).default_text(),
        }
        yield Place(number, record)
