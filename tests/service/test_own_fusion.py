"""A fusion method added as one record: help, HTTP schema, HTTP search, and the fitting grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index import build_index
from lsr_index.storage.dense_part import DenseSpec
from tests.shared import run_python

PROGRAM = """
import json, sys
import numpy as np
from lsr_index.fusion import FusionMethod, Parameter, register_method

register_method(FusionMethod(
    "borda", "hits of the branch + 1 - rank, to the power p", "0", "SIGIR 2001, section 3",
    lambda ranks, scores, bound, p: np.where(ranks > 0, (ranks.max() + 1.0 - ranks) ** p, 0.0),
    parameters=(Parameter("p", 1.0, 0.5, 3.0, "Exponent."),),
    uses_scores=False, fitting=({}, {"p": 2.0}),
))

from fastapi.testclient import TestClient
from lsr_eval.fusion_fitting.grid import methods_to_try
from lsr_service.cli.main import run
from lsr_service.http.app import create_app
from lsr_service.settings import ServerSettings

assert run(["search", "--help"]) == 0
body = {"vector": {"indices": [1], "values": [1.0]}, "dense_vector": [1.0, 0.0], "mode": "hybrid"}
limits = {"deadline_ms": 60_000}  # kernels may have to be compiled first
settings = ServerSettings(indexes={"a": sys.argv[1]}, access_log=False, limits=limits)
with TestClient(create_app(settings), base_url="http://localhost") as client:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["FusionRequest"]
    asked = {"method": "borda", "p": 2, "weights": {"sparse": 1, "dense": 1}}
    answers = [
        client.post("/v1/indexes/a/search", json={**body, "fusion": {**asked, **change}, "k": 3})
        for change in ({}, {"p": 9}, {"q": 1}, {"method": "border"})
    ]
tried = [str(fusion) for fusion in methods_to_try(bounds_known=False)]
print(json.dumps({
    "schema": schema, "tried": tried, "codes": [answer.status_code for answer in answers],
    "answer": answers[0].json(), "errors": [answer.text for answer in answers[1:]],
}))
"""


def test_a_method_added_as_one_record(tmp_path: Path) -> None:
    ids = [f"d{i}" for i in range(4)]
    sparse = SparseBatch.from_rows([{1: 4.0}, {1: 3.0}, {1: 2.0}, {2: 1.0}])
    dense = np.array([[0.1, 1], [0.2, 1], [3, 1], [2, 1]], np.float32)
    path = tmp_path / "x.index"
    blank, metadata = [""] * len(ids), [{} for _ in ids]
    batch = DocumentBatch(ids, sparse, blank, blank, metadata, dense)
    build_index(path, [batch], dense=DenseSpec(2, "dot")).close()
    out = run_python(PROGRAM, path, env=None)
    assert "rrf, min-max, theoretical-min, z-score, dbsf, max, borda" in " ".join(
        out.replace("│", " ").split()
    )
    said = json.loads(out.splitlines()[-1])
    properties = said["schema"]["properties"]
    assert properties["method"]["enum"][-1] == "borda"
    assert "borda: hits of the branch + 1 - rank" in properties["method"]["description"]
    assert properties["p"]["maximum"] == 3.0
    assert properties["p"]["description"] == "Exponent. Of borda."
    assert said["tried"] == ["z-score", "min-max", "rrf", "rrf:k=10", "max", "borda", "borda:p=2"]
    assert said["codes"] == [200, 422, 422, 422]
    assert "p of borda is a number from 0.5 to 3, got 9" in said["errors"][0]
    # sparse ranks d0, d1, d2 get 9, 4, 1; dense d2, d3, d1, d0 get 16, 9, 4, 1; halves of the sum.
    hits = {hit["id"]: hit["score"] for hit in said["answer"]["hits"]}
    assert hits == {"d2": 8.5, "d0": 5.0, "d3": 4.5}
    assert said["answer"]["fusion"]["p"] == 2.0
