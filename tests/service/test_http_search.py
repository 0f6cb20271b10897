"""Searching over HTTP: the three kinds of query, paging, explanations, documents, embeddings."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from lsr.sparse import SparseBatch
from lsr_index.hybrid import Retriever
from lsr_service.http import models
from tests.service.conftest import ODD_ID, documents

URL = "/v1/indexes/small/search"


def search(client: TestClient, **body: Any) -> models.SearchResponse:
    response = client.post(URL, json=body)
    assert response.status_code == 200, response.text
    return models.SearchResponse.model_validate_json(response.text)


def test_hits_carry_what_was_indexed(client: TestClient) -> None:
    stored = {d["_id"]: d for d in documents()}
    answer = search(client, query="storm river", k=5)
    assert [hit.rank for hit in answer.hits] == [1, 2, 3, 4, 5]
    for hit in answer.hits:
        assert (hit.title, hit.text) == (stored[hit.id]["title"], stored[hit.id]["text"])
        assert hit.metadata == {"year": stored[hit.id]["year"]}
        assert hit.explanation is None
    assert [h.score for h in answer.hits] == sorted((h.score for h in answer.hits), reverse=True)


def test_answers_say_what_answered(client: TestClient, retriever: Retriever) -> None:
    answer = search(client, query="storm")
    assert answer.index == "small"
    assert answer.rank_safe is True
    assert answer.bound_gap == 0
    assert answer.generation == retriever.index.generation
    assert answer.took_ms > 0
    assert answer.encoder is not None
    assert answer.encoder.fingerprint == retriever.encoder.fingerprint.digest
    assert answer.encoder.kind == "bm25"


def test_contributions_sum_to_the_score(client: TestClient) -> None:
    answer = search(client, query="storm river engine", k=100, explain=True)
    assert len(answer.hits) == 100
    for hit in answer.hits:
        assert hit.explanation
        values = [part.contribution for part in hit.explanation]
        assert sum(values) == pytest.approx(hit.score, rel=1e-9)
        assert values == sorted(values, reverse=True)
        assert {part.term for part in hit.explanation} <= {"storm", "river", "engin"}


def test_highlights_count_characters(client: TestClient) -> None:
    (hit,) = search(client, query="zebra bold crossing", k=1, explain=True).hits
    marks = hit.highlights
    assert marks is not None
    assert [hit.text[start:end] for start, end in marks.text] == ["zebra", "crossing", "bold"]
    assert "🦓" in hit.text[: marks.text[2][0]]
    assert marks.snippet == (0, len(hit.text))
    (hit,) = search(client, query="zebra padding", k=1, explain=True).hits
    assert hit.highlights is not None
    assert 0 < hit.highlights.snippet[1] - hit.highlights.snippet[0] <= 320
    (hit,) = search(client, query="zebra", k=1).hits
    assert hit.highlights is None


def test_text_terms_and_vector_give_the_same_hits(client: TestClient, retriever: Retriever) -> None:
    encoder = retriever.encoder
    term_ids, weights = encoder.encode_queries(["storm river"]).row(0)
    pairs = list(zip(term_ids.tolist(), weights.tolist(), strict=True))
    by_text = search(client, query="storm river", k=50, explain=True)
    by_term = search(
        client, tokens={encoder.term(i): w for i, w in pairs} | {"river-x": 2.0}, k=50, explain=True
    )
    indices, values = zip(*reversed(pairs), strict=True)
    by_vector = search(client, vector={"indices": indices, "values": values}, k=50, explain=True)
    assert by_text.hits == by_term.hits == by_vector.hits
    assert by_term.unknown_terms == ["river-x"]


def test_pages_join_without_gaps(client: TestClient) -> None:
    whole = search(client, query="storm winter", k=120).hits
    pages = [search(client, query="storm winter", k=40, offset=o).hits for o in (0, 40, 80)]
    assert [hit for page in pages for hit in page] == whole
    assert search(client, query="storm winter", k=10, offset=5000).hits == []


@pytest.mark.parametrize(
    "body",
    [
        {"query": ""},
        {"query": "   \n"},
        {"query": "qwxyz vvvvq"},
        {"query": "the and of"},
        {"query": "\x00\x01"},
        {"tokens": {}},
        {"tokens": {"qwxyz": 1.5}},
        {"tokens": {"storm": 0}},
        {"vector": {"indices": [], "values": []}},
        {"vector": {"indices": [4294967295], "values": [1.0]}},
    ],
)
def test_queries_that_match_nothing_are_answered(client: TestClient, body: Any) -> None:
    for explain in (False, True):
        assert search(client, **body, explain=explain).hits == []


def test_weights_scale_scores(client: TestClient) -> None:
    one = search(client, tokens={"storm": 1.0, "river": 0.5})
    largest = search(client, tokens={"storm": 1e4, "river": 5e3})
    assert [hit.id for hit in one.hits] == [hit.id for hit in largest.hits]
    assert largest.hits[0].score == pytest.approx(1e4 * one.hits[0].score, rel=1e-6)


def test_documents_by_id(client: TestClient) -> None:
    for stored in (d for d in documents() if d["_id"] in ("d007", ODD_ID, "empty")):
        response = client.get(f"/v1/indexes/small/docs/{quote(stored['_id'], safe='')}")
        assert response.status_code == 200
        found = models.DocumentResponse.model_validate_json(response.text)
        assert (found.id, found.title, found.text) == (
            stored["_id"],
            stored["title"],
            stored["text"],
        )


@pytest.mark.parametrize("id", ["nothing", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 4096, "%ff"])
def test_documents_that_are_not_there(client: TestClient, id: str) -> None:
    response = client.get(f"/v1/indexes/small/docs/{id}")
    assert response.status_code == 404
    assert response.json()["message"] == "the index has no document of this id"


def test_indexes_and_their_figures(client: TestClient, retriever: Retriever) -> None:
    listed = models.IndexList.model_validate(client.get("/v1/indexes").json()).indexes
    assert [(entry.name, entry.state, entry.n_docs) for entry in listed] == [
        ("small", "ready", 300),
        ("again", "ready", 300),
    ]
    details = models.IndexDetails.model_validate(client.get("/v1/indexes/small").json())
    assert details.n_terms == retriever.index.n_terms
    assert details.encoder is not None
    assert details.stats


def test_embeddings_have_the_known_shape(client: TestClient, retriever: Retriever) -> None:
    texts = ["storm over the river", "", "storm"]
    expected: SparseBatch = retriever.encoder.encode_queries(texts)
    rows = client.post("/embed_sparse", json={"inputs": texts}).json()
    assert [[entry["index"] for entry in row] for row in rows] == [
        expected.row(i)[0].tolist() for i in range(3)
    ]
    assert [[entry["value"] for entry in row] for row in rows] == [
        pytest.approx(expected.row(i)[1].tolist(), rel=1e-6) for i in range(3)
    ]
    one = client.post("/embed_sparse", json={"inputs": "storm", "truncate": True}).json()
    assert one == [rows[2]]
    named = client.post("/embed_sparse?index=again", json={"inputs": "storm"}).json()
    assert named == one
    assert client.post("/embed_sparse?index=nope", json={"inputs": "x"}).status_code == 404
