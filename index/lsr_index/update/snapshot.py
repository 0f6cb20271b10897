"""Snapshots: copying one generation of an index to another folder, and restoring it.

A snapshot is itself an index: it opens and searches like any other. Every file is compared with the
SHA-256 of the manifest while it is copied, so damage is found now and not when it is restored. A
snapshot may come from anywhere, so its structure is checked before anything is written.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from lsr_index.search.index import Index, open_index
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.manifest import Manifest
from lsr_index.storage.transaction import WritableFolder, publish_index


def snapshot(
    path: Path | str, target: Path | str, *, generation: int | None = None, files: Files = DISK
) -> int:
    """Copy a generation of an index to `target`, the newest by default; return its number.

    Writers and readers continue. `target` must be nothing, or an empty folder; the copy appears
    complete, or not at all. Raises IndexExistsError, StorageFullError, or CorruptIndexError for a
    damaged file.
    """
    with open_index(path, generation=generation, files=files) as index:
        return publish_index(Path(target), files, partial(_copy, index)).generation


def restore(
    source: Path | str, path: Path | str, *, replace_existing: bool = False, files: Files = DISK
) -> int:
    """Restore a snapshot, or any index, to `path`; return the generation there.

    With `replace_existing` the snapshot becomes the next generation of an index at `path`: readers
    see the present one until it is complete. Raises IndexExistsError for anything else at `path`,
    CorruptIndexError for a damaged snapshot (`path` is untouched), IndexLockedError,
    StorageFullError.
    """
    with open_index(source, verify="structure", files=files) as index:
        copy = partial(_copy, index)
        return publish_index(Path(path), files, copy, replace=replace_existing).generation


def _copy(index: Index, writable: WritableFolder, current: Manifest | None) -> Manifest:
    for container in index.containers():
        writable.copy_file(container.entry, container.data, container.path)
    if current is None:
        return index.manifest
    generation = current.generation + 1
    return replace(index.manifest, generation=generation, parent=current.generation)
