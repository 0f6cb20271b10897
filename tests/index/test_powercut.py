"""The power is cut at every operation of every kind of change; nothing acknowledged is lost.

The counts grow with the environment variable LSR_FAULT_SCALE (a soak: ``LSR_FAULT_SCALE=50``). A
failure prints its seed and the operation, which replay it.
"""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lsr.errors import LsrError, StorageFullError
from lsr_index import IndexWriter
from tests.index.faults.disk import SimulatedDisk
from tests.index.faults.scale import SCALE, time_limit
from tests.index.faults.workload import (
    COPY,
    PATH,
    State,
    Step,
    Vector,
    add,
    backups,
    documents,
    history,
    state_of,
)

pytestmark = time_limit

CUTS_PER_OPERATION = max(1, int(38 * SCALE))
DENSE_SHARE = 0.15


def new_disk() -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.make_directory(PATH.parent)
    disk.sync_directory(PATH.parent.parent)
    return disk


def doubled(vector: Vector) -> Vector:
    return tuple((term, 2 * impact) for term, impact in vector)


class Recovery:
    """What is found on a disk. Equal contents are looked at once."""

    def __init__(self) -> None:
        self._known: dict[frozenset[tuple[str, bytes]], State | None] = {}

    def state(self, disk: SimulatedDisk, path: Path = PATH) -> State | None:
        prefix = f"{path}/"
        content = frozenset(
            (name, data) for name, data in disk.contents().items() if name.startswith(prefix)
        )
        if content not in self._known:
            self._known[content] = state_of(disk, path)
        return self._known[content]

    @property
    def n_distinct(self) -> int:
        return len(self._known)


def walk(
    steps: list[Step], on_operation: Callable[[SimulatedDisk, str, list[State | None]], None]
) -> SimulatedDisk:
    """Apply the steps, showing the disk before every operation with the states allowed there."""
    disk = new_disk()
    allowed: list[State | None] = [None]
    name = ""

    def show(operation: str, path: Path) -> None:
        on_operation(disk, f"{name}: {operation} {path.name}", allowed)

    disk.before = show
    for step in steps:
        name, allowed = step.name, [allowed[-1], step.after]
        step.apply(disk)
        allowed = [step.after]
        show("afterwards", PATH)
    disk.before = None
    return disk


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_a_power_cut_anywhere_loses_nothing(dense: bool) -> None:
    rng = random.Random(20)
    share = DENSE_SHARE if dense else 1
    recovery = Recovery()
    n_cuts = 0

    def cut(disk: SimulatedDisk, where: str, allowed: list[State | None]) -> None:
        nonlocal n_cuts
        for _ in range(max(1, int(CUTS_PER_OPERATION * share))):
            n_cuts += 1
            found = recovery.state(disk.after_power_cut(rng))
            assert found in allowed, where

    steps = history(dense)
    walk([*steps, *backups(steps[-1].after)], cut)
    print(f"{n_cuts} power cuts, {recovery.n_distinct} distinct disks")  # noqa: T201
    assert n_cuts >= 20_000 * share * min(1, SCALE)


def test_a_snapshot_is_there_completely_or_not_at_all() -> None:
    rng = random.Random(21)
    recovery = Recovery()
    steps = history()
    final = steps[-1].after

    def cut(disk: SimulatedDisk, where: str, allowed: list[State | None]) -> None:
        if where.startswith(("snapshot", "restore")):
            for _ in range(CUTS_PER_OPERATION):
                found = recovery.state(disk.after_power_cut(rng), COPY)
                done = where.startswith("restore") or "afterwards" in where
                assert found == final or (found is None and not done), where

    walk([*steps, *backups(final)], cut)
    assert recovery.n_distinct > 1


def test_after_a_cut_the_next_writer_goes_on_and_may_be_cut_again() -> None:
    rng = random.Random(22)
    recovery = Recovery()
    coarse = documents(["after"], 1)
    # Twice that can be stored exactly whatever the scale, which the history doubles once.
    fine = {d: (text, doubled(vector), own) for d, (text, vector, own) in coarse.items()}
    n_recoveries = 0

    def cut(disk: SimulatedDisk, where: str, allowed: list[State | None]) -> None:
        nonlocal n_recoveries
        if rng.random() > 0.12 * SCALE:
            return
        survivor = disk.after_power_cut(rng)
        before = recovery.state(survivor)
        if before is None:
            return
        n_recoveries += 1
        after = before | (coarse if "large" in before else fine)

        def again(operation: str, path: Path) -> None:
            assert recovery.state(survivor.after_power_cut(rng)) in (before, after), where

        survivor.before = again
        with IndexWriter(PATH, files=survivor) as writer:
            add(writer, fine)
            writer.commit()
        survivor.before = None
        assert recovery.state(survivor.after_power_cut(rng)) == after
        assert not [name for name in survivor.names(PATH) if name.startswith("tmp")]

    walk(history(), cut)
    assert n_recoveries >= int(21 * min(1, SCALE))


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_a_kill_at_every_operation(dense: bool) -> None:
    """The page cache survives a killed process; half-finished files and the lock do not matter."""
    recovery = Recovery()

    def kill(disk: SimulatedDisk, where: str, allowed: list[State | None]) -> None:
        survivor = disk.after_kill()
        found = recovery.state(survivor)
        assert found in allowed, where
        if found is not None:
            with IndexWriter(PATH, files=survivor) as writer:
                writer.delete(["d0"])
                writer.commit()
            assert recovery.state(survivor) == {d: v for d, v in found.items() if d != "d0"}, where

    walk(history(dense), kill)


@pytest.mark.parametrize(
    ("code", "dense"),
    [(errno.ENOSPC, False), (errno.EIO, False), (errno.EMFILE, False), (errno.ENOSPC, True)],
)
def test_every_operation_fails_once(code: int, dense: bool) -> None:
    """Typed errors, the old state or the new one, and a writer that goes on afterwards."""
    recovery = Recovery()
    operations: list[str] = []
    walk(history(dense), lambda disk, where, allowed: operations.append(where))
    rng = random.Random(code)
    n = len(operations)
    for failing in sorted(rng.sample(range(n), min(n, int((60 if dense else 100) * SCALE)))):
        fail_once(failing, code, recovery, history(dense))


def fail_once(failing: int, code: int, recovery: Recovery, steps: list[Step]) -> None:
    disk = new_disk()
    number = -1
    where = ""

    def fail(operation: str, path: Path) -> None:
        nonlocal number, where
        number += operation != "afterwards"
        if number == failing:
            where = f"{operation} {path.name}"
            raise OSError(code, os.strerror(code), str(path))

    before: State | None = None
    disk.before = fail
    for step in steps:
        error: Exception | None = None
        try:
            step.apply(disk)
        except (LsrError, OSError) as caught:
            error = caught
        if error is not None:
            if code == errno.ENOSPC and where.startswith(("write", "create tmp")):
                assert isinstance(error, StorageFullError), where
            found = recovery.state(disk.after_kill())
            assert found in (before, step.after), (where, step.name)
            if found != step.after:
                step.apply(disk)  # what was not acknowledged is repeated
        before = step.after
        assert recovery.state(disk) == before, (where, step.name)


def test_short_writes_change_nothing() -> None:
    steps = history()
    plain, short = new_disk(), new_disk()
    short.short_writes = random.Random(3)
    for step in steps:
        step.apply(plain)
        step.apply(short)
    assert plain.contents() == short.contents()
