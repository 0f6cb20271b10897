"""Checkpoints: the complete state of a run, to resume it without a difference.

Files are written under a temporary name and renamed, so that they are complete. They are read
without running pickled code (``weights_only``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lsr.errors import UsageError
from lsr.files import atomic_path
from lsr_training.failures import TrainingError

LAST, BEST = "last.pt", "best.pt"


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically: tensors, numbers, strings, lists and dicts of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint, or raise TrainingError where the file is damaged or none."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever a damaged archive leads to
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(
            f"{path}: the checkpoint cannot be read ({reason[:200]}); remove it to start over"
        ) from error
    if not isinstance(state, dict) or "step" not in state:
        raise TrainingError(f"{path}: is no checkpoint of a training run")
    return state


def require_same_run(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise UsageError, naming the keys, where a checkpoint is of another recipe or other data."""
    ours, theirs = _flattened(wanted), _flattened(stored)
    differing = sorted(
        key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)
    )
    if differing:
        shown = "; ".join(
            f"{key}: {theirs.get(key)!r:.60} there, {ours.get(key)!r:.60} now"
            for key in differing[:5]
        )
        raise UsageError(
            f"{path}: the run there has another recipe or other data ({shown}); "
            "choose another output, or start over with --restart"
        )


def _flattened(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and lists as one mapping of dotted keys."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat.update(_flattened(inner, f"{prefix}.{key}" if prefix else str(key)))
    return flat
