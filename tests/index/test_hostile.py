"""Well-checksummed files that lie, against the default open and every kind of search."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lsr_index.segment.format import DTYPES
from tests.index.faults.scale import SCALE, time_limit
from tests.shared import ROOT

# Arrays in which wrong numbers must be found: kernels index with them, or they place bytes. What
# the others hold decides about answers only; their lengths are checked all the same.
INDEXED = {
    *(f"postings/{name}" for name in ("row_of_term", "range_base", "offsets", "slots")),
    *(f"docnos/{name}" for name in ("offsets", "order")),
    *(f"documents/{name}" for name in ("first_docs", "starts", "sizes", "crc32", "data")),
}
DENSE = {f"dense/{name}" for name in ("documents", "rows", "starts")}


@pytest.mark.slow
@time_limit
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_hostile_files_lead_nowhere(dense: bool, tmp_path: Path) -> None:
    """Kernels run without bounds checks, as for users; LSR_FAULT_SCALE=67 tries 20,000 files."""
    if dense:
        pytest.importorskip("faiss")
    count = int(300 * SCALE)
    done = subprocess.run(
        [sys.executable, "-m", "tests.index.faults.hostile", str(tmp_path), str(count), "40",
         *["dense"] * dense],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "NUMBA_BOUNDSCHECK": "0", "PYTHONFAULTHANDLER": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    outcomes = {name: tuple(pair) for name, pair in found["outcomes"].items()}
    print(outcomes)  # noqa: T201
    # Every array of the postings was forged, and its forgeries came as far as its own checks.
    wanted = {f"postings/{name}" for name in DTYPES} | INDEXED | (DENSE if dense else set())
    assert wanted <= outcomes.keys() | {"postings/slot_docs"}
    assert all(outcomes[name][0] > 0 for name in INDEXED | (DENSE if dense else set()))
    assert found["grown"] < 200 << 20
