"""Sparse results choose clusters: what is learned, what is opened, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index import Index, build_index
from index.dense.part import DenseSpec
from index.dense.selective import BINS, Selection, fit_selection, select_lists, signs
from index.dense.view import Lists
from lsr.errors import DataError, UsageError, VectorError
from tests.index.collections import numbered
from tests.index.dense.collections import dense_batch

N, D = 3000, 16


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N, D)).astype(np.float32)
    path: Path = tmp_path_factory.mktemp("selective") / "x"
    batches = [
        dense_batch(numbered(N)[i : i + 1000], vectors[i : i + 1000]) for i in range(0, N, 1000)
    ]
    return build_index(path, batches, dense=DenseSpec(D, flat_below=10, n_lists=60))


def queries_of(seed: int, n: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def sparse_results(index: Index, queries: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """A sparse search that knows something of the truth: two thirds of it, among noise."""
    rng = np.random.default_rng(8)
    found = []
    for query in queries:
        hits = index.dense_or_refuse().search(query, 30, exact=True)
        kept = hits.doc_ids[rng.random(len(hits)) < 0.67]
        noise = rng.integers(0, N, 60)
        found.append(np.concatenate([kept, np.setdiff1d(noise, kept)]))
    return found


def recall(
    index: Index, queries: NDArray[np.float32], chosen: Sequence[int | Lists]
) -> tuple[float, float]:
    dense = index.dense_or_refuse()
    shares, compared = [], []
    for query, lists in zip(queries, chosen, strict=True):
        exact = set(dense.search(query, 30, exact=True).ids)
        hits = (
            dense.search(query, 30, probes=lists)
            if isinstance(lists, int)
            else dense.search(query, 30, lists=lists)
        )
        shares.append(len(exact & set(hits.ids)) / len(exact))
        compared.append(hits.n_compared)
    return float(np.mean(shares)), float(np.mean(compared))


def test_sparse_results_that_know_the_way_save_work(index: Index) -> None:
    dense = index.dense_or_refuse()
    training, queries = queries_of(1, 80), queries_of(2, 60)
    selection = fit_selection(dense, training, sparse_results(index, training), wanted=30)
    assert selection.weights[4] > 0, "documents of a cluster among the sparse results speak for it"
    found = sparse_results(index, queries)
    for budget in (200, 350, 500, 700):
        with_sparse, without = (
            recall(
                index,
                queries,
                [
                    select_lists(dense, query, one if known else [], budget, selection)
                    for query, one in zip(queries, found, strict=True)
                ],
            )
            for known in (True, False)
        )
        assert with_sparse[1] <= budget
        assert with_sparse[0] > without[0] + 0.02
    nearest = recall(index, queries, [7] * len(queries))
    chosen = [
        select_lists(dense, query, one, 350, selection)
        for query, one in zip(queries, found, strict=True)
    ]
    selective = recall(index, queries, chosen)
    assert selective[0] > nearest[0]
    assert selective[1] < nearest[1]


def test_a_budget_is_kept(index: Index) -> None:
    dense = index.dense_or_refuse()
    query = queries_of(3, 1)[0]
    sizes = np.diff(dense.segments[0].starts)
    for budget in (1, 50, 500, 10**6):
        (lists,) = select_lists(dense, query, [1, 2, 3], budget)
        spent = int(sizes[lists].sum())
        assert len(lists) == 1 or spent <= budget
        assert dense.search(query, 10, lists=[lists]).n_compared == spent
    assert len(lists) == len(sizes)


def test_signs_count_what_they_say(index: Index) -> None:
    dense = index.dense_or_refuse()
    arrays = dense.segments[0]
    own = arrays.documents[arrays.starts[7] : arrays.starts[8]]
    features, sizes = signs(dense, queries_of(4, 1)[0], own.tolist())
    assert sizes.sum() == N
    assert features[7, 4] == pytest.approx(np.log1p(min(len(own), BINS[0])))
    assert features[:, 4:].sum() == pytest.approx(features[7, 4:].sum())
    assert features[:, 1].max() == 0
    assert features[np.argmax(features[:, 1]), 2] == 0


def test_saved_and_loaded() -> None:
    selection = Selection((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0))
    assert Selection.from_json(selection.to_json()) == selection
    for wrong in (
        {},
        {"bins": list(BINS), "weights": [1.0]},
        {"bins": list(BINS), "weights": [1.0] * 7 + [float("nan")]},
        {"bins": list(BINS), "weights": ["x"] * 8},
        {"bins": [1], "weights": [1.0] * 8},
    ):
        with pytest.raises(DataError, match="no selection of clusters"):
            Selection.from_json(wrong)


def test_what_is_refused(index: Index) -> None:
    dense = index.dense_or_refuse()
    with pytest.raises(UsageError, match="at least 1 vector"):
        select_lists(dense, queries_of(1, 1)[0], [], 0)
    with pytest.raises(VectorError, match="all zeros"):
        select_lists(dense, np.zeros(D), [], 5)
    with pytest.raises(UsageError, match="2 queries and 1 sparse results"):
        fit_selection(dense, queries_of(1, 2), [np.zeros(0, np.int64)])
