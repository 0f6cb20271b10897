"""Reports: of run files, which need no index, as table, JSON and run files."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lsr.errors import CorpusError, UsageError
from lsr.trec.measures import measure_run, parse_measures
from lsr.trec.runs import Ranking, Run, read_run, write_run
from lsr_eval.experiment import evaluate
from lsr_eval.measures.significance import compare
from lsr_eval.report import SCHEMA, render_table, to_json, write_runs
from lsr_eval.results import Report
from tests.shared import run_python

N_TOPICS = 30


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "made up"
    (folder / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(N_TOPICS)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
    qrels = [f"q{n}\td{n}\t1\n" for n in range(N_TOPICS)]
    (folder / "qrels" / "test.tsv").write_text("".join(qrels))
    return folder


def run_file(path: Path, rank_of_relevant: int, n_topics: int = N_TOPICS) -> Path:
    rankings = {}
    for n in range(n_topics):
        doc_ids = [f"x{at}" for at in range(12)]
        doc_ids[rank_of_relevant - 1] = f"d{n}"
        rankings[f"q{n}"] = Ranking.of(doc_ids, np.arange(12, 0, -1))
    write_run(Run(path.stem, rankings), path)
    return path


@pytest.fixture
def report(collection: Path, tmp_path: Path) -> Report:
    runs = [run_file(tmp_path / "good.trec", 2), run_file(tmp_path / "bad.trec", 4, 28)]
    return evaluate(collection, run=[*runs, run_file(tmp_path / "same.trec", 2)])


def shown(report: Report, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render_table(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_values_and_comparisons(report: Report) -> None:
    good, bad, same = report.systems
    assert good.measured.overall["RR@10"] == 0.5
    assert bad.measured.overall["RR@10"] == pytest.approx(28 / 30 / 4)
    assert bad.measured.overall["R@100"] == pytest.approx(28 / 30)
    assert good.intervals["RR@10"] == (0.5, 0.5)
    assert not good.comparisons
    for measure in report.measures:
        expected = compare(
            good.measured.per_topic[measure],
            [bad.measured.per_topic[measure], same.measured.per_topic[measure]],
        )
        assert [bad.comparisons[measure], same.comparisons[measure]] == expected
    assert bad.comparisons["RR@10"].p_corrected < 0.001
    assert bad.comparisons["RR@10"].losses == 30
    assert same.comparisons["RR@10"].p_corrected == 1
    assert bad.answers.warnings == ("2 of 30 topics are not in the run; they count as 0",)


def test_table(report: Report) -> None:
    text = shown(report)
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "0.5000" in rows["good.trec"]
    assert "▼" in rows["bad.trec"]
    assert "0.2333 ▼" in rows["bad.trec"]
    assert "▼" not in rows["same.trec"]
    assert "▲" not in rows["good.trec"]
    assert "made up test: 30 topics" in text
    assert "differs from good.trec (p < 0.05, paired permutation test, holm correction)" in text
    assert "bad.trec: 2 of 30 topics are not in the run" in text


def test_json_is_complete_and_strict(report: Report) -> None:
    values = json.loads(json.dumps(to_json(report, per_topic=True), allow_nan=False))
    assert values["schema"] == SCHEMA
    assert values["collection"] == {
        "name": "made up",
        "split": "test",
        "n_topics": 30,
        "n_judgments": 30,
    }
    assert {"lsr", "python", "numpy", "cores"} <= values["environment"].keys()
    assert values["parameters"]["k"] == 1000
    good, bad, _ = values["systems"]
    assert good["kind"] == "run"
    assert good["source"].endswith("good.trec")
    assert good["measures"]["RR@10"] == {
        "value": 0.5,
        "interval": [0.5, 0.5],
        "versus_first": None,
    }
    assert good["sparsity"] is good["indexing"] is good["latency"] is None
    assert bad["measures"]["RR@10"]["versus_first"]["losses"] == 30
    assert bad["per_topic"]["q29"]["RR@10"] == 0
    assert "per_topic" not in to_json(report)["systems"][0]


def test_runs_are_written(report: Report, collection: Path, tmp_path: Path) -> None:
    paths = write_runs(report, tmp_path / "out.trec")
    assert [path.name for path in paths] == [
        "out.1-good.trec",
        "out.2-bad.trec",
        "out.3-same.trec",
    ]
    one = evaluate(collection, run=tmp_path / "good.trec")
    assert write_runs(one, tmp_path / "one.trec") == [tmp_path / "one.trec"]
    assert (tmp_path / "one.trec").read_bytes() == (tmp_path / "good.trec").read_bytes()
    again = read_run(tmp_path / "one.trec")
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(N_TOPICS)}
    measured = measure_run(again, qrels, parse_measures(report.measures))
    assert measured.overall == report.baseline.measured.overall


def test_the_same_input_gives_the_same_report(collection: Path, tmp_path: Path) -> None:
    runs = [run_file(tmp_path / "a.trec", 1), run_file(tmp_path / "b.trec", 3)]
    first, second = (to_json(evaluate(collection, run=runs)) for _ in range(2))
    assert first == second


def test_systems_of_the_same_name_are_told_apart(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    runs = [run_file(tmp_path / "a.trec", 1), run_file(tmp_path / "other" / "a.trec", 1)]
    report = evaluate(collection, run=runs)
    assert [system.name for system in report.systems] == ["a.trec #1", "a.trec #2"]


def test_dropping_the_query_itself(collection: Path, tmp_path: Path) -> None:
    ranking = Ranking.of(["q0", "d0"], [2, 1])
    write_run(Run("t", {"q0": ranking}), tmp_path / "run")
    kept = evaluate(collection, run=tmp_path / "run", measures=["RR"])
    dropped = evaluate(collection, run=tmp_path / "run", measures=["RR"], drop_query_id=True)
    assert kept.baseline.measured.per_topic["RR"][0] == 0.5
    assert dropped.baseline.measured.per_topic["RR"][0] == 1
    assert dropped.parameters["drop_query_id"] is True
    assert "Hits with the id of the query are left out" in shown(dropped)


def test_a_run_of_another_collection(collection: Path, tmp_path: Path) -> None:
    write_run(Run("t", {"other": Ranking.of(["d0"], [1])}), tmp_path / "run")
    with pytest.raises(CorpusError, match="answers none of the 30 topics of made up test"):
        evaluate(collection, run=tmp_path / "run")


def test_mistakes_are_found_before_the_work(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate(collection)
    with pytest.raises(UsageError, match="without an encoder"):
        evaluate(collection, run=tmp_path / "run", query_encoder="idf")
    with pytest.raises(UsageError, match="no measure: 'nope'"):
        evaluate(collection, encoder="bm25", measures=["nope"])
    with pytest.raises(UsageError, match="k 0: expected 1 or more"):
        evaluate(collection, encoder="bm25", k=0)
    with pytest.raises(UsageError, match="test 'z'"):
        evaluate(collection, encoder="bm25", test="z")  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="No such file"):
        evaluate(collection, encoder="bm25", run=tmp_path / "missing")


def test_measuring_a_run_loads_no_network_library(collection: Path, tmp_path: Path) -> None:
    path = run_file(tmp_path / "a.trec", 1)
    program = (
        "import sys\n"
        "from lsr_eval.experiment import evaluate\n"
        "from lsr_eval.report import render_table, to_json\n"
        f"report = evaluate({str(collection)!r}, run={str(path)!r})\n"
        "render_table(report), to_json(report)\n"
        "print(sorted({'torch', 'transformers', 'numba', 'fastapi'} & sys.modules.keys()))\n"
    )
    assert run_python(program) == "[]\n"
