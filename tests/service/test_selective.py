"""Selective search from end to end: fitted, saved, used by search, eval and serve, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoders.dense import load_dense_encoder
from lsr.errors import DataError, EncoderMismatchError, UsageError
from lsr_index.build.index_corpus import index_corpus
from lsr_index.fusion import Fusion
from lsr_index.hybrid import (
    Feedback,
    Retriever,
    read_selection,
    selection_for,
    write_selection,
)
from lsr_index.search.index import open_index
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.dense_vectors import set_dense
from lsr_service.cli.main import run
from lsr_service.engine.engine import Engine
from tests.lsr.test_dense_encoders import save_repository
from tests.lsr.tiny_models import WORDS
from tests.service.conftest import serving

QUERY = "the man times"
URL = "/v1/indexes/small/search"
N = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection, a clustered index of it, queries, judgments and a selection."""
    pytest.importorskip("faiss")
    folder = tmp_path_factory.mktemp("selective")
    rng = np.random.default_rng(2)
    docs = folder / "set"
    (docs / "qrels").mkdir(parents=True)
    texts = [" ".join(rng.choice(WORDS, 4)) for _ in range(N)]
    with (docs / "corpus.jsonl").open("w") as file:
        for at, text in enumerate(texts):
            line = {"_id": f"d{at:03}", "title": "", "text": text, "year": 1900 + at % 7}
            file.write(json.dumps(line) + "\n")
    with (docs / "queries.jsonl").open("w") as file:
        for at in range(60):
            text = " ".join(rng.choice(WORDS, 3))
            file.write(json.dumps({"_id": f"q{at}", "text": text}) + "\n")
    lines = [f"q{at}\td{at:03}\t1\n" for at in range(60)]
    (docs / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    model = load_dense_encoder(save_repository(folder / "model"), device="cpu")
    corpus = open_corpus(docs / "corpus.jsonl")
    path = folder / "small.index"
    index_corpus(corpus, load_encoder("bm25"), path).close()
    spec = DenseSpec.of(model, flat_below=10, n_lists=40)
    set_dense(path, spec, [model.encode_documents(texts)]).close()
    arguments = [
        "--queries",
        docs / "queries.jsonl",
        "--share",
        "0.2",
        "--output",
        folder / "s.json",
    ]
    assert run([str(part) for part in ["fit-selection", path, *arguments]]) == 0
    return folder


def shown(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


@pytest.mark.parametrize("filter", [None, {"year": {"$gte": 1904}}])
def test_shell_http_and_python_agree(
    folder: Path, capsys: pytest.CaptureFixture[str], filter: dict[str, Any] | None
) -> None:
    path, chosen = folder / "small.index", folder / "s.json"
    with Retriever.open(path) as retriever:
        selection = selection_for(chosen, retriever.index)
        hybrid = retriever
        found = hybrid.search(QUERY, 20, selection=selection, filter=filter, mode="hybrid")
        full = hybrid.search(QUERY, 20, filter=filter, mode="hybrid")
    expected = [(hit.id, hit.score) for hit in found.hits]
    dense = {branch.name: branch for branch in found.branches}["dense"]
    n_compared = {branch.name: branch.n_compared for branch in full.branches}
    assert n_compared["sparse"] is None
    if filter is None:
        assert (dense.n_compared or 0) > 0
        assert not found.rank_safe
        assert found.bound_gap > 0
    arguments = [] if filter is None else ["--filter", json.dumps(filter)]
    command = ["search", path, QUERY, "--selective", chosen, "--k", "20", "--json", *arguments]
    assert run([str(part) for part in command]) == 0
    in_shell = json.loads(capsys.readouterr().out)
    assert shown(in_shell) == expected
    assert in_shell["mode"] == "hybrid"
    with serving(indexes={"small": path}, selections=(chosen,)) as client:
        body = {"query": QUERY, "k": 20, "filter": filter}
        over_http = client.post(URL, json={**body, "mode": "hybrid"}).json()
        assert shown(over_http) == expected
        assert [b["n_compared"] for b in over_http["branches"]] == [None, dense.n_compared]
        assert shown(client.post(URL, json={**body, "selective": True}).json()) == expected
        without = client.post(URL, json={**body, "mode": "hybrid", "selective": False}).json()
        assert shown(without) == [(hit.id, hit.score) for hit in full.hits]
        assert client.post(URL, json=body).json()["mode"] == "sparse"
        assert client.get("/v1/indexes/small").json()["selective"] == 0.2
        error = client.post(URL, json={**body, "mode": "dense", "selective": True})
        assert error.status_code == 422
        assert "selective goes with mode hybrid" in error.text


def test_eval_shows_it_beside_the_full_search(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = ["--index", folder / "small.index", "--measures", "R@100", "--json"]
    command = ["eval", folder / "set", *about, "--mode", "hybrid", "--selective", folder / "s.json"]
    assert run([str(part) for part in command]) == 0
    systems = json.loads(capsys.readouterr().out)["systems"]
    assert [system["name"] for system in systems][2:] == [
        "small.index (hybrid)",
        "small.index (hybrid, selective)",
    ]
    plain = ["eval", folder / "set", *about, "--selective", folder / "s.json"]
    assert run([str(part) for part in plain]) == 2
    assert "use it with mode hybrid" in capsys.readouterr().err


def test_what_fitting_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = ["fit-selection", folder / "small.index", "--queries", folder / "set/queries.jsonl"]
    assert run([str(part) for part in about]) == 0
    assert "of what an exact search finds, on queries held out" in capsys.readouterr().out
    assert run([str(part) for part in [*about, "--json"]]) == 0
    values = json.loads(capsys.readouterr().out)
    held_out = values["evidence"]["held_out"]
    assert values["selection"]["share"] == 0.1
    assert 0 < held_out["selective"]["hybrid"] <= 1
    for more, message in (
        (["--share", "0"], "above 0 and at most 0.5"),
        (["--share", "0.9"], "above 0 and at most 0.5"),
        (["--most", "9"], "expected 20 or more"),
    ):
        assert run([str(part) for part in [*about, *more]]) == 2
        assert message in capsys.readouterr().err


def test_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, chosen = folder / "small.index", folder / "s.json"
    values = json.loads(chosen.read_text())
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "text.json").write_text("no")
    (tmp_path / "other.json").write_text(json.dumps(values | {"encoders": {"dense": "0" * 64}}))
    (tmp_path / "later.json").write_text(json.dumps(values | {"version": 9}))
    (tmp_path / "broken.json").write_text(json.dumps(values | {"selection": {}}))
    (tmp_path / "share.json").write_text(
        json.dumps(values | {"selection": values["selection"] | {"share": 7}})
    )
    for file, error, message in (
        ("none.json", DataError, "no file of lsr fit-selection"),
        ("text.json", DataError, "is no JSON"),
        ("later.json", DataError, "has version 9"),
        ("broken.json", DataError, "damaged .*no selection of clusters"),
        ("share.json", DataError, "damaged .*no selection of clusters"),
        ("missing.json", UsageError, "cannot be read"),
        ("other.json", EncoderMismatchError, "fitted to dense vectors of another encoder"),
    ):
        with open_index(path) as index, pytest.raises(error, match=message):
            selection_for(tmp_path / file, index)
        command = ["search", str(path), QUERY, "--selective", str(tmp_path / file)]
        assert run(command) == (2 if error is UsageError else 1)
        assert capsys.readouterr().err.startswith("error: ")
    assert run(["search", str(path), QUERY, "--selective", str(chosen), "--mode", "dense"]) == 2
    assert "--selective needs several branches" in capsys.readouterr().err
    with pytest.raises(UsageError, match="fits none of the indexes"):
        Engine.open({"small": path}, selections=[tmp_path / "other.json"])
    with serving(indexes={"small": path}) as client:
        answer = client.post(URL, json={"query": QUERY, "mode": "hybrid", "selective": True})
        assert answer.status_code == 422
        assert "start it with --selective FILE" in answer.json()["message"]


def test_an_index_without_clusters_and_one_without_vectors(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, queries = folder / "set/corpus.jsonl", folder / "set/queries.jsonl"
    plain, flat = tmp_path / "plain.index", tmp_path / "flat.index"
    index_corpus(open_corpus(corpus), load_encoder("bm25"), plain).close()
    model = load_dense_encoder(folder / "model", device="cpu")
    index_corpus(open_corpus(corpus), load_encoder("bm25"), flat, dense=model).close()
    for path, message in ((plain, "no dense vectors"), (flat, "has clusters to choose from")):
        assert run(["fit-selection", str(path), "--queries", str(queries)]) == 2
        assert message in capsys.readouterr().err
    chosen = str(folder / "s.json")
    assert run(["search", str(plain), QUERY, "--selective", chosen]) == 2
    assert "no dense vectors" in capsys.readouterr().err
    assert run(["search", str(flat), QUERY, "--selective", chosen, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rank_safe"] is True


def test_with_feedback_and_several_pages(folder: Path) -> None:
    with Retriever.open(folder / "small.index") as retriever:
        selection = selection_for(folder / "s.json", retriever.index)
        hybrid = retriever
        whole = hybrid.search(
            QUERY, 60, selection=selection, fusion=Fusion(depth=50), mode="hybrid"
        )
        pages = [
            hit
            for offset in range(0, 60, 7)
            for hit in hybrid.search(
                QUERY, 7, offset=offset, selection=selection, fusion=Fusion(depth=50), mode="hybrid"
            ).hits
        ]
        assert [hit[:3] for hit in pages][:60] == [hit[:3] for hit in whole.hits]
        assert [branch.n_hits for branch in whole.branches] == [50, 50]
        moved = hybrid.search(
            QUERY, 60, selection=selection, feedback=Feedback("average"), mode="hybrid"
        )
        assert [hit.id for hit in moved.hits] != [hit.id for hit in whole.hits]

        assert hybrid.search(QUERY, selection=selection, mode="hybrid", exact=True).rank_safe, (
            "asked for by name"
        )


def test_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    artefact = read_selection(folder / "s.json")
    write_selection(artefact, tmp_path / "again.json")
    assert read_selection(tmp_path / "again.json") == artefact
    assert artefact.selection.share == 0.2
