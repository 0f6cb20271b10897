"""Where the shared data and models lie; tests that need them skip visibly without."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_path(relative: str) -> Path:
    """Return a path below the shared folder, or skip the test when it is not there."""
    base = Path(os.environ.get("LSR_SHARED", ROOT.parent / "shared"))
    path = base / relative
    if not path.exists():
        pytest.skip(f"needs {relative} of the shared folder, which is not beside the repository")
    return path
