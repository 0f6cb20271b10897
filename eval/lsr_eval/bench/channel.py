"""Message channel between the benchmark and engine processes: JSON header, then arrays as bytes.

The channel is a pair of pipes, because several peers print to standard output.
"""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Channel:
    """One end of a pair of pipes.

    Parameters
    ----------
    read_fd, write_fd : int
        File descriptors, owned by the channel from here on.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._reader = Connection(read_fd, writable=False)
        self._writer = Connection(write_fd, readable=False)

    def send(
        self, head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Send a JSON object and arrays of numbers."""
        kept = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
        described = [(name, array.dtype.str, array.shape) for name, array in kept.items()]
        self._writer.send_bytes(orjson.dumps({"head": head, "arrays": described}))
        for array in kept.values():
            self._writer.send_bytes(array.tobytes())

    def receive(self) -> tuple[dict[str, Any], Arrays]:
        """Receive the next message; blocks until it arrives.

        Raises
        ------
        EOFError
            If the other process has ended.
        """
        message = orjson.loads(self._reader.recv_bytes())
        arrays = {
            name: np.frombuffer(self._reader.recv_bytes(), dtype).reshape(shape)
            for name, dtype, shape in message["arrays"]
        }
        return message["head"], arrays

    def close(self) -> None:
        """Close both pipes."""
        self._reader.close()
        self._writer.close()
