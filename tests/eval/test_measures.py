"""Measures: values worked out by hand, an oracle of its own, and the rules for what is missing."""

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import UsageError
from lsr.trec.measures import (
    DEFAULT_MEASURES,
    MAX_GRADE,
    measure_run,
    measures_within,
    parse_measures,
)
from lsr.trec.qrels import Qrels
from lsr.trec.runs import Ranking, Run
from lsr_eval.collections.collection import open_collection
from tests.eval import oracle
from tests.shared import shared_path


def run_of(**rankings: dict[str, float]) -> Run:
    return Run(
        "t", {q: Ranking.of(list(hits), list(hits.values())) for q, hits in rankings.items()}
    )


def test_values_worked_out_by_hand() -> None:
    """Topic 1: ranks 2 and 4 hold grades 1 and 3; a third relevant document (grade 2) is missed."""
    qrels = {"1": {"b": 1, "d": 3, "z": 2, "a": 0}}
    measured = measure_run(
        run_of(**{"1": {"a": 9, "b": 8, "c": 7, "d": 6}}), qrels, parse_measures(DEFAULT_MEASURES)
    )
    dcg = 1 / math.log2(3) + 3 / math.log2(5)
    ideal = 3 + 2 / math.log2(3) + 1 / math.log2(4)
    assert measured.overall == pytest.approx(
        {
            "nDCG@10": dcg / ideal,
            "RR@10": 1 / 2,
            "R@100": 2 / 3,
            "R@1000": 2 / 3,
            "AP": (1 / 2 + 2 / 4) / 3,
        }
    )


def test_cutoffs() -> None:
    hits = {f"d{n:02}": 50.0 - n for n in range(20)}
    qrels = {"1": {"d10": 1, "d03": 1}, "2": {"d10": 1}}
    measured = measure_run(
        run_of(**{"1": hits, "2": hits}), qrels, parse_measures(["RR@10", "RR@11", "RR", "R@10"])
    )
    assert measured.per_topic["RR@10"].tolist() == [1 / 4, 0]
    assert measured.per_topic["RR@11"].tolist() == [1 / 4, 1 / 11]
    assert measured.per_topic["RR"].tolist() == [1 / 4, 1 / 11]
    assert measured.per_topic["R@10"].tolist() == [1 / 2, 0]


def test_topics_without_results_count_as_zero() -> None:
    qrels = {"1": {"a": 1}, "2": {"a": 1}, "3": {"a": 1}, "4": {"a": 0}}
    run = Run("t", {"1": Ranking.of(["a"], [1]), "3": Ranking.of([], [])})
    measured = measure_run(run, qrels, parse_measures(DEFAULT_MEASURES))
    assert list(measured.topics) == ["1", "2", "3", "4"]
    for name in DEFAULT_MEASURES:
        assert measured.per_topic[name].tolist() == [1, 0, 0, 0]
        assert measured.overall[name] == 1 / 4


def test_an_empty_run_is_zero_throughout() -> None:
    measured = measure_run(Run("t", {}), {"1": {"a": 1}}, parse_measures(DEFAULT_MEASURES))
    assert set(measured.overall.values()) == {0.0}


def test_topics_without_judgments_are_ignored() -> None:
    qrels = {"1": {"a": 1}}
    with_extra = run_of(**{"1": {"b": 2, "a": 1}, "9": {"a": 1}})
    measured = measure_run(with_extra, qrels, parse_measures(["nDCG@10", "NumQ", "NumRet"]))
    assert measured.overall == pytest.approx({"nDCG@10": 1 / math.log2(3), "NumQ": 1, "NumRet": 2})


def test_hits_equal_to_the_query() -> None:
    qrels = {"q": {"d": 1}}
    run = run_of(q={"q": 2, "d": 1})
    measures = parse_measures(["RR@10"])
    assert measure_run(run, qrels, measures).overall["RR@10"] == 1 / 2
    assert measure_run(run, qrels, measures, drop_query_id=True).overall["RR@10"] == 1


def test_every_back_end_breaks_ties_alike() -> None:
    """RR comes from one back end, RR@10 and Judged@1 from others, with rules of their own."""
    qrels = {"q": {"a": 1}}
    run = run_of(q={"a": 1, "b": 1})
    measured = measure_run(run, qrels, parse_measures(["RR", "RR@10", "Judged@1", "P@1"]))
    assert measured.overall == {"RR": 0.5, "RR@10": 0.5, "Judged@1": 0.0, "P@1": 0.0}


GRADES = st.integers(-9, 4)
NAMES = st.sampled_from([f"d{n:02}" for n in range(30)])
TOPICS = st.sampled_from(["1", "2", "3", "4"])


@given(
    st.dictionaries(TOPICS, st.dictionaries(NAMES, GRADES, min_size=1), min_size=1),
    st.dictionaries(TOPICS, st.dictionaries(NAMES, st.integers(0, 4).map(float))),
)
def test_against_an_oracle(qrels: Qrels, hits: dict[str, dict[str, float]]) -> None:
    measured = measure_run(run_of(**hits), qrels, parse_measures(["nDCG@10 RR@10 R@10 AP"]))
    for at, (topic, judged) in enumerate(qrels.items()):
        expected = oracle.measures(oracle.ordered(hits.get(topic, {})), judged, 10)
        found = {name: values[at] for name, values in measured.per_topic.items()}
        assert found == pytest.approx(expected), topic


def test_real_judgments_against_an_oracle() -> None:
    """Graded judgments of a real collection, and a run that finds every other one, tied."""
    qrels = open_collection(shared_path("data/collections/cranfield")).qrels
    hits = {
        qid: {
            doc_id: float(int(doc_id) % 5) for doc_id in [*list(judged)[::2], "700", "701", "702"]
        }
        for qid, judged in qrels.items()
    }
    measured = measure_run(run_of(**hits), qrels, parse_measures(["nDCG@10 RR@10 R@10 AP"]))
    expected = [oracle.measures(oracle.ordered(hits[qid]), qrels[qid], 10) for qid in qrels]
    for name, value in measured.overall.items():
        assert value == pytest.approx(np.mean([e[name] for e in expected]))
        assert 0.1 < value < 1


def test_names_of_measures() -> None:
    names = ["nDCG@10, RR@10 P(rel=2)@5", "nDCG(dcg='exp-log2')@10", "AP(rel=2)", "MAP", "AP"]
    parsed = [str(measure) for measure in parse_measures(names)]
    assert parsed == [
        "nDCG@10",
        "RR@10",
        "P(rel=2)@5",
        "nDCG(dcg='exp-log2')@10",
        "AP(rel=2)",
        "AP",
    ]


def test_all_bad_names_are_reported_at_once() -> None:
    bad = ["nope@10", "nDCG@0", "nDCG@x", "P", "AP(x=1)", "R@1.5", "nDCG(", "P(5)", "RR@3@4"]
    with pytest.raises(UsageError) as caught:
        parse_measures([*bad, "nDCG@10"])
    for name in bad:
        assert f"'{name}' (" in str(caught.value)
    assert "'nDCG@10' (" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_name_at_all() -> None:
    with pytest.raises(UsageError, match="at least one"):
        parse_measures([" "])


def test_every_measure_that_is_accepted_can_be_computed() -> None:
    import ir_measures

    accepted = 0
    for name in ir_measures.measures.registry:
        for text in (name, f"{name}@5"):
            try:
                measures = parse_measures([text])
            except UsageError:
                continue
            measured = measure_run(
                run_of(**{"a topic": {"a": 2, "b 1": 1}}), {"a topic": {"b 1": 1}}, measures
            )
            assert math.isfinite(measured.overall[str(measures[0])])
            accepted += 1
    assert accepted > 20


@given(
    st.dictionaries(TOPICS, st.dictionaries(NAMES, st.integers(-1, 4), min_size=1), min_size=1),
    st.dictionaries(TOPICS, st.dictionaries(NAMES, st.integers(0, 4).map(float), min_size=1)),
)
def test_against_trec_eval(qrels: Qrels, hits: dict[str, dict[str, float]]) -> None:
    """Ties, holes, topics of only one side, grades that trec_eval itself can take."""
    names = {"ndcg_cut_10": "nDCG@10", "map": "AP", "recall_10": "R@10", "P_5": "P@5"}
    names |= {"recip_rank": "RR", "ndcg": "nDCG", "Rprec": "Rprec"}
    measured = measure_run(run_of(**hits), qrels, parse_measures(names.values()))
    theirs = pytrec_eval.RelevanceEvaluator(
        qrels, {"ndcg_cut.10", "recall.10", "P.5", "map", "recip_rank", "ndcg", "Rprec"}
    ).evaluate(hits)
    for at, topic in enumerate(qrels):
        for their_name, name in names.items():
            wanted = theirs[topic][their_name] if topic in hits else 0.0
            assert measured.per_topic[name][at] == pytest.approx(wanted), (topic, name)


@given(
    st.dictionaries(NAMES, st.integers(0, 4), min_size=1),
    st.dictionaries(NAMES, st.integers(0, 4).map(float), min_size=1),
)
def test_bpref_against_trec_eval(judged: dict[str, int], hits: dict[str, float]) -> None:
    measured = measure_run(run_of(**{"1": hits}), {"1": judged}, parse_measures(["Bpref"]))
    theirs = pytrec_eval.RelevanceEvaluator({"1": judged}, {"bpref"}).evaluate({"1": hits})
    assert measured.overall["Bpref"] == pytest.approx(theirs["1"]["bpref"])


@pytest.mark.parametrize("grade", [-1, -2, -5, -(2**31), -(2**70)])
def test_negative_grades_are_not_relevant(grade: int) -> None:
    run = run_of(**{"1": {"spam": 2, "good": 1}})
    names = parse_measures(["nDCG@10", "AP", "RR@10", "ERR@10", "Bpref", "infAP"])
    found = measure_run(run, {"1": {"spam": grade, "good": 1}}, names)
    assert found.overall == measure_run(run, {"1": {"spam": 0, "good": 1}}, names).overall
    assert found.overall["RR@10"] == 1 / 2


@pytest.mark.parametrize("grade", [MAX_GRADE + 1, 2**40, 2**70])
def test_grades_that_trec_eval_cannot_count_are_refused(grade: int) -> None:
    with pytest.raises(UsageError, match="at most 1000000"):
        measure_run(run_of(**{"1": {"a": 1}}), {"1": {"a": grade}}, parse_measures(["nDCG@10"]))


def test_a_back_end_that_fails_is_named() -> None:
    with pytest.raises(UsageError, match="ERR@10: ir-measures cannot compute"):
        measure_run(run_of(**{"1": {"a": 1}}), {"1": {"a": 9}}, parse_measures(["ERR@10"]))


def test_measures_look_at_no_more_than_there_is() -> None:
    assert [str(m) for m in measures_within(None, 1000)] == list(DEFAULT_MEASURES)
    assert [str(m) for m in measures_within(None, 100)] == ["nDCG@10", "RR@10", "R@100", "AP@100"]
    assert [str(m) for m in measures_within(None, 5)] == ["nDCG@5", "RR@5", "R@5", "AP@5"]
    assert [str(m) for m in measures_within(["nDCG@5 AP"], 5)] == ["nDCG@5", "AP"]
    with pytest.raises(UsageError, match=r"nDCG@10, P\(rel=2\)@6: cut off beyond the 5 hits"):
        measures_within(["nDCG@10", "P(rel=2)@6", "R@5"], 5)
