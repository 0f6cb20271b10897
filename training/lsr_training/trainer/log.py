"""Log of a run: JSON lines, one for each report, and on demand the same for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from lsr.errors import MissingDependencyError
from lsr.files import write_bytes

LOG, BOARD = "log.jsonl", "tensorboard"


class Log:
    """Appends records, which have the keys ``kind`` and ``step``, to the files of a run.

    Parameters
    ----------
    output : Path
        Folder of the run.
    step : int
        Step that the run resumes from: later records are removed, because they come again.
    tensorboard : bool
        Write the numbers of the records as TensorBoard scalars too.
    """

    def __init__(self, output: Path, step: int, *, tensorboard: bool) -> None:
        self._path = output / LOG
        if self._path.exists():
            kept = [line for line in self._path.read_bytes().splitlines() if _step(line) <= step]
            write_bytes(self._path, b"".join(line + b"\n" for line in kept))
        self._board = _open_board(output / BOARD, step) if tensorboard else None

    def write(self, record: dict[str, Any]) -> None:
        """Append a record."""
        with self._path.open("ab") as file:
            file.write(orjson.dumps(record) + b"\n")
        if self._board is not None:
            for name, value in _numbers(record, record["kind"]):
                self._board.add_scalar(name, value, record["step"])
            self._board.flush()

    def records(self) -> list[dict[str, Any]]:
        """Return everything written so far."""
        if not self._path.exists():
            return []
        return [orjson.loads(line) for line in self._path.read_bytes().splitlines()]

    def close(self) -> None:
        """Close the files."""
        if self._board is not None:
            self._board.close()


def _step(line: bytes) -> int:
    try:
        return int(orjson.loads(line)["step"])
    except (orjson.JSONDecodeError, KeyError):
        # A crash cut the line off: remove it.
        return 1 << 62


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError("tensorboard: true", "tensorboard") from error
    return SummaryWriter(str(folder), purge_step=step + 1)


def _numbers(record: Mapping[str, Any], prefix: str) -> list[tuple[str, float]]:
    """Return the numbers of nested mappings under their keys, joined by slashes."""
    found: list[tuple[str, float]] = []
    for key, value in record.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            found += _numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "step":
            found.append((name, float(value)))
    return found
