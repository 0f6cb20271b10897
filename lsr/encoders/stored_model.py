"""Trust in the model that an index names: only one that this user has named before is loaded.

Whoever made the index chose that name, and an index can come from a stranger. So a stored hub id is
looked up in the local cache only (no network, no token), and a stored folder is read only when this
user has named it to `find_model` before, or when it lies in a folder of the environment variable
``LSR_MODEL_FOLDERS``.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from lsr.errors import LsrError, ModelError
from lsr.files import write_text

FOLDERS_VARIABLE = "LSR_MODEL_FOLDERS"
"""Folders, separated as in PATH, whose models any index may name."""

_MAX_REMEMBERED = 1000

_named: set[Path] = set()
"""Folders that were named in this process, also where nothing can be written."""


def remember_folder(folder: Path) -> None:
    """Note that this user named a (resolved) model folder, so that an index made with it opens."""
    if folder in _named:
        return
    _named.add(folder)
    path = _record_path()
    known = _remembered(path)
    if path is None or folder in known:
        return
    kept = [*(each for each in known if each.is_dir()), folder][-_MAX_REMEMBERED:]
    with suppress(OSError, LsrError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(path, [f"{json.dumps(str(each))}\n" for each in kept])


def require_named(name: str) -> Path:
    """Return the folder (absolute) that an index names as its model, if this user chose it.

    Raises ModelError otherwise, and when there is no such folder.
    """
    path = Path(name)
    # Compared as text before anything is touched: a name can point at an automount or a share.
    allowed = path in _named or path in _remembered(_record_path()) or _is_below_allowed(path)
    if not allowed:
        raise ModelError(
            f"the index names the model folder {name}, which was not used on this machine by this "
            "user, so it is not read; if you trust it, give it as the encoder, or set "
            f"{FOLDERS_VARIABLE} to the folder that holds it"
        )
    if not path.is_dir():
        raise ModelError(f"{name}: no such folder")
    return path


def _is_below_allowed(path: Path) -> bool:
    if not path.is_absolute() or ".." in path.parts:
        return False
    given = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    return any(path.is_relative_to(folder) for folder in given if folder)


def _record_path() -> Path | None:
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:  # a user without a home
        return None
    return Path(state) / "lsr" / "model-folders.jsonl"


def _remembered(path: Path | None) -> list[Path]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return [Path(json.loads(line)) for line in lines if line]
    except (OSError, ValueError, TypeError):
        return []
