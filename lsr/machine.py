"""How many processor cores this process may use, on every system."""

from __future__ import annotations

import os


def cpu_ids() -> list[int]:
    """Return the numbers of the cores that this process may run on, ascending.

    Where the system does not tell (macOS, Windows), every core counts, from 0 up.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return sorted(affinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_count() -> int:
    """Return how many cores this process may run on, at least 1.

    Fewer than the machine has where an affinity mask or, from Python 3.13 on,
    ``PYTHON_CPU_COUNT`` says so.
    """
    counted = getattr(os, "process_cpu_count", None)
    return (counted() or 1) if counted is not None else len(cpu_ids())
