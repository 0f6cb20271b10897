"""Errors of training, which extend those of `lsr.errors`.

::

    LsrError
    └── TrainingError (RuntimeError)
        ├── DivergedError           loss or gradient is NaN or infinite
        ├── CollapsedError          the vectors are empty
        └── OutOfMemoryError (MemoryError)
"""

from __future__ import annotations

from lsr.errors import LsrError


class TrainingError(LsrError, RuntimeError):
    """Training cannot continue; the message names the checkpoint to resume from."""


class DivergedError(TrainingError):
    """Loss or gradient is NaN or infinite. The last good checkpoint is kept."""


class CollapsedError(TrainingError):
    """The vectors of a whole side are empty, which no gradient can undo."""


class OutOfMemoryError(TrainingError, MemoryError):
    """A step does not fit into memory; the message says which setting makes it smaller."""
