"""Machine and process: description, cores, memory (from /proc where it exists), times of calls."""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.machine import cpu_count

PACKAGES = ("numpy", "scipy", "numba", "llvmlite")
CLOCKS_PER_CALL = 200
"""Least length of a timed region, in readings of the clocks; a shorter call is repeated inside the
region and the time divided."""


def machine_facts() -> dict[str, Any]:
    """Describe the machine: processor, cores, caches, memory, load, system, versions."""
    cpu = _fields("/proc/cpuinfo")
    memory = _fields("/proc/meminfo")
    return {
        "cpu_model": cpu.get("model name", platform.processor() or "unknown"),
        "cores": cpu_count(),
        "caches": _caches(),
        "memory_bytes": int(memory.get("MemTotal", "0 kB").split()[0]) * 1024,
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in PACKAGES},
    }


def package_version(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def pin_process(cores: list[int]) -> None:
    """Bind every thread of this process to `cores`; threads started later inherit it."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # the thread ended in between
            os.sched_setaffinity(int(task.name), cores)


def reset_peak_memory() -> None:
    """Reset `peak_memory_bytes` to the memory that is resident now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process since `reset_peak_memory`.

    Without /proc, since the process began; 0 where the system does not count it.
    """
    peak = _fields("/proc/self/status").get("VmHWM")
    if peak is not None:
        return int(peak.split()[0]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_bytes() -> int:
    """Return the resident memory of this process."""
    return int(_fields("/proc/self/status").get("VmRSS", "0 kB").split()[0]) * 1024


def free_memory_bytes() -> int:
    """Return the available memory of the system."""
    return int(_fields("/proc/meminfo").get("MemAvailable", "0 kB").split()[0]) * 1024


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its finished children."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Timings(NamedTuple):
    """Per-query times of one pass, (n_queries,) each, and what the calls returned.

    `repeats` calls make up a timed region.
    """

    cpu_ns: NDArray[np.float64]
    wall_ns: NDArray[np.float64]
    results: list[Any]
    repeats: int


def clock_cost_ns() -> float:
    """Return the median time of reading both clocks once."""
    samples = np.empty(1001)
    for i in range(len(samples)):
        start = time.perf_counter_ns()
        time.process_time_ns()
        samples[i] = time.perf_counter_ns() - start
    return float(np.median(samples))


def time_calls(call: Callable[[Any], Any], arguments: Sequence[Any], warm_up: int) -> Timings:
    """Time ``call(argument)`` for each argument, after `warm_up` untimed calls."""
    repeats = _repeats(call, arguments[: max(warm_up, 1)])
    cpu_ns = np.empty(len(arguments))
    wall_ns = np.empty(len(arguments))
    results: list[Any] = []
    with _collector_off():
        for i, argument in enumerate(arguments):
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            for _ in range(repeats):
                result = call(argument)
            wall_ns[i] = (time.perf_counter_ns() - wall) / repeats
            cpu_ns[i] = (time.process_time_ns() - cpu) / repeats
            results.append(result)
    return Timings(cpu_ns, wall_ns, results, repeats)


def _repeats(call: Callable[[Any], Any], arguments: Sequence[Any]) -> int:
    durations = []
    for argument in arguments:
        start = time.perf_counter_ns()
        call(argument)
        durations.append(time.perf_counter_ns() - start)
    if not durations:
        return 1
    shortest_allowed = CLOCKS_PER_CALL * clock_cost_ns()
    return max(1, round(shortest_allowed / max(float(np.median(durations)), 1.0)))


@contextmanager
def _collector_off() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a timed region."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _caches() -> dict[str, str]:
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level = (index / "level").read_text().strip()
            kind = (index / "type").read_text().strip().lower()
            caches[f"L{level} {kind}"] = (index / "size").read_text().strip()
        except OSError:
            continue
    return caches


def _fields(path: str) -> dict[str, str]:
    """Return the first value of each ``name: value`` line of a file of /proc."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in reversed(lines) if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
