"""What searching loads: no neural library, ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr_index.build.index_corpus import index_corpus
from tests.shared import run_python, shared_path

SEARCH = """
import sys
import lsr_index, lsr_service
from lsr_index.hybrid import Retriever
with Retriever.open(sys.argv[1]) as retriever:
    hits = retriever.search("storm over the river", 5, explain=True).hits
    assert len(hits) == 5, hits
from lsr_service.cli.main import run
assert run(["search", sys.argv[1], "storm", "--json"]) == 0
from fastapi.testclient import TestClient
from lsr_service.http.app import create_app
from lsr_service.settings import ServerSettings
with TestClient(create_app(ServerSettings(indexes={"a": sys.argv[1]})), "http://localhost") as c:
    assert c.post("/v1/indexes/a/search", json={"query": "storm"}).json()["hits"]
    assert c.post("/embed_sparse", json={"inputs": "storm"}).json()[0]
print("loaded", sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules)))
"""


def loaded_by_searching(path: Path) -> str:
    return run_python(SEARCH, path).splitlines()[-1]


def test_bm25_queries_load_no_neural_library(index_path: Path) -> None:
    assert loaded_by_searching(index_path) == "loaded []"


def test_inference_free_queries_load_no_neural_library(corpus_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="encoding documents needs the extra [torch]")
    encoder = load_encoder(str(shared_path("models/splade-tiny")), query_encoder="idf")
    path = tmp_path / "idf.index"
    index_corpus(open_corpus(corpus_path), encoder, path).close()
    assert loaded_by_searching(path) == "loaded []"


def test_a_search_loads_nothing_it_does_not_use(index_path: Path) -> None:
    code = (
        "import sys; from lsr_service.cli.main import run\n"
        "assert run(['search', sys.argv[1], 'storm', '--filter', '{\"year\": 1905}']) == 0\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'pyarrow', 'ir_datasets',\n"
        "         'ir_measures', 'fastapi', 'starlette', 'uvicorn', 'pydantic_settings',\n"
        "         'scipy.sparse', 'scipy.stats', 'markdown_it', 'lsr_index.build.builder',\n"
        "         'lsr_index.update.writer', 'lsr_service.http', 'lsr_service.settings'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    assert run_python(code, index_path).splitlines()[-1] == "loaded []"
