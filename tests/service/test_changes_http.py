"""Documents added, replaced, deleted and filtered over HTTP, against a dict."""

from __future__ import annotations

import gc
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr_index.build.index_corpus import index_corpus
from lsr_index.update.text_writer import IndexUpdater
from lsr_index.update.verify import verify
from lsr_index.update.writer import IndexWriter
from tests.service.conftest import ODD_ID, documents, serving

DOCS = "/v1/indexes/live/docs"


@pytest.fixture
def path(corpus_path: Path, tmp_path: Path) -> Path:
    """Return an index of its own for a test; checked at the end of it."""
    path = tmp_path / "live.index"
    index_corpus(open_corpus(corpus_path), load_encoder("bm25"), path).close()
    return path


@pytest.fixture
def live(path: Path) -> Iterator[TestClient]:
    """Return a client of a server that may change the index."""
    with serving(indexes={"live": path}, writable=True, free_bytes=0) as client:
        yield client
    report = verify(path, level=2)
    assert report.ok, report


def doc(doc_id: str, text: str, **metadata: Any) -> dict[str, Any]:
    return {"id": doc_id, "text": text, "title": "", "metadata": metadata}


def put(client: TestClient, *docs: dict[str, Any]) -> Any:
    response = client.put(DOCS, json={"documents": list(docs)})
    assert response.status_code == 200, response.text
    return response.json()


def found(client: TestClient, query: str, k: int = 1000, **more: Any) -> set[str]:
    response = client.post("/v1/indexes/live/search", json={"query": query, "k": k, **more})
    assert response.status_code == 200, response.text
    return {hit["id"] for hit in response.json()["hits"]}


def generation(client: TestClient) -> int:
    return int(client.get("/v1/indexes/live").json()["generation"])


def test_changes_follow_a_dict(live: TestClient) -> None:
    rng = random.Random(7)
    model = {d["_id"]: (d["text"], d.get("year")) for d in documents()}
    words = [f"qqword{i}" for i in range(12)]
    for step in range(40):
        action = rng.choice(["put", "put", "put", "ndjson", "delete", "where", "compact"])
        if action in ("put", "ndjson"):
            ids = rng.sample([*model, *(f"n{i}" for i in range(200))], rng.randint(1, 9))
            docs = [
                doc(i, " ".join(rng.choices(words, k=4)), year=rng.randint(1900, 1910)) for i in ids
            ]
            if action == "put":
                answer = put(live, *docs)
            else:
                lines = "\n".join(json.dumps(each) for each in docs)
                kind = {"content-type": "application/x-ndjson"}
                answer = live.put(DOCS, content=lines, headers=kind).json()
            assert answer["n_changed"] == len(docs)
            model |= {each["id"]: (each["text"], each["metadata"]["year"]) for each in docs}
        elif action == "delete":
            doc_id = rng.choice(list(model))
            # The client library would take the odd id apart itself.
            from urllib.parse import quote

            response = live.delete(f"{DOCS}/{quote(doc_id, safe='')}")
            assert response.status_code == 200
            del model[doc_id]
            assert live.delete(f"{DOCS}/{quote(doc_id, safe='')}").status_code == 404
        elif action == "where":
            year = rng.randint(1900, 1910)
            gone = [i for i, (_, y) in model.items() if y == year][:1000]
            condition = {"filter": {"year": year}}
            response = live.post("/v1/indexes/live/delete", json=condition).json()
            assert response["n_changed"] == len(gone)
            for doc_id in gone:
                del model[doc_id]
        else:
            response = live.post("/v1/indexes/live/compact", json={})
            assert response.status_code == 200, response.text
        assert live.get("/v1/indexes/live").json()["n_docs"] == len(model), step
        word = rng.choice(words)
        assert found(live, word) == {i for i, (text, _) in model.items() if word in text.split()}
        low = rng.randint(1900, 1910)
        assert found(live, word, filter={"year": {"$gte": low}}) == {
            i for i, (text, y) in model.items() if word in text.split() and y and y >= low
        }
        doc_id = rng.choice(list(model))
        assert live.get(f"{DOCS}/{doc_id}").json().get("text", model[doc_id][0]) == model[doc_id][0]


def test_a_change_is_visible_when_it_is_answered(live: TestClient) -> None:
    """Four writers at once; each looks for its document right after the answer."""

    def write(number: int) -> None:
        for i in range(8):
            answer = put(live, doc(f"w{number}-{i}", f"vis{number}x{i} common"))
            hits = live.post("/v1/indexes/live/search", json={"query": f"vis{number}x{i}"}).json()
            assert [hit["id"] for hit in hits["hits"]] == [f"w{number}-{i}"]
            assert hits["generation"] >= answer["generation"]

    before = generation(live)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, number) for number in range(4)]:
            done.result()
    assert len(found(live, "common")) == 32
    assert generation(live) <= before + 64


def test_what_waits_together_is_committed_together(path: Path) -> None:
    """A slow piece of work holds the thread; what arrives meanwhile shares one generation."""
    with serving(indexes={"live": path}, writable=True, free_bytes=0) as client:
        changes = client.app.state.changes.queue("live")  # type: ignore[attr-defined]
        begun, go_on = threading.Event(), threading.Event()

        def slow(_: IndexUpdater) -> int:
            begun.set()
            assert go_on.wait(10)
            return 0

        changes.submit(slow)
        assert begun.wait(10)
        waiting: list[Future[Any]] = [
            changes.submit(lambda updater, i=i: updater.delete([f"d00{i}"])) for i in range(5)
        ]
        go_on.set()
        assert len({each.result().generation for each in waiting}) == 1
        assert [each.result().n_changed for each in waiting] == [1] * 5


BAD: list[tuple[str, Any]] = [
    ("empty", {"documents": []}),
    ("no id", {"documents": [{"text": "x"}]}),
    ("repeated", {"documents": [doc("a", "x"), doc("b", "y"), doc("a", "z")]}),
    ("control", {"documents": [doc("ok", "x"), doc("a\x07b", "x")]}),
    ("long id", {"documents": [doc("i" * 513, "x")]}),
    ("empty id", {"documents": [doc("", "x")]}),
    ("unknown field", {"documents": [{**doc("a", "x"), "colour": 1}]}),
    ("text", {"documents": [doc("ok", "x"), doc("a", "x" * ((1 << 20) + 1))]}),
    ("metadata", {"documents": [doc("a", "x", m="y" * (64 << 10))]}),
    ("number", {"documents": [doc("a", "x", m=10**400)]}),
    ("terms", {"documents": [doc("ok", "x"), doc("a", " ".join(f"t{i}x" for i in range(4097)))]}),
    ("too many", {"documents": [doc(f"m{i}", "x") for i in range(1001)]}),
    ("no object", [doc("a", "x")]),
]


def test_a_refused_batch_changes_nothing(live: TestClient) -> None:
    before = generation(live)
    for name, body in BAD:
        response = live.put(DOCS, content=json.dumps(body), headers=JSON)
        assert response.status_code == 422, (name, response.text)
        assert "\\u0007" not in response.text
    assert live.put(DOCS, content=b"[" * 40, headers=JSON).status_code == 400
    assert live.put(DOCS, content=b"{}", headers={"content-type": "text/csv"}).status_code == 415
    assert live.put(DOCS, content=b" " * ((32 << 20) + 1), headers=JSON).status_code == 413
    lines = json.dumps(doc("ok", "x")) + "\n" + '{"id": "b", "text": NaN}\n'
    response = live.put(DOCS, content=lines, headers={"content-type": "application/x-ndjson"})
    assert response.status_code == 422
    assert response.json()["details"][0]["location"][:2] == ["body", 1]
    long = doc("long", " ".join(f"q{i}z" for i in range(5000)))
    response = live.put(DOCS, json={"documents": [doc("ok", "x"), long]})
    assert (response.status_code, response.json()["details"]) == (
        422,
        [
            {
                "location": ["body", "documents", 1],
                "message": "5,000 terms; at most 4,096 are accepted, split it into passages",
            }
        ],
    )
    for condition in ({}, {"year": {"$near": 3}}, {"$and": 3}):
        answer = live.post("/v1/indexes/live/delete", json={"filter": condition})
        assert answer.status_code == 422
    assert live.delete(f"{DOCS}/nobody").status_code == 404
    assert (
        live.put("/v1/indexes/other/docs", json={"documents": [doc("a", "x")]}).status_code == 404
    )
    assert (
        live.post(
            "/v1/indexes/live/search", json={"query": "storm", "filter": {"y": {"$x": "secret"}}}
        ).status_code
        == 422
    )
    assert generation(live) == before
    assert live.get(f"{DOCS}/ok").status_code == 404
    # And exactly as much as is allowed is taken.
    put(live, doc("i" * 512, "x" * (1 << 20)), doc("t", " ".join(f"t{i}x" for i in range(4096))))
    put(live, *(doc(f"m{i}", "x") for i in range(1000)))


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ({"yeer": {"$ne": 100}}, "year"),
        ({"$not": {"yeer": 1}}, "year"),
        ({"year": {"$ne": "1905"}}, "number"),
        ({"year": {"$gte": "2001-01-01"}}, "number"),
        ({"$or": [{"year": 1905}, {"$not": {"year": 1905}}]}, "every document (300)"),
        ({"$lenient": True, "yeer": {"$ne": 100}}, "every document (300)"),
    ],
)
def test_a_filter_that_means_something_else_deletes_nothing(
    live: TestClient, filter: dict[str, Any], said: str
) -> None:
    before = generation(live)
    answer = live.post("/v1/indexes/live/delete", json={"filter": filter})
    assert answer.status_code == 422, answer.text
    (detail,) = answer.json()["details"]
    assert detail["location"] == ["body", "filter"]
    assert said in detail["message"]
    assert generation(live) == before
    assert live.get("/v1/indexes/live").json()["n_docs"] == 300


def test_every_document_is_deleted_on_request(live: TestClient) -> None:
    everything = {"$or": [{"year": 1905}, {"$not": {"year": 1905}}]}
    answer = live.post("/v1/indexes/live/delete", json={"filter": everything, "all": True})
    assert answer.status_code == 200
    assert answer.json()["n_changed"] == 300
    assert live.get("/v1/indexes/live").json()["n_docs"] == 0


def test_a_server_takes_no_changes_unless_told(client: TestClient) -> None:
    answers = [
        client.put("/v1/indexes/small/docs", json={"documents": [doc("a", "x")]}),
        client.delete("/v1/indexes/small/docs/d001"),
        client.post("/v1/indexes/small/delete", json={"filter": {"year": 1900}}),
        client.post("/v1/indexes/small/compact", json={}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert answers[0].json()["error"] == "read_only"
    assert client.get("/v1/indexes/small").json()["generation"] == 1


def test_another_writer_is_named_and_waited_for(path: Path) -> None:
    with (
        IndexWriter(path) as other,
        serving(indexes={"live": path}, writable=True, free_bytes=0) as client,
    ):
        response = client.put(DOCS, json={"documents": [doc("a", "x")]})
        assert response.status_code == 409
        assert "another process (" in response.json()["message"]
        assert str(path) not in response.text
        other.delete(["d001"])
        other.commit()
        other.close()
        assert put(client, doc("a", "qqmine"))["generation"] == 3
        assert client.get(f"{DOCS}/d001").status_code == 404
        assert found(client, "qqmine") == {"a"}


def test_a_full_disk_stops_changes_and_not_searches(path: Path) -> None:
    with serving(indexes={"live": path}, writable=True, free_bytes=1 << 60) as client:
        response = client.put(DOCS, json={"documents": [doc("a", "x")]})
        assert response.status_code == 507
        assert response.json()["error"] == "storage_full"
        assert found(client, "storm")
        assert client.delete(f"{DOCS}/d001").status_code == 200


def test_too_many_changes_are_turned_away(path: Path) -> None:
    limits = {"changes_waiting": 2}
    with serving(indexes={"live": path}, writable=True, free_bytes=0, limits=limits) as client:
        changes = client.app.state.changes  # type: ignore[attr-defined]
        changes.enter("live")
        changes.enter("live")
        response = client.put(DOCS, json={"documents": [doc("a", "x")]})
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        changes.leave("live")
        put(client, doc("a", "x"))


def test_an_index_of_vectors_says_why_it_takes_no_text(tmp_path: Path) -> None:
    from lsr.sparse import SparseBatch
    from lsr_index import build_index

    path = tmp_path / "vectors.index"
    build_index(path, SparseBatch.from_rows([{1: 1.0}, {2: 2.0}])).close()
    with serving(indexes={"live": path}, writable=True, free_bytes=0) as client:
        assert client.put(DOCS, json={"documents": [doc("a", "x")]}).status_code == 422
        assert client.delete(f"{DOCS}/1").status_code == 200
        assert client.get("/v1/indexes/live").json()["n_docs"] == 1


def test_former_generations_are_let_go(live: TestClient, path: Path) -> None:
    """After many commits no more files are mapped than the present ones."""
    for i in range(30):
        put(live, doc(f"g{i}", "zebra storm"))
        found(live, "storm", k=5)
    live.post("/v1/indexes/live/compact", json={})
    found(live, "storm", k=5)
    gc.collect()
    mapped = {
        line.split(maxsplit=5)[5]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if str(path) in line
    }
    assert mapped
    assert len(mapped) <= 6, sorted(mapped)


def test_the_odd_id_can_be_replaced_and_deleted(live: TestClient) -> None:
    from urllib.parse import quote

    put(live, doc(ODD_ID, "qqodd"))
    assert found(live, "qqodd") == {ODD_ID}
    assert live.delete(f"{DOCS}/{quote(ODD_ID, safe='')}").status_code == 200
    assert found(live, "qqodd") == set()


def test_ndjson_may_begin_with_a_byte_order_mark(live: TestClient) -> None:
    lines = (
        b"\xef\xbb\xbf" + b'{"id": "n", "text": "alpha", "metadata": {"big": 9007199254740993}}\n'
    )
    kind = {"content-type": "application/x-ndjson"}
    assert live.put(DOCS, content=lines, headers=kind).status_code == 200
    assert live.get(f"{DOCS}/n").json()["metadata"] == {"big": 2**53 + 1}
    filter = {"big": 2**53 + 1}
    found = live.post("/v1/indexes/live/search", json={"query": "alpha", "filter": filter})
    assert [hit["id"] for hit in found.json()["hits"]] == ["n"]
    found = live.post("/v1/indexes/live/search", json={"query": "alpha", "filter": {"big": 2**53}})
    assert found.json()["hits"] == []
