"""Every query against a plain scan: ``python -m tests.index.every_query DOCS.npz QUERIES.npz``.

Builds an index of the documents and compares ids, integer scores and order of its answers with sums
over the columns of the quantised matrix, for collections that are too large for the test suite:
a minute for a million documents and 1,500 queries. The exit code is 1 when an answer differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from lsr.sparse import SparseBatch
from lsr_eval.bench.workload import load_vectors
from lsr_index import Index, build_index
from tests import oracle

DEPTHS = (10, 100, 1000)


def impacts_by_term(docs: Any, scale: float) -> Any:
    """The documents as an index stores them, column by column."""
    impacts = np.minimum(np.rint(docs.data.astype(np.float64) / scale), 255).astype(np.uint8)
    return sp.csr_matrix((impacts, docs.indices, docs.indptr), shape=docs.shape).tocsc()


def best(
    columns: Any, terms: NDArray[np.integer], weights: NDArray[np.float32], k: int
) -> oracle.Truth:
    """The `k` best documents of a query, by adding up whole columns."""
    ints, shift = oracle.integer_weights(weights, 16 if len(terms) <= 64 else 32)
    scores = np.zeros(columns.shape[0], np.int64)
    for term, weight in zip(terms.tolist(), ints, strict=True):
        if term >= columns.shape[1]:
            continue
        column = slice(columns.indptr[term], columns.indptr[term + 1])
        scores[columns.indices[column]] += (columns.data[column] * weight) >> shift
    kth = np.partition(scores, -k)[-k] if len(scores) > k else 0
    chosen = np.flatnonzero(scores >= max(kth, 1))
    order = chosen[np.lexsort((chosen, -scores[chosen]))][:k]
    return oracle.Truth(order, scores[order])


def differences(index: Index, columns: Any, queries: SparseBatch) -> Iterator[tuple[int, int]]:
    """Yield the query and the depth of every answer that is not the right one."""
    for row in range(queries.n_rows):
        truth = best(columns, *queries.row(row), max(DEPTHS))
        for k in DEPTHS:
            hits = index.search(queries.rows(row, row + 1), k)
            same = np.array_equal(hits.ordinals, truth.ordinals[:k])
            if not (same and np.array_equal(hits.int_scores, truth.scores[:k]) and hits.rank_safe):
                yield row, k


def main() -> None:
    """Compare, and print how many answers differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("docs", type=Path)
    parser.add_argument("queries", type=Path)
    given = parser.parse_args()
    docs = load_vectors(given.docs)
    queries = SparseBatch.from_scipy(load_vectors(given.queries))
    with (
        tempfile.TemporaryDirectory() as folder,
        build_index(Path(folder) / "index", docs) as index,
    ):
        wrong = list(differences(index, impacts_by_term(docs, index.manifest.scale), queries))
    n = queries.n_rows * len(DEPTHS)
    sys.stdout.write(f"{docs.shape[0]:,} documents, {n:,} answers, {len(wrong):,} differ\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
