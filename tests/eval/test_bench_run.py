"""The benchmark from end to end on tiny data: processes, tables, JSON, pictures, command line."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from lsr.errors import LsrError, UsageError
from lsr_eval.bench.ablation import run_ablation
from lsr_eval.bench.client import EngineFailureError, EngineProcess
from lsr_eval.bench.engines import PEERS
from lsr_eval.bench.engines.base import Setting, Variant
from lsr_eval.bench.growth import plot_growth, run_growth
from lsr_eval.bench.machine import peak_memory_bytes
from lsr_eval.bench.plot import plot_latency_against_recall
from lsr_eval.bench.records import Benchmark, Measurement, Ratio
from lsr_eval.bench.report import print_report
from lsr_eval.bench.run import Options, claim_folder, run_benchmark
from lsr_eval.bench.workload import Workload
from lsr_eval.measures.latency import Percentiles
from lsr_service.cli.commands.bench import bench
from tests.eval.bench_vectors import save_vectors

MODULES = {
    "splade-index": "splade_index",
    "bmp": "bmp",
    "seismic": "seismic",
    "scipy": "scipy",
    "pisa": "pyterrier_pisa",
}


def _silent(stage: str, done: int, total: int | None) -> None:
    """Show nothing."""


@pytest.fixture(autouse=True)
def short_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure throughput, but not for long."""
    monkeypatch.setattr("lsr_eval.bench.rounds.THROUGHPUT_PASS_S", 0.005)


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    return Workload(*save_vectors(tmp_path))


def _compare(workload: Workload, peers: list[str], **options: Any) -> Benchmark:
    chosen = Options([5, 50], peers, rounds=2, trial_queries=12, **options)
    return run_benchmark(workload, chosen, _silent)


def test_comparison_with_scipy(workload: Workload, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    result = _compare(workload, ["scipy"], folder=folder)
    assert result.skipped == {}
    assert {(m.engine, m.k) for m in result.measurements} == {
        (engine, k) for engine in ("lsr", "scipy") for k in (5, 50)
    }
    for m in result.measurements:
        assert m.recall >= (1.0 if m.engine == "scipy" else 0.95)
        assert 0 < m.cpu.p50 <= m.cpu.p95 <= m.cpu.p99
        assert m.queries_per_s[1] > 0
    for build in result.builds:
        assert build.bytes > 0
        assert build.open_ms > 0
        assert build.first_query_ms > 0
        assert build.peak_rss_bytes >= build.input_rss_bytes
    assert {(ratio.peer, ratio.k) for ratio in result.ratios} == {("scipy", 5), ("scipy", 50)}
    assert (folder / "scipy" / "default" / "data.npy").is_file()
    known = folder / "scipy" / "default" / "known.json"
    before = known.stat().st_mtime_ns
    again = _compare(workload, ["scipy"], folder=folder, throughput=False)
    assert known.stat().st_mtime_ns == before, "the peer is not built twice"
    assert again.builds[1] == result.builds[1]
    with pytest.raises(UsageError, match="another workload"):
        claim_folder(folder, replace(workload, shuffle=1))
    with pytest.raises(UsageError, match="not empty"):
        claim_folder(tmp_path, workload)


@pytest.mark.slow
@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer != "scipy"])
def test_comparison_with_each_peer(workload: Workload, peer: str) -> None:
    if importlib.util.find_spec(MODULES[peer]) is None:
        pytest.skip(f"needs {peer}, of the extra [peers]")
    result = _compare(workload, [peer])
    assert result.skipped == {}
    measured = [m for m in result.measurements if m.engine == peer]
    assert {m.k for m in measured} == {5, 50}
    assert max(m.recall for m in measured) >= 0.9
    assert {ratio.k for ratio in result.ratios} == {5, 50}


def test_failure_of_an_engine_is_told_in_a_line(workload: Workload, tmp_path: Path) -> None:
    with EngineProcess("scipy", workload) as process:
        with pytest.raises(EngineFailureError, match=r"scipy: FileNotFoundError: .*data\.npy"):
            process.ask("open", folder=str(tmp_path), cores=[0], n_terms=400, k=1, params={})
        process.kill()
        with pytest.raises(EngineFailureError, match=r"scipy: the process ended \(signal 9\)"):
            process.ask("throughput")


def test_memory_limit_stops_the_engine_not_the_machine(workload: Workload, tmp_path: Path) -> None:
    limit = peak_memory_bytes() + (1 << 30)
    with EngineProcess("scipy", workload, memory_limit_bytes=limit) as process:
        process.ask("build", folder=str(tmp_path / "fits"), params={})
    with (
        pytest.raises(EngineFailureError),
        EngineProcess("scipy", workload, memory_limit_bytes=1 << 20) as process,
    ):
        process.ask("build", folder=str(tmp_path / "does-not"), params={})


def _ready_made() -> Benchmark:
    times = Percentiles(100.0, 300.0, 400.0, 110.0)
    measurements = [
        Measurement("lsr", "default", "exact", {}, 10, 0.992, times, times, 1, {1: 9e3, 2: 17e3}),
        Measurement("seismic", "default", "cut=4", {"query_cut": 4}, 10, 0.96, times, times),
    ]
    return Benchmark(
        workload={"n_docs": 10, "terms_per_doc": 2.0, "n_queries": 3, "terms_per_query": 1.0,
                  "shuffle": None},
        method={"rounds": 1, "pinned_to_core": 0, "warm_up_queries": 2, "depths": [10]},
        machine={"cpu_model": "X", "cores": 2, "caches": {"L1 data": "32K"}, "python": "3.11",
                 "versions": {"numpy": "2"}, "load_average": 0.1},
        measurements=measurements,
        trials=measurements,
        ratios=[Ratio("seismic", 10, 0.95, "default", "cut=4", 0.96, 0.5, 0.6)],
        skipped={"bmp b=8": "bmp: ModuleNotFoundError: No module named 'bmp'"},
    )  # fmt: skip


def test_report_shows_what_was_measured_and_what_was_not() -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_report(_ready_made(), console)
    console.file.close()
    text = console.export_text()
    assert "lsr · default · exact" in text
    assert "1.89×" in text, "two threads over one"
    assert "seismic at recall ≥ 0.95" in text
    assert "0.50×" in text
    assert "left out: bmp b=8 (bmp: ModuleNotFoundError" in text


def test_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_latency_against_recall(_ready_made(), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_json_has_the_stable_form() -> None:
    from lsr_eval.bench.records import as_json

    figures = orjson.loads(as_json(vars(_ready_made())))
    assert figures["schema"] == 1
    assert sorted(figures) == [
        "builds", "created", "machine", "measurements", "method", "ratios", "schema", "skipped",
        "trials", "workload",
    ]  # fmt: skip
    assert sorted(figures["measurements"][0]) == [
        "cpu", "engine", "k", "params", "queries_per_s", "recall", "repeats", "setting", "variant",
        "wall",
    ]  # fmt: skip
    assert figures["ratios"][0] == asdict(_ready_made().ratios[0])


def test_ablation_changes_one_thing_at_a_time(workload: Workload) -> None:
    result = run_ablation(
        workload,
        [5],
        1,
        _silent,
        settings=(Setting("without block bounds", {"bounds": False}),),
        variants=(Variant("blocks of 32", {"block_size": 32}),),
    )
    assert [(m.variant, m.setting) for m in result.measurements] == [
        ("as built by default", "all optimisations"),
        ("as built by default", "without block bounds"),
        ("blocks of 32", "all optimisations"),
    ]
    assert len({m.recall for m in result.measurements}) == 1, "no optimisation changes the answers"
    assert result.table().row_count == 3


def test_growth_measures_each_size(workload: Workload, tmp_path: Path) -> None:
    result = run_growth(workload, [2000, 500], [5], 1, _silent)
    assert [size.n_docs for size in result.sizes] == [500, 2000]
    assert result.sizes[1].n_postings > 3 * result.sizes[0].n_postings
    assert all(size.cpu[5].p50 > 0 and size.bytes > 0 for size in result.sizes)
    assert result.table().row_count == 10
    pytest.importorskip("matplotlib")
    plot_growth(result, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def _invoke(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(bench)
    return CliRunner().invoke(app, list(arguments))


def test_command_writes_json(workload: Workload, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    paths = ("--docs", workload.docs, "--queries", workload.queries)
    quick = ("--k", "5", "--peers", "", "--rounds", "1", "--no-throughput", "-o", str(out))
    done = _invoke(*paths, *quick)
    assert done.exit_code == 0, done.output
    assert "lsr · default · exact" in done.stdout
    assert orjson.loads(out.read_bytes())["workload"]["n_docs"] == 1500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--k", "ten"), "--k: expected whole numbers"),
        (("--k", "0"), "--k: expected whole numbers"),
        (("--peers", "lucene"), "no such peer: lucene"),
        (("--ablation", "--growth", "5"), "two different measurements"),
        (("--ablation", "--plot", "x.png"), "an ablation is a table"),
        (("--growth", "a"), "--growth: expected whole numbers"),
    ],
)
def test_command_refuses(workload: Workload, arguments: tuple[str, ...], message: str) -> None:
    done = _invoke("--docs", workload.docs, "--queries", workload.queries, *arguments)
    assert isinstance(done.exception, LsrError)
    assert message in str(done.exception)
