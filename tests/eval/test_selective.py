"""The commands that measure selective and hybrid search, on a small collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.errors import UsageError
from lsr_eval.bench import hybrid_latency
from lsr_eval.dense_selection import __main__ as selective
from lsr_eval.dense_selection.evaluate import Bench, Point, Way, fit_on, queries_of
from lsr_eval.dense_selection.queries import with_dense_queries
from lsr_eval.measures.latency import Percentiles
from lsr_index.build.index_corpus import index_corpus

WORDS = [f"word{i}" for i in range(60)]
N, N_QUERIES = 500, 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of BM25, queries and judgments."""
    pytest.importorskip("faiss")
    folder, rng = tmp_path_factory.mktemp("selective"), np.random.default_rng(1)
    with (folder / "corpus.jsonl").open("w") as file:
        for at in range(N):
            topic = 6 * (at % 10)
            words = [WORDS[topic + int(i)] for i in rng.integers(0, 6, 5)]
            words += [WORDS[int(i)] for i in rng.integers(0, 60, 3)]
            file.write(json.dumps({"_id": f"d{at}", "text": " ".join(words)}) + "\n")
    with (folder / "queries.jsonl").open("w") as file:
        for at in range(N_QUERIES):
            words = [WORDS[6 * (at % 10) + int(i)] for i in rng.integers(0, 6, 3)]
            file.write(json.dumps({"_id": f"q{at}", "text": " ".join(words)}) + "\n")
    lines = [f"q{at} 0 d{at} 1\nq{at} 0 d{at + 10} 1\n" for at in range(20)]
    (folder / "qrels.txt").write_text("".join(lines))
    encoder = load_encoder("bm25")
    index_corpus(open_corpus(folder / "corpus.jsonl"), encoder, folder / "x.index").close()
    return folder


def test_selective(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = [str(folder / "x.index"), str(folder / "queries.jsonl"), "--lsa", "8"]
    about += ["--clusters", "25", "--fit", "40"]
    selective.main([*about, "--test", "20"])
    plain = capsys.readouterr().out
    assert "500 vectors of 8 numbers in 25 lists" in plain
    assert "R@100" not in plain
    selective.main([*about, "--qrels", str(folder / "qrels.txt")])
    judged = capsys.readouterr().out
    assert "20 queries" in judged
    first = next(line for line in judged.splitlines() if line.startswith("every list"))
    exact = [float(part.rstrip("%")) for part in first.split()[3:]]
    assert exact[:2] == [100.0, 1.0]
    assert exact[3:5] == [1.0, 1.0]
    assert 0 < exact[5] <= 1
    with pytest.raises(UsageError, match="expected some of both"):
        selective.main([*about[:-1], "1000"])


def test_a_part_of_the_vectors_finds_a_part(folder: Path) -> None:
    lines = (folder / "queries.jsonl").read_text().splitlines()[:40]
    texts = [json.loads(line)["text"] for line in lines]
    with with_dense_queries(folder / "x.index", texts, lsa=8, clusters=25) as (retriever, vectors):
        bench = Bench(retriever, queries_of(retriever, texts, vectors))
        few, many = (bench.measure(Way(str(n), n)) for n in (1, 12))
        assert few.compared < many.compared < 1
        assert few.dense < many.dense <= 1
        assert many.compared_hybrid >= many.compared
        assert (few.judged, few.judged_hybrid) == (None, None)
        assert 0 < fit_on(bench, 0.2).share <= 0.2


def test_the_least_share() -> None:
    points = [
        Point("a", share, found, share, found, found, None, None)
        for share, found in ((0.1, 0.9), (0.3, 0.985), (0.2, 0.99))
    ]
    whole = Point("all", 1.0, 1.0, 1.0, 1.0, 1.0, None, None)
    assert selective.least_share(whole, points, "dense") == "20.0%"
    assert selective.least_share(whole, points[:1], "dense") == "not reached"


def test_hybrid_latency(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = [str(folder / "x.index"), str(folder / "queries.jsonl"), "--n", "30"]
    hybrid_latency.main([*about, "--lsa", "8"])
    out = capsys.readouterr().out
    assert "500 documents, 500 vectors of 8 numbers, 30 queries, 10 hits" in out
    assert out.count("hybrid, absent=floor: p50") == 2
    np.save(tmp_path / "few.npy", np.ones((3, 8), np.float32))
    with pytest.raises(UsageError, match="no dense vectors"):
        hybrid_latency.main([*about, "--vectors", str(tmp_path / "few.npy")])


def test_the_verdict() -> None:
    def times(wall: float, cpu: float) -> hybrid_latency.Times:
        return hybrid_latency.Times(Percentiles(wall, 0, 0, 0), Percentiles(cpu, 0, 0, 0))

    found = {"sparse": times(1.0, 1.0), "dense": times(2.0, 2.0)}
    found |= {"hybrid": times(3.1, 3.5), "hybrid, absent=floor": times(3.3, 2.9)}
    lines = hybrid_latency.format_report("ids", found).splitlines()
    assert "within sparse + dense + 0.2 = 3.200; CPU +0.500" in lines[-2]
    assert "3.300, beyond sparse + dense" in lines[-1]
