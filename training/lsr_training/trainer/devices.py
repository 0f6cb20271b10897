"""Data-parallel training: each device encodes its share of a batch and gathers all vectors.

Started with ``torchrun`` or ``accelerate launch``, which set the same environment variables;
without them there is one device. Losses and penalties are computed on the gathered vectors of the
global batch, on every device alike: values and gradients do not depend on the number of devices.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lsr.encoders.neural.transformer_body import choose_device


class Devices:
    """Device of this process, its rank among all processes, and their count.

    Parameters
    ----------
    name : str or None
        A torch device; by default a GPU when there is one, that of this process's number.
    """

    def __init__(self, name: str | None) -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self.count = int(os.environ.get("WORLD_SIZE", 1))
        self.device = _device(name)
        self._owns_group = self.count > 1 and not dist.is_initialized()
        if self._owns_group:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def share(self, n: int) -> slice:
        """Return which of `n` texts this device encodes."""
        edges = [n * i // self.count for i in range(self.count + 1)]
        return slice(edges[self.rank], edges[self.rank + 1])

    def gather(self, local: Tensor, n: int) -> Tensor:
        """Return the vectors of all `n` texts, each device giving those of its `share`."""
        if self.count == 1:
            return local
        sizes = [n * (i + 1) // self.count - n * i // self.count for i in range(self.count)]
        padded = local.new_zeros((max(sizes), local.shape[1]))
        padded[: len(local)] = local
        everything = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(everything, padded)
        return torch.cat([part[:size] for part, size in zip(everything, sizes, strict=True)])

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all devices: each has those of its share of the texts."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Wait for all devices (barrier)."""
        if self.count > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the process group."""
        if self._owns_group:
            dist.destroy_process_group()


def _device(name: str | None) -> torch.device:
    if name is None and torch.cuda.is_available():
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return choose_device(name)
