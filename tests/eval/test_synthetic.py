"""Synthetic collections: deterministic, well-formed, and like the real ones they are fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_eval.bench.workload import load_vectors, widened
from lsr_eval.synthetic import (
    SyntheticCollection,
    SyntheticQueries,
    compare_crowding,
    compare_pruning,
    crowding,
    fit,
    pruning_profile,
)
from lsr_eval.synthetic.__main__ import app
from lsr_eval.synthetic.collection import BLOCK_DOCS
from lsr_eval.synthetic.crowding import WINDOW
from lsr_eval.synthetic.pruning import block_maxima
from tests.eval.bench_vectors import random_vectors, save_vectors
from tests.shared import shared_path


def _all(collection: SyntheticCollection) -> SparseBatch:
    return SparseBatch.concatenate(list(collection))


def test_iterating_twice_gives_the_same_and_blocks_need_no_predecessors() -> None:
    model = fit(random_vectors(300, 80, 10, seed=0))
    collection = SyntheticCollection(model, BLOCK_DOCS + 7, seed=3)
    blocks = list(collection)
    assert [block.n_rows for block in blocks] == [BLOCK_DOCS, 7]
    again = SyntheticCollection(model, BLOCK_DOCS + 7, seed=3).block(1)
    np.testing.assert_array_equal(again.indices, blocks[1].indices)
    np.testing.assert_array_equal(again.values, blocks[1].values)
    other = SyntheticCollection(model, BLOCK_DOCS + 7, seed=4).block(1)
    assert not np.array_equal(other.values, blocks[1].values)


def test_vectors_are_valid_and_weights_lie_between_those_of_their_terms() -> None:
    real = random_vectors(300, 80, 10, seed=0)
    made = _all(SyntheticCollection(fit(real), 900))
    SparseBatch.from_arrays(made.indptr, made.indices, made.values)
    by_term = real.tocsc()
    for term in range(80):
        own = by_term.data[by_term.indptr[term] : by_term.indptr[term + 1]]
        weights = made.values[made.indices == term]
        assert weights.min() >= own.min()
        assert weights.max() <= own.max()


def test_the_weights_of_a_term_are_distributed_as_before() -> None:
    real = random_vectors(2000, 80, 10, seed=0)
    made = _all(SyntheticCollection(fit(real), 16_000))
    shares = np.linspace(0.05, 0.95, 10)
    common = int(np.argmax(np.bincount(real.indices)))
    np.testing.assert_allclose(
        np.quantile(made.values[made.indices == common], shares),
        np.quantile(real.data[real.indices == common], shares),
        rtol=0.1,
    )


def test_copies_share_no_weight_even_of_a_term_with_few() -> None:
    real = csr_array(np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]], np.float32))
    made = _all(SyntheticCollection(fit(real), 300)).values
    inner = made[(made > 1) & (made < 3)]
    assert len(inner) > 300
    assert len(np.unique(inner)) > 0.99 * len(inner)


def test_document_frequencies_and_lengths_are_kept() -> None:
    real = random_vectors(2000, 80, 10, seed=0)
    made = _all(SyntheticCollection(fit(real), 8000)).to_scipy(80)
    expected = np.bincount(real.indices, minlength=80) / 2000
    found = np.bincount(made.indices, minlength=80) / 8000
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert made.nnz / 8000 == pytest.approx(real.nnz / 2000, rel=0.02)


def test_terms_of_one_group_stay_together() -> None:
    rng = np.random.default_rng(0)
    topic = np.repeat(np.arange(4), 250)
    dense = np.zeros((1000, 40), np.float32)
    for row, of in enumerate(topic[rng.permutation(1000)]):
        dense[row, of * 10 : of * 10 + 10] = 1 + rng.random(10)
    model = fit(csr_array(dense), n_groups=4)
    for of in range(4):
        assert len(set(model.groups[of * 10 : of * 10 + 10])) == 1
    made = _all(SyntheticCollection(model, 1000)).to_scipy(40).toarray() > 0
    for of in range(4):
        present = made[:, of * 10 : of * 10 + 10].sum(axis=1)
        assert set(present) <= {0, 10}


def test_smallest_collections_work() -> None:
    one = csr_array(np.array([[0, 2.0, 0, 1.0]], np.float32))
    np.testing.assert_array_equal(
        _all(SyntheticCollection(fit(one), 3)).to_scipy(4).toarray(), np.repeat(one.toarray(), 3, 0)
    )
    empty = fit(csr_array((2, 4), dtype=np.float32))
    assert _all(SyntheticCollection(empty, 5)).nnz == 0
    with pytest.raises(UsageError, match="has none"):
        fit(csr_array((0, 4), dtype=np.float32))
    with pytest.raises(UsageError, match="at least 1"):
        SyntheticCollection(empty, 0)


def test_queries_are_spliced_with_the_groups_of_the_documents() -> None:
    docs, asked = random_vectors(300, 80, 10, seed=0), random_vectors(40, 80, 5, seed=1)
    groups = fit(docs).groups
    made = SyntheticQueries(fit(asked, groups=groups), 100).batch()
    assert made.n_rows == 100
    assert made.nnz / 100 == pytest.approx(asked.nnz / 40, rel=0.15)


def test_block_maxima_equal_brute_force() -> None:
    docs = random_vectors(70, 30, 6, seed=2)
    found = block_maxima(docs, 32).toarray()
    dense = docs.toarray()
    expected = np.stack([dense[i : i + 32].max(axis=0) for i in range(0, 70, 32)])
    np.testing.assert_array_equal(found, expected)


def test_surviving_blocks_equal_brute_force() -> None:
    docs, queries = random_vectors(320, 30, 6, seed=2), random_vectors(5, 30, 3, seed=3)
    profile = pruning_profile(docs, queries)
    scores = (queries @ docs.T).toarray()
    bounds = (queries @ block_maxima(docs, 64).T).toarray()
    cut = np.sort(scores, axis=1)[:, -10]
    assert profile.thresholds[10] == pytest.approx(cut.mean(), rel=1e-5)
    assert profile.surviving[64, 10] == pytest.approx((bounds >= cut[:, None] * 0.999999).mean())
    assert 1000 not in profile.thresholds, "there are only 320 documents"


def test_prunes_like_the_real_collection() -> None:
    real = load_vectors(shared_path("data/bench/real-docs-74k.npz"))[:8_000]
    asked = load_vectors(shared_path("data/bench/real-queries.npz"))
    asked = widened(asked, real.shape[1])[::40]
    made = _all(SyntheticCollection(fit(real), real.shape[0])).to_scipy(real.shape[1])
    rows = compare_pruning(pruning_profile(real, asked), pruning_profile(made, asked))
    assert len(rows) == 9
    assert [row for row in rows if not row.passes] == []


def test_near_documents_equal_brute_force() -> None:
    docs, queries = random_vectors(320, 30, 6, seed=2), random_vectors(5, 30, 3, seed=3)
    scores = (queries @ docs.T).toarray()
    counts = []
    for row in scores:
        cut = sorted(row)[-10]
        counts.append(sum(abs(score - cut) <= WINDOW * cut for score in row) - 1)
    found = crowding(docs, queries)
    assert found[10] == pytest.approx(np.mean(counts))
    assert 1000 not in found, "there are only 320 documents"
    assert crowding(docs, csr_array((2, 30), dtype=np.float32)) == {}


def test_copies_crowd_no_more_than_real_documents() -> None:
    real = load_vectors(shared_path("data/bench/real-docs-74k.npz"))[:16_000]
    asked = load_vectors(shared_path("data/bench/real-queries.npz"))
    asked = widened(asked, real.shape[1])[::3]
    part = real[np.arange(16_000) // 250 % 8 == 3]
    made = _all(SyntheticCollection(fit(part), 16_000)).to_scipy(real.shape[1])
    rows = compare_crowding(crowding(real, asked), crowding(made, asked))
    assert [row.k for row in rows] == [10, 100, 1000]
    assert [row for row in rows if not row.passes] == []


def test_make_writes_a_file_that_loads(tmp_path: Path) -> None:
    docs, queries = save_vectors(tmp_path)
    out = tmp_path / "made.npz"
    _run("make", "--fit", docs, "--docs", "4100", "--out", str(out))
    assert load_vectors(out).shape == (4100, 400)
    arguments = ("--fit", docs, "--fit-queries", queries, "--count", "9", "--out", str(out))
    _run("queries", *arguments)
    assert load_vectors(out).shape == (9, 400)


def _run(*arguments: str) -> None:
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
