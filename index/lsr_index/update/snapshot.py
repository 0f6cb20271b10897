"""Snapshots: copying one generation of an index to another folder, and restoring it.

A snapshot is itself an index: it opens and searches like any other. Every file is compared with the
SHA-256 of the manifest while it is copied, so damage is found now and not when it is restored. A
snapshot may come from anywhere, so its structure is checked before anything is written.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lsr_index.search.index import Index, open_index
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.transaction import FirstCommit, WritableFolder


def snapshot(
    path: Path | str, target: Path | str, *, generation: int | None = None, files: Files = DISK
) -> int:
    """Copy a generation of an index to `target`, the newest by default; return its number.

    Writers and readers continue. `target` must be nothing, or an empty folder; the copy appears
    complete, or not at all. Raises IndexExistsError, StorageFullError, or CorruptIndexError for a
    damaged file.
    """
    with (
        open_index(path, generation=generation, files=files) as index,
        FirstCommit(Path(target), files) as first,
    ):
        return _copy(index, first)


def restore(
    source: Path | str, path: Path | str, *, replace_existing: bool = False, files: Files = DISK
) -> int:
    """Restore a snapshot, or any index, to `path`; return the generation there.

    With `replace_existing` the snapshot becomes the next generation of an index at `path`: readers
    see the present one until it is complete.

    Raises
    ------
    IndexExistsError
        Something is at `path` and is not to be replaced, or is no index.
    CorruptIndexError
        The snapshot is damaged; `path` is untouched.
    IndexLockedError, StorageFullError
    """
    path = Path(path)
    with open_index(source, verify="structure", files=files) as index:
        if not replace_existing or not files.exists(path):
            with FirstCommit(path, files) as first:
                return _copy(index, first)
        writable, current = WritableFolder.open(path, files)
        with writable:
            _copy_files(index, writable)
            generation = current.generation + 1
            writable.publish(
                replace(index.manifest, generation=generation, parent=current.generation)
            )
            writable.collect_garbage()
            return generation


def _copy(index: Index, first: FirstCommit) -> int:
    _copy_files(index, first.writable)
    first.publish(index.manifest)
    return index.generation


def _copy_files(index: Index, writable: WritableFolder) -> None:
    for container in index.containers():
        writable.copy_file(container.entry, container.data, container.path)
