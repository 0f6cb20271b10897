"""Models that come with the package, each in a folder of its own with a card that describes it."""

from __future__ import annotations

from pathlib import Path

DEFAULT = "lsr-tiny-en"
"""The encoder that is used when none is named."""


def packaged_model(name: str) -> Path | None:
    """Return the folder of a model that comes with the package, or None."""
    folder = Path(__file__).parent / name
    return folder if name in _names() else None


def _names() -> list[str]:
    return [entry.name for entry in Path(__file__).parent.iterdir() if entry.is_dir()]
