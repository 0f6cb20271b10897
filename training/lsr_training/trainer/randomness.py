"""State of torch's random number generators: saving and restoring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor


class RandomState(NamedTuple):
    """State of the generators of the CPU and of every GPU."""

    cpu: Tensor
    gpus: list[Tensor]


def random_state() -> RandomState:
    """Return the current state."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return RandomState(torch.get_rng_state(), gpus)


def set_random_state(state: RandomState) -> None:
    """Restore a state."""
    torch.set_rng_state(state.cpu)
    if state.gpus and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state.gpus)


@contextmanager
def restored(state: RandomState) -> Iterator[None]:
    """Use a former state within the context, then restore the current one."""
    present = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(present)
