"""Arrays that grow or are filled out of order, in memory or in files.

Plain reads and writes instead of writable maps: pages of a map count as the process's memory, and
a full disk would be a signal instead of an error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.own_files import read_at, write_at


class Spool:
    """An append-only array in memory or in a file, read back by slices."""

    def __init__(self, dtype: type[np.generic], path: Path | None) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._parts: list[NDArray[Any]] = []
        self._file = None if path is None else open(path, "w+b")  # noqa: SIM115

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        values = np.ascontiguousarray(values, dtype=self.dtype)
        self.size += values.size
        if self._file is None:
            self._parts.append(values.copy())
        else:
            self._file.write(values.data)

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """Return values ``begin`` to ``end``."""
        if self._file is None:
            if len(self._parts) > 1:
                self._parts = [np.concatenate(self._parts)]
            return self._parts[0][begin:end] if self._parts else np.zeros(0, self.dtype)
        self._file.flush()
        width = self.dtype.itemsize
        data = bytearray((end - begin) * width)
        view, at = memoryview(data), begin * width
        while view:
            got = read_at(self._file.fileno(), view, at)
            if got == 0:
                raise OSError(f"spool file ended at byte {at}, expected {end * width}")
            view, at = view[got:], at + got
        return np.frombuffer(data, dtype=self.dtype)

    def close(self) -> None:
        """Release memory or the file."""
        self._parts = []
        if self._file is not None:
            path = self._file.name
            self._file.close()
            os.unlink(path)
            self._file = None


class Sink:
    """An output array of known size, in memory or in a file, written at given positions."""

    def __init__(self, dtype: type[np.generic], size: int, path: Path | None) -> None:
        self.dtype = np.dtype(dtype)
        self.size = size
        self._path = path
        if self._path is None:
            self._array: NDArray[Any] = np.empty(size, self.dtype)
        else:
            self._file = open(self._path, "w+b")  # noqa: SIM115
            os.truncate(self._file.fileno(), size * self.dtype.itemsize)

    def write(self, at: int, values: NDArray[Any]) -> None:
        """Write ``values`` at position ``at``."""
        if self._path is None:
            self._array[at : at + values.size] = values
            return
        data = np.ascontiguousarray(values, dtype=self.dtype).data.cast("B")
        position = at * self.dtype.itemsize
        while data:
            put = write_at(self._file.fileno(), data, position)
            data, position = data[put:], position + put

    def finish(self) -> NDArray[Any]:
        """Return the array; a read-only map of the file if there is one."""
        if self._path is None:
            return self._array
        self._file.close()
        if self.size == 0:
            return np.zeros(0, self.dtype)
        return np.memmap(self._path, dtype=self.dtype, mode="r", shape=(self.size,))
