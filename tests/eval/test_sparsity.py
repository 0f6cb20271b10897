"""Sparsity and FLOPS: against dense arithmetic and the naive definition."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import random_array

from lsr.sparse import SparseBatch
from lsr_eval.measures.sparsity import VectorCounter, count_documents, measure_sparsity
from lsr_index import IndexWriter, build_index, open_index


def batch(n_rows: int, n_terms: int, seed: int) -> SparseBatch:
    rng = np.random.default_rng(seed)
    return SparseBatch.from_scipy(random_array((n_rows, n_terms), density=0.2, rng=rng))


def heavy(vectors: SparseBatch) -> SparseBatch:
    """The same terms with weights that quantisation does not take for 0."""
    return SparseBatch(vectors.indptr, vectors.indices, vectors.values / 2 + np.float32(0.5))


def test_flops_is_the_mean_overlap_of_all_pairs() -> None:
    documents, queries = batch(40, 50, 1), batch(7, 30, 2)
    counters = VectorCounter(), VectorCounter()
    for start in range(0, 40, 9):
        counters[0].add(documents.rows(start, min(start + 9, 40)))
    counters[1].add(queries)
    found = measure_sparsity(*counters)
    overlaps = [
        len(np.intersect1d(documents.row(d)[0], queries.row(q)[0]))
        for d in range(40)
        for q in range(7)
    ]
    assert found.flops == pytest.approx(np.mean(overlaps))
    assert found.document_nnz == documents.nnz / 40
    assert found.query_nnz == queries.nnz / 7
    assert (found.n_docs, found.n_queries) == (40, 7)


def test_counts_that_are_known_already() -> None:
    documents = batch(40, 50, 1)
    counted, given = VectorCounter(), VectorCounter()
    counted.add(documents)
    given.add_counts((documents.to_scipy(60) > 0).sum(axis=0), 40)
    n = len(counted.counts)
    assert counted.counts.tolist() == given.counts[:n].tolist()
    assert not given.counts[n:].any()


def test_empty_vectors_count_and_nothing_divides_by_zero() -> None:
    documents, queries = VectorCounter(), VectorCounter()
    documents.add(SparseBatch.from_rows([{0: 1.0}, {}]))
    assert documents.mean_nnz == 0.5
    assert measure_sparsity(documents, queries).flops == 0
    assert measure_sparsity(queries, queries).document_nnz == 0


def test_stored_vectors_are_counted_without_the_deleted_ones(tmp_path: Path) -> None:
    documents = heavy(batch(40, 50, 3))
    build_index(tmp_path / "i", documents).close()
    with IndexWriter(tmp_path / "i") as writer:
        writer.delete([str(n) for n in range(0, 40, 3)])
        writer.commit()
    expected = VectorCounter()
    expected.add(documents.select(np.array([n for n in range(40) if n % 3])))
    with open_index(tmp_path / "i") as index:
        found = count_documents(index)
    assert found.n_vectors == expected.n_vectors == 26
    assert found.counts.tolist() == expected.counts.tolist()


@pytest.mark.parametrize("reorder", [False, True])
def test_stored_vectors_are_counted_from_the_posting_lists(tmp_path: Path, reorder: bool) -> None:
    documents = heavy(batch(600, 50, 4))
    expected = VectorCounter()
    expected.add(documents)
    with build_index(tmp_path / "i", documents, reorder=reorder, range_size=256) as index:
        found = count_documents(index)
    assert found.n_vectors == 600
    assert found.counts.tolist() == expected.counts.tolist()
