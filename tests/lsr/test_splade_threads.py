"""Batches on several threads: order, failures, and what is left behind."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from lsr.encoders.neural.torch_threads import run_batches

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_several_threads_of_one_core_each() -> None:
    meeting = threading.Barrier(3)

    def compute(batch: int) -> tuple[int, int, bool]:
        meeting.wait(timeout=30)  # passes only when three batches run at once
        time.sleep(0.01 * (3 - batch % 3))
        return batch, torch.get_num_threads(), torch.is_inference_mode_enabled()

    assert run_batches(compute, range(9), CPU) == [(i, 1, True) for i in range(9)]
    assert torch.get_num_threads() == 3
    assert not torch.is_inference_mode_enabled()


def test_a_single_batch_gets_all_threads() -> None:
    found = run_batches(lambda _: (torch.get_num_threads(), threading.current_thread()), [0], CPU)
    assert found == [(3, threading.main_thread())]
    assert run_batches(lambda batch: batch, [], CPU) == []


def test_a_failure_drops_what_has_not_begun() -> None:
    begun = []

    def compute(batch: int) -> int:
        begun.append(batch)
        if batch == 0:
            raise KeyboardInterrupt
        time.sleep(0.05)
        return batch

    with pytest.raises(KeyboardInterrupt):
        run_batches(compute, range(100), CPU)
    assert len(begun) < 20
    assert torch.get_num_threads() == 3
