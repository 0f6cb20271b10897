"""TensorBoard log of a run: the numbers of `lsr_training.trainer.journal`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsr.errors import MissingDependencyError

FOLDER = "tensorboard"


class Board:
    """Writes records as scalars.

    Parameters
    ----------
    output : Path
        Folder of the run; events go to ``tensorboard`` in it.
    step : int
        Values of later steps are hidden, because these steps are repeated.

    Raises
    ------
    MissingDependencyError
        Without the package tensorboard.
    """

    def __init__(self, output: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError("tensorboard: true", "tensorboard") from error
        self._writer = SummaryWriter(str(output / FOLDER), purge_step=step + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record at its ``step``, under their dotted keys."""
        kind = str(record["kind"])
        for name, value in _numbers(record, kind):
            self._writer.add_scalar(name, value, int(record["step"]))
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def _numbers(record: Mapping[str, Any], prefix: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in record.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            found += _numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "step":
            found.append((name, float(value)))
    return found
