"""Every limit at the last value that passes and the first that does not, and bad bodies."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lsr_service.http import models
from tests.service.conftest import serving

URL = "/v1/indexes/small/search"
JSON = {"content-type": "application/json"}
MARKER = "mustnotcomeback"


def post(client: TestClient, body: str | bytes, url: str = URL) -> Any:
    return client.post(url, content=body, headers=JSON)


def refused(response: Any, status: int) -> models.ErrorResponse:
    assert response.status_code == status, response.text
    assert "Traceback" not in response.text
    error = models.ErrorResponse.model_validate_json(response.text)
    assert error.request_id == response.headers["x-request-id"]
    return error


def padded(n_bytes: int) -> bytes:
    """Return a search whose body has exactly so many bytes."""
    body = b'{"query": "storm"}'
    return body + b" " * (n_bytes - len(body))


LIMITS: list[tuple[str, Any, Any, str]] = [
    ("k", {"query": "storm", "k": 1000}, {"query": "storm", "k": 1001}, "k"),
    ("k from 1", {"query": "storm", "k": 1}, {"query": "storm", "k": 0}, "k"),
    (
        "window",
        {"query": "storm", "k": 1000, "offset": 9000},
        {"query": "storm", "k": 1000, "offset": 9001},
        "offset",
    ),
    ("offset", {"query": "storm", "offset": 0}, {"query": "storm", "offset": -1}, "offset"),
    ("query", {"query": "é" * 8192}, {"query": "é" * 8193}, "query"),
    (
        "tokens",
        {"tokens": {f"t{i}": 1 for i in range(1024)}},
        {"tokens": {f"t{i}": 1 for i in range(1025)}},
        "tokens",
    ),
    (
        "vector",
        {"vector": {"indices": list(range(1024)), "values": [1.0] * 1024}},
        {"vector": {"indices": list(range(1025)), "values": [1.0] * 1025}},
        "vector.indices",
    ),
    ("weight", {"tokens": {"storm": 1e4}}, {"tokens": {"storm": 10000.001}}, "tokens.storm"),
    (
        "term id",
        {"vector": {"indices": [2**32 - 1], "values": [1]}},
        {"vector": {"indices": [2**32], "values": [1]}},
        "vector.indices.0",
    ),
    ("timeout", {"query": "a", "timeout_ms": 1000}, {"query": "a", "timeout_ms": 0}, "timeout_ms"),
]


@pytest.mark.parametrize(("last", "first", "where"), [p[1:] for p in LIMITS], ids=lambda p: "")
def test_limits_are_exact(client: TestClient, last: Any, first: Any, where: str) -> None:
    assert client.post(URL, json=last).status_code == 200
    error = refused(client.post(URL, json=first), 422)
    assert [".".join(map(str, d.location)) for d in error.details] == [f"body.{where}"]


def test_embedding_limits_are_exact(client: TestClient) -> None:
    for inputs, status in (
        (["x"] * 32, 200),
        (["x"] * 33, 422),
        ("é" * 8192, 200),
        (["x", "é" * 8193], 422),
    ):
        assert client.post("/embed_sparse", json={"inputs": inputs}).status_code == status


def test_body_limit_is_exact_whether_declared_or_not(client: TestClient) -> None:
    limit = 1 << 20
    assert post(client, padded(limit)).status_code == 200
    refused(post(client, padded(limit + 1)), 413)
    for size, status in ((limit, 200), (limit + 1, 413)):
        chunks = (padded(size)[i : i + 65_536] for i in range(0, size, 65_536))
        response = client.post(URL, content=chunks, headers=JSON)
        assert response.status_code == status


BAD_BODIES = [
    '{"query": "storm", "k": NaN}',
    '{"tokens": {"storm": NaN}}',
    '{"tokens": {"storm": Infinity}}',
    '{"tokens": {"storm": -Infinity}}',
    '{"tokens": {"storm": 1e999}}',
    '{"tokens": {"storm": -1e999}}',
    '{"tokens": {"storm": 1e40}}',
    '{"tokens": {"storm": -0.5}}',
    '{"tokens": {"storm": "1"}}',
    '{"tokens": {"storm": true}}',
    '{"tokens": {"storm": null}}',
    '{"tokens": {"storm": [1]}}',
    '{"tokens": {"storm": 1, "storm": 2}}',
    '{"tokens": ["storm"]}',
    '{"tokens": {"storm": ' + "9" * 400 + "}}",
    r'{"query": "\ud800"}',
    r'{"query": "\udc00\ud800"}',
    r'{"tokens": {"\ud800": 1}}',
    r'{"\ud800": 1}',
    '{"query": 5}',
    '{"query": null}',
    '{"query": ["storm"]}',
    '{"query": "storm", "k": "10"}',
    '{"query": "storm", "k": 10.5}',
    '{"query": "storm", "k": true}',
    '{"query": "storm", "k": ' + "9" * 30 + "}",
    '{"query": "storm", "k": ' + "9" * 5000 + "}",
    '{"query": "storm", "explain": "yes"}',
    '{"query": "storm", "explain": 1}',
    '{"query": "storm", "filters": {}}',
    '{"query": "storm", "filter": []}',
    '{"query": "storm", "filter": {"$near": 1}}',
    '{"query": "storm", "filter": {"year": {"$gte": "soon"}}}',
    '{"query": "storm", "tokens": {"storm": 1}}',
    '{"vector": {"indices": [1, 1], "values": [1, 2]}}',
    '{"vector": {"indices": [1], "values": []}}',
    '{"vector": {"indices": [-1], "values": [1]}}',
    '{"vector": {"indices": [1.5], "values": [1]}}',
    '{"vector": {"indices": [1]}}',
    "{}",
    "[]",
    "null",
    '"storm"',
    "",
    "{",
    '{"query": "storm"} {}',
    "\x00",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_bodies_are_refused_in_json(client: TestClient, body: str) -> None:
    error = refused(post(client, body.encode("utf-8", "surrogatepass")), 422)
    assert error.error == "invalid_request"
    assert error.details


@pytest.mark.parametrize(
    "body",
    [
        f'{{"query": "{MARKER}", "k": 0}}',
        f'{{"query": ["{MARKER}"]}}',
        f'{{"query": "storm", "k": "{MARKER}"}}',
        f'{{"tokens": {{"storm": "{MARKER}"}}}}',
        f'{{"query": "storm", "explain": "{MARKER}"}}',
        f'{{"query": "{MARKER}',
        f"{MARKER}",
        '{"query": "storm", "k": 31337133}',
    ],
)
def test_errors_do_not_echo_values(client: TestClient, body: str) -> None:
    response = post(client, body)
    refused(response, 422)
    assert MARKER not in response.text
    assert "31337133" not in response.text


def test_names_that_a_client_made_up_are_cut(client: TestClient) -> None:
    error = refused(post(client, json.dumps({"tokens": {"x" * 5000: -1}})), 422)
    assert error.details[0].location == ["body", "tokens", "x" * 64]


def test_depth_limit_is_exact(client: TestClient) -> None:
    def nested(depth: int) -> str:
        return '{"query": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"

    # The last one that passes reaches the model, which then has a detail to complain of.
    assert refused(post(client, nested(32)), 422).details[0].location == ["body", "query"]
    for body in (nested(33), "[" * 500_000):
        error = refused(post(client, body), 400)
        assert error.error == "bad_request"
        assert "32" in error.message


def test_bodies_must_be_declared_as_json(client: TestClient) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        response = client.post(URL, content=b'{"query": "a"}', headers={"content-type": media_type})
        refused(response, 415)
    fine = client.post(
        URL, content=b'{"query": "a"}', headers={"content-type": "Application/JSON; charset=utf-8"}
    )
    assert fine.status_code == 200


NAMES = ["nope", "SMALL", "..", "%2e%2e", "..%2f..%2fetc", "small%00", "CON", "%e2%80%ae", "a" * 65]


@pytest.mark.parametrize("name", [*NAMES, "x" * 4096])
def test_index_names_are_looked_up(client: TestClient, name: str) -> None:
    refused(client.post(f"/v1/indexes/{name}/search", json={"query": "storm"}), 404)
    assert client.get(f"/v1/indexes/{name}/docs/d001").status_code == 404


def test_limits_can_be_set(index_path: Any) -> None:
    limits = {"k": 5, "body_bytes": 100, "query_chars": 6, "window": 8}
    with serving(indexes={"small": index_path}, limits=limits) as small:
        assert small.post(URL, json={"query": "storm", "k": 5}).status_code == 200
        assert small.post(URL, json={"query": "storm", "k": 6}).status_code == 422
        assert small.post(URL, json={"query": "storms!", "k": 1}).status_code == 422
        assert small.post(URL, json={"query": "storm", "k": 5, "offset": 4}).status_code == 422
        assert post(small, padded(101)).status_code == 413
        schema = small.get("/openapi.json").json()["components"]["schemas"]["SearchRequest"]
        assert schema["properties"]["k"]["maximum"] == 5


def test_overload_is_refused_and_health_is_not(index_path: Any) -> None:
    """Real work is made to wait by taking the only thread, as a long search would."""
    with serving(indexes={"small": index_path}, threads=1, queue=1) as busy:
        release = threading.Event()
        pool = busy.app.state.pool  # type: ignore[attr-defined]
        pool._executor.submit(release.wait)
        waiting: list[Any] = []
        late = threading.Thread(
            target=lambda: waiting.append(busy.post(URL, json={"query": "a", "timeout_ms": 400}))
        )
        held = threading.Thread(target=lambda: waiting.append(busy.post(URL, json={"query": "a"})))
        late.start()
        held.start()
        while pool.admitted < 2:
            time.sleep(0.01)
        overloaded = busy.post(URL, json={"query": "storm"})
        assert refused(overloaded, 503).error == "unavailable"
        assert overloaded.headers["retry-after"] == "1"
        started = time.perf_counter()
        assert busy.get("/livez").status_code == 200
        assert busy.get("/readyz").json()["status"] == "ready"
        assert time.perf_counter() - started < 1
        late.join()
        release.set()
        held.join()
        assert sorted(response.status_code for response in waiting) == [200, 504]
        assert busy.post(URL, json={"query": "storm"}).status_code == 200
