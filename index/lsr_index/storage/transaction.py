"""The commit protocol: files first, then one rename, each durable before the next step.

A crash at any moment must leave either the old generation or the new one, and an acknowledged one
for good. So the order is:

1. this process holds the lock of the folder;
2. each new file: written under a ``tmp-`` name, synced, renamed to its final name;
3. the manifest: written under a ``tmp-`` name, synced;
4. the directory is synced: every file of the manifest is there after a crash;
5. the manifest is renamed to ``MANIFEST-<generation>``: the commit;
6. the directory is synced: the commit is durable, and only now acknowledged;
7. only now are files removed that neither of the last two manifests names.

When step 5 or 6 fails, the outcome of the commit is unknown. The folder is then poisoned: it
refuses to write and removes nothing, because the "failed" manifest may be the one found after a
restart. A failed sync is final too: the kernel may have dropped the data and report success next
time. The first commit has no old generation, so the whole folder is made under another name and
renamed (`FirstCommit`).
"""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

from lsr.errors import (
    CommitOutcomeError,
    CorruptIndexError,
    IndexExistsError,
    IndexFormatError,
    IndexStateError,
)
from lsr.own_files import Lock, NotOursError
from lsr_index.storage.container import ContainerWriter, FileEntry
from lsr_index.storage.directory import DISK, Files, OutputFile, remove_tree, storage_errors
from lsr_index.storage.manifest import (
    Manifest,
    generation_of,
    generations,
    manifest_name,
    read_manifest,
)

LOCK_NAME = "write.lock"
KEPT_GENERATIONS = 2

_TEMPORARY = re.compile(r"tmp-\d{6,}")
_OURS = re.compile(
    rf"{_TEMPORARY.pattern}|MANIFEST-\d{{16}}|(segment|deletes|encoder)-[0-9a-f]{{32}}\.lsr"
)
_WITHOUT_DATA = re.compile(rf"{_TEMPORARY.pattern}|MANIFEST-\d{{16}}")
_OURS_AND_LOCK = re.compile(rf"{_OURS.pattern}|{re.escape(LOCK_NAME)}")


class WritableFolder:
    """The folder of an index while this process holds its lock."""

    def __init__(self, folder: Path, files: Files, lock: Lock) -> None:
        self.folder = folder
        self.files = files
        self._lock = lock
        self._numbers = count(1)
        # Names that no manifest mentions yet, but a commit under way in this process soon may.
        self._fresh: dict[int, set[str]] = {}
        self._own = threading.local()
        self._failure: BaseException | None = None

    @classmethod
    def open(
        cls, folder: Path, files: Files = DISK, replaces: int | None = None
    ) -> tuple[WritableFolder, Manifest]:
        """Lock an existing index, read its newest manifest, remove leftovers.

        Raises IndexNotFoundError, IndexLockedError, CorruptIndexError, FormatVersionError, and
        IndexStateError unless `replaces`, if given, is the newest generation.
        """
        generations(files, folder)
        writable = cls(folder, files, files.lock(folder / LOCK_NAME))
        try:
            manifest = read_manifest(files, folder, generations(files, folder)[-1])
            if replaces not in (None, manifest.generation):
                raise IndexStateError(
                    f"{folder}: the index has changed meanwhile (generation "
                    f"{manifest.generation}, not {replaces}); nothing was replaced, run it again"
                )
            writable.collect_garbage()
        except BaseException:
            writable.close()
            raise
        return writable, manifest

    def write_container(
        self, kind: str, fill: Callable[[ContainerWriter], Mapping[str, Any]]
    ) -> FileEntry:
        """Write a container and make its content durable under its final name.

        `fill` adds the arrays and returns the params. The name is durable only after `publish`.
        """

        def write(out: OutputFile) -> bytes:
            writer = ContainerWriter(out, kind)
            return writer.finish(fill(writer))

        return self._write_file(kind, write)

    def copy_file(self, entry: FileEntry, content: memoryview, source: Path) -> None:
        """Copy a file of another index; CorruptIndexError where its SHA-256 is another."""

        def write(out: OutputFile) -> bytes:
            out.write(content)
            if out.digest().hex() != entry.sha256:
                raise CorruptIndexError(
                    "the file does not have the SHA-256 of the manifest; it is not copied", source
                )
            return bytes.fromhex(entry.uuid)

        self._write_file(entry.kind, write)

    def _write_file(self, kind: str, write: Callable[[OutputFile], bytes]) -> FileEntry:
        """Write a file under a temporary name, make it durable, rename it."""
        self._refuse_when_poisoned()
        temporary = self.temporary_path()
        try:
            with OutputFile(self.files, temporary) as out:
                uuid = write(out)
                with self._poisoned_by_failure():
                    out.sync()
            entry = FileEntry(kind, uuid.hex(), out.position, out.digest().hex())
            self._protect(entry.name)
            target = self.folder / entry.name
            try:
                with storage_errors(temporary):
                    self.files.rename(temporary, target)
            except (IsADirectoryError, NotADirectoryError):
                message = f"{target}: a folder has the name of a file; remove it"
                raise NotOursError(message) from None
        except BaseException:
            self.discard(temporary)
            raise
        return entry

    def publish(self, manifest: Manifest) -> None:
        """Make `manifest` the current generation, durably.

        Raises StorageFullError where nothing happened and the commit can be tried again,
        CommitOutcomeError where it may or may not have happened: this folder refuses further work.
        """
        self._refuse_when_poisoned()
        if self.files.exists(self.folder / manifest.name):
            raise IndexStateError(f"{self.folder / manifest.name}: a manifest is never overwritten")
        temporary = self.temporary_path()
        try:
            with OutputFile(self.files, temporary) as out:
                out.write(manifest.to_bytes())
                with self._poisoned_by_failure():
                    out.sync()
            with self._poisoned_by_failure():
                self.files.sync_directory(self.folder)
        except BaseException:
            self.discard(temporary)
            raise
        try:
            with self._poisoned_by_failure():
                self.files.rename(temporary, self.folder / manifest.name)
                self.files.sync_directory(self.folder)
        except Exception as error:
            raise outcome_error(self.folder, error) from error

    def collect_garbage(self) -> None:
        """Remove the files that neither of the last two generations needs. Foreign files stay.

        Readers keep the files they have mapped; one that is just opening finds a file missing, sees
        a newer generation, and starts again. While the manifest of the last generation but one is
        damaged, the files it needs are unknown: then only temporary files and older manifests are
        removed, the others by a later commit.
        """
        self._refuse_when_poisoned()
        names = self.files.names(self.folder)
        kept = sorted(g for name in names if (g := generation_of(name)))[-KEPT_GENERATIONS:]
        needed, removable = {manifest_name(generation) for generation in kept}, _OURS
        for generation in kept:
            try:
                needed |= read_manifest(self.files, self.folder, generation).files()
            except IndexFormatError:
                if generation == kept[-1]:
                    raise
                removable = _WITHOUT_DATA
        # Manifests first: a manifest without its files is never left by an orderly removal.
        unneeded = set(names) - needed.union(*self._fresh.values())
        for name in sorted(unneeded, key=lambda name: (not generation_of(name), name)):
            if removable.fullmatch(name):
                self.discard(self.folder / name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Protect the files that this thread writes from garbage collection by another thread."""
        self._own.names = names = set[str]()
        self._fresh[id(names)] = names
        try:
            yield
        finally:
            self._own.names = None
            del self._fresh[id(names)]

    @contextmanager
    def scratch(self) -> Iterator[Path | None]:
        """Provide a folder for intermediate files, or None on a disk that offers none."""
        path = self.temporary_path()
        with storage_errors(path):
            folder = self.files.scratch(path)
        try:
            yield folder
        finally:
            if folder is not None:
                self.files.remove_scratch(folder)

    def temporary_path(self) -> Path:
        """Return a fresh name; the next writer removes the file if this one dies."""
        name = f"tmp-{next(self._numbers):06d}"
        while self.files.exists(self.folder / name):  # could not be removed when it was opened
            name = f"tmp-{next(self._numbers):06d}"
        self._protect(name)
        return self.folder / name

    def _protect(self, name: str) -> None:
        if (names := getattr(self._own, "names", None)) is not None:
            names.add(name)

    def discard(self, path: Path) -> None:
        """Remove a file without references; one that cannot be removed stays for a later writer."""
        if self._failure is None:
            try:
                self.files.remove(path)
            except (IsADirectoryError, PermissionError):  # macOS: a folder is not permitted
                if _TEMPORARY.fullmatch(path.name):
                    self.files.remove_scratch(path)
            except OSError:
                pass

    @property
    def poisoned(self) -> bool:
        """Whether a failure of the disk has ended this writer."""
        return self._failure is not None

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def _poisoned_by_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._failure = error
            raise

    def _refuse_when_poisoned(self) -> None:
        if self._failure is not None:
            raise outcome_error(self.folder, self._failure) from self._failure
        if not self._lock.held:
            raise IndexStateError(
                f"{self.folder}: the lock belongs to the process that took it; a forked child "
                "opens a writer of its own, once that one is closed"
            )


def outcome_error(folder: Path, error: BaseException) -> CommitOutcomeError:
    """Return the error for a commit of unknown outcome."""
    return CommitOutcomeError(
        f"{folder}: the disk failed while a commit was made durable ({error}); it may or may not "
        "have happened. This writer stops here: open the index again, then repeat what was not "
        "acknowledged (repeating an upsert or a delete is harmless)"
    )


class FirstCommit:
    """Makes a new index in a folder of another name, which `publish` renames.

    The name is fixed, so that the next writer finds what a killed process left, and locked, so that
    it keeps the files of a living one. Leaving the context without `publish` removes the folder.
    """

    def __init__(self, target: Path, files: Files = DISK) -> None:
        self.target = target
        self._files = files
        refuse_existing(files, target)
        ensure_directory(files, target.parent)
        folder = target.parent / f".{target.name}.new"
        with storage_errors(folder):
            files.take_directory(folder, _OURS_AND_LOCK, _TEMPORARY)
            lock = files.lock(folder / LOCK_NAME)
        self.writable = WritableFolder(folder, files, lock)
        self._published = False
        for name in files.names(folder):
            if name != LOCK_NAME:
                self.writable.discard(folder / name)

    def publish(self, manifest: Manifest) -> None:
        """Make the index appear at its target, complete and durable."""
        self.writable.publish(manifest)
        refuse_existing(self._files, self.target)
        try:
            self._files.rename(self.writable.folder, self.target)
            self._published = True
            self._files.sync_directory(self.target.parent)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                refuse_existing(self._files, self.target)
            raise outcome_error(self.target, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._published and not self.writable.poisoned:
            with suppress(OSError):
                remove_tree(self._files, self.writable.folder, _OURS_AND_LOCK)
        self.writable.close()


def publish_index(
    path: Path,
    files: Files,
    write: Callable[[WritableFolder, Manifest | None], Manifest],
    *,
    replace: bool = False,
    replaces: int | None = None,
) -> Manifest:
    """Make a new index at `path`; with `replace` also the next generation of one that is there.

    `write` gets the folder and the manifest that is replaced, if any; it writes the files and
    returns the manifest. `replaces` is that of `WritableFolder.open`.
    """
    if not replace or not files.exists(path):
        with FirstCommit(path, files) as first:
            manifest = write(first.writable, None)
            first.publish(manifest)
            return manifest
    writable, current = WritableFolder.open(path, files, replaces)
    with writable:
        manifest = write(writable, current)
        writable.publish(manifest)
        writable.collect_garbage()
        return manifest


def refuse_existing(files: Files, target: Path) -> None:
    """Raise IndexExistsError when anything but an empty folder is at `target`."""
    if files.is_link(target):
        raise IndexExistsError(f"{target}: is a link; choose another path, or remove the link")
    try:
        names = files.names(target)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise IndexExistsError(f"{target}: a file of this name exists; choose another") from None
    if any(generation_of(name) is not None for name in names):
        raise IndexExistsError(
            f"{target}: there is an index here already; choose another path, add to it, or ask "
            "for it to be replaced"
        )
    if names:
        raise IndexExistsError(
            f"{target}: this folder is not empty and no index; choose another path"
        )


def ensure_directory(files: Files, path: Path) -> None:
    """Create a directory and its missing parents, durably."""
    if files.exists(path):
        return
    ensure_directory(files, path.parent)
    with storage_errors(path), suppress(FileExistsError):
        files.make_directory(path)
    files.sync_directory(path.parent)
