"""What tests of all folders need: shared data and models, an interpreter of their own.

Tests that need shared data skip visibly without.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run_python(code: str, *arguments: object, **more: Any) -> str:
    """Run a program in a fresh interpreter, which has to end well, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": False, **more},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shared_path(relative: str) -> Path:
    """Return a path below the shared folder, or skip the test when it is not there."""
    base = Path(os.environ.get("LSR_SHARED", ROOT.parent / "shared"))
    path = base / relative
    if not path.exists():
        pytest.skip(f"needs {relative} of the shared folder, which is not beside the repository")
    return path
