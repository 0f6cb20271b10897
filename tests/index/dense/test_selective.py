"""Sparse results choose clusters: what is learned, what is opened, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr.errors import DataError, UsageError, VectorError
from lsr.records import Document, DocumentBatch
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.search.cluster_features import BINS, COUNTS, N_SIGNS, RANK, signs_of
from lsr_index.search.cluster_selection import SHARES, Selection, fit_selection, search_selectively
from lsr_index.search.hits import Hits
from lsr_index.storage.dense_part import DenseSpec
from tests.index.collections import N_TERMS, batch_of, numbered
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
        hits = index.require_dense().search(query, 30, exact=True)
        kept = hits.ordinals[rng.random(len(hits)) < 0.67]
        noise = rng.integers(0, N, 60)
        found.append(np.concatenate([kept, np.setdiff1d(noise, kept)]))
    return found


Search = Callable[[int], Hits]


def recall(index: Index, queries: NDArray[np.float32], search: Search) -> tuple[float, float]:
    """Share found of the exact first 30, and vectors compared."""
    dense = index.require_dense()
    shares, compared = [], []
    for at, query in enumerate(queries):
        exact = set(dense.search(query, 30, exact=True).ids)
        hits = search(at)
        shares.append(len(exact & set(hits.ids)) / len(exact))
        compared.append(hits.counters["vectors_compared"])
    return float(np.mean(shares)), float(np.mean(compared))


def test_sparse_results_that_know_the_way_save_work(index: Index) -> None:
    dense = index.require_dense()
    training, queries = queries_of(1, 80), queries_of(2, 60)
    fitted = fit_selection(dense, training, sparse_results(index, training), wanted=30)
    found = sparse_results(index, queries)
    assert fitted.weights[COUNTS] > 0, "sparse results in a cluster speak for it"
    for share in (0.06, 0.1, 0.15):
        selection = replace(fitted, share=share)

        def selective(at: int, selection: Selection = selection) -> Hits:
            return search_selectively(dense, queries[at], 30, found[at], selection)

        with_sparse = recall(index, queries, selective)
        probes = int(np.ceil(with_sparse[1] / N * 60))
        nearest = recall(
            index, queries, lambda at, n=probes: dense.search(queries[at], 30, probes=n)
        )  # type: ignore[misc]
        assert with_sparse[0] > nearest[0] + 0.05
        assert with_sparse[1] <= nearest[1] + N / 60


def test_the_share_is_kept_on_average(index: Index) -> None:
    dense = index.require_dense()
    training = queries_of(1, 80)
    guides = sparse_results(index, training)
    fitted = fit_selection(dense, training, guides, wanted=30)
    for share in (0.05, 0.1, 0.17, 0.4):
        selection = replace(fitted, share=share)
        compared = []
        for query, known in zip(training, guides, strict=True):
            hits = search_selectively(dense, query, 1, known, selection)
            compared.append((hits.counters["vectors_compared"] - len(known)) / N)
        assert np.mean(compared) == pytest.approx(share, abs=0.02)
        assert np.std(compared) > 0.005, "queries differ in what they open"


def test_signs_count_what_they_say(index: Index) -> None:
    dense = index.require_dense()
    arrays = dense.segments[0]
    own = arrays.documents[arrays.starts[7] : arrays.starts[8]]
    query = queries_of(4, 1)[0]
    features, sizes, known = signs_of(dense, query, own.tolist())
    assert sizes.sum() == N
    assert features[7, COUNTS] == pytest.approx(np.log1p(min(len(own), BINS[0])))
    assert features[:, COUNTS:].sum() == pytest.approx(features[7, COUNTS:].sum())
    assert features[:, 1].max() == 0
    assert features[np.argmax(features[:, 1]), RANK] == 0
    assert np.argmax(features[:, 6]) == 7
    assert known.ordinals.tolist() == own.tolist()
    assert known.scores.tolist() == dense.scores(query, own).tolist()


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """A clustered segment, a flat one, deleted documents, metadata, documents without a vector."""
    pytest.importorskip("faiss")
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(900, D)).astype(np.float32)
    vectors[::50] = 0
    doc_ids = numbered(900)
    path: Path = tmp_path_factory.mktemp("living") / "x"

    def part(begin: int, end: int) -> DocumentBatch:
        documents = {d: Document(d, "", "", {"at": int(d[1:])}) for d in doc_ids[begin:end]}
        blank = set(doc_ids[::50])
        rows = {d: {} if d in blank else {1: 1.0} for d in doc_ids[begin:end]}
        return batch_of(rows, documents)._replace(dense=vectors[begin:end])

    spec = DenseSpec(D, flat_below=200, n_lists=25)
    build_index(path, [part(0, 800)], dense=spec, n_terms=N_TERMS, max_weight=3.0).close()
    with IndexWriter(path) as writer:
        writer.add(part(800, 900))
        writer.delete(doc_ids[3:900:9])
        writer.commit()
    index = open_index(path)
    assert [a.flat for a in index.require_dense().segments] == [False, True]
    return index


@pytest.mark.parametrize("filter", [None, {"at": {"$lt": 20}}, {"at": {"$lt": 500}}, {"at": -1}])
def test_filters_and_deletes_are_exact_and_bounds_true(
    living: Index, filter: dict[str, Any] | None
) -> None:
    dense = living.require_dense()
    passing = living.select({} if filter is None else filter)
    rng = np.random.default_rng(7)
    guides = [rng.permutation(passing)[:60] for _ in range(40)]
    everywhere = [rng.permutation(living.select({}))[:60] for _ in range(40)]
    selection = fit_selection(dense, queries_of(5, 40), everywhere, wanted=20)
    for query, known in zip(queries_of(6, 40), guides, strict=True):
        hits = search_selectively(dense, query, 10, known, selection, filter=filter)
        assert set(hits.ordinals.tolist()) <= set(passing.tolist())
        exact = dense.search(query, 10, exact=True, filter=filter)
        assert len(hits) == len(exact)
        assert hits.scores.tolist() == dense.scores(query, hits.ordinals).tolist()
        if hits.rank_safe:
            assert hits.ordinals.tolist() == exact.ordinals.tolist()
        for ordinal, score in zip(exact.ordinals, exact.scores, strict=True):
            assert ordinal in hits.ordinals or score <= hits.scores[-1] + hits.bound_gap
        in_known = dense.scores(query, known)
        best_known = np.nanmax(in_known, initial=-1)
        assert not len(known) or hits.scores[0] >= best_known


def test_no_sparse_results_and_no_clusters(index: Index, tmp_path: Path) -> None:
    dense = index.require_dense()
    training = queries_of(1, 30)
    selection = fit_selection(dense, training, sparse_results(index, training), wanted=30)
    nothing = np.zeros(0, np.int64)
    hits = search_selectively(dense, training[0], 10, nothing, selection)
    assert len(hits) == 10
    vectors = np.random.default_rng(1).normal(size=(50, D)).astype(np.float32)
    flat = build_index(tmp_path / "x", [dense_batch(numbered(50), vectors)], dense=DenseSpec(D))
    found = search_selectively(flat.require_dense(), training[0], 10, nothing, selection)
    assert found.rank_safe
    with pytest.raises(UsageError, match=r"no segment of this index has clusters.*100,000"):
        fit_selection(flat.require_dense(), training, [nothing] * 30)


def test_saved_and_loaded() -> None:
    selection = Selection(
        tuple(map(float, range(N_SIGNS))), tuple(map(float, range(len(SHARES)))), 0.2
    )
    body = selection.to_json()
    assert Selection.from_json(body) == selection
    for wrong in (
        {},
        None,
        body | {"weights": [1.0]},
        body | {"weights": [1.0] * (N_SIGNS - 1) + [float("nan")]},
        body | {"weights": ["x"] * N_SIGNS},
        body | {"levels": []},
        body | {"bins": [1]},
        body | {"shares": [0.5]},
    ):
        with pytest.raises(DataError, match="no selection of clusters"):
            Selection.from_json(wrong)
    for share in (0.0, 0.6, float("nan")):
        with pytest.raises(UsageError, match="above 0 and at most"):
            replace(selection, share=share)


def test_what_is_refused(index: Index) -> None:
    dense = index.require_dense()
    guides = [np.zeros(0, np.int64)]
    selection = fit_selection(dense, queries_of(1, 1), guides)
    with pytest.raises(VectorError, match="all zeros"):
        search_selectively(dense, np.zeros(D), 5, guides[0], selection)
    with pytest.raises(UsageError, match="not one of this generation"):
        search_selectively(dense, queries_of(1, 1)[0], 5, np.array([N]), selection)
    with pytest.raises(UsageError, match="2 queries and 1 sparse results"):
        fit_selection(dense, queries_of(1, 2), guides)
