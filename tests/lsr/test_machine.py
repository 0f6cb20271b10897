"""The number of cores, with and without the calls that only some systems have."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lsr.machine import cpu_count, cpu_ids

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("hidden", [(), ("process_cpu_count",)])
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_an_affinity_mask_counts(hidden: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hidden:
        monkeypatch.delattr(os, name, raising=False)
    everything = os.sched_getaffinity(0)
    assert cpu_ids() == sorted(everything)
    assert cpu_count() == len(everything)
    try:
        os.sched_setaffinity(0, {max(everything)})
        assert cpu_ids() == [max(everything)]
        assert cpu_count() == 1
    finally:
        os.sched_setaffinity(0, everything)


@pytest.mark.parametrize(("cores", "expected"), [(6, 6), (None, 1)])
def test_systems_without_affinity(
    cores: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("process_cpu_count", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert cpu_ids() == list(range(expected))
    assert cpu_count() == expected


@pytest.mark.parametrize(("cores", "expected"), [(3, 3), (None, 1)])
def test_python_tells(cores: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: cores, raising=False)
    assert cpu_count() == expected


def test_nobody_else_counts_cores() -> None:
    asks = re.compile(r"sched_getaffinity|os\.(process_)?cpu_count")
    found = [
        str(path.relative_to(ROOT))
        for package in ("lsr", "index", "eval", "training", "service")
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "lsr/machine.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if asks.search(line)
    ]
    assert found == []
