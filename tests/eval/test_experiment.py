"""Experiments end to end: encode, index, search, measure; real collections, real encoders."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.errors import CorpusError, IndexNotFoundError, UsageError
from lsr.trec.runs import read_run
from lsr_eval.collections.collection import open_collection
from lsr_eval.experiment import environment, evaluate, run_experiment
from lsr_eval.report import render_table, to_json, write_runs
from lsr_eval.results import Indexing, SystemReport
from lsr_eval.systems.indexes import StageClock
from lsr_eval.systems.system import EncoderSystem
from lsr_eval.systems.task import SearchSettings
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever
from lsr_index.search.index import open_index
from tests.eval import oracle
from tests.shared import shared_path


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Three topics with an obvious answer each; "d4" is judged, but not in the corpus."""
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    documents = {
        "d1": "the cat sleeps on the sofa",
        "d2": "a dog barks at the cat",
        "d3": "fish swim in the sea",
        "d5": "",
    }
    queries = {"q1": "sleeping cats", "q2": "dogs", "q3": "zebra", "q4": "fish"}
    qrels = [("q1", "d1", 2), ("q1", "d2", 1), ("q2", "d2", 1), ("q3", "d3", 1), ("q2", "d4", 0)]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in documents.items())
    )
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in queries.items())
    )
    (folder / "qrels" / "test.tsv").write_text(
        "".join("\t".join(map(str, row)) + "\n" for row in qrels)
    )
    return folder


def test_every_figure_of_a_small_collection(animals: Path) -> None:
    report = evaluate(animals, encoder="bm25", measures=["nDCG@10", "RR", "R@10"])
    system = report.baseline
    assert (system.name, system.kind, report.n_topics) == ("bm25", "encoder", 3)
    assert system.measured.per_topic["RR"].tolist() == [1, 1, 0]
    assert system.measured.per_topic["R@10"].tolist() == [1, 1, 0]
    assert system.measured.overall["nDCG@10"] == pytest.approx(2 / 3)
    answers = system.answers
    assert answers.rank_safe is True
    assert answers.run.rankings["q1"].doc_ids == ["d1", "d2"]
    assert "q4" not in answers.run.rankings
    sparsity, indexing, latency = answers.sparsity, answers.indexing, answers.latency
    assert sparsity is not None
    # cat, sleep, sofa; dog, bark, cat; fish, swim, sea; nothing.
    assert (sparsity.n_docs, sparsity.document_nnz) == (4, 9 / 4)
    # sleep, cat; dog; zebra is in no document and has no term.
    assert (sparsity.n_queries, sparsity.query_nnz) == (3, 1)
    # Shares: sleep 1/4 · 1/3, cat 2/4 · 1/3, dog 1/4 · 1/3.
    assert sparsity.flops == pytest.approx(1 / 3)
    assert indexing is not None
    assert not indexing.reused
    assert indexing.index_bytes > 100
    assert indexing.encode_docs_per_second is not None
    assert latency is not None
    assert 0 < latency.wall_ms.p50 <= latency.wall_ms.p99
    assert answers.warnings == (
        "1 of 4 judged documents are not in the index and cannot be found (d4)",
    )


def test_an_index_that_is_there(animals: Path, tmp_path: Path) -> None:
    index_corpus(open_corpus(animals), load_encoder("bm25"), tmp_path / "a.index").close()
    report = evaluate(animals, encoder="bm25", index=tmp_path / "a.index")
    made, given = report.systems
    assert (given.kind, given.name) == ("index", "a.index")
    assert given.measured.overall == made.measured.overall
    assert given.answers.fingerprint == made.answers.fingerprint
    assert given.answers.indexing is not None
    assert given.answers.indexing.reused
    assert given.answers.indexing.encode_docs_per_second is None
    assert given.comparisons["nDCG@10"].p_value == 1


def test_a_written_run_measures_the_same(animals: Path, tmp_path: Path) -> None:
    report = evaluate(animals, encoder="bm25")
    (path,) = write_runs(report, tmp_path / "bm25.trec")
    again = evaluate(animals, run=path)
    assert again.baseline.measured.overall == report.baseline.measured.overall
    assert read_run(path).name == "bm25"


def test_indexes_are_kept_and_found_again(animals: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = evaluate(animals, encoder="bm25", index_dir=kept)
    (path,) = kept.iterdir()
    before = path.stat().st_mtime_ns
    second = evaluate(animals, encoder="bm25", index_dir=kept)
    assert list(kept.iterdir()) == [path]
    assert path.stat().st_mtime_ns == before
    assert [s.baseline.answers.indexing.reused for s in (first, second)] == [False, True]  # type: ignore[union-attr]
    assert first.baseline.measured.overall == second.baseline.measured.overall

    evaluate(animals, encoder="bm25", encoder_options={"k1": 0.9}, index_dir=kept)
    assert len(list(kept.iterdir())) == 2, "another encoder is another index"
    with (animals / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d6", "text": "zebra"}\n')
    changed = evaluate(animals, encoder="bm25", index_dir=kept)
    assert len(list(kept.iterdir())) == 3, "another corpus is another index"
    assert changed.baseline.answers.indexing.n_docs == 5  # type: ignore[union-attr]


def test_an_interrupted_evaluation_continues(animals: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int | None) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(animals, encoder="bm25", index_dir=tmp_path / "kept", progress=interrupt)
    assert [p.suffix for p in (tmp_path / "kept").iterdir()] == [".building"]
    report = evaluate(animals, encoder="bm25", index_dir=tmp_path / "kept")
    assert report.baseline.measured.overall["RR@10"] == pytest.approx(2 / 3)
    assert [p.suffix for p in (tmp_path / "kept").iterdir()] == [".index"]


def test_options_side_by_side(animals: Path) -> None:
    stages = []
    report = run_experiment(
        open_collection(animals),
        [EncoderSystem("bm25"), EncoderSystem("bm25", options={"b": 0.0})],
        settings=SearchSettings(latency_k=0),
        progress=lambda stage, done, total: stages.append(stage),
    )
    assert [s.name for s in report.systems] == ["bm25 #1", "bm25 #2"]
    assert report.systems[1].options == {"b": 0.0}
    assert report.baseline.answers.latency is None
    assert {"bm25 #1: encode", "bm25 #2: search"} <= set(stages)
    json.dumps(to_json(report), allow_nan=False)
    render_table(report)


def test_a_model_beside_bm25(animals: Path) -> None:
    """Options go to the encoder they belong to; the same model twice, with either query side."""
    model = str(shared_path("models/splade-tiny"))
    report = evaluate(
        animals,
        encoder=["bm25", model],
        query_encoder="idf",
        encoder_options={"b": 0.5, "max_length": 32, "device": "cpu"},
    )
    lexical, neural = report.systems
    assert (lexical.name, lexical.options) == ("bm25", {"b": 0.5})
    assert (neural.name, neural.query_encoder) == ("splade-tiny (idf queries)", "idf")
    assert neural.options == {"max_length": 32, "device": "cpu"}
    assert neural.measured.overall["RR@10"] >= 2 / 3
    encoded = evaluate(animals, encoder=model, query_encoder="model").baseline
    assert encoded.answers.fingerprint != lexical.answers.fingerprint
    assert encoded.answers.sparsity is not None
    assert neural.answers.sparsity is not None
    assert encoded.answers.sparsity.query_nnz > neural.answers.sparsity.query_nnz
    with pytest.raises(UsageError, match="max_length"):
        evaluate(animals, encoder="bm25", encoder_options={"max_length": 32})


def test_k_hits_remain_when_the_query_itself_is_dropped(animals: Path) -> None:
    (animals / "queries.jsonl").write_text('{"_id": "d1", "text": "cat"}\n')
    (animals / "qrels" / "test.tsv").write_text("d1\td2\t1\n")
    report = evaluate(animals, encoder="bm25", k=1, drop_query_id=True)
    assert report.baseline.answers.run.rankings["d1"].doc_ids == ["d2"]
    assert report.baseline.measured.overall["RR@1"] == 1


def test_an_index_of_another_corpus_is_refused(animals: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"_id": "x", "text": "cat"}\n')
    other = open_corpus(tmp_path / "other.jsonl")
    index_corpus(other, load_encoder("bm25"), tmp_path / "x.index").close()
    with pytest.raises(CorpusError, match=r"none of the 3 relevant documents .* is in the index"):
        evaluate(animals, index=tmp_path / "x.index")


def test_what_cannot_be_evaluated(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="query encoder 'magic': expected model or idf"):
        evaluate(animals, encoder="bm25", query_encoder="magic")
    with pytest.raises(IndexNotFoundError, match="nowhere"):
        evaluate(animals, index=tmp_path / "nowhere")
    shutil.rmtree(animals / "qrels")
    with pytest.raises(UsageError, match="no qrels"):
        evaluate(animals, encoder="bm25")


def test_a_corpus_that_is_malformed(animals: Path) -> None:
    with (animals / "corpus.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(CorpusError, match=r"corpus\.jsonl:5: "):
        evaluate(animals, encoder="bm25")
    report = evaluate(animals, encoder="bm25", corpus_options={"on_error": "skip"})
    assert report.baseline.measured.overall["R@100"] == pytest.approx(2 / 3)
    assert report.parameters["corpus_options"] == {"on_error": "skip"}


def test_clock() -> None:
    clock = StageClock(lambda *_: None)
    assert clock.seconds("encode") is clock.seconds_after("encode") is None
    clock("encode", 0, 10)
    clock("encode", 10, 10)
    assert clock.seconds("encode") is not None
    assert clock.seconds_after("encode") is not None
    resumed = StageClock(lambda *_: None)
    resumed("encode", 5, 10)
    resumed("encode", 10, 10)
    assert resumed.seconds("encode") is None, "a part was not timed"
    assert Indexing(10, 1, False, 2.0).encode_docs_per_second == 5


def test_environment_names_no_machine() -> None:
    assert set(environment()) == {
        "lsr",
        "python",
        "numpy",
        "numba",
        "ir-measures",
        "ir-datasets",
        "cores",
    }


def test_scifact_with_bm25() -> None:
    report = evaluate(shared_path("data/collections/scifact"), encoder="bm25")
    values = report.baseline.measured.overall
    assert values["nDCG@10"] >= 0.680
    assert values["R@100"] >= 0.9
    interval = report.baseline.intervals["nDCG@10"]
    assert interval.low < values["nDCG@10"] < interval.high


@pytest.mark.parametrize(
    ("name", "at_least"), [("cranfield", 0.35), ("cisi", 0.30), ("cacm", 0.35)]
)
def test_classic_collections_with_bm25(tmp_path: Path, name: str, at_least: float) -> None:
    """Also against a search of its own: dense arithmetic over the stored vectors."""
    folder = shared_path(f"data/collections/{name}")
    report = evaluate(folder, encoder="bm25", index_dir=tmp_path, k=100)
    system = report.baseline
    assert system.measured.overall["nDCG@10"] >= at_least
    assert system.measured.overall["nDCG@10"] == pytest.approx(_oracle_ndcg(folder, system))
    (path,) = tmp_path.iterdir()
    with Retriever.open(path) as retriever:
        index, encoder = retriever.index, retriever.encoder
        assert encoder is not None
        collection = open_collection(folder)
        vectors = [index.vector(ordinal) for ordinal in range(index.n_docs)]
        dense = np.zeros((index.n_docs, index.n_terms))
        for ordinal, (terms, impacts) in enumerate(vectors):
            dense[ordinal, terms] = impacts
        for query in collection.queries[::10]:
            terms, weights = encoder.encode_queries([query.text]).row(0)
            scores = dense[:, terms] @ weights.astype(float)
            best = np.sort(scores[scores > 0])[::-1][:10]
            found = index.search(encoder.encode_queries([query.text]), k=10)
            reached = scores[np.asarray(found.ordinals)]
            # Query weights are quantised too: equal up to that.
            np.testing.assert_allclose(np.sort(reached)[::-1], best, rtol=0.02)
    assert system.answers.sparsity is not None
    stored = sum(len(terms) for terms, _ in vectors)
    assert system.answers.sparsity.document_nnz == pytest.approx(stored / len(vectors))
    with open_index(path) as opened:
        assert opened.n_docs == len(vectors)


def _oracle_ndcg(folder: Path, system: SystemReport) -> float:
    """Mean over topics; the order of the run is checked to be the one it claims."""
    qrels = open_collection(folder).qrels
    values = []
    for qid, judged in qrels.items():
        ranking = system.answers.run[qid]
        hits = dict(zip(ranking.doc_ids, ranking.scores.tolist(), strict=True))
        assert oracle.ordered(hits) == ranking.doc_ids
        values.append(oracle.measures(ranking.doc_ids, judged, 10)["nDCG@10"])
    return float(np.mean(values))
