"""Run files: the order of trec_eval, exact round trips, and what is refused with its line."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import CorpusError, DataError, UsageError
from lsr.trec.runs import Ranking, Run, read_run, write_run

# All that no ASCII blank is part of: a no-break space or U+2028 in an id is a letter like others.
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf"], exclude_characters=" ")
DOCNOS = st.text(LETTERS | st.sampled_from("\u00a0\u2028\u3000"), min_size=1)
SCORES = st.one_of(
    st.floats(-1e30, 1e30),
    st.integers(-3, 3).map(float),
    st.sampled_from([1.0, 1.0 + 1e-12, 1.0 + 1e-7, 0.1, 1 / 3, -0.0, 5e-324]),
)
RANKINGS = st.dictionaries(DOCNOS, SCORES, min_size=1, max_size=20).map(
    lambda hits: Ranking.of(list(hits), list(hits.values()))
)


def test_order_is_score_then_docno_descending() -> None:
    ranking = Ranking.of(["a", "c", "b", "d"], [1.0, 2.0, 2.0, 0.5])
    assert ranking.doc_ids == ["c", "b", "a", "d"]
    assert ranking.scores.tolist() == [2.0, 2.0, 1.0, 0.5]
    assert ranking.scores.dtype == np.float32


def test_scores_closer_than_single_precision_are_ties() -> None:
    assert Ranking.of(["a", "b"], [1.0 + 1e-12, 1.0]).doc_ids == ["b", "a"]
    assert Ranking.of(["a", "b"], [1.0 + 1e-6, 1.0]).doc_ids == ["a", "b"]


@given(RANKINGS)
def test_the_order_is_the_one_trec_eval_uses(ranking: Ranking) -> None:
    """With one relevant document, the reciprocal rank tells where trec_eval puts it."""
    hits = dict(zip(ranking.doc_ids, ranking.scores.astype(float).tolist(), strict=True))
    shuffled = dict(sorted(hits.items()))
    for at, doc_id in enumerate(ranking.doc_ids):
        evaluator = pytrec_eval.RelevanceEvaluator({"q": {doc_id: 1}}, {"recip_rank"})
        assert evaluator.evaluate({"q": shuffled})["q"]["recip_rank"] == 1 / (at + 1)


@given(st.dictionaries(DOCNOS, RANKINGS, min_size=1, max_size=4))
def test_a_written_run_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, rankings: dict[str, Ranking]
) -> None:
    path = tmp_path_factory.mktemp("runs") / "run.trec"
    write_run(Run("tag", rankings), path)
    read = read_run(path)
    assert read.name == "tag"
    assert list(read.rankings) == list(rankings)
    for qid, ranking in rankings.items():
        assert read[qid].doc_ids == ranking.doc_ids
        assert read[qid].scores.tobytes() == ranking.scores.tobytes()
    assert [file.name for file in path.parent.iterdir()] == ["run.trec"]


def test_what_a_file_looks_like(tmp_path: Path) -> None:
    write_run(Run("bm25", {"q1": Ranking.of(["d1", "d2"], [0.1, 3])}), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "q1 Q0 d2 1 3.0 bm25\nq1 Q0 d1 2 0.1 bm25\n"


def test_rank_column_and_order_of_lines_play_no_part(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"2 Q0 a 9 1 t\n1\tx\tb\t0\t-1e-1\tt\r\n\n2 Q0 b 1 2 t\n"))
    run = read_run(path)
    assert run["2"].doc_ids == ["b", "a"]
    assert run["1"].doc_ids == ["b"]
    assert run["absent"].doc_ids == []
    assert run.n_hits == 3


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("q Q0 d 1 1.0\n", 1, "expected 6 columns"),
        ("q Q0 d 1 1.0 t\nq Q0 d 1 1.0 t x\n", 2, "expected 6 columns"),
        ("q Q0 d first 1.0 t\n", 1, "rank must be an integer, found 'first'"),
        ("q Q0 d 1 nan t\n", 1, "finite number in single precision, found 'nan'"),
        ("q Q0 d 1 inf t\n", 1, "found 'inf'"),
        ("q Q0 d 1 1e39 t\n", 1, "found '1e39'"),
        ("q Q0 d 1 high t\n", 1, "found 'high'"),
        ("q Q0 d 1 2 t\n\nq Q0 e 2 1 t\nq Q0 d 3 1 t\n", 4, "'d' was returned for topic 'q'"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(text)
    with pytest.raises(CorpusError, match=message) as caught:
        read_run(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file"):
        read_run(tmp_path / "run.trec")
    (tmp_path / "run.trec").write_text("\n")
    with pytest.raises(CorpusError, match="holds no line"):
        read_run(tmp_path / "run.trec")


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (Run("two words", {}), "run tag 'two words'"),
        (Run("t", {"q 1": Ranking.of(["d"], [1])}), "query id 'q 1'"),
        (Run("t", {"q": Ranking.of(["my file.txt"], [1])}), "document id 'my file.txt'"),
    ],
)
def test_ids_that_the_format_cannot_express(tmp_path: Path, run: Run, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        write_run(run, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    run = Run("t", {"q": Ranking.of(["d"], [1])})
    for path in (tmp_path / "no" / "run", tmp_path):
        with pytest.raises(UsageError, match="cannot be written"):
            write_run(run, path)
    assert not list(tmp_path.iterdir())


def test_rankings_that_make_no_sense() -> None:
    with pytest.raises(DataError, match="'b' has the score nan"):
        Ranking.of(["a", "b"], [1.0, float("nan")])
    with pytest.raises(DataError, match="'a' appears twice"):
        Ranking.of(["a", "b", "a"], [1, 2, 3])
    with pytest.raises(DataError, match="2 documents with scores of shape"):
        Ranking.of(["a", "b"], [1.0])


def test_leaving_out_the_query_itself() -> None:
    run = Run("t", {"q": Ranking.of(["q", "d", "e"], [3, 2, 1]), "d": Ranking.of(["q"], [1])})
    dropped = run.without_query_ids()
    assert dropped["q"].doc_ids == ["d", "e"]
    assert dropped["q"].scores.tolist() == [2, 1]
    assert dropped["d"].doc_ids == ["q"]
    assert run["q"].top(1).doc_ids == ["q"]
