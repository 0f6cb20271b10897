"""What is shipped, and what importing it loads."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.shared import ROOT, run_python

PACKAGES = {"lsr", "lsr_index", "lsr_service", "lsr_training", "lsr_eval"}
MODEL_FILES = ("encoder-int8.onnx", "composite.json", "tokenizer.json", "README.md")


def test_wheel_holds_exactly_the_five_packages(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is in the extra [dev]")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    (wheel,) = tmp_path.glob("lsr_engine-*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {f"lsr/models/lsr-tiny-en/{name}" for name in MODEL_FILES} <= set(files)
    names = {name.split("/")[0] for name in files}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_importing_loads_no_neural_library(package: str) -> None:
    heavy = run_python(
        f"import {package}, sys; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    )
    assert heavy.strip() == "[]"


def test_every_dependency_has_an_exact_version_for_the_set_up_commands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    for requirement in wanted:
        name = requirement.split(">=")[0].split("[")[0].lower().replace("_", "-")
        assert name in pinned, f"{name} has no exact version in constraints.txt"
