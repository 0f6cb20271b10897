"""Hybrid search from the shell and over HTTP: the same hits as from Python, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

pytest.importorskip("torch")

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoders.dense import load_dense_encoder
from lsr.errors import UsageError
from lsr.trec.runs import read_run
from lsr_index.build.index_corpus import index_corpus
from lsr_index.fusion import FusionArtefact, parse_fusion, write_artefact
from lsr_index.hybrid import Retriever, identities
from lsr_service.cli.main import run
from lsr_service.engine.engine import Engine
from tests.lsr.test_cross_encoder import save as save_cross_encoder
from tests.lsr.test_dense_encoders import save_repository
from tests.lsr.tiny_models import WORDS
from tests.service.conftest import serving

QUERY = "the man times"
URL = "/v1/indexes/small/search"


def contents(at: int) -> str:
    return " ".join(WORDS[(at * step) % len(WORDS)] for step in range(1, 4 + at % 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection, an index of it with sparse and dense vectors, and judgments."""
    folder = tmp_path_factory.mktemp("hybrid")
    model = save_repository(folder / "model")
    with (folder / "corpus.jsonl").open("w") as file:
        for at in range(120):
            line = {"_id": f"d{at:03}", "title": "", "text": contents(at), "year": 1900 + at % 7}
            file.write(json.dumps(line) + "\n")
    index_corpus(
        open_corpus(folder / "corpus.jsonl"),
        load_encoder("bm25"),
        folder / "small.index",
        dense=load_dense_encoder(model, device="cpu"),
    ).close()
    queries = {f"q{at}": " ".join(WORDS[at : at + 3]) for at in range(16)}
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": qid, "text": text}) + "\n" for qid, text in queries.items())
    )
    return folder


@pytest.fixture(scope="module")
def hybrid(folder: Path) -> Iterator[Retriever]:
    with Retriever.open(folder / "small.index") as retriever:
        yield retriever


@pytest.fixture(scope="module")
def fitted(folder: Path, hybrid: Retriever) -> Path:
    fusion = parse_fusion("z-score:sparse=0.3,dense=0.7,depth=50")
    path = folder / "fitted.json"
    write_artefact(FusionArtefact(fusion, identities(hybrid.branches)), path)
    return path


@pytest.fixture(scope="module")
def client(folder: Path, fitted: Path) -> Iterator[TestClient]:
    """A server with the index twice, and a cross-encoder."""
    path = folder / "small.index"
    model = save_cross_encoder(folder / "cross", 1)
    with serving(indexes={"small": path}, rerank=str(model)) as opened:
        yield opened


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    assert run([str(argument) for argument in arguments]) == code
    return capsys.readouterr().out


def post(client: TestClient, code: int = 200, **body: Any) -> dict[str, Any]:
    response = client.post(URL, json=body)
    assert response.status_code == code, response.text
    return dict(response.json())


def shown(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


@pytest.mark.parametrize("mode", ["sparse", "dense", "hybrid"])
@pytest.mark.parametrize("filter", [None, {"year": {"$gte": 1904}}])
def test_shell_http_and_python_agree(
    folder: Path,
    hybrid: Retriever,
    client: TestClient,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    filter: dict[str, Any] | None,
) -> None:
    found = hybrid.search(QUERY, 20, mode=mode, filter=filter, explain=True)  # type: ignore[arg-type]
    expected = [(hit.id, hit.score) for hit in found.hits]
    assert len(expected) == 20
    over_http = post(client, query=QUERY, k=20, mode=mode, filter=filter, explain=True)
    assert shown(over_http) == expected
    arguments = ["--mode", mode, "--k", "20", "--json", "--explain"]
    arguments += [] if filter is None else ["--filter", json.dumps(filter)]
    in_shell = json.loads(out_of(capsys, "search", folder / "small.index", QUERY, *arguments))
    assert shown(in_shell) == expected
    for answer in (over_http, in_shell):
        assert (answer["mode"], answer["rank_safe"]) == (mode, True)
        if mode == "hybrid":
            assert [b["name"] for b in answer["branches"]] == ["sparse", "dense"]
            assert all(b["rank_safe"] and b["generation"] == 1 for b in answer["branches"])
            for hit, expected_hit in zip(answer["hits"], found, strict=True):
                said = expected_hit.branches or {}
                assert {n: b["rank"] for n, b in hit["branches"].items()} == {
                    n: b.rank for n, b in said.items()
                }
        if filter is not None:
            assert all(hit["metadata"]["year"] >= 1904 for hit in answer["hits"])


class TestHttp:
    def test_fusion_feedback_reranking(self, client: TestClient, hybrid: Retriever) -> None:
        fusion = {"method": "rrf", "weights": {"sparse": 1, "dense": 3}, "k": 10, "depth": 30}
        answer = post(client, query=QUERY, fusion=fusion)
        expected = hybrid.search(
            QUERY, fusion=parse_fusion("rrf:sparse=1,dense=3,k=10,depth=30"), mode="hybrid"
        )
        assert shown(answer) == [(hit.id, hit.score) for hit in expected.hits]
        assert answer["fusion"]["weights"] == {"sparse": 1, "dense": 3}
        assert answer["pool_size"] == expected.pool_size
        moved = post(client, query=QUERY, mode="hybrid", feedback={"method": "average"})
        assert shown(moved) != shown(post(client, query=QUERY, mode="hybrid"))
        best = post(client, query=QUERY, mode="sparse", rerank=5)
        plain = post(client, query=QUERY, k=5)
        assert sorted(hit["id"] for hit in best["hits"]) == sorted(h["id"] for h in plain["hits"])
        assert shown(best) != shown(plain)

    def test_vectors_of_ones_own(self, client: TestClient, folder: Path) -> None:
        encoder = load_dense_encoder(folder / "model", device="cpu")
        vector = [float(value) for value in encoder.encode_queries([QUERY])[0]]
        alone = post(client, dense_vector=vector)
        assert alone["mode"] == "dense"
        assert shown(alone) == shown(post(client, query=QUERY, mode="dense"))
        both = post(client, query=QUERY, dense_vector=vector, mode="hybrid")
        assert shown(both) == shown(post(client, query=QUERY, mode="hybrid"))

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"fusion": {"method": "borda"}}, "there are rrf, min-max"),
            ({"fusion": {"weights": {"sparse": -1, "dense": 1}}}, "greater than or equal to 0"),
            ({"fusion": {"weights": {"sparse": 0, "dense": 0}}}, "all 0"),
            ({"fusion": {"weights": {"bm25": 1}}}, "'sparse' or 'dense'"),
            ({"fusion": {"weights": {"dense": 1}}}, "no weight for 'sparse'"),
            ({"fusion": {"depth": 10**5}}, "at most 10000"),
            ({"fusion": {}, "mode": "dense"}, "goes with mode hybrid"),
            ({"mode": "both"}, "'sparse', 'dense' or 'hybrid'"),
            ({"dense_vector": [1.0, 2.0], "mode": "dense"}, "24"),
            ({"dense_vector": [0.0] * 24, "mode": "dense"}, "all zeros"),
            ({"dense_vector": [1e-300] * 24, "mode": "dense"}, "all zeros"),
            ({"dense_vector": [1e39] * 24, "mode": "dense"}, "less than or equal to"),
            ({"selective": True}, "start it with --selective FILE"),
            ({"feedback": {"docs": 0}}, "greater than or equal to 1"),
            ({"rerank": 0}, "greater than or equal to 1"),
        ],
    )
    def test_refused(self, client: TestClient, body: dict[str, Any], message: str) -> None:
        error = post(client, 422, query=QUERY, **body)
        assert message in json.dumps(error, ensure_ascii=False)

    def test_tokens_alone_are_no_dense_query(self, client: TestClient) -> None:
        error = post(client, 422, tokens={"man": 1.0}, mode="hybrid")
        assert "'dense' needs the text of the query, or its vector" in error["message"]
        assert post(client, tokens={"man": 1.0})["mode"] == "sparse"

    def test_an_index_without_dense_vectors(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "plain.index"
        index_corpus(open_corpus(folder / "corpus.jsonl"), load_encoder("bm25"), path).close()
        with serving(indexes={"small": path}) as plain:
            for mode in ("dense", "hybrid"):
                message = post(plain, 422, query=QUERY, mode=mode)["message"]
                assert message == "index small has no dense vectors; search it with mode sparse"
            assert "start it with --rerank" in post(plain, 422, query=QUERY, rerank=3)["message"]

    @pytest.mark.parametrize("named", ["rrf", "rrf:k=20", "min-max:sparse=0.4,dense=0.6,depth=50"])
    def test_a_server_takes_the_fusions_that_a_search_takes(
        self, folder: Path, hybrid: Retriever, named: str
    ) -> None:
        with serving(indexes={"small": folder / "small.index"}, fusions=(named,)) as served:
            expected = hybrid.search(QUERY, fusion=parse_fusion(named), mode="hybrid")
            assert shown(post(served, query=QUERY)) == [(hit.id, hit.score) for hit in expected]

    def test_a_fusion_that_fits_no_index_is_refused(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "plain.index"
        index_corpus(open_corpus(folder / "corpus.jsonl"), load_encoder("bm25"), path).close()
        with pytest.raises(UsageError, match=r"--fusion rrf fits none.*nothing to fuse"):
            Engine.open({"plain": path}, fusions=["rrf"])
        with pytest.raises(UsageError, match=r"--fusion rff fits none.*unknown fusion"):
            Engine.open({"small": folder / "small.index"}, fusions=["rff"])

    def test_a_fitted_fusion_is_what_a_server_uses(
        self, folder: Path, fitted: Path, hybrid: Retriever
    ) -> None:
        path = folder / "small.index"
        with serving(indexes={"small": path}, fusions=(str(fitted),)) as served:
            answer = post(served, query=QUERY)
            expected = hybrid.search(
                QUERY, fusion=parse_fusion("z-score:sparse=0.3,dense=0.7,depth=50"), mode="hybrid"
            )
            assert shown(answer) == [(hit.id, hit.score) for hit in expected.hits]
            assert post(served, query=QUERY, mode="sparse")["fusion"] is None
            assert post(served, tokens={"man": 1.0})["mode"] == "sparse"
            details = served.get("/v1/indexes/small").json()
            assert details["modes"] == ["sparse", "dense", "hybrid"]
            assert details["fusion"]["method"] == "z-score"


class TestShell:
    def test_runs(self, folder: Path, hybrid: Retriever, tmp_path: Path) -> None:
        out = tmp_path / "out.trec"
        arguments = ["--topics", folder / "queries.jsonl", "--output", out, "--k", "30"]
        command = ["search", folder / "small.index", "--fusion", "rrf:k=5", *arguments]
        assert run([str(part) for part in command]) == 0
        found = hybrid.search_batch(
            ["the thes thely"], 30, fusion=parse_fusion("rrf:k=5"), mode="hybrid"
        )[0]
        assert set(read_run(out)["q0"].doc_ids) == set(found.ids)
        assert read_run(out)["q0"].scores == pytest.approx(found.scores, rel=1e-6)

    def test_a_fitted_fusion(
        self,
        folder: Path,
        fitted: Path,
        hybrid: Retriever,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out = out_of(capsys, "search", folder / "small.index", QUERY, "--fusion", fitted, "--json")
        expected = hybrid.search(
            QUERY, fusion=parse_fusion("z-score:sparse=0.3,dense=0.7,depth=50"), mode="hybrid"
        )
        assert shown(json.loads(out)) == [(hit.id, hit.score) for hit in expected.hits]

    def test_for_people(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ("--mode", "hybrid", "--explain", "--k", "2")
        out = out_of(capsys, "search", folder / "small.index", QUERY, *arguments)
        assert "min-max of 0.5 sparse + 0.5 dense, exact" in out
        assert "dense: rank 1" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--fusion", "borda"], "there are rrf, min-max"),
            (["--fusion", "rrf:bm25=1"], "the branches are sparse, dense"),
            (["--fusion", "nowhere.json"], "cannot be read"),
            (["--fusion", "rrf", "--mode", "dense"], "use it with --mode hybrid"),
            (["--feedback", "bo1"], "rocchio or average"),
        ],
    )
    def test_refused(
        self, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
    ) -> None:
        assert run(["search", str(folder / "small.index"), QUERY, *arguments]) == 2
        assert message in capsys.readouterr().err

    def test_a_fusion_for_another_encoder(
        self, folder: Path, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        values = json.loads(fitted.read_text())
        values["branches"][1]["encoder"] = "0" * 64
        other = tmp_path / "other.json"
        other.write_text(json.dumps(values))
        assert run(["search", str(folder / "small.index"), QUERY, "--fusion", str(other)]) == 1
        assert "'dense' was fitted with another encoder" in capsys.readouterr().err
        with pytest.raises(UsageError, match="fits none of the indexes"):
            Engine.open({"small": folder / "small.index"}, fusions=[str(other)])

    def test_fit_fusion_from_the_index_and_from_its_runs(
        self,
        folder: Path,
        hybrid: Retriever,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """What is relevant is what both branches like: only together they find it."""
        lines = []
        for at in range(16):
            text = " ".join(WORDS[at : at + 3])
            together = hybrid.search_batch(
                [text], 120, fusion=parse_fusion("z-score"), mode="hybrid"
            )[0]
            lines += [f"q{at} 0 {doc_id} 1\n" for doc_id in together.ids[:6]]
        (tmp_path / "qrels.txt").write_text("".join(lines))
        out = tmp_path / "f.json"
        about = ["--qrels", tmp_path / "qrels.txt", "--topics", folder / "queries.jsonl"]
        text = out_of(
            capsys, "fit-fusion", folder / "small.index", *about, "--json", "--output", out
        )
        found = json.loads(text)
        assert found["refusal"] is None
        held_out = found["evidence"]["held_out"]
        assert held_out["fusion"] > max(held_out["branches"].values())
        assert json.loads(out.read_text())["fusion"] == found["fusion"]
        answer = json.loads(
            out_of(capsys, "search", folder / "small.index", QUERY, "--fusion", out, "--json")
        )
        assert answer["fusion"] == found["fusion"]
        for mode in ("sparse", "dense"):
            arguments = ["--topics", folder / "queries.jsonl", "--output", tmp_path / mode]
            deep = ["--mode", mode, "--k", "120"]
            out_of(capsys, "search", folder / "small.index", *arguments, *deep)
        runs = [
            part for mode in ("sparse", "dense") for part in ("--run", f"{mode}={tmp_path / mode}")
        ]
        text = out_of(capsys, "fit-fusion", "--qrels", tmp_path / "qrels.txt", *runs)
        assert "fusion gains" in text

    def test_fit_fusion_refuses(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The same run twice: exit code 1 and no file."""
        run_path, out = tmp_path / "a.trec", tmp_path / "f.json"
        arguments = ["--topics", folder / "queries.jsonl", "--output", run_path]
        out_of(capsys, "search", folder / "small.index", *arguments)
        rng = np.random.default_rng(0)
        (tmp_path / "qrels.txt").write_text(
            "".join(f"q{at} 0 d{rng.integers(120):03} 1\n" for at in range(16))
        )
        about = ["--qrels", tmp_path / "qrels.txt", "--output", out]
        two = ["--run", f"a={run_path}", "--run", f"b={run_path}"]
        assert run([str(part) for part in ["fit-fusion", *about, *two]]) == 1
        assert "no better than a alone" in capsys.readouterr().err
        assert not out.exists()
        for wrong, message in (
            ([], "name an INDEX"),
            (two[:2], "two branches or more"),
            ([*two[:2], *two[:2]], "two runs are named 'a'"),
            ([folder / "small.index"], "has no queries"),
            ([*two, "--measure", "nDCG@10 AP"], "one measure"),
        ):
            assert run([str(part) for part in ["fit-fusion", *about, *wrong]]) == 2
            assert message in capsys.readouterr().err

    def test_fit_fusion_refuses_judgments_of_another_corpus(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Not reported as a fusion that gains nothing over branches that find nothing."""
        qrels, topics = tmp_path / "qrels.txt", folder / "queries.jsonl"
        qrels.write_text("".join(f"q{at} 0 other{at} 1\n" for at in range(16)))
        run_path = tmp_path / "a.trec"
        arguments = ["--topics", topics, "--output", run_path]
        out_of(capsys, "search", folder / "small.index", *arguments)
        runs = ["--run", f"a={run_path}", "--run", f"b={run_path}"]
        for source, message in (
            ([folder / "small.index", "--topics", topics], "(such as 'other0') is in the index"),
            (runs, "no run returns a relevant document of qrels.txt"),
        ):
            assert run([str(part) for part in ["fit-fusion", "--qrels", qrels, *source]]) == 1
            assert message in capsys.readouterr().err

    def test_fit_fusion_tells_what_it_leaves_out(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = [f"q{at} 0 d{at:03} 1\n" for at in range(12)]
        lines += ["q12 0 d012 0\n", "q12 0 gone 0\n", "nobody 0 d001 1\n"]
        (tmp_path / "qrels.txt").write_text("".join(lines))
        about = ["--qrels", tmp_path / "qrels.txt", "--topics", folder / "queries.jsonl", "--json"]
        arguments = ["fit-fusion", folder / "small.index", *about]
        run([str(part) for part in arguments])
        assert json.loads(capsys.readouterr().out)["warnings"] == [
            "1 of 14 judged topics have no query text and are left out (nobody)",
            "1 of 13 topics have no relevant document; they count as 0",
            "1 of 14 judged documents are not in the index and cannot be found (gone)",
        ]
