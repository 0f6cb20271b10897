"""An outlier does not empty the other documents, and what quantising costs is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsr.sparse import SparseBatch
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.search.index import Index
from lsr_index.segment.quantize import MAX_LOST, MEDIANS, fit_scale
from lsr_index.storage.manifest import Loss, read_manifest
from lsr_index.update.verify import verify
from tests import oracle
from tests.index.collections import batch_of

OUTLIERS = (30.0, 1200.0, 9999.0)
Rows = dict[str, dict[int, float]]


def ordinary(n: int, seed: int = 0) -> Rows:
    """Documents that all hold term 1, and each one of its own."""
    rng = np.random.default_rng(seed)
    return {f"d{i}": {1: 1.0 + i / n, 10 + i: float(rng.uniform(0.3, 3))} for i in range(n)}


def odd(n: int, weight: float) -> Rows:
    return {f"odd{i}": {2 + i % 8: weight} for i in range(n)}


def require_exact(index: Index, rows: Rows) -> None:
    """Every document is found by each of its terms, and scores are those of stored impacts."""
    scale = index.manifest.scale
    names = index.doc_ids(index.select({}))
    assert sorted(names) == sorted(rows)
    n_clipped = 0
    for term in sorted({term for row in rows.values() for term in row}):
        weights = np.array([rows[name].get(term, 0.0) for name in names])
        impacts = np.minimum(np.rint(weights / scale), 255).astype(np.int64)
        n_clipped += int((np.rint(weights / scale) > 255).sum())
        query = SparseBatch.from_rows([{term: 1.0}])
        hits = index.search(query, k=len(names))
        expected = oracle.scores(impacts[:, None], np.zeros(1, np.uint32), query.values, 16)
        truth = oracle.best(expected, len(names))
        assert hits.rank_safe
        assert hits.int_scores.tolist() == truth.scores.tolist()
        assert hits.ordinals.tolist() == truth.ordinals.tolist()
        assert set(hits.ids) == {name for name in names if term in rows[name]}
    assert index.stats().n_clipped == n_clipped
    assert index.stats().n_dropped == 0


@pytest.mark.parametrize("weight", OUTLIERS)
@pytest.mark.parametrize(("n", "n_odd"), [(1, 1), (2, 1), (10, 1), (10, 9), (200, 40)])
def test_outliers_in_a_build(tmp_path: Path, weight: float, n: int, n_odd: int) -> None:
    rows = ordinary(n) | odd(n_odd, weight)
    with build_index(tmp_path / "x", [batch_of(rows)]) as index:
        require_exact(index, rows)
    assert verify(tmp_path / "x", 3).ok


@pytest.mark.parametrize("weight", OUTLIERS)
@pytest.mark.parametrize("n_odd", [1, 5])
@pytest.mark.parametrize("compact", [False, True])
def test_outliers_in_a_commit(tmp_path: Path, weight: float, n_odd: int, compact: bool) -> None:
    build_index(tmp_path / "x", [batch_of(ordinary(20))]).close()
    names = {f"d{i}" for i in range(20)}
    query = SparseBatch.from_rows([{1: 1.0}])
    with IndexWriter(tmp_path / "x") as writer:
        writer.add(batch_of(odd(n_odd, weight)))
        done = writer.commit()
        # A scale that fits 30 is affordable here; beyond, the outliers are clipped and told.
        assert (done.n_clipped > 0) == (weight > 1000)
        assert done.n_dropped == 0
        if compact:
            writer.delete(list(odd(n_odd, weight)))
            writer.commit()
            writer.compact()
    with open_index(tmp_path / "x") as index:
        hits = index.search(query, k=30)
        assert set(hits.ids) == names
        assert hits.rank_safe
        assert index.stats().n_clipped == done.n_clipped
    assert verify(tmp_path / "x", 3).ok


def test_outlier_after_outlier_does_not_wear_the_others_down(tmp_path: Path) -> None:
    build_index(tmp_path / "x", [batch_of(ordinary(30))]).close()
    with IndexWriter(tmp_path / "x") as writer:
        for i in range(12):
            writer.add(batch_of({f"odd{i}": {2: 5.0 * 1.9**i}}))
            writer.commit()
    with open_index(tmp_path / "x") as index:
        stats = index.stats()
        assert stats.n_dropped <= MAX_LOST * stats.n_postings
        hits = index.search(SparseBatch.from_rows([{1: 1.0}]), k=50)
        assert len(hits) == 30


def test_ordinary_weights_keep_the_scale_of_the_largest(tmp_path: Path) -> None:
    """Nothing changes for an index whose largest weight costs the others little."""
    rng = np.random.default_rng(3)
    weights = np.minimum(rng.lognormal(-1, 0.8, (300, 8)), 3.5).astype(np.float32)
    rows = {f"d{i}": {j: float(w) for j, w in enumerate(row)} for i, row in enumerate(weights)}
    with build_index(tmp_path / "x", [batch_of(rows)]) as index:
        assert index.manifest.scale == fit_scale(float(weights.max()))
        assert index.stats().n_clipped == 0


def test_what_is_lost_below_the_bound_is_told(tmp_path: Path) -> None:
    rows = ordinary(40) | {"faint": {5: 0.001}}
    with build_index(tmp_path / "x", [batch_of(rows)]) as index:
        assert (index.stats().n_dropped, index.stats().n_clipped) == (1, 0)
    with build_index(tmp_path / "y", [batch_of(rows)], max_weight=3.0) as index:
        assert (index.stats().n_dropped, index.stats().n_clipped) == (1, 0)
    with IndexWriter(tmp_path / "x") as writer:
        writer.add(batch_of({"fainter": {5: 0.0005}, "fine": {5: 1.0}}))
        assert writer.commit().n_dropped == 1
        manifest = writer.snapshot().manifest
    assert manifest.loss == Loss(0, 2)
    assert read_manifest(writer._work.files, tmp_path / "x", 2) == manifest


def test_the_range_of_clipped_weights_follows_the_median(tmp_path: Path) -> None:
    rows = {f"d{i}": {1: 1.0} for i in range(9)} | {"odd": {2: 1e4}}
    with build_index(tmp_path / "x", [batch_of(rows)]) as index:
        assert 1.0 <= index.manifest.scale * 255 / MEDIANS <= 1.125 * (1 + 1e-6)


def test_numpy_integers_are_sizes_too(tmp_path: Path) -> None:
    batch = batch_of({"a": {1: 1.0}})
    with build_index(
        tmp_path / "x", [batch], n_terms=np.int64(5), max_weight=np.float32(2)
    ) as index:
        assert index.n_terms == 5
