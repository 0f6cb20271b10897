"""Measures from their definitions, sharing no code with the product or with trec_eval."""

from collections.abc import Mapping, Sequence

import numpy as np


def ordered(hits: Mapping[str, float]) -> list[str]:
    """DocIdLookup by score, ties by doc_id, both descending."""
    return sorted(sorted(hits, reverse=True), key=lambda doc_id: -hits[doc_id])


def measures(doc_ids: Sequence[str], judged: Mapping[str, int], k: int) -> dict[str, float]:
    """nDCG@k, RR@k, R@k and AP of one topic."""
    grades = np.array([judged.get(doc_id, 0) for doc_id in doc_ids])
    n_relevant = sum(grade > 0 for grade in judged.values())
    precision = np.cumsum(grades > 0) / np.arange(1, len(grades) + 1)
    ideal = _dcg(np.sort(list(judged.values()))[::-1], k)
    first = np.flatnonzero(grades[:k] > 0)
    return {
        f"nDCG@{k}": _dcg(grades, k) / ideal if ideal else 0.0,
        f"RR@{k}": 1 / (first[0] + 1) if len(first) else 0.0,
        f"R@{k}": (grades[:k] > 0).sum() / max(n_relevant, 1),
        "AP": precision[grades > 0].sum() / max(n_relevant, 1),
    }


def _dcg(grades: np.ndarray, k: int) -> float:
    gains = np.maximum(grades[:k], 0)
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())
