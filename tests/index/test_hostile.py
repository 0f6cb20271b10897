"""Well-checksummed files that lie: `open_index(verify="structure")` is the safety boundary."""

import json
import os
import subprocess
import sys

import pytest

from lsr_index.kernels.jit import CACHE_FOLDER
from tests.index.faults.scale import SCALE, time_limit
from tests.shared import ROOT


@pytest.mark.slow
@time_limit
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_hostile_files_lead_nowhere(dense: bool) -> None:
    if dense:
        pytest.importorskip("faiss")
    count = int((2_000 if dense else 20_000) * SCALE)
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "LSR_KERNEL_CACHE": str(CACHE_FOLDER.parent / "boundscheck"),
        "PYTHONFAULTHANDLER": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.index.faults.hostile", str(count), "40", *["dense"] * dense],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print(found)  # noqa: T201
    assert found["refused"] + found["searched"] == count
    assert found["refused"] > count / 2
    assert found["searched"] > count / 100
    assert found["grown"] < 200 << 20
