"""A disk in memory that can lose power, fail and fill up, between any two operations.

What a POSIX file system promises, and nothing more: a file's content is durable after its own sync;
a change of names (create, rename, remove) is durable after a sync of its directory. Until then any
subset of the changes of names may have reached the device, in order or not, and the unsynced part
of a file may be there, missing, cut short, zeroed or torn in sectors of 512 bytes.
"""

from __future__ import annotations

import errno
import os
import random
import re
from collections.abc import Callable
from pathlib import Path, PurePath

from lsr.errors import IndexLockedError
from lsr.own_files import Lock, NotOursError
from lsr_index.storage.directory import Files

SECTOR = 512


class FileNode:
    """A file: what readers see, and what is certainly on the device."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = b""

    def after_power_cut(self, rng: random.Random) -> bytes:
        """One of the contents that the device may hold."""
        durable, volatile = self.durable, bytes(self.content)
        unsynced = volatile[len(durable) :]
        if not unsynced:
            return durable
        match rng.randrange(5):
            case 0:
                return volatile
            case 1:
                return durable
            case 2:
                return durable + unsynced[: rng.randrange(len(unsynced))]
            case 3:
                return durable + bytes(len(unsynced))
            case _:
                torn = bytearray(unsynced)
                for start in range(0, len(torn), SECTOR):
                    if rng.random() < 0.5:
                        sector = torn[start : start + SECTOR]
                        torn[start : start + SECTOR] = bytes(len(sector))
                return durable + bytes(torn)


class DirectoryNode:
    """A directory: names as seen, names on the device, and the changes in between."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.pending: list[tuple[str | None, str | None, Node]] = []

    def change(self, old: str | None, new: str | None, node: Node) -> None:
        """Move a name: from `old` (None: created) to `new` (None: removed)."""
        _apply(self.names, old, new, node)
        self.pending.append((old, new, node))

    def sync(self) -> None:
        self.durable = dict(self.names)
        self.pending.clear()

    def after_power_cut(self, rng: random.Random) -> dict[str, Node]:
        """One of the sets of names that the device may hold."""
        found = dict(self.durable)
        style = rng.randrange(4)
        kept = [
            change
            for change in self.pending
            if style == 0 or (style == 1 and rng.random() < 0.8) or rng.random() < 0.4
        ]
        if style == 3:
            rng.shuffle(kept)
        for old, new, node in kept:
            _apply(found, old, new, node)
        return found


Node = FileNode | DirectoryNode


def _apply(names: dict[str, Node], old: str | None, new: str | None, node: Node) -> None:
    if old is not None and names.get(old) is node:
        del names[old]
    if new is not None:
        names[new] = node


class SimulatedDisk(Files):
    """`Files` in memory.

    Attributes
    ----------
    before : callable or None
        Called with the name of each changing operation and its path before it happens; may raise,
        and may look at the disk.
    skip : callable or None
        Called likewise; returning True leaves the operation out (a fault of the protocol).
    short_writes : random.Random or None
        When set, a write takes only some of the data.
    """

    def __init__(self) -> None:
        self.root = DirectoryNode()
        self.before: Callable[[str, Path], None] | None = None
        self.skip: Callable[[str, Path], bool] | None = None
        self.short_writes: random.Random | None = None
        self.capacity: int | None = None
        self._open: dict[int, tuple[FileNode, Path]] = {}
        self._next_handle = 3
        self._locked: set[int] = set()

    def create(self, path: Path) -> int:
        if self._step("create", path):
            raise AssertionError("a creation cannot be left out")
        parent = self._directory(path.parent)
        if path.name in parent.names:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        node = FileNode()
        parent.change(None, path.name, node)
        self._next_handle += 1
        self._open[self._next_handle] = (node, path)
        return self._next_handle

    def write(self, handle: int, data: memoryview) -> int:
        node, path = self._open[handle]
        self._step("write", path)
        taken = len(data)
        if self.short_writes is not None and taken > 1:
            taken = self.short_writes.randrange(1, taken + 1)
        if self.capacity is not None:
            taken = min(taken, self.capacity - self.used_bytes())
            if taken <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        node.content += data[:taken]
        return taken

    def sync(self, handle: int) -> None:
        node, path = self._open[handle]
        if not self._step("sync", path):
            node.durable = bytes(node.content)

    def close(self, handle: int) -> None:
        self._open.pop(handle, None)

    def sync_directory(self, path: Path) -> None:
        if not self._step("sync_directory", path):
            self._directory(path).sync()

    def rename(self, source: Path, target: Path) -> None:
        if self._step("rename", target):
            return
        assert source.parent == target.parent
        parent = self._directory(source.parent)
        node = self._node(source)
        there = parent.names.get(target.name)
        if isinstance(there, DirectoryNode) and there.names:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))
        parent.change(source.name, target.name, node)

    def remove(self, path: Path) -> None:
        self._step("remove", path)
        node = self._node(path)
        if isinstance(node, DirectoryNode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        self._directory(path.parent).change(path.name, None, node)

    def make_directory(self, path: Path) -> None:
        self._step("make_directory", path)
        parent = self._directory(path.parent)
        if path.name in parent.names:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        parent.change(None, path.name, DirectoryNode())

    def take_directory(self, path: Path, ours: re.Pattern[str], scratch: re.Pattern[str]) -> None:
        if not self.exists(path):
            self.make_directory(path)
        elif any(not ours.fullmatch(name) for name in self.names(path)):
            raise NotOursError(f"{path}: holds something else")

    def remove_directory(self, path: Path) -> None:
        self._step("remove_directory", path)
        node = self._directory(path)
        if node.names:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
        self._directory(path.parent).change(path.name, None, node)

    def names(self, path: Path) -> list[str]:
        return sorted(self._directory(path).names)

    def exists(self, path: Path) -> bool:
        try:
            self._node(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def map(self, path: Path) -> memoryview:
        node = self._node(path)
        if isinstance(node, DirectoryNode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        return memoryview(bytes(node.content))

    def free_bytes(self, path: Path) -> int:
        return 1 << 40 if self.capacity is None else self.capacity - self.used_bytes()

    def scratch(self, path: Path) -> None:
        return None

    def lock(self, path: Path) -> Lock:
        parent = self._directory(path.parent)
        node = parent.names.get(path.name)
        if node is None:
            node = FileNode()
            parent.change(None, path.name, node)
        if id(node) in self._locked:
            raise IndexLockedError(f"{path}: another writer holds the lock")
        self._locked.add(id(node))
        return SimulatedLock(self, id(node), path)

    def after_power_cut(self, rng: random.Random) -> SimulatedDisk:
        """Return one of the disks that a machine may find when it starts again."""
        disk = SimulatedDisk()
        disk.root = _survivor(self.root, rng)
        return disk

    def after_kill(self) -> SimulatedDisk:
        """Return the disk as another process finds it when this one is killed."""
        disk = SimulatedDisk()
        disk.root = _survivor(self.root, None)
        return disk

    def contents(self) -> dict[str, bytes]:
        """Return every file by path."""
        return dict(_walk(self.root, ""))

    def put(self, path: Path, content: bytes) -> None:
        """Replace a file's content behind the back of everyone."""
        node = FileNode()
        node.content = bytearray(content)
        node.durable = content
        self._directory(path.parent).names[path.name] = node

    def used_bytes(self) -> int:
        return sum(map(len, self.contents().values()))

    def unlock(self, identity: int) -> None:
        self._locked.discard(identity)

    def _step(self, operation: str, path: Path) -> bool:
        if self.before is not None:
            self.before(operation, path)
        return self.skip is not None and self.skip(operation, path)

    def _node(self, path: Path) -> Node:
        node: Node = self.root
        for part in PurePath(path).parts[1:]:
            if isinstance(node, FileNode):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(path))
            if part not in node.names:
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            node = node.names[part]
        return node

    def _directory(self, path: Path) -> DirectoryNode:
        node = self._node(path)
        if isinstance(node, FileNode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(path))
        return node


class SimulatedLock(Lock):
    """A lock of the simulated disk."""

    def __init__(self, disk: SimulatedDisk, identity: int, path: Path) -> None:
        self._disk = disk
        self._identity = identity
        self.path = path

    @property
    def held(self) -> bool:
        return True

    def release(self) -> None:
        self._disk.unlock(self._identity)


def _survivor(node: DirectoryNode, rng: random.Random | None) -> DirectoryNode:
    """Copy a directory as it is (no `rng`), or as one power cut may leave it."""
    found = DirectoryNode()
    for name, child in (node.after_power_cut(rng) if rng else node.names).items():
        if isinstance(child, DirectoryNode):
            found.names[name] = _survivor(child, rng)
        else:
            copy = FileNode()
            copy.durable = child.after_power_cut(rng) if rng else bytes(child.content)
            copy.content = bytearray(copy.durable)
            found.names[name] = copy
    found.sync()
    return found


def _walk(node: DirectoryNode, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for name, child in sorted(node.names.items()):
        path = f"{prefix}/{name}"
        if isinstance(child, DirectoryNode):
            found += _walk(child, path)
        else:
            found.append((path, bytes(child.content)))
    return found
