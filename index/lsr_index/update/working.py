"""State of a writer: the current generation, and the steps that make the next one.

`lsr_index.update.writer` decides what is added, deleted and merged, and when. Callers of methods
that commit hold the writer's mutex.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import IndexStateError, LsrError
from lsr.progress import Progress
from lsr_index.build.builder import options_from_json
from lsr_index.segment.delete_bitmap import words_of
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.metadata_columns import ColumnName
from lsr_index.segment.quantize import MAX_IMPACT, LossCount, WeightSpread
from lsr_index.segment.quantized_batch import Chunk, rescaled
from lsr_index.segment.reader import SegmentReader, merged_chunks
from lsr_index.segment.writer import write_segment
from lsr_index.storage.container import ContainerWriter
from lsr_index.storage.dense_part import DensePart
from lsr_index.storage.directory import Files
from lsr_index.storage.manifest import MAX_SEGMENTS, Manifest, SegmentEntry
from lsr_index.storage.transaction import WritableFolder

SCALE_HEADROOM = 1.25
"""By how much weights may grow after a commit that had to enlarge the scale."""


class WorkingIndex:
    """An index under its lock: the last committed `manifest` and the `readers` of its segments.

    `n_terms` is the size of the vocabulary of the next generation.
    """

    manifest: Manifest
    readers: list[SegmentReader]

    def __init__(
        self, path: Path, files: Files, memory_bytes: int, replaces: int | None = None
    ) -> None:
        self.path = path
        self.files = files
        self._memory_bytes = memory_bytes
        self._serials = count(1)
        self.readers = []
        self.n_terms = 0
        self.folder, manifest = WritableFolder.open(path, files, replaces)
        try:
            self._take(manifest, self._opened(manifest))
        except BaseException:
            self.folder.close()
            raise

    @property
    def options(self) -> BuildOptions:
        """Layout of new segments."""
        return options_from_json(dict(self.manifest.settings), self._memory_bytes)

    def columns(self) -> set[ColumnName]:
        """Return the metadata columns of all segments."""
        return {name for reader in self.readers for name in reader.columns.names}

    def holds(self, doc_id: str) -> bool:
        """Return whether a committed document with this id is not deleted."""
        return any(reader.find(doc_id) is not None for reader in self.readers)

    def without(self, gone: Sequence[str]) -> tuple[list[SegmentReader], int]:
        """Delete ids from every segment; return the segments with documents left, and the count.

        Nothing is published.
        """
        kept, n_deleted = [], 0
        for reader in self.readers:
            deleted = ~reader.live_mask()
            n_before = int(deleted.sum())
            deleted[[position for _, position in reader.doc_ids.find_all(gone)]] = True
            n_now = int(deleted.sum())
            n_deleted += n_now - n_before
            if n_now > n_before and n_now < reader.n_docs:
                entry = self._with_deletes(reader.entry, deleted)
                reader = self._reader(entry, self.manifest.scale, self.manifest.dense)
            if n_now < reader.n_docs:
                kept.append(reader)
        return kept, n_deleted

    def fitting_scale(
        self, kept: Iterable[SegmentReader], added: Iterable[NDArray[np.float32]]
    ) -> float:
        """Return the scale for stored and added weights; the present one where it fits."""
        old, spread = self.manifest.scale, WeightSpread()
        for weights in added:
            spread.add(weights)
        if np.rint(spread.largest / old) <= MAX_IMPACT:
            return old
        for reader in kept:
            for _, vectors in reader.vectors.chunks():
                spread.add_impacts(np.bincount(vectors.impacts, minlength=MAX_IMPACT + 1), old)
        return max(old, spread.scale(SCALE_HEADROOM, self.manifest.loss.n_dropped))

    def _with_deletes(self, entry: SegmentEntry, deleted: NDArray[np.bool_]) -> SegmentEntry:
        def fill(container: ContainerWriter) -> dict[str, Any]:
            container.add("deleted", words_of(deleted))
            return {"generation": self.manifest.generation + 1, "segment": entry.file.uuid}

        file = self.folder.write_container("deletes", fill)
        return replace(entry, deletes=file, n_deleted=int(deleted.sum()))

    def rewrite(
        self,
        readers: Collection[SegmentReader],
        scale: float,
        *,
        lost: LossCount | None = None,
        added: Iterable[Chunk] = (),
        options: BuildOptions | None = None,
        progress: Progress | None = None,
    ) -> SegmentEntry:
        """Write the live documents of some segments, and added ones, as one segment.

        With `lost` the stored ones are quantised again, for `scale`.
        """
        for reader in readers:
            # Damage must not be copied: the new file would have a checksum that fits it.
            reader.container.check()
        old = self.manifest.scale
        with self.folder.scratch() as scratch:
            stored = merged_chunks(readers, scratch)
            if lost is not None:
                stored = (rescaled(chunk, old, scale, lost) for chunk in stored)
            return self.write(chain(stored, added), scale, options, progress)

    def write(
        self,
        chunks: Iterable[Chunk],
        scale: float,
        options: BuildOptions | None = None,
        progress: Progress | None = None,
    ) -> SegmentEntry:
        """Write a segment for the next generation."""
        return write_segment(
            self.folder,
            chunks,
            n_terms=self.n_terms,
            scale=scale,
            options=options or self.options,
            generation=self.manifest.generation + 1,
            serial=next(self._serials),
            dense=self.manifest.dense,
            progress=progress,
            limited=False,
        )

    def publish(self, manifest: Manifest) -> None:
        """Commit `manifest` as the next generation."""
        if len(manifest.segments) > MAX_SEGMENTS:
            raise IndexStateError(f"{self.path}: {MAX_SEGMENTS} segments are too many; merge first")
        manifest = replace(
            manifest, generation=self.manifest.generation + 1, parent=self.manifest.generation
        )
        # Opened before the commit: nothing that can fail may come after it.
        readers = self._opened(manifest)
        self.folder.publish(manifest)
        self._take(manifest, readers)

    def collect(self) -> None:
        """Remove the files that no generation needs, as far as that works."""
        # The commit has happened; what cannot be removed now is removed by a later one.
        with suppress(OSError, LsrError):
            self.folder.collect_garbage()

    def swap(self, before: Sequence[SegmentReader], merged: SegmentEntry | None) -> bool:
        """Commit `merged` in place of its inputs, as many of them as are still there."""
        inputs = {reader.entry.file.uuid for reader in before}
        places = [i for i, r in enumerate(self.readers) if r.entry.file.uuid in inputs]
        if not places:
            return False
        segments = [reader.entry for reader in self.readers if reader.entry.file.uuid not in inputs]
        if merged is not None:
            deleted = _carried_deletes(before, self.readers)
            if deleted.any():
                merged = None if deleted.all() else self._with_deletes(merged, deleted)
        if merged is not None:
            segments.insert(places[0], merged)
        self.publish(replace(self.manifest, segments=tuple(segments)))
        return True

    def _opened(self, manifest: Manifest) -> list[SegmentReader]:
        """Open the segments of a manifest that are not open yet."""
        known = {reader.entry: reader for reader in self.readers}
        return [
            known.get(entry) or self._reader(entry, manifest.scale, manifest.dense)
            for entry in manifest.segments
        ]

    def _take(self, manifest: Manifest, readers: list[SegmentReader]) -> None:
        self.readers = readers
        self.manifest = manifest
        self.n_terms = max(self.n_terms, manifest.n_terms)

    def _reader(self, entry: SegmentEntry, scale: float, dense: DensePart | None) -> SegmentReader:
        return SegmentReader(self.files, self.path, entry, scale, dense)


def _carried_deletes(
    before: Sequence[SegmentReader], now: Iterable[SegmentReader]
) -> NDArray[np.bool_]:
    """Return which documents of a merged segment were deleted while it was written, (n_docs,) bool.

    `before` are the inputs as the merge read them, `now` all segments of the index; an input that
    is not among them was deleted as a whole.
    """
    present = {reader.entry.file.uuid: reader for reader in now}
    masks = [np.zeros(0, np.bool_)]
    for reader in before:
        copied = reader.live_mask()
        current = present.get(reader.entry.file.uuid)
        alive = current.live_mask() if current else np.zeros(reader.n_docs, np.bool_)
        masks.append(~alive[copied])
    return np.concatenate(masks)
