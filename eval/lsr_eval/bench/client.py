"""Engine processes: starting one, sending it requests, ending it.

Requests and replies go over a socket of their own, because several peers print to standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from lsr.errors import LsrError
from lsr_eval.bench.workload import Workload

THREAD_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class EngineFailureError(LsrError, RuntimeError):
    """An engine failed; the message is the engine's own."""


class EngineProcess:
    """One engine in one process, with its thread pools limited to `threads`.

    Beyond `memory_limit_bytes` of data the engine fails instead of the machine. Its standard output
    and error go to `log`, if given. Raises EngineFailureError if the engine cannot be imported.
    """

    def __init__(
        self,
        engine: str,
        workload: Workload,
        *,
        threads: int = 1,
        memory_limit_bytes: int | None = None,
        log: Path | None = None,
    ) -> None:
        self.engine = engine
        self._channel, theirs = Pipe()
        self._log = open(log or os.devnull, "ab")  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lsr_eval.bench.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env=_environment(threads),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()
        if memory_limit_bytes is not None:
            _limit_memory(self._process.pid, memory_limit_bytes)
        try:
            self._request({"engine": engine, "workload": workload})
        except EngineFailureError:
            self.close()
            raise

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Call a method of the worker and return its figures.

        Raises EngineFailureError if the method raised or the process ended.
        """
        return self._request({"do": do, **request})

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._channel.send(request)
            reply: dict[str, Any] = self._channel.recv()
        except (EOFError, OSError) as error:
            status = self._process.wait()
            reason = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise EngineFailureError(f"{self.engine}: the process ended ({reason})") from error
        if "error" in reply:
            raise EngineFailureError(f"{self.engine}: {reply['error']}")
        return reply


def _environment(threads: int) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = root if not inherited else f"{root}{os.pathsep}{inherited}"
    pools = dict.fromkeys(THREAD_POOLS, str(threads))
    return {**os.environ, **pools, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}


def _limit_memory(pid: int, limit_bytes: int) -> None:
    try:
        from resource import RLIMIT_DATA, prlimit
    except ImportError:
        return
    prlimit(pid, RLIMIT_DATA, (limit_bytes, limit_bytes))
