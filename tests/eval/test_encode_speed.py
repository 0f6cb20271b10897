"""The comparison of encoding speed, on texts too few to measure anything."""

import json

import pytest

from lsr_eval.bench.encode_speed import Timing, main, ratios
from tests.shared import shared_path


def test_ratios_are_to_the_default_and_to_the_best_of_each_clock() -> None:
    timings = [
        Timing("lsr", 60, 30, 9.0, 0.0),
        Timing("sentence-transformers, batch 4", 20, 6, 9.0, 1e-6),
        Timing("sentence-transformers, batch 32", 10, 10, 9.0, 1e-6),
    ]
    assert ratios(timings) == {
        "wall_default": 6,
        "wall_best": 3,
        "cpu_default": 3,
        "cpu_best": 3,
    }


def test_an_unknown_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    corpus = str(shared_path("data/collections/xquad-en"))
    assert main([corpus, "--model", "no such folder", "--docs", "2"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_both_engines_make_the_same_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sentence_transformers", reason="needs the extra [peers]")
    corpus = str(shared_path("data/collections/xquad-en"))
    model = str(shared_path("models/splade-tiny"))
    arguments = [corpus, "--model", model, "--docs", "3", "--rounds", "1", "--peer-batches", "2"]
    assert main([*arguments, "--max-length", "32", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    ours, peer = result["timings"]
    assert (ours["engine"], peer["engine"]) == ("lsr", "sentence-transformers, batch 2")
    assert peer["largest_difference"] < 1e-4
    assert peer["terms_per_document"] == ours["terms_per_document"] > 10
    assert result["settings"]["docs"] == 3
