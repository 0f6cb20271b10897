"""Dense search against brute force: filters, deletes, segments, clusters, ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lsr.encoders.dense import Similarity
from lsr.errors import UsageError, VectorError
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.search.dense_index import Known
from lsr_index.search.dense_probe import Opening
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.verify import verify
from tests.index.collections import numbered
from tests.index.dense.collections import DIMENSION, clustered, dense_batch, rounded
from tests.index.faults.disk import SimulatedDisk

PATH = Path("/x.index")
SELECTIVITIES = {"none": 0, "one document": 1, "1 %": 5, "half": 250, "all": 500}


class Collection:
    """An index of 500 live documents in three segments, and the vectors that are in it."""

    def __init__(self, similarity: Similarity, n_lists: int | None, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.disk = SimulatedDisk()
        self.similarity = similarity
        self.rng = rng
        vectors = clustered(rng, 560)
        spec = DenseSpec(
            DIMENSION, similarity, flat_below=10**9 if n_lists is None else 0, n_lists=n_lists
        )
        doc_ids = numbered(560)
        build_index(
            PATH, [dense_batch(doc_ids[:400], vectors[:400])], dense=spec, n_terms=5,
            max_weight=1.0, files=self.disk,
        ).close()  # fmt: skip
        self.vectors = dict(zip(doc_ids, vectors, strict=True))
        with IndexWriter(PATH, files=self.disk) as writer:
            writer.add(dense_batch(doc_ids[400:], vectors[400:]))
            writer.commit()
            replaced = clustered(rng, 20)
            writer.add(dense_batch(doc_ids[100:120], replaced))
            writer.delete(doc_ids[500:])
            writer.commit()
        self.vectors |= dict(zip(doc_ids[100:120], replaced, strict=True))
        for doc_id in doc_ids[500:]:
            del self.vectors[doc_id]

    def open(self) -> Index:
        return open_index(PATH, verify="structure", files=self.disk)

    def expected(
        self, index: Index, query: NDArray[np.float32], low: int, high: int
    ) -> list[tuple[str, float]]:
        """Ids and scores of what passes, best first, by plain arithmetic."""
        own = query.astype(np.float64)
        if self.similarity == "cosine":
            own = own / np.linalg.norm(own)
        doc_ids = [d for d in self.vectors if low <= int(d[1:]) < high]
        rows = np.array([self.vectors[d] for d in doc_ids], np.float32).reshape(-1, DIMENSION)
        scores = rounded(rows, self.similarity) @ own
        numbers = [index.find(doc_id) or 0 for doc_id in doc_ids]
        order = np.lexsort((numbers, -scores))
        return [(doc_ids[i], float(scores[i])) for i in order]


@pytest.fixture(scope="module", params=[("cosine", None), ("dot", None), ("cosine", 9), ("dot", 9)])
def collection(request: pytest.FixtureRequest) -> Collection:
    similarity, n_lists = request.param
    if n_lists:
        pytest.importorskip("faiss")
    return Collection(similarity, n_lists)


@pytest.mark.parametrize("wanted", SELECTIVITIES.values(), ids=SELECTIVITIES.keys())
def test_filters_and_deletes_are_exact(collection: Collection, wanted: int) -> None:
    index = collection.open()
    assert index.dense is not None
    for seed in range(12):
        rng = np.random.default_rng(seed)
        low = int(rng.integers(0, 501 - wanted))
        condition = {"n": {"$gte": low, "$lt": low + wanted}}
        query = clustered(rng, 1)[0]
        k = int(rng.integers(1, 40))
        hits = index.dense.search(query, k, filter=condition, exact=True)
        expected = collection.expected(index, query, low, low + wanted)[:k]
        assert hits.rank_safe
        assert hits.bound_gap == 0
        assert len(hits) == min(k, wanted)
        assert [s for _, s in expected] == pytest.approx(hits.scores.tolist(), abs=1e-5)
        assert set(hits.ids) <= set(collection.vectors)
        scores = dict(collection.expected(index, query, low, low + wanted))
        for doc_id, score in zip(hits.ids, hits.scores, strict=True):
            assert scores[doc_id] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("wanted", SELECTIVITIES.values(), ids=SELECTIVITIES.keys())
def test_without_exact_nothing_but_recall_is_given_up(collection: Collection, wanted: int) -> None:
    """Always as many documents as there are, none that is deleted or filtered out, true scores."""
    index = collection.open()
    assert index.dense is not None
    for seed in range(12):
        rng = np.random.default_rng(seed)
        low = int(rng.integers(0, 501 - wanted))
        query = clustered(rng, 1)[0]
        k = int(rng.integers(1, 300))
        hits = index.dense.search(
            query, k, filter={"n": {"$gte": low, "$lt": low + wanted}}, probes=1
        )
        everything = collection.expected(index, query, low, low + wanted)
        scores = dict(everything)
        assert len(hits) == min(k, wanted)
        assert [scores[d] for d in hits.ids] == pytest.approx(hits.scores.tolist(), abs=1e-5)
        if hits.rank_safe:
            best = [score for _, score in everything[:k]]
            assert best == pytest.approx(hits.scores.tolist(), abs=1e-5)
        elif len(hits):
            found = set(hits.ids)
            for doc_id, score in everything:
                if doc_id not in found:
                    assert score <= hits.scores[-1] + hits.bound_gap
                    break


def test_scores_are_those_of_a_search_to_the_last_bit(collection: Collection) -> None:
    index = collection.open()
    assert index.dense is not None
    query = clustered(np.random.default_rng(3), 1)[0]
    hits = index.dense.search(query, 500, exact=True)
    shuffled = np.random.default_rng(1).permutation(len(hits))
    again = index.dense.scores(query, hits.ordinals[shuffled])
    np.testing.assert_array_equal(again, hits.scores[shuffled])
    for filtered in (index.dense.search(query, 50, filter={"n": {"$lt": 90}}),
                     index.dense.search(query, 50, probes=2)):  # fmt: skip
        np.testing.assert_array_equal(filtered.scores, index.dense.scores(query, filtered.ordinals))
    assert (np.diff(hits.int_scores) <= 0).all()


def test_a_batch_is_its_queries(collection: Collection) -> None:
    index = collection.open()
    assert index.dense is not None
    queries = clustered(np.random.default_rng(4), 6)
    for threads in (1, 2):
        batch = index.dense.search_batch(queries, 7, threads=threads, filter={"n": {"$lt": 300}})
        for query, hits in zip(queries, batch, strict=True):
            alone = index.dense.search(query, 7, filter={"n": {"$lt": 300}})
            assert alone.ordinals.tolist() == hits.ordinals.tolist()
            assert alone.scores.tolist() == hits.scores.tolist()


def test_verified_at_every_level(collection: Collection) -> None:
    for level in range(4):
        assert verify(PATH, level, files=collection.disk).problems == []


def test_equal_scores_come_in_the_order_of_documents() -> None:
    disk = SimulatedDisk()
    same = np.tile(clustered(np.random.default_rng(0), 1), (30, 1))
    build_index(
        PATH, [dense_batch(numbered(30), same)], dense=DenseSpec(DIMENSION), n_terms=5,
        max_weight=1.0, files=disk,
    )  # fmt: skip
    index = open_index(PATH, files=disk)
    assert index.dense is not None
    assert index.dense.search(same[0], 9).ids == numbered(9)


def test_a_document_without_a_vector_is_never_found_and_has_no_score(tmp_path: Path) -> None:
    batch = dense_batch(numbered(4), clustered(np.random.default_rng(0), 4))
    rows = [{0: 1.0}, {}, {1: 1.0}, {2: 1.0}]
    vectors = batch.dense
    assert vectors is not None
    vectors[1] = 0
    batch = batch._replace(vectors=type(batch.vectors).from_rows(rows))
    with build_index(tmp_path / "x", [batch], dense=DenseSpec(DIMENSION)) as index:
        assert index.dense is not None
        query = -vectors[0]
        assert sorted(index.dense.search(query, 10).ids) == ["d0", "d2", "d3"]
        assert np.isnan(index.dense.scores(query, [0, 1, 2])).tolist() == [False, True, False]
        assert not index.dense.vectors([1]).any()
    with IndexWriter(tmp_path / "x") as writer:
        writer.delete(["d0"])
        writer.commit()
        writer.compact()
    with open_index(tmp_path / "x", verify="structure") as index:
        assert index.dense is not None
        assert sorted(index.dense.search(query, 10).ids) == ["d2", "d3"]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    n_lists=st.integers(1, 12),
    k=st.integers(1, 70),
    probes=st.integers(1, 12),
    deleted=st.floats(0, 1),
    limit=st.none() | st.integers(0, 60),
    similarity=st.sampled_from(["cosine", "dot"]),
)
def test_any_collection(
    seed: int, n: int, n_lists: int, k: int, probes: int, deleted: float, limit: int | None,
    similarity: Similarity,
) -> None:  # fmt: skip
    pytest.importorskip("faiss")
    rng = np.random.default_rng(seed)
    disk = SimulatedDisk()
    vectors, doc_ids = clustered(rng, n), numbered(n)
    spec = DenseSpec(DIMENSION, similarity, flat_below=0, n_lists=n_lists)
    build_index(
        PATH, [dense_batch(doc_ids, vectors)] if n else [], dense=spec, n_terms=5, max_weight=1.0,
        files=disk,
    )  # fmt: skip
    gone = [d for d in doc_ids if rng.random() < deleted]
    with IndexWriter(PATH, files=disk) as writer:
        writer.delete(gone)
        writer.commit()
    index = open_index(PATH, verify="structure", files=disk)
    assert index.dense is not None
    query = clustered(rng, 1)[0]
    condition = None if limit is None else {"n": {"$lt": limit}}
    passing = [i for i in range(n) if doc_ids[i] not in gone and (limit is None or i < limit)]
    hits = index.dense.search(query, k, filter=condition, probes=probes)
    exact = index.dense.search(query, k, filter=condition, exact=True)
    own = query / np.linalg.norm(query) if similarity == "cosine" else query
    scores = dict(zip(doc_ids, rounded(vectors, similarity) @ own.astype(np.float64), strict=True))
    best = sorted((scores[doc_ids[i]] for i in passing), reverse=True)[:k]
    assert exact.scores.tolist() == pytest.approx(best, abs=1e-5)
    for found in (hits, exact):
        assert set(found.ids) <= {doc_ids[i] for i in passing}
        assert len(found) == len(set(found.ids)) == len(best)
        assert [scores[d] for d in found.ids] == pytest.approx(found.scores.tolist(), abs=1e-5)
    if hits.rank_safe:
        assert hits.scores.tolist() == exact.scores.tolist()
    for doc_id, score in zip(exact.ids, exact.scores, strict=True):
        assert doc_id in hits.ids or score <= hits.scores[-1] + hits.bound_gap


def test_lists_asked_for_are_the_ones_opened() -> None:
    pytest.importorskip("faiss")
    collection = Collection("cosine", 9)
    index = collection.open()
    dense = index.require_dense()
    query = clustered(np.random.default_rng(0), 1)[0]
    chosen = (2, 0, 1)
    openings = [
        Opening(np.roll(np.arange(arrays.n_lists), -number), 1)
        for arrays, number in zip(dense.segments, chosen, strict=True)
    ]
    expected: set[int] = set()
    for arrays, base, number in zip(dense.segments, np.cumsum([0, 400, 160]), chosen, strict=True):
        rows = arrays.documents[arrays.starts[number] : arrays.starts[number + 1]]
        expected |= {int(base + row) for row in rows}
    expected &= set(index.select({}).tolist())
    hits = dense.search(query, 1, openings=openings)
    assert hits.counters == {"lists_opened": 3, "vectors_compared": len(expected)}
    own = sorted(expected)
    assert hits.ordinals[0] == own[int(np.argmax(dense.scores(query, own)))]
    assert not hits.rank_safe
    everything = dense.search(query, 1000, openings=openings)
    assert everything.rank_safe, "there were not enough documents before all lists were open"
    assert len(everything) == index.n_docs
    rest = np.setdiff1d(index.select({}), own)
    known = Known(rest, dense.scores(query, rest).astype(np.float32))
    exact = dense.search(query, 20, exact=True)
    helped = dense.search(query, 20, openings=openings, known=known)
    assert helped.ordinals.tolist() == exact.ordinals.tolist()
    assert helped.scores.tolist() == exact.scores.tolist()


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1], []])
def test_openings_that_are_none(order: list[int]) -> None:
    pytest.importorskip("faiss")
    index = Collection("cosine", 3).open()
    opening = Opening(np.array(order, np.intp), 1)
    query = clustered(np.random.default_rng(0), 1)[0]
    dense = index.require_dense()
    with pytest.raises(UsageError, match="names each list from 0 to 2 once"):
        dense.search(query, 5, openings=[opening] * len(dense.segments))
    with pytest.raises(UsageError, match="openings for"):
        dense.search(query, 5, openings=[])


class TestBadQueries:
    @pytest.fixture
    def index(self, tmp_path: Path) -> Index:
        batch = dense_batch(numbered(3), clustered(np.random.default_rng(0), 3))
        return build_index(tmp_path / "x", [batch], dense=DenseSpec(DIMENSION))

    @pytest.mark.parametrize(
        ("query", "error", "says"),
        [
            (np.ones(5), UsageError, "have 12 numbers, the query has 5"),
            (np.ones((2, 12)), UsageError, "the query has 2 x 12"),
            (np.zeros(12), VectorError, "all zeros"),
            (np.full(12, np.nan), VectorError, "not finite"),
            (np.full(12, np.inf), VectorError, "not finite"),
            (np.full(12, 1e38), VectorError, "far too large"),
        ],
    )
    def test_queries(
        self, index: Index, query: NDArray[np.float64], error: type[Exception], says: str
    ) -> None:
        assert index.dense is not None
        for ask in (index.dense.search, lambda q: index.require_dense().scores(q, [0])):
            with pytest.raises(error, match=says):
                ask(query)

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"k": 0}, "k must be a whole number"),
            ({"k": True}, "k must be a whole number"),
            ({"probes": 0}, "probes must be a whole number of at least 1"),
            ({"openings": []}, "0 openings for 1 segments"),
            ({"filter": {"n": {"$near": 1}}}, "near"),
        ],
    )
    def test_options(self, index: Index, options: dict[str, object], says: str) -> None:
        assert index.dense is not None
        with pytest.raises(UsageError, match=says):
            index.dense.search(np.ones(12), **options)  # type: ignore[arg-type]

    def test_document_numbers(self, index: Index) -> None:
        assert index.dense is not None
        for bad in ([3], [-1]):
            with pytest.raises(UsageError, match="not one of this generation"):
                index.dense.scores(np.ones(12), bad)

    def test_an_index_without_dense_vectors(self, tmp_path: Path) -> None:
        batch = dense_batch(numbered(3), clustered(np.random.default_rng(0), 3))
        plain = build_index(tmp_path / "plain", [batch._replace(dense=None)])
        assert plain.dense is None
        with pytest.raises(UsageError, match="no dense vectors; encode its documents again"):
            plain.require_dense()
