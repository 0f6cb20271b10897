"""Parallel batches on a CPU: one batch a thread, instead of all threads on one batch.

torch splits every operation over its threads, which then wait for each other. These operations take
about a millisecond: on a busy machine the waiting costs more than the work. torch releases Python's
lock while it computes, so batches run in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def run_batches(
    compute: Callable[[Batch], Result], batches: Sequence[Batch], device: torch.device
) -> list[Result]:
    """Return ``compute(batch)`` of every batch, in order, computed without gradients.

    On a CPU with as many threads as torch is set to. An exception, Ctrl-C among them, cancels the
    batches that have not begun.
    """
    import torch

    threads = min(torch.get_num_threads(), len(batches)) if device.type == "cpu" else 1

    def alone(batch: Batch) -> Result:
        with torch.inference_mode():
            return compute(batch)

    if threads <= 1:
        return [alone(batch) for batch in batches]
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "encode", initializer=lambda: torch.set_num_threads(1))
    try:
        return list(pool.map(alone, batches))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        # A thread's setting is its own, except that of the matrix library, which is everybody's.
        torch.set_num_threads(before)
