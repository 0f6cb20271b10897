"""Fusion, slow and plain: written from the papers, with dictionaries, nothing shared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Scores = Mapping[int, float]
"""What one branch returned: score by document."""


def ranks(hits: Scores) -> dict[int, int]:
    """Ranks from 1: score descending, then document ascending."""
    ordered = sorted(hits, key=lambda doc: (-hits[doc], doc))
    return {doc: rank for rank, doc in enumerate(ordered, 1)}


def top(hits: Scores, depth: int | None) -> dict[int, float]:
    """The first `depth` hits."""
    return {doc: hits[doc] for doc, rank in ranks(hits).items() if depth is None or rank <= depth}


def value(
    method: str, doc: int, hits: Scores, known: Scores, k: float, bound: float | None
) -> float:
    """What a branch gives a document. `known`: scores of documents that it did not return."""
    if method == "rrf":
        return 1 / (k + ranks(hits)[doc]) if doc in hits else 0.0
    if not hits:
        return 0.0
    values = list(hits.values())
    least, most = min(values), max(values)
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    score = hits.get(doc, known.get(doc))
    if method == "theoretical-min" and bound is not None and bound < least:
        if score is None:
            return 0.0 if least == most else (least - bound) / (most - bound)
        return (score - bound) / (most - bound)
    if least == most:
        returned = score is not None and score >= least
        return {"z-score": (-1.0, 0.0), "dbsf": (0.0, 0.5)}.get(method, (0.0, 1.0))[returned]
    if method == "z-score":
        return ((least if score is None else score) - mean) / deviation
    if method == "dbsf":
        low = (least - mean + 3 * deviation) / (6 * deviation)
        return min(0.0, low) if score is None else (score - mean + 3 * deviation) / (6 * deviation)
    return 0.0 if score is None else (score - least) / (most - least)


def fused(
    method: str,
    branches: Sequence[Scores],
    weights: Sequence[float],
    *,
    k: float = 60.0,
    depth: int | None = None,
    known: Sequence[Scores] | None = None,
    bounds: Sequence[float | None] | None = None,
) -> dict[int, float]:
    """The fused score of every document that some branch returned."""
    lists = [top(hits, depth) for hits in branches]
    known = [{} for _ in lists] if known is None else known
    bounds = [None for _ in lists] if bounds is None else bounds
    total: dict[int, float] = {}
    for doc in sorted(set().union(*lists)):
        values = [
            value(method, doc, hits, extra, k, bound)
            for hits, extra, bound in zip(lists, known, bounds, strict=True)
        ]
        if method == "max":
            counted = [w / max(weights) * v for w, v in zip(weights, values, strict=True) if w > 0]
            total[doc] = max(counted)
        else:
            scale = sum(1 for w in weights if w > 0) if method == "rrf" else 1
            total[doc] = scale * math.fsum(
                w / math.fsum(weights) * v for w, v in zip(weights, values, strict=True)
            )
    return total
