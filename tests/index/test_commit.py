"""The commit protocol by itself, with containers that hold one number."""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lsr.errors import (
    CommitOutcomeError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    LsrError,
    StorageFullError,
)
from lsr_index.storage.container import Container, ContainerWriter, FileEntry
from lsr_index.storage.directory import OutputFile
from lsr_index.storage.manifest import Manifest, SegmentEntry, generations, read_manifest
from lsr_index.storage.transaction import FirstCommit, WritableFolder
from tests.index.faults.disk import SimulatedDisk

TARGET = Path("/indexes/my.index")
N_COMMITS = 4


def number_file(writable: WritableFolder, number: int) -> FileEntry:
    def fill(container: ContainerWriter) -> dict[str, int]:
        container.add("number", np.full(300, number, np.int64))
        return {"number": number}

    return writable.write_container("segment", fill)


def manifest_of(writable: WritableFolder, generation: int) -> Manifest:
    segment = SegmentEntry(number_file(writable, generation), 1)
    return Manifest(generation, 1, 1.0, (segment,), parent=generation - 1)


def new_disk() -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.make_directory(TARGET.parent)
    disk.sync_directory(TARGET.parent.parent)
    return disk


def create(disk: SimulatedDisk) -> None:
    with FirstCommit(TARGET, disk) as first:
        first.publish(manifest_of(first.writable, 1))


def commit_once(disk: SimulatedDisk) -> int:
    writable, manifest = WritableFolder.open(TARGET, disk)
    with writable:
        writable.publish(manifest_of(writable, manifest.generation + 1))
        writable.collect_garbage()
    return manifest.generation + 1


def recovered(disk: SimulatedDisk) -> int:
    """Open what is there as a reader does; return the generation, 0 for no index."""
    try:
        generation = generations(disk, TARGET)[-1]
    except IndexNotFoundError:
        return 0
    manifest = read_manifest(disk, TARGET, generation)
    container = Container(disk, TARGET, manifest.segments[0].file)
    container.check()
    assert (container.array("number") == generation).all()
    return generation


def run(
    disk: SimulatedDisk,
    on_step: Callable[[int], None],
    on_commit: Callable[[], None] = lambda: None,
) -> None:
    """Create and commit, telling at every operation which generation is acknowledged."""
    acknowledged = 0
    disk.before = lambda operation, path: on_step(acknowledged)
    disk.make_directory(TARGET.parent)
    disk.sync_directory(TARGET.parent.parent)
    on_commit()
    create(disk)
    for acknowledged in range(1, N_COMMITS):  # noqa: B007, read by the callback
        on_commit()
        commit_once(disk)
    acknowledged = N_COMMITS
    on_step(acknowledged)


def violations(
    seed: int,
    seeds_per_cut: int,
    skip: Callable[[str, Path], bool] | None = None,
    on_commit: Callable[[], None] = lambda: None,
) -> tuple[int, int]:
    """Cut the power at every operation; return how many states were tried and how many are bad."""
    rng = random.Random(seed)
    disk = SimulatedDisk()
    disk.skip = skip
    tried = bad = 0

    def cut(acknowledged: int) -> None:
        nonlocal tried, bad
        for _ in range(seeds_per_cut):
            tried += 1
            try:
                found = recovered(disk.after_power_cut(rng))
            except (LsrError, AssertionError):
                bad += 1
                continue
            bad += found not in (acknowledged, acknowledged + 1)

    # A mutant may break so much that the writer itself cannot go on.
    try:
        run(disk, cut, on_commit)
    except (LsrError, OSError):
        bad += 1
    return tried, bad


def test_commits_follow_each_other_and_two_generations_are_kept() -> None:
    disk = SimulatedDisk()
    run(disk, lambda acknowledged: None)
    assert recovered(disk) == N_COMMITS
    assert generations(disk, TARGET) == [N_COMMITS - 1, N_COMMITS]
    assert len(disk.names(TARGET)) == 5  # two manifests, two segments, the lock


def test_the_order_of_operations_is_the_protocol() -> None:
    disk = new_disk()
    create_steps: list[str] = []
    create(disk)
    disk.before = lambda operation, path: create_steps.append(
        f"{operation} {path.name.split('-')[0]}"
    )
    commit_once(disk)
    writing = ["create tmp", *["write tmp"] * 4, "sync tmp"]
    assert [step for step in create_steps if not step.startswith("write")] == [
        step
        for step in [
            *writing,
            "rename segment",
            *writing,
            "sync_directory my.index",
            "rename MANIFEST",
            "sync_directory my.index",
        ]
        if not step.startswith("write")
    ]


def test_power_cuts_lose_nothing_acknowledged() -> None:
    tried, bad = violations(seed=1, seeds_per_cut=350)
    assert tried > 20_000
    assert bad == 0


def steps_of_the_protocol() -> list[tuple[int, int, str]]:
    """Every sync and rename of the first commit and of a later one: (commit, number, what)."""
    found: list[tuple[int, int, str]] = []
    disk = new_disk()
    for commit, action in enumerate((create, commit_once)):
        number = 0

        def note(operation: str, path: Path, commit: int = commit) -> bool:
            nonlocal number
            if operation in ("sync", "sync_directory", "rename"):
                found.append((commit, number, f"{operation} {path.name.split('-')[0]}"))
                number += 1
            return False

        disk.skip = note
        action(disk)
    # In a first commit the folder is synced once more before it gets its name, so that the sync
    # before the manifest's rename changes nothing there. It is the only step without effect.
    assert found[3] == (0, 3, "sync_directory .my.index.new")
    return found[:3] + found[4:]


@pytest.mark.parametrize("step", steps_of_the_protocol(), ids=lambda s: f"{s[0]}-{s[1]}-{s[2]}")
def test_the_protocol_without_any_one_step_is_caught(step: tuple[int, int, str]) -> None:
    """The simulator itself is tested: whatever sync or rename is left out, it finds a violation."""
    commit, number, what = step

    def mutated(seed: int) -> int:
        at = {"commit": -1, "number": 0}

        def skip(operation: str, path: Path) -> bool:
            if operation == "create" and "segment" in path.name:
                raise AssertionError("segments are created under a temporary name")
            if operation not in ("sync", "sync_directory", "rename") or path == Path("/"):
                return False
            skipped = min(at["commit"], 1) == commit and at["number"] == number
            at["number"] += 1
            return skipped

        def started() -> None:
            at["commit"] += 1
            at["number"] = 0

        return violations(seed, 20, skip, started)[1]

    assert any(mutated(seed) for seed in range(20)), f"without {what} no power cut does any harm"


def written_in_place(self: WritableFolder, manifest: Manifest) -> None:
    with OutputFile(self.files, self.folder / manifest.name) as out:
        out.write(manifest.to_bytes())
        out.sync()
    self.files.sync_directory(self.folder)


def renamed_before_the_sync(self: WritableFolder, manifest: Manifest) -> None:
    temporary = self.temporary_path()
    with OutputFile(self.files, temporary) as out:
        out.write(manifest.to_bytes())
        self.files.sync_directory(self.folder)
        self.files.rename(temporary, self.folder / manifest.name)
        out.sync()
    self.files.sync_directory(self.folder)


def cleared_before_the_commit(self: WritableFolder, manifest: Manifest) -> None:
    for name in self.files.names(self.folder):
        if name.startswith(("segment", "MANIFEST")) and name not in manifest.files():
            self.files.remove(self.folder / name)
    PUBLISH(self, manifest)


def synced_directory_first(self: WritableFolder, manifest: Manifest) -> None:
    self.files.sync_directory(self.folder)
    temporary = self.temporary_path()
    with OutputFile(self.files, temporary) as out:
        out.write(manifest.to_bytes())
        out.sync()
    self.files.rename(temporary, self.folder / manifest.name)


PUBLISH = WritableFolder.publish
REORDERED = [
    written_in_place,
    renamed_before_the_sync,
    cleared_before_the_commit,
    synced_directory_first,
]


@pytest.mark.parametrize("mutant", REORDERED, ids=lambda mutant: mutant.__name__)
def test_a_reordered_protocol_is_caught(
    mutant: Callable[[WritableFolder, Manifest], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WritableFolder, "publish", mutant)
    assert any(violations(seed, 20)[1] for seed in range(20))


def test_a_first_commit_in_place_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the renamed folder, a crash leaves a folder that is neither nothing nor an index."""

    def in_place(disk: SimulatedDisk) -> None:
        disk.make_directory(TARGET)
        writable = WritableFolder(TARGET, disk, disk.lock(TARGET / "write.lock"))
        writable.publish(manifest_of(writable, 1))
        disk.sync_directory(TARGET.parent)
        writable.close()

    monkeypatch.setattr("tests.index.test_commit.create", in_place)
    assert any(violations(seed, 20)[1] for seed in range(20))


def test_a_kill_at_every_operation_leaves_a_state_that_the_next_writer_continues() -> None:
    disk = SimulatedDisk()

    def kill(acknowledged: int) -> None:
        survivor = disk.after_kill()
        found = recovered(survivor)
        assert found in (acknowledged, acknowledged + 1)
        if found:
            assert commit_once(survivor) == found + 1
            assert len([n for n in survivor.names(TARGET) if n.startswith("tmp")]) == 0
        else:
            create(survivor)
        assert recovered(survivor) == found + 1

    run(disk, kill)


class TestFailures:
    """Every operation fails once, with a full and with a broken device."""

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EMFILE])
    def test_each_operation(self, code: int) -> None:
        n_steps = 0
        probe = new_disk()
        create(probe)

        def count(operation: str, path: Path) -> None:
            nonlocal n_steps
            n_steps += 1

        probe.before = count
        commit_once(probe)
        for failing in range(n_steps):
            self.fail_once(failing, code)

    def fail_once(self, failing: int, code: int) -> None:
        disk = new_disk()
        create(disk)
        step = -1
        what = ""

        def fail(operation: str, path: Path) -> None:
            nonlocal step, what
            step += 1
            if step == failing:
                what = operation
                raise OSError(code, os.strerror(code), str(path))

        disk.before = fail
        error: Exception | None = None
        acknowledged = 1
        try:
            acknowledged = commit_once(disk)
        except (OSError, LsrError) as caught:
            error = caught
        if code == errno.ENOSPC and what in ("write", "create"):
            assert isinstance(error, StorageFullError)
        disk.before = None
        assert recovered(disk) in (acknowledged, 2)
        for seed in range(5):
            assert recovered(disk.after_power_cut(random.Random(seed))) in (1, 2)
        assert commit_once(disk) == recovered(disk)

    def test_an_unknown_outcome_poisons_the_writer_and_removes_nothing(self) -> None:
        disk = new_disk()
        create(disk)
        writable, manifest = WritableFolder.open(TARGET, disk)
        renamed = False

        def fail(operation: str, path: Path) -> None:
            nonlocal renamed
            if renamed and operation == "sync_directory":
                raise OSError(errno.EIO, "broken")
            renamed = renamed or path.name.startswith("MANIFEST")
            assert not (renamed and operation == "remove"), "removed after an unknown outcome"

        disk.before = fail
        with writable:
            with pytest.raises(CommitOutcomeError, match="may or may not have happened"):
                writable.publish(manifest_of(writable, manifest.generation + 1))
            with pytest.raises(CommitOutcomeError):
                writable.collect_garbage()
            with pytest.raises(CommitOutcomeError):
                number_file(writable, 3)
            writable.discard(TARGET / manifest.name)

    def test_a_failed_sync_is_never_tried_again(self) -> None:
        disk = new_disk()
        create(disk)
        writable, _ = WritableFolder.open(TARGET, disk)
        failures = 0

        def fail(operation: str, path: Path) -> None:
            nonlocal failures
            if operation == "sync":
                failures += 1
                raise OSError(errno.EIO, "broken")

        disk.before = fail
        with writable:
            with pytest.raises(OSError, match="broken"):
                number_file(writable, 2)
            with pytest.raises(CommitOutcomeError):
                number_file(writable, 2)
        assert failures == 1


class TestTarget:
    def test_an_index_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "MANIFEST-0000000000000001").touch()
        with pytest.raises(IndexExistsError, match="there is an index here already"):
            FirstCommit(tmp_path)

    def test_nor_is_anything_else(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(IndexExistsError, match="not empty and no index"):
            FirstCommit(tmp_path)
        with pytest.raises(IndexExistsError, match="a file of this name"):
            FirstCommit(tmp_path / "notes.txt")

    def test_missing_parents_are_made(self, tmp_path: Path) -> None:
        with FirstCommit(tmp_path / "a" / "b" / "x.index") as first:
            first.publish(Manifest(1, 0, 1.0))
        assert sorted(p.name for p in (tmp_path / "a" / "b" / "x.index").iterdir()) == [
            "MANIFEST-0000000000000001",
            "write.lock",
        ]

    def test_leaving_without_a_commit_leaves_nothing(self, tmp_path: Path) -> None:
        with FirstCommit(tmp_path / "x.index") as first:
            number_file(first.writable, 1)
        assert list(tmp_path.iterdir()) == []

    def test_two_at_once_are_refused(self, tmp_path: Path) -> None:
        with FirstCommit(tmp_path / "x.index"), pytest.raises(IndexLockedError):
            FirstCommit(tmp_path / "x.index")


def test_garbage_of_others_is_not_touched() -> None:
    disk = new_disk()
    create(disk)
    for name in ("notes.txt", "tmp-000001", f"segment-{'0' * 32}.lsr", "segment-short.lsr"):
        disk.put(TARGET / name, b"x")
    commit_once(disk)
    names = disk.names(TARGET)
    assert "notes.txt" in names
    assert "segment-short.lsr" in names
    assert "tmp-000001" not in names
    assert f"segment-{'0' * 32}.lsr" not in names
