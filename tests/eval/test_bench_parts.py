"""The parts of the benchmark: vectors, exact scores, clock, choice of settings, ratios."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, load_npz, save_npz

from lsr.errors import UsageError, VectorError
from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr.vectors import write_parquet
from lsr_eval.bench.engines import SPECS, engine_specs
from lsr_eval.bench.engines.base import Setting, Variant
from lsr_eval.bench.exact import ExactScores
from lsr_eval.bench.machine import CLOCKS_PER_CALL, clock_cost_ns, time_calls
from lsr_eval.bench.records import Measurement
from lsr_eval.bench.trials import choose_operating_points, ratios_against_peers
from lsr_eval.bench.workload import Workload, load_vectors, write_npz
from lsr_eval.measures.latency import Percentiles
from tests.eval.bench_vectors import random_vectors, save_vectors


def test_half_precision_file_is_read_as_float32(tmp_path: Path) -> None:
    vectors = random_vectors(20, 50, 5, seed=0)
    halved = csr_array(
        (vectors.data.astype(np.float16), vectors.indices, vectors.indptr), shape=vectors.shape
    )
    save_npz(tmp_path / "half.npz", halved)
    read = load_vectors(tmp_path / "half.npz")
    assert read.dtype == np.float32
    assert read.shape == vectors.shape
    np.testing.assert_allclose(read.toarray(), vectors.toarray(), rtol=1e-3)


def test_parquet_and_npz_give_the_same_vectors(tmp_path: Path) -> None:
    vectors = random_vectors(20, 50, 5, seed=0)
    ids = [str(i) for i in range(20)]
    batch = DocumentBatch(ids, SparseBatch.from_scipy(vectors), [""] * 20, [""] * 20, [{}] * 20)
    write_parquet(tmp_path / "vectors.parquet", [batch])
    read = load_vectors(tmp_path / "vectors.parquet")
    np.testing.assert_array_equal(read.toarray(), vectors.toarray()[:, : read.shape[1]])


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_bad_weight_is_refused_with_its_place(tmp_path: Path, weight: float) -> None:
    save_npz(tmp_path / "bad.npz", csr_array(np.array([[0, 1.0], [weight, 0]], np.float32)))
    with pytest.raises(VectorError, match=r"bad\.npz: row 1, term 0: expected a weight"):
        load_vectors(tmp_path / "bad.npz")


def test_file_that_is_no_matrix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not a matrix")
    with pytest.raises(VectorError, match=r"text\.npz: not a SciPy sparse matrix"):
        load_vectors(tmp_path / "text.npz")
    with pytest.raises(VectorError, match="no such file"):
        load_vectors(tmp_path / "absent.npz")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_streamed_file_equals_the_blocks(tmp_path: Path, dtype: str) -> None:
    first, second = random_vectors(7, 30, 4, seed=3), random_vectors(5, 30, 4, seed=4)
    second.data[0] = 1e-12
    blocks = [SparseBatch.from_scipy(part) for part in (first, second)]
    nnz = write_npz(tmp_path / "out.npz", blocks, 30, dtype)  # type: ignore[arg-type]
    read = load_npz(tmp_path / "out.npz")
    assert read.shape == (12, 30)
    assert read.dtype == dtype
    assert nnz == read.nnz == first.nnz + second.nnz
    assert (read.data > 0).all(), "a tiny weight must not become zero"
    expected = np.concatenate([first.toarray(), second.toarray()])
    np.testing.assert_allclose(read.astype(np.float32).toarray(), expected, rtol=1e-3, atol=1e-7)


def test_workload_shuffles_and_limits(tmp_path: Path) -> None:
    docs, queries = save_vectors(tmp_path, n_docs=50, n_queries=10)
    plain = Workload(docs, queries).load_docs()
    shuffled = Workload(docs, queries, shuffle=5).load_docs()
    assert not np.array_equal(shuffled.toarray(), plain.toarray())
    assert sorted(map(tuple, shuffled.toarray())) == sorted(map(tuple, plain.toarray()))
    limited = Workload(docs, queries, docs_limit=7, queries_limit=3)
    assert limited.load_docs().shape[0] == 7
    assert limited.load_queries(400).shape == (3, 400)
    assert limited.load_queries(100).shape == (3, 100)
    with pytest.raises(UsageError, match="neither shuffled nor limited"):
        Workload(docs, queries, synthetic=10, shuffle=1)


def test_recall_equals_brute_force() -> None:
    docs, queries = random_vectors(300, 60, 8, seed=5), random_vectors(9, 60, 4, seed=6)
    exact = ExactScores(docs, queries, [1, 10, 299])
    scores = (queries.astype(np.float64) @ docs.astype(np.float64).T).toarray()
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 10, 299):
        assert exact.recall(order[:, :k], k) == 1.0
    half = order[:, :10].copy()
    half[:, 5:] = order[:, -5:]
    half[scores[np.arange(9)[:, None], half] == 0] = -1
    assert exact.recall(half, 10) == pytest.approx(0.5)
    assert exact.recall(order[::3, :10], 10, every=3) == 1.0


def test_recall_takes_either_of_two_tied_documents_but_no_document_twice() -> None:
    docs = csr_array(np.array([[2.0, 0], [1, 0], [1, 0], [0, 1]], np.float32))
    exact = ExactScores(docs, csr_array(np.array([[1.0, 0]], np.float32)), [2, 4])
    assert exact.recall(np.array([[0, 1]]), 2) == 1.0
    assert exact.recall(np.array([[0, 2]]), 2) == 1.0
    assert exact.recall(np.array([[0, 3]]), 2) == 0.5
    assert exact.recall(np.array([[0, 0]]), 2) == 0.5
    assert exact.recall(np.array([[0, 1, 2, -1]]), 4) == 1.0, "only three documents match"


def test_short_calls_are_repeated_within_a_timed_region() -> None:
    calls: list[int] = []
    timings = time_calls(calls.append, list(range(30)), warm_up=5)
    assert timings.repeats > 1
    assert len(calls) == 5 + 30 * timings.repeats
    assert timings.repeats * np.median(timings.wall_ns) < 100 * CLOCKS_PER_CALL * clock_cost_ns()


def test_long_calls_are_timed_once_each() -> None:
    timings = time_calls(lambda pause: time.sleep(pause), [0.002, 0.004], warm_up=1)
    assert timings.repeats == 1
    assert timings.wall_ns[0] >= 2e6
    assert timings.wall_ns[1] >= 4e6
    assert (timings.cpu_ns < timings.wall_ns).all(), "sleeping takes no CPU time"


def _measured(engine: str, name: str, k: int, p50: float, recall: float = 1.0) -> Measurement:
    variant, setting = name.split("/")
    cpu = Percentiles(p50, 2 * p50, 3 * p50, p50)
    return Measurement(engine, variant, setting, {}, k, recall, cpu, cpu)


def _named(engine: str, variants: str, settings: str):  # type: ignore[no-untyped-def]
    return replace(
        SPECS[engine],
        variants=tuple(Variant(name) for name in variants),
        settings=tuple(Setting(name) for name in settings),
    )


def test_exact_peer_enters_at_its_fastest_and_what_may_be_as_fast() -> None:
    spec = _named("bmp", "abc", "s")
    times = {"a": 10.0, "b": 11.0, "c": 20.0}
    trials = [_measured("bmp", f"{name}/s", 10, p50) for name, p50 in times.items()]
    assert [entry.variant.name for entry in choose_operating_points(spec, trials, [10])] == [
        "a",
        "b",
    ]
    assert choose_operating_points(spec, trials, [100]) == []


def test_approximate_peer_enters_at_its_fastest_per_recall() -> None:
    spec = _named("seismic", "v", "abcd")
    trials = [
        _measured("seismic", "v/a", 10, 1.0, recall=0.80),
        _measured("seismic", "v/b", 10, 2.0, recall=0.95),
        _measured("seismic", "v/c", 10, 4.0, recall=0.97),
        _measured("seismic", "v/d", 10, 9.0, recall=0.98),
    ]
    chosen = [entry.setting.name for entry in choose_operating_points(spec, trials, [10])]
    assert chosen == ["b", "c"], "a misses every target, d is the fastest at none"


def test_ratio_is_taken_against_the_best_that_reaches_the_recall() -> None:
    measurements = [
        _measured("lsr", "default/exact", 10, 100.0, recall=0.99),
        _measured("bmp", "b=8/x", 10, 400.0, recall=0.97),
        _measured("bmp", "b=16/x", 10, 500.0, recall=0.97),
        _measured("seismic", "v/a", 10, 50.0, recall=0.93),
        _measured("seismic", "v/b", 10, 200.0, recall=0.96),
    ]
    found = ratios_against_peers(measurements, engine_specs(["lsr", "bmp", "seismic"]))
    by_name = {(ratio.peer, ratio.recall_target): ratio.p50 for ratio in found}
    assert by_name == {("bmp", None): 0.25, ("seismic", 0.90): 2.0, ("seismic", 0.95): 0.5}


def test_unknown_peer_is_named() -> None:
    with pytest.raises(UsageError, match="no such peer: lucene; choose from splade-index, bmp"):
        engine_specs(["bmp", "lucene"])
