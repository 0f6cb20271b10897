"""Imports run one way: no circle between files, imports inside functions and for types included.

import-linter holds the layers (pyproject.toml); a circle between two files of one room passes it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tests.shared import ROOT

PACKAGES = {
    "lsr": ROOT / "lsr",
    "lsr_index": ROOT / "index" / "lsr_index",
    "lsr_eval": ROOT / "eval" / "lsr_eval",
    "lsr_training": ROOT / "training" / "lsr_training",
    "lsr_service": ROOT / "service" / "lsr_service",
}

FRONT_DOOR = "lsr"
"""It names what all packages offer, for type checkers, and imports it when it is first used."""


def modules(packages: dict[str, Path]) -> dict[str, Path]:
    """Return the file of each module by its dotted name."""
    found = {}
    for package, folder in packages.items():
        for file in folder.rglob("*.py"):
            parts = [package, *file.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(source: str, package: str, known: set[str]) -> Iterator[str]:
    """Yield the modules that a module of `package` imports anywhere in its source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*above, *([node.module] if node.module else [])])
            base = base if node.level else node.module or ""
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield from [name] if name in known else [base] if base in known else []


def circles(packages: dict[str, Path]) -> list[set[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    found = modules(packages)
    names = list(found)
    arrows = []
    for name, file in found.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for other in imported(file.read_text(encoding="utf-8"), package, set(found)):
            if other != name and name != FRONT_DOOR:
                arrows.append((names.index(name), names.index(other)))
    rows, columns = np.array(arrows).T
    graph = coo_array((np.ones(len(arrows)), (rows, columns)), (len(names), len(names)))
    n_parts, part_of = connected_components(graph, connection="strong")
    parts: list[set[str]] = [set() for _ in range(n_parts)]
    for name, part in zip(names, part_of, strict=True):
        parts[part].add(name)
    return [part for part in parts if len(part) > 1]


def test_no_circle_between_files() -> None:
    assert [sorted(part) for part in circles(PACKAGES)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import p.a",
        "from p import a",
        "from p.a import x",
        "from . import a",
        "from .a import x",
        "def late():\n    from p.a import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import x",
    ],
)
def test_every_kind_of_import_is_seen(source: str, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "a.py").write_text("import p.b\n")
    (tmp_path / "b.py").write_text(source)
    assert circles({"p": tmp_path}) == [{"p.a", "p.b"}]
