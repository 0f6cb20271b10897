"""Python, terminal and HTTP give the answer of brute force: from the text to the last hit.

Only the analyser is shared with the product. BM25, quantisation, scores and order are written out
here (and in `tests.oracle`) in plain NumPy.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lsr.analysis import Analyzer
from lsr_index.hybrid import Retriever
from lsr_service.cli import main as cli
from tests import oracle
from tests.service.conftest import documents

K1, B = 1.2, 0.75
QUERIES = ["storm river", "the engine of winter storms", "zebra", "mirror mirror copper padding"]


class BruteForce:
    """Every document scored for every query."""

    def __init__(self) -> None:
        self.docs = documents()
        self.counts = [Counter(self.terms(f"{d['title']} {d['text']}")) for d in self.docs]
        self.vocabulary = sorted(set().union(*self.counts))
        lengths = np.array([sum(c.values()) for c in self.counts], np.float64)
        tf = np.array([[c[t] for t in self.vocabulary] for c in self.counts], np.float64)
        norm = K1 * (1 - B + B * lengths / lengths.mean())
        weights = (tf * (K1 + 1) / (tf + norm[:, None])).astype(np.float32)
        weights[tf == 0] = 0
        self.scale = float(weights.max() / 255)
        self.impacts = np.round(weights / self.scale).astype(np.int64)
        n = (tf > 0).sum(axis=0)
        self.idf = np.log1p((len(self.docs) - n + 0.5) / (n + 0.5))

    @staticmethod
    def terms(text: str) -> list[str]:
        return list(Analyzer().terms(text))

    def ids(self, query: str, k: int) -> list[str]:
        known = [
            (self.vocabulary.index(term), times)
            for term, times in Counter(self.terms(query)).items()
            if term in self.vocabulary
        ]
        terms = np.array([i for i, _ in known], np.uint32)
        weights = np.array([self.idf[i] * times for i, times in known], np.float32)
        scores = oracle.scores(self.impacts, terms, weights, bits=16)
        return [self.docs[i]["_id"] for i in oracle.best(scores, k).ordinals]


@pytest.fixture(scope="module")
def truth() -> BruteForce:
    return BruteForce()


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("k", [1, 10, 250])
def test_three_ways_in_one_answer(
    query: str,
    k: int,
    truth: BruteForce,
    retriever: Retriever,
    client: TestClient,
    index_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hits = retriever.search(query, k=k).hits
    assert [hit.id for hit in hits] == truth.ids(query, k)

    answer = client.post("/v1/indexes/small/search", json={"query": query, "k": k}).json()
    assert cli.run(["search", str(index_path), query, "--k", str(k), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for others in (answer["hits"], printed["hits"]):
        assert [(h["rank"], h["id"], h["score"]) for h in others] == [
            (h.rank, h.id, h.score) for h in hits
        ]


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_those_of_bm25_up_to_quantisation(
    query: str, truth: BruteForce, retriever: Retriever
) -> None:
    lengths = np.array([sum(c.values()) for c in truth.counts], np.float64)
    position = {d["_id"]: i for i, d in enumerate(truth.docs)}
    for hit in retriever.search(query, k=50).hits:
        counts = truth.counts[position[hit.id]]
        norm = K1 * (1 - B + B * lengths[position[hit.id]] / lengths.mean())
        expected = sum(
            times
            * truth.idf[truth.vocabulary.index(term)]
            * counts[term]
            * (K1 + 1)
            / (counts[term] + norm)
            for term, times in Counter(truth.terms(query)).items()
            if counts[term]
        )
        # Half a step of the impact and one of the integer score for each matched term.
        reach = sum(truth.idf[truth.vocabulary.index(t)] for t in truth.terms(query) if counts[t])
        assert abs(hit.score - expected) <= reach * truth.scale / 2 + 0.01 * expected
