"""The state of torch's random numbers, to be kept, saved and restored."""

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
    """Return the present state."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return RandomState(torch.get_rng_state(), gpus)


def set_random_state(state: RandomState) -> None:
    """Go back to a state."""
    torch.set_rng_state(state.cpu)
    if state.gpus and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state.gpus)


@contextmanager
def restored(state: RandomState) -> Iterator[None]:
    """Draw the numbers of a state again, then go on where one was."""
    present = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(present)
