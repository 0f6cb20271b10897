"""Number of processor cores that this process may use, on every system."""

from __future__ import annotations

import os


def cpu_ids() -> list[int]:
    """Return the numbers of the cores that this process may run on, ascending.

    Without an affinity mask (macOS, Windows), those of all cores.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return sorted(affinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_count() -> int:
    """Return how many cores this process may run on, at least 1.

    Fewer than the machine has by an affinity mask or, from Python 3.13 on, ``PYTHON_CPU_COUNT``.
    """
    counted = getattr(os, "process_cpu_count", None)
    return (counted() or 1) if counted is not None else len(cpu_ids())
