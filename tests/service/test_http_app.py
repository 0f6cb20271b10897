"""What holds for every route: ids, headers, hosts, OpenAPI, figures, errors without data."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lsr.errors import LsrError
from lsr_service.engine.engine import Engine
from lsr_service.http.app import create_app
from lsr_service.settings import ServerSettings
from tests.service.conftest import serving

URL = "/v1/indexes/small/search"


def test_request_ids_are_echoed_when_they_are_harmless(client: TestClient) -> None:
    given = client.get("/livez", headers={"x-request-id": "abc-1.2_3"})
    assert given.headers["x-request-id"] == "abc-1.2_3"
    for hostile in ("a b", "x" * 129, "<script>", ""):
        answered = client.get("/livez", headers={"x-request-id": hostile})
        assert len(answered.headers["x-request-id"]) == 32


def test_answers_cannot_be_misread_by_a_browser(client: TestClient) -> None:
    for path in ("/", "/livez", "/v1/indexes", "/nope", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1:80"])
def test_a_loopback_server_answers_to_loopback_names_only(client: TestClient, host: str) -> None:
    assert client.get("/v1/indexes", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
def test_loopback_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/v1/indexes", headers={"host": host}).status_code == 200


def test_further_host_names_can_be_allowed(index_path: Path) -> None:
    with serving(indexes={"small": index_path}, allowed_hosts=("search.example",)) as named:
        assert named.get("/livez", headers={"host": "Search.Example:443"}).status_code == 200
        assert named.get("/livez", headers={"host": "other.example"}).status_code == 421


def test_health(client: TestClient) -> None:
    assert client.get("/livez").json()["status"] == "ok"
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "indexes": {"small": "ready", "again": "ready"},
        "generations": {"small": 1, "again": 1},
    }


def test_draining_is_not_ready(index_path: Path) -> None:
    with serving(indexes={"small": index_path}) as leaving:
        leaving.app.state.draining = True  # type: ignore[attr-defined]
        assert leaving.get("/readyz").status_code == 503
        assert leaving.get("/livez").status_code == 200


def test_metrics_count_routes_not_paths(client: TestClient) -> None:
    client.get("/nope/secret-path")
    client.get("/v1/indexes/small/docs/secret-id")
    client.post(URL, json={"query": "secretquery"})
    text = client.get("/metrics").text
    assert 'lsr_http_requests_total{route="/v1/indexes/{name}/search",status="200"}' in text
    assert 'lsr_documents{index="small"} 300.0' in text
    assert 'lsr_search_seconds_count{index="small"}' in text
    assert "secret" not in text


def test_the_log_holds_no_query_and_no_id(
    index_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        serving(indexes={"small": index_path}, access_log=True) as logged,
    ):
        logged.post(URL, json={"query": "secretquery"})
        logged.get("/v1/indexes/small/docs/secret-id")
        logged.get("/secret-path?q=secret")
    lines = [r.getMessage() for r in caplog.records if r.name == "lsr.http"]
    assert lines[0].startswith("POST /v1/indexes/{name}/search 200 ")
    assert len(lines) == 3
    assert not any("secret" in line for line in lines)


def test_unexpected_errors_say_nothing_of_the_data(
    index_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(indexes={"small": index_path}) as broken:
        retriever = broken.app.state.engine.retriever("small")  # type: ignore[attr-defined]

        def fail(query: str, *_: Any, **__: Any) -> None:
            raise KeyError(query)

        monkeypatch.setattr(retriever, "search", fail)
        response = broken.post(URL, json={"query": "secretquery"})
    assert response.status_code == 500
    assert response.json()["error"] == "internal_error"
    assert "secret" not in response.text + caplog.text
    assert "KeyError" in caplog.text
    assert response.headers["x-request-id"] in caplog.text


def test_openapi_describes_every_route(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/livez",
        "/readyz",
        "/metrics",
        "/v1/indexes",
        "/v1/indexes/{name}",
        "/v1/indexes/{name}/search",
        "/v1/indexes/{name}/docs",
        "/v1/indexes/{name}/docs/{id}",
        "/v1/indexes/{name}/delete",
        "/v1/indexes/{name}/compact",
        "/embed_sparse",
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            answers = operation["responses"]
            if path != "/metrics":
                assert "$ref" in str(answers["200"]), f"{path} has no response model"
            for status in set(answers) - {"200"}:
                if path != "/readyz":
                    assert "ErrorResponse" in str(answers[status]), f"{path} {status}"
    search = document["components"]["schemas"]["SearchRequest"]
    assert search["additionalProperties"] is False
    assert search["properties"]["k"]["maximum"] == 1000


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("DELETE", "/livez", 405)]
)
def test_unknown_routes_have_the_usual_error(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert set(response.json()) == {"error", "message", "details", "request_id"}


def damage(index_path: Path, target: Path) -> Path:
    """Copy an index and cut its largest file in half."""
    shutil.copytree(index_path, target)
    largest = max((p for p in target.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    return target


def test_a_damaged_index_is_refused_alone(index_path: Path, tmp_path: Path) -> None:
    damaged = damage(index_path, tmp_path / "damaged")
    with serving(indexes={"small": index_path, "damaged": damaged}) as both:
        assert both.post(URL, json={"query": "storm"}).status_code == 200
        refused = both.post("/v1/indexes/damaged/search", json={"query": "storm"})
        assert refused.status_code == 503
        assert str(tmp_path) not in refused.text
        assert both.get("/v1/indexes/damaged").json()["state"] == "unavailable"
        ready = both.get("/readyz").json()
        assert ready["status"] == "degraded"
        assert ready["indexes"]["small"] == "ready"


def test_a_server_with_nothing_but_damage_does_not_start(index_path: Path, tmp_path: Path) -> None:
    with pytest.raises(LsrError):
        Engine.open({"damaged": damage(index_path, tmp_path / "damaged")})


def test_an_app_can_be_given_open_indexes(index_path: Path) -> None:
    engine = Engine.open({"mine": index_path})
    app = create_app(ServerSettings(), engine)
    with TestClient(app, base_url="http://localhost") as client:
        answer = client.post("/v1/indexes/mine/search", json={"query": "storm"})
        assert len(answer.json()["hits"]) == 10


def test_head_answers_what_get_answers_without_its_body(client: TestClient) -> None:
    paths = [path for path, methods in client.app.openapi()["paths"].items() if "get" in methods]  # type: ignore[attr-defined]
    for path in ["/", "/nowhere", *(path.format(name="small", id="none") for path in paths)]:
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert head.headers["content-type"] == get.headers["content-type"], path
    assert len(paths) > 4


def test_embeddings_take_the_fields_of_text_embeddings_inference(client: TestClient) -> None:
    plain = client.post("/embed_sparse", json={"inputs": "storm"}).json()
    for more in (
        {"truncate": None, "truncation_direction": "Right", "prompt_name": None},
        {"truncate": True, "truncation_direction": "right", "prompt_name": "query"},
    ):
        answer = client.post("/embed_sparse", json={"inputs": "storm", **more})
        assert (answer.status_code, answer.json()) == (200, plain)
    for more in ({"truncation_direction": "Left"}, {"prompt_name": "passage"}, {"other": 1}):
        assert client.post("/embed_sparse", json={"inputs": "storm", **more}).status_code == 422


def test_no_answer_names_a_path_of_the_server(client: TestClient, index_path: Path) -> None:
    answer = client.post(URL, json={"query": "storm", "mode": "hybrid"})
    assert answer.status_code == 422
    assert "has no dense vectors" in answer.json()["message"]
    assert str(index_path) not in answer.text
    assert str(index_path.parent) not in answer.text
