"""Hybrid search on real indexes, against brute force over every document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr.encoders.base import Fingerprint
from lsr.errors import UsageError, VectorError
from lsr.records import Document, DocumentBatch
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.fusion import METHODS, Fusion
from lsr_index.hybrid import (
    DenseBranch,
    Feedback,
    QueryParts,
    Reranking,
    Retriever,
    SparseBranch,
    parse_feedback,
)
from lsr_index.storage.dense_part import DenseSpec
from tests.index import fusion_oracle
from tests.index.collections import N_TERMS, batch_of, numbered, query_of, random_rows

DIMENSION = 8
N_DOCS = 240
DELETED = {f"d{i}" for i in range(0, N_DOCS, 7)}
FILTERS: list[dict[str, Any] | None] = [
    None,
    {"share": {"$lt": 0.01}},
    {"share": {"$lt": 0.1}},
    {"share": {"$lt": 0.5}},
    {"share": {"$lt": 2}},
    {"share": {"$gt": 2}},
]


def batch(start: int, stop: int, *, seed: int = 5) -> DocumentBatch:
    doc_ids = numbered(N_DOCS)[start:stop]
    rng = np.random.default_rng(seed + start)
    blank = set(doc_ids[::11])  # have no vector of either kind
    documents = {
        doc_id: Document(doc_id, f"text of {doc_id}", "", {"share": at / N_DOCS})
        for at, doc_id in enumerate(doc_ids, start)
    }
    vectors = rng.standard_normal((len(doc_ids), DIMENSION)).astype(np.float32)
    vectors[::11] = 0
    rows = {
        doc_id: {} if doc_id in blank else row
        for doc_id, row in random_rows(seed + start, doc_ids).items()
    }
    return batch_of(rows, documents)._replace(dense=vectors)


def build(path: Path, *, seed: int = 5) -> Index:
    spec = DenseSpec(DIMENSION)
    build_index(
        path, [batch(0, 150, seed=seed)], dense=spec, n_terms=N_TERMS, max_weight=3.0
    ).close()
    with IndexWriter(path) as writer:
        writer.add(batch(150, N_DOCS, seed=seed))
        writer.commit()
        writer.delete(DELETED)
        writer.commit()
    return open_index(path)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with build(tmp_path_factory.mktemp("hybrid") / "x.index") as opened:
        assert len(opened.segments) > 1
        yield opened


class Wordless:
    """A dense encoder that knows no word."""

    dimension = DIMENSION
    similarity = "cosine"
    fingerprint = Fingerprint({"kind": "wordless"}, {})

    def encode_queries(self, texts: list[str]) -> NDArray[np.float32]:
        return np.zeros((len(texts), DIMENSION), np.float32)


@pytest.fixture(scope="module")
def hybrid(index: Index) -> Retriever:
    return Retriever.of(index)


def queries() -> list[QueryParts]:
    rng = np.random.default_rng(3)
    return [
        QueryParts(
            sparse=query_of({int(t): float(w) for t, w in zip(terms, rng.random(4), strict=True)}),
            dense=rng.standard_normal(DIMENSION).astype(np.float32),
        )
        for terms in [rng.choice(N_TERMS, 4, replace=False) for _ in range(4)]
    ]


def everything(
    index: Index, query: QueryParts, filter: dict[str, Any] | None
) -> tuple[dict[int, float], dict[int, float]]:
    """The scores of all documents that may be returned, one at a time."""
    lexical, semantic = {}, {}
    allowed = set(index.select(filter).tolist()) if filter else set(index.select({}).tolist())
    assert query.dense is not None
    unit = query.dense / np.linalg.norm(query.dense)
    for ordinal in sorted(allowed):
        score = sum(part for _, part in index.explain(query.sparse, ordinal))
        if score > 0:
            lexical[ordinal] = score
        vector = index.require_dense().vectors([ordinal])[0]
        if vector.any():
            semantic[ordinal] = float(vector @ unit)
    return lexical, semantic


class TestAgainstBruteForce:
    @pytest.mark.parametrize("filter", FILTERS)
    def test_every_filter_in_every_branch(
        self, index: Index, hybrid: Retriever, filter: dict[str, Any] | None
    ) -> None:
        for query in queries():
            lexical, semantic = everything(index, query, filter)
            for method in METHODS:
                for depth, absent in ((6, "floor"), (30, "score"), (1000, "score")):
                    fusion = Fusion(
                        method, {"sparse": 1.0, "dense": 2.0}, depth=depth, absent=absent
                    )
                    found = hybrid.search(query, 500, fusion=fusion, filter=filter, mode="hybrid")
                    known = [lexical | dict.fromkeys(semantic.keys() - lexical.keys(), 0.0)]
                    known.append(semantic)
                    truth = fusion_oracle.fused(
                        method,
                        [lexical, semantic],
                        [1.0, 2.0],
                        depth=depth,
                        known=known if absent == "score" else None,
                        bounds=[0.0, -1.0],
                    )
                    assert {hit.id for hit in found.hits} == set(index.doc_ids(list(truth)))
                    by_id = dict(zip(index.doc_ids(list(truth)), truth.values(), strict=True))
                    for hit in found.hits:
                        assert hit.score == pytest.approx(by_id[hit.id], abs=1e-5)
                    assert found.rank_safe
                    assert not DELETED & {hit.id for hit in found.hits}

    def test_scores_of_given_documents_are_those_of_a_search(self, index: Index) -> None:
        for query in queries():
            found = index.search(query.sparse, k=1000)
            scores = dict(zip(found.ordinals.tolist(), found.scores.tolist(), strict=True))
            wanted = np.random.default_rng(1).permutation(index.select({}))[:90]
            assert index.scores(query.sparse, wanted).tolist() == [
                scores.get(int(ordinal), 0.0) for ordinal in wanted
            ]
        with pytest.raises(UsageError, match="not one of this generation"):
            index.scores(queries()[0].sparse, np.array([10**6]))


class TestPages:
    def test_pages_of_one_pool_are_parts_of_one_ranking(self, hybrid: Retriever) -> None:
        for method in METHODS:
            fusion = Fusion(method, depth=40)
            query = queries()[0]
            whole = hybrid.search(query, 500, fusion=fusion, mode="hybrid")
            pages = [
                hit
                for offset in range(0, 100, 9)
                for hit in hybrid.search(query, 9, offset=offset, fusion=fusion, mode="hybrid").hits
            ]
            assert [hit[:3] for hit in pages] == [hit[:3] for hit in whole.hits]
            assert len(whole.hits) == whole.pool_size <= 80

    def test_the_pool_grows_with_the_page_unless_it_is_fixed(self, hybrid: Retriever) -> None:
        assert Fusion().depth_for(10) == 100
        assert Fusion().depth_for(300) == 300
        assert Fusion(depth=20).depth_for(300) == 20
        assert hybrid.search(queries()[0], 5, mode="hybrid").branches[1].n_hits == 100


class TestBranches:
    def test_one_branch_keeps_its_scores(self, index: Index, hybrid: Retriever) -> None:
        query = queries()[1]
        sparse = hybrid.search(query, 10, mode="sparse")
        plain = Retriever.of(index).search(query.sparse, 10)
        assert [hit[:6] for hit in sparse.hits] == [hit[:6] for hit in plain.hits]
        dense = hybrid.search(query, 10, mode="dense")
        assert [hit.id for hit in dense.hits] == index.require_dense().search(query.dense).ids
        assert dense.fusion is None

    def test_weight_zero_is_that_branch_alone_and_searches_no_other(
        self, hybrid: Retriever
    ) -> None:
        query = QueryParts(dense=queries()[1].dense)  # the sparse branch could not take it
        found = hybrid.search(
            query, fusion=Fusion(weights={"sparse": 0.0, "dense": 1.0}), mode="hybrid"
        )
        alone = hybrid.search(query, mode="dense")
        assert [hit.id for hit in found.hits] == [hit.id for hit in alone.hits]
        assert [branch.name for branch in found.branches] == ["dense"]

    def test_explanation(self, hybrid: Retriever) -> None:
        query = queries()[2]
        answer = hybrid.search(query, 20, fusion=Fusion("min-max"), explain=True, mode="hybrid")
        sparse_order = [hit.id for hit in hybrid.search(query, 100, mode="sparse").hits]
        for hit in answer:
            said = hit.branches or {}
            assert sum(part.contribution for part in said.values()) == pytest.approx(hit.score)
            rank = said["sparse"].rank
            assert rank is None or sparse_order[rank - 1] == hit.id
            assert sum(value for _, value in hit.explanation or ()) == pytest.approx(
                said["sparse"].score
            )

    def test_a_query_that_a_branch_cannot_take(self, hybrid: Retriever) -> None:
        with pytest.raises(UsageError, match="'dense' needs the text of the query, or its vector"):
            hybrid.search(QueryParts(sparse=queries()[0].sparse), mode="hybrid")

    def test_a_text_without_a_word_has_no_dense_hits(self, index: Index) -> None:
        hybrid = Retriever.of(index, dense_encoder=Wordless())  # type: ignore[arg-type]
        query = QueryParts("?!", queries()[0].sparse)
        found = hybrid.search(query, 50, mode="hybrid")
        alone = hybrid.search(query, 50, mode="sparse")
        assert [hit.id for hit in found.hits] == [hit.id for hit in alone.hits]

    @pytest.mark.parametrize(
        ("vector", "error", "says"),
        [
            (np.zeros(DIMENSION), VectorError, "all zeros"),
            (np.full(DIMENSION, np.nan), VectorError, "not finite"),
            (np.full(DIMENSION, 1e300), VectorError, "not finite or far too large"),
            (np.ones(DIMENSION + 1), UsageError, "have 8 numbers, the query has 9"),
            (np.ones(DIMENSION) * 1j, UsageError, "real numbers, got complex128"),
            (np.array(["1"] * DIMENSION), UsageError, "real numbers, got <U1"),
        ],
    )
    def test_vectors_that_are_none(
        self, hybrid: Retriever, vector: Any, error: type[Exception], says: str
    ) -> None:
        for mode in ("hybrid", "dense"):
            with pytest.raises(error, match=says):
                hybrid.search(QueryParts(sparse=queries()[0].sparse, dense=vector), mode=mode)  # type: ignore[arg-type]

    def test_what_is_no_kind_and_no_fusion(self, hybrid: Retriever) -> None:
        with pytest.raises(UsageError, match="sparse, dense, hybrid, got 'both'"):
            hybrid.search(queries()[0], mode="both")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="as parse_fusion returns it; got 'rrf'"):
            hybrid.search(queries()[0], fusion="rrf", mode="hybrid")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"(k|offset) must be a whole number"):
            hybrid.search(queries()[0], "ten", mode="hybrid")  # type: ignore[arg-type]

    def test_an_index_without_dense_vectors(self, tmp_path: Path) -> None:
        with build_index(tmp_path / "x", [batch_of(random_rows(1, numbered(5)))]) as index:
            hybrid = Retriever.of(index)
            for mode in ("hybrid", "dense"):
                with pytest.raises(UsageError, match="no dense vectors"):
                    hybrid.search(queries()[0], mode=mode)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("k", "offset"), [(0, 0), (1, -1)])
    def test_pages_that_are_none(self, hybrid: Retriever, k: int, offset: int) -> None:
        with pytest.raises(UsageError, match=r"(k|offset) must be a whole number"):
            hybrid.search(queries()[0], k, offset=offset, mode="hybrid")

    def test_names_are_needed(self, index: Index) -> None:
        with pytest.raises(UsageError, match="names of their own"):
            Retriever([SparseBranch(index), SparseBranch(index)])


class TestSeveralIndexes:
    def test_documents_are_joined_by_id(self, index: Index, tmp_path: Path) -> None:
        """Two halves of the vectors in indexes of their own give what one index gives."""
        other = tmp_path / "other.index"
        shuffled = batch(0, N_DOCS)
        order = np.random.default_rng(9).permutation(N_DOCS)
        rows = random_rows(77, [shuffled.ids[i] for i in order])
        build_index(other, [batch_of(rows)], n_terms=N_TERMS, max_weight=3.0).close()
        with Retriever.open(index.path, [other]) as hybrid:
            assert [b.name for b in hybrid.branches] == ["x", "x-dense", "other"]
            fusion = Fusion(weights={"x": 1.0, "x-dense": 0.0, "other": 1.0}, depth=400)
            query = queries()[0]
            found = hybrid.search(
                QueryParts(sparse=query.sparse), 400, fusion=fusion, mode="hybrid"
            )
            one, two = (
                {hit.id: hit.score for hit in branch.hits}
                for branch in (
                    Retriever([hybrid.branches[at]]).search(query, 400, mode="sparse")
                    for at in (0, 2)
                )
            )
            assert {hit.id for hit in found.hits} == one.keys() | two.keys()
            top_one, low_one = max(one.values()), min(one.values())
            top_two, low_two = max(two.values()), min(two.values())
            for hit in found.hits:
                # d0, d7, … are in the second index only: no score in the first, so the floor.
                first = one.get(hit.id, low_one if hit.id in DELETED else 0.0)
                value = (first - low_one) / (top_one - low_one) / 2
                value += (two.get(hit.id, 0.0) - low_two) / (top_two - low_two) / 2
                assert hit.score == pytest.approx(value, abs=1e-9)
                assert hit.text == f"text of {hit.id}"


class TestFeedback:
    def test_dense_average_and_rocchio(self, index: Index) -> None:
        branch = DenseBranch(index)
        query = queries()[0].dense
        assert query is not None
        docs = index.require_dense().search(query, 3).ordinals
        unit = query / np.linalg.norm(query)
        vectors = index.require_dense().vectors(docs)
        average = branch.expand(query, docs, Feedback("average"))
        assert average == pytest.approx(np.vstack([unit, vectors]).mean(axis=0), abs=1e-6)
        rocchio = branch.expand(query, docs, Feedback("rocchio", alpha=0.4, beta=0.6))
        assert rocchio == pytest.approx(0.4 * unit + 0.6 * vectors.mean(axis=0), abs=1e-6)

    def test_sparse_rocchio(self, index: Index) -> None:
        branch = SparseBranch(index)
        query = query_of({1: 3.0, 5: 4.0})
        docs = index.search(query, 2).ordinals
        documents = []
        for ordinal in docs.tolist():
            terms, impacts = index.vector(ordinal)
            values = impacts / np.linalg.norm(impacts.astype(float))
            documents.append(dict(zip(terms.tolist(), values.tolist(), strict=True)))
        mean = {t: sum(d.get(t, 0.0) for d in documents) / 2 for t in set().union(*documents)}
        new = sorted((t for t in mean if t not in (1, 5)), key=lambda t: (-mean[t], t))[:2]
        expected = {t: 0.6 * mean[t] for t in new}
        expected |= {1: 0.4 * 0.6 + 0.6 * mean.get(1, 0), 5: 0.4 * 0.8 + 0.6 * mean.get(5, 0)}
        found = branch.expand(query, docs, Feedback("rocchio", terms=2))
        terms, weights = found.row(0)
        assert terms.tolist() == sorted(expected)
        assert weights.tolist() == pytest.approx([expected[t] for t in sorted(expected)], rel=1e-5)

    @pytest.mark.parametrize("source", ["own", "fused"])
    def test_a_second_search(self, hybrid: Retriever, source: str) -> None:
        plain = hybrid.search(queries()[0], 10, mode="hybrid")
        moved = hybrid.search(
            queries()[0],
            10,
            feedback=Feedback(source=source),  # type: ignore[arg-type]
            mode="hybrid",
        )
        assert [hit.id for hit in plain.hits] != [hit.id for hit in moved.hits]
        assert moved.rank_safe

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("bo1", "rocchio or average"),
            ("rocchio:docs=0", "docs is 1 to 100"),
            ("rocchio:words=3", "cannot read 'words=3'"),
            ("rocchio:beta=0", "beta above 0"),
            ("average:source=mine", "fused or own"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            parse_feedback(text)

    def test_read(self) -> None:
        assert parse_feedback("average:docs=3,source=own") == Feedback(
            "average", docs=3, source="own"
        )


class TestReranking:
    def test_the_first_hits_in_another_order(self, hybrid: Retriever) -> None:
        query = QueryParts("any", queries()[0].sparse, queries()[0].dense)
        plain = hybrid.search(query, 30, mode="hybrid")
        backwards = {hit.text: at for at, hit in enumerate(plain.hits)}
        found = hybrid.search(
            query,
            30,
            rerank=Reranking(lambda _, texts: np.array([backwards[t] for t in texts]), depth=20),
            explain=True,
            mode="hybrid",
        )
        assert [hit.id for hit in found.hits] == [hit.id for hit in plain.hits[:20]][::-1]
        first = {name: part.rank for name, part in (found.hits[0].branches or {}).items()}
        again = hybrid.search(query, 20, explain=True, mode="hybrid")[19].branches or {}
        assert first == {name: part.rank for name, part in again.items()}

    def test_needs_a_text(self, hybrid: Retriever) -> None:
        with pytest.raises(UsageError, match="needs the text"):
            hybrid.search(
                queries()[0], rerank=Reranking(lambda q, t: np.zeros(len(t))), mode="hybrid"
            )
