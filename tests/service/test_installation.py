"""A foreign package in the place of one of ours is explained."""

import subprocess
import sys
from pathlib import Path

import pytest

from lsr.installation import InstallationError, check_siblings
from tests.shared import ROOT


def test_our_own_packages_pass() -> None:
    check_siblings()


def test_packages_from_another_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InstallationError, match=f"'index' is imported from {ROOT}/index, not from"):
        check_siblings(tmp_path)


@pytest.mark.parametrize("name", ["index", "service", "eval"])
def test_start_up_with_a_foreign_package_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    code = (
        "import sys, lsr; sys.path.insert(0, sys.argv.pop(1)); "
        "from lsr.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the package {name!r} is imported from {tmp_path}")
    assert len(done.stderr.splitlines()) == 1
