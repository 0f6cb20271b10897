"""What is shipped, and what importing it loads."""

import importlib.metadata
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import SLOW_FILES
from tests.shared import ROOT, run_python
from tests.smoke import Installed

PACKAGES = {"lsr", "lsr_index", "lsr_service", "lsr_training", "lsr_eval"}
MODEL_FILES = ("encoder-int8.onnx", "composite.json", "tokenizer.json", "README.md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this tree."""
    pytest.importorskip("hatchling", reason="the build backend is in the extra [dev]")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    (path,) = folder.glob("lsr_engine-*.whl")
    return path


def new_environment(folder: Path, *install: str) -> Path:
    """Make an environment that has the dependencies of this one, and lsr as pip installs it.

    The dependencies are found through a path file: they are 850 MB, too much to install for a
    test. This project is found only where pip puts it, since path files of a folder that a path
    file names are not read.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    found = {str(dist.locate_file("")) for dist in importlib.metadata.distributions()}
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in sorted(found)))
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    # An lsr that lies beside the dependencies is none of pip's business.
    command += ["--ignore-installed", "--no-index", "--no-build-isolation", "--quiet", *install]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return python


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return an environment with the wheel in it."""
    python = new_environment(tmp_path_factory.mktemp("environment"), str(wheel))
    return Installed(python, tmp_path_factory.mktemp("project"))


def test_wheel_holds_exactly_the_five_packages(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel).namelist()
    assert {f"lsr/models/lsr-tiny-en/{name}" for name in MODEL_FILES} <= set(files)
    names = {name.split("/")[0] for name in files}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES


def test_wheel_adds_only_names_of_its_own(installed: Installed) -> None:
    site = Path(installed.python(_SITE_PACKAGES).strip())
    assert site.name == "site-packages"
    assert ROOT not in site.parents
    added = {path.name for path in site.iterdir()} - {"dependencies.pth"}
    assert {name for name in added if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_wheel_beside_modules_of_the_same_names(installed: Installed) -> None:
    installed.five_lines()
    installed.commands()


def test_import_is_quick(installed: Installed) -> None:
    assert installed.import_seconds() < 0.1


def test_editable_install(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is in the extra [dev]")
    (tmp_path / "environment").mkdir()
    (tmp_path / "project").mkdir()
    python = new_environment(tmp_path / "environment", "-e", str(ROOT))
    installed = Installed(python, tmp_path / "project")
    assert Path(installed.python(_SITE_PACKAGES).strip()) == ROOT
    installed.lsr("--help")
    installed.python("import lsr_index, lsr_service, lsr_training, lsr_eval")


_SITE_PACKAGES = "import lsr, pathlib; print(pathlib.Path(lsr.__file__).parent.parent)"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_importing_loads_no_neural_library(package: str) -> None:
    heavy = run_python(
        f"import {package}, sys; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    )
    assert heavy.strip() == "[]"


def test_the_files_that_quick_leaves_out_exist() -> None:
    assert {name for name in SLOW_FILES if not (ROOT / "tests" / name).is_file()} == set()


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
