"""A forked child can search and does not hold its parent's locks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lsr_index import build_index
from lsr_index.storage.dense_part import DenseSpec
from tests.index.collections import numbered
from tests.index.dense.collections import DIMENSION, clustered, dense_batch
from tests.index.faults.scale import SCALE, time_limit
from tests.shared import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

N_FORKS = max(1, round(60 * SCALE))
SECONDS = 60.0


@time_limit
def test_searches_in_forked_children_end(tmp_path: Path) -> None:
    batch = dense_batch(numbered(300), clustered(np.random.default_rng(0), 300))
    build_index(tmp_path / "x", [batch], dense=DenseSpec(DIMENSION)).close()
    command = [sys.executable, "-m", "tests.index.forking", str(tmp_path / "x")]
    done = subprocess.run(
        [*command, str(N_FORKS), str(SECONDS)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == str({0: N_FORKS}), done.stdout + done.stderr
