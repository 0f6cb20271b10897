"""kill -9 on the real disk: at random moments and at every operation."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index.faults.scale import SCALE, time_limit
from tests.shared import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill does not lose what was not synced."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


def run(folder: Path, mode: str, count: int, seed: int, *more: str) -> dict[str, int]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.index.faults.killed",
            str(folder),
            mode,
            str(count),
            str(seed),
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, int] = json.loads(done.stdout)
    print(mode, found)  # noqa: T201
    return found


@pytest.mark.slow
@time_limit
def test_at_random_moments(folder: Path) -> None:
    count = int(2000 * SCALE)
    found = run(folder, "random", count, 50)
    assert found["kills"] == count
    assert found["commits"] > count / 10


@pytest.mark.slow
@time_limit
def test_before_and_after_every_operation(folder: Path) -> None:
    """As far as a few commits with a merge reach."""
    found = run(folder, "points", 10_000, 51)
    assert found["points"] >= 300


@pytest.mark.slow
@time_limit
def test_before_and_after_operations_on_dense_vectors(folder: Path) -> None:
    """As far as the first commit reaches, and a little on."""
    found = run(folder, "points", 320, 53, "dense")
    assert found["kills"] == found["points"] == 320
    assert found["commits"] > 0
