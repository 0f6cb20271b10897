"""Fusions beside their parts in one report: of runs, of encoders, of the branches of an index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.errors import UsageError
from lsr.trec.measures import measure_run, parse_measures
from lsr.trec.runs import read_run, write_run
from lsr_eval.experiment import evaluate
from lsr_eval.fusion_fitting.topics import fuse_runs
from lsr_eval.measures.significance import compare
from lsr_eval.report import render_summary, render_table, to_json
from lsr_index.build.index_corpus import index_corpus
from lsr_index.fusion import Fusion, FusionArtefact, parse_fusion, write_artefact
from lsr_index.fusion.artefact import BranchIdentity
from lsr_index.hybrid import Retriever
from tests.eval.test_fusion_fitting import collection as made_up

NDCG = parse_measures(["nDCG@10"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection of which only the runs are used."""
    qrels, runs = made_up(20, {"one": 1.5, "two": 1.5, "three": 1.0})
    (tmp_path / "qrels").mkdir()
    lines = [f"{q}\t{d}\t{g}\n" for q, judged in qrels.items() for d, g in judged.items()]
    (tmp_path / "qrels" / "test.tsv").write_text("".join(lines))
    queries = [json.dumps({"_id": qid, "text": "any"}) + "\n" for qid in qrels]
    (tmp_path / "queries.jsonl").write_text("".join(queries))
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "any"}\n')
    for name, run in runs.items():
        write_run(run, tmp_path / name)
    return tmp_path


def test_fusions_of_runs_beside_their_parts(folder: Path) -> None:
    runs = [folder / name for name in ("one", "two", "three")]
    report = evaluate(folder, run=runs, fusion=["rrf", "min-max:one=2,two=1"])
    names = [system.name for system in report.systems]
    assert names == ["one", "two", "three", "one + two + three: rrf", "one + two: min-max"]
    rrf, mixed = report.systems[3:]
    assert [system.kind for system in report.systems] == ["run"] * 3 + ["fusion"] * 2
    read = {name: read_run(folder / name) for name in ("one", "two")}
    fused = fuse_runs(read, parse_fusion("min-max:one=2,two=1"))
    qrels = {q: dict(j) for q, j in _qrels(folder).items()}
    assert mixed.measured.overall["nDCG@10"] == (measure_run(fused, qrels, NDCG).overall["nDCG@10"])
    assert list(rrf.versus_parts) == ["one", "two", "three"]
    against = mixed.versus_parts["two"]["nDCG@10"]
    parts = [system.measured.per_topic["nDCG@10"] for system in report.systems]
    assert against.difference == pytest.approx((parts[4] - parts[1]).mean())
    assert against.p_value == compare(parts[1], [parts[4]])[0].p_value
    assert against.p_corrected >= against.p_value
    assert mixed.comparisons["nDCG@10"].difference > 0
    json.dumps(to_json(report), allow_nan=False)
    assert render_table(report)
    assert render_summary([report, report])


def _qrels(folder: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines():
        qid, doc_id, grade = line.split("\t")
        found.setdefault(qid, {})[doc_id] = int(grade)
    return found


def test_a_fitted_fusion_of_runs(folder: Path) -> None:
    branches = [BranchIdentity("one", "run"), BranchIdentity("three", "run")]
    artefact = FusionArtefact(Fusion("rrf", {"one": 1.0, "three": 0.5}), branches)
    write_artefact(artefact, folder / "fitted.json")
    runs = [folder / name for name in ("one", "two", "three")]
    report = evaluate(folder, run=runs, fusion=str(folder / "fitted.json"))
    assert report.systems[-1].name == "one + three: rrf fitted"


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        ("borda", "unknown fusion method"),
        ("rrf:one=1,four=1", "no system 'four'; the systems are one, two"),
        ("nowhere.json", "cannot be read"),
    ],
)
def test_refused(folder: Path, fusion: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(folder, run=[folder / "one", folder / "two"], fusion=fusion)


def test_one_system_cannot_be_fused(folder: Path) -> None:
    with pytest.raises(UsageError, match="two systems or more"):
        evaluate(folder, run=folder / "one", fusion="rrf")


def test_encoders_and_branches(tmp_path: Path) -> None:
    """A dense encoder beside BM25, and the same index searched with mode hybrid."""
    pytest.importorskip("torch")
    from tests.lsr.test_dense_encoders import save_repository
    from tests.lsr.tiny_models import WORDS

    folder, model = tmp_path / "words", save_repository(tmp_path / "tiny")
    (folder / "qrels").mkdir(parents=True)
    texts = {f"d{at}": " ".join(WORDS[at : at + 4]) for at in range(17)}
    lines = [json.dumps({"_id": i, "text": t}) + "\n" for i, t in texts.items()]
    (folder / "corpus.jsonl").write_text("".join(lines))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{at}", "text": WORDS[at + 1]}) + "\n" for at in range(12))
    )
    (folder / "qrels" / "test.tsv").write_text("".join(f"q{at}\td{at}\t1\n" for at in range(12)))
    kept = tmp_path / "kept"
    report = evaluate(
        folder, encoder="bm25", dense=str(model), fusion=["rrf", "min-max"], index_dir=kept
    )
    names = [system.name for system in report.systems]
    assert names == ["bm25", "tiny", "bm25 + tiny: rrf", "bm25 + tiny: min-max"]
    dense = report.systems[1].answers
    assert dense.rank_safe
    assert dense.sparsity is None
    assert dense.latency is not None
    assert report.systems[2].answers.rank_safe
    assert render_table(report)
    again = evaluate(folder, dense=str(model), index_dir=kept, measures=["nDCG@10", "AP"])
    assert again.baseline.answers.indexing is not None
    assert again.baseline.answers.indexing.reused
    (path,) = (p for p in kept.iterdir() if "tiny" in p.name)
    branches = evaluate(
        folder, index=path, mode="hybrid", fusion="rrf:k=5", measures=["nDCG@10", "AP"]
    )
    assert [s.name.removeprefix(path.name) for s in branches.systems] == [
        "", " (dense)", " (hybrid, rrf:k=5)",
    ]  # fmt: skip
    assert (
        branches.baseline.measured.overall["nDCG@10"]
        == (report.baseline.measured.overall["nDCG@10"])
    )
    assert branches.systems[1].measured.overall == again.baseline.measured.overall
    with Retriever.open(path) as hybrid:
        found = hybrid.search_batch(
            [WORDS[1]], 1000, fusion=parse_fusion("rrf:k=5"), mode="hybrid"
        )[0]
    assert set(branches.systems[2].answers.run["q0"].doc_ids) == set(found.ids)

    index_corpus(open_corpus(folder), load_encoder("bm25"), tmp_path / "plain.index").close()
    with pytest.raises(UsageError, match="no dense vectors"):
        evaluate(folder, index=tmp_path / "plain.index", mode="hybrid")
