"""Numba decorators with the options of all kernels.

Compiled code is cached on disk in a folder named after a digest of all kernel sources: Numba's own
cache checks only the file of the outermost function and would miss a change in an inlined callee.
Kernels release the GIL and never use ``parallel=True``: callers start the threads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config as numba_config

F = TypeVar("F", bound=Callable[..., Any])

JIT_ENABLED = not bool(int(os.environ.get("NUMBA_DISABLE_JIT", "0") or "0"))


def _sources_digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    chosen = os.environ.get("LSR_KERNEL_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen) / _sources_digest()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lsr" / "kernels" / _sources_digest()


CACHE_FOLDER = _cache_folder()


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    # Numba fixes a function's cache folder when the function is decorated, so the global setting
    # is changed for that moment only and other users of Numba in this process keep theirs.
    previous = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba_config.CACHE_DIR = previous


def kernel(function: F) -> F:
    """Compile ``function`` on first use, without the GIL, with its machine code cached on disk.

    It takes arrays and scalars, no Python objects. Returns the Numba dispatcher, or the function
    itself under ``NUMBA_DISABLE_JIT=1``.
    """
    return _compiled(function)


def summing_kernel(function: F) -> F:
    """As `kernel`, with sums of floats in any order."""
    return _compiled(function, fastmath={"reassoc", "contract", "nsz"})


def inlined_kernel(function: F) -> F:
    """As `kernel`, inlined into its callers: a section of one longer function.

    A call with a workspace takes a good part of a microsecond.
    """
    return _compiled(function, forceinline=True)


def _compiled(function: F, **more: Any) -> F:
    if not JIT_ENABLED:
        return function
    options = {"nogil": True, "error_model": "numpy", "boundscheck": None, **more}
    with _cache_in(CACHE_FOLDER):
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        except RuntimeError:  # no writable cache folder anywhere: compile in every process
            return cast(F, numba.njit(**options)(function))
