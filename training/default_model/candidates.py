"""What each query is trained against: the best documents of BM25 and of the dense teacher.

BM25 ranks through our own index. What both consider good is where a learned part can help or harm;
what only the dense teacher considers good is where BM25 is blind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from index.indexing import index_corpus
from index.retriever import Retriever
from lsr.corpus import open_corpus
from lsr.encoders.bm25 import BM25Encoder

DEPTH = 30
_CHUNK = 512


class Lexical(NamedTuple):
    """BM25 vectors: their products are the scores of the frozen half of the student."""

    queries: csr_array
    documents: csr_array


def lexical_vectors(documents: Sequence[str], queries: Sequence[str]) -> Lexical:
    """Return the BM25 vectors of documents and queries, with the statistics of the documents."""
    encoder = BM25Encoder()
    counted, statistics = encoder.encode_documents(documents)
    encoder = encoder.with_statistics(statistics)
    finished = encoder.finish_documents(counted, statistics)
    n_terms = encoder.n_terms
    return Lexical(encoder.encode_queries(queries).to_scipy(n_terms), finished.to_scipy(n_terms))


def mine_lexical(
    documents: Sequence[str], queries: Sequence[str], folder: Path
) -> NDArray[np.int32]:
    """Return the best documents of BM25: (m, DEPTH) int32, -1 where there are fewer."""
    kept = folder / "lexical.npy"
    if kept.is_file():
        return np.asarray(np.load(kept))
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "documents.jsonl"
    with corpus.open("w", encoding="utf-8") as file:
        for number, text in enumerate(documents):
            file.write(json.dumps({"_id": str(number), "text": text}) + "\n")
    place = folder / "documents.index"
    index_corpus(open_corpus(str(corpus)), BM25Encoder(), place, overwrite=True).close()
    found = np.full((len(queries), DEPTH), -1, np.int32)
    with Retriever.open(place) as retriever:
        for start in range(0, len(queries), _CHUNK):
            hits = retriever.search_batch(queries[start : start + _CHUNK], k=DEPTH)
            for row, of_query in enumerate(hits, start):
                ids = of_query.doc_ids
                found[row, : len(ids)] = list(map(int, retriever.index.docnos(ids)))
    _save(kept, found)
    shutil.rmtree(place)
    corpus.unlink()
    return found


def mine_dense(
    documents: NDArray[np.float32], queries: NDArray[np.float32], folder: Path
) -> NDArray[np.int32]:
    """Return the nearest documents of the dense teacher: (m, DEPTH) int32."""
    kept = folder / "dense.npy"
    if kept.is_file():
        return np.asarray(np.load(kept))
    found = np.empty((len(queries), DEPTH), np.int32)
    for start in range(0, len(queries), _CHUNK):
        scores = queries[start : start + _CHUNK] @ documents.T
        best = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        found[start : start + len(scores)] = np.take_along_axis(best, order, 1)
    folder.mkdir(parents=True, exist_ok=True)
    _save(kept, found)
    return found


def _save(path: Path, rows: NDArray[np.int32]) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.save(file, rows)
    beside.rename(path)
