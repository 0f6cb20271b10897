"""`IndexWriter`: add, replace, delete and merge while others search.

One writer per index. What is added or deleted becomes visible and durable with `commit`, all of it
or nothing. Merging runs beside: it reads immutable segments, writes a new one, and swaps them in a
commit of its own, taking over the deletes that arrived meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.assets import write_assets
from index.build import options_from_json
from index.commit import WritableFolder
from index.deletes import mask_of, words_of, write_deletes
from index.files import DISK, Files
from index.filters import parse_filter
from index.layout import BuildOptions
from index.manifest import MAX_SEGMENTS, Manifest, SegmentEntry
from index.merge import MergePolicy, carried_deletes
from index.pending import Pending, storable_ids
from index.quantize import MAX_IMPACT, fit_scale
from index.reader import Index
from index.segment import (
    Chunk,
    Progress,
    SegmentReader,
    merged_chunks,
    rescaled,
    write_segment,
)
from lsr.encoders.base import EncoderAssets
from lsr.errors import IndexStateError, LsrError
from lsr.records import DocumentBatch

DEFAULT_MEMORY_BYTES = 256 << 20
SCALE_HEADROOM = 1.25


class Commit(NamedTuple):
    """What a commit did.

    Attributes
    ----------
    generation : int
        The state that searches see from now on. Unchanged when there was nothing to commit.
    n_docs : int
        Documents in it.
    n_added : int
        Documents added, replaced ones included.
    n_deleted : int
        Documents of earlier commits that are gone, replaced ones included.
    rescaled : bool
        A weight was larger than the scale allowed: all documents were quantised anew.
    """

    generation: int
    n_docs: int
    n_added: int
    n_deleted: int
    rescaled: bool


class IndexWriter:
    """The one writer of an index. A context manager: leaving it releases the lock.

    Leaving without `commit` forgets what was added since the last one. Methods may be called from
    several threads.

    Parameters
    ----------
    path : path
    memory_bytes : int
        Bound on the working memory of building and merging segments.
    policy : MergePolicy, optional
    background : bool
        Merge in a thread of its own after commits; else only when `merge` is called.
    files : Files
        The disk.

    Raises
    ------
    IndexNotFoundError, IndexLockedError, CorruptIndexError, FormatVersionError
    """

    def __init__(
        self,
        path: Path | str,
        *,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        policy: MergePolicy | None = None,
        background: bool = False,
        files: Files = DISK,
    ) -> None:
        self.path = Path(path)
        self._files = files
        self._memory_bytes = memory_bytes
        self._policy = policy or MergePolicy()
        self._background = background
        self._mutex = threading.RLock()
        self._merging = threading.Lock()
        self._thread: threading.Thread | None = None
        self._merge_error: BaseException | None = None
        self._closed = False
        self._ordinals = count(1)
        self._writable, manifest = WritableFolder.open(self.path, files)
        try:
            self._take(manifest)
        except BaseException:
            self._writable.close()
            raise
        self._forget()

    @property
    def generation(self) -> int:
        """The last committed state."""
        return self._manifest.generation

    @property
    def n_pending(self) -> int:
        """Documents added and not committed."""
        return len(self._pending.documents)

    def add(self, batch: DocumentBatch, *, n_terms: int | None = None) -> None:
        """Add documents; one whose id is in the index already replaces it.

        Parameters
        ----------
        batch : DocumentBatch
        n_terms : int, optional
            Size of the vocabulary, where it has grown.

        Raises
        ------
        DataError
            A document cannot be stored, an id appears twice in the batch, or a term is outside of
            the vocabulary. Nothing of the batch is taken.
        """
        with self._mutex:
            self._refuse_when_closed()
            self._pending.add(batch, n_terms)

    def delete(self, docnos: Iterable[str]) -> int:
        """Delete documents by id; returns how many of them there were."""
        with self._mutex:
            self._refuse_when_closed()
            n_found = 0
            for docno in dict.fromkeys(docnos):
                committed = docno not in self._pending.gone and self._holds(docno)
                n_found += self._pending.remove(docno) or committed
            return n_found

    def delete_where(self, filter: Any) -> int:
        """Delete the documents that pass a filter (`index.filters`); returns how many."""
        condition = parse_filter(filter)
        with self._mutex:
            self._refuse_when_closed()
            found = self._pending.matching(condition)
            for reader in self._readers:
                positions = np.flatnonzero(mask_of(reader.passing(condition), reader.n_docs))
                docnos = reader.docnos.docnos(positions)
                found += [docno for docno in docnos if docno not in self._pending.gone]
            return self.delete(found)

    def commit(self, *, encoder: EncoderAssets | None = None) -> Commit:
        """Make everything since the last commit visible and durable, or nothing of it.

        Parameters
        ----------
        encoder : EncoderAssets, optional
            Replaces the stored encoder: a vocabulary that has grown, a refreshed IDF table.

        Raises
        ------
        StorageFullError
            Nothing happened; call again when there is room.
        CommitOutcomeError
            It may or may not have happened; this writer is finished.
        """
        with self._mutex:
            self._refuse_when_closed()
            if not (self._pending or encoder):
                return Commit(self.generation, self._manifest.n_docs, 0, 0, False)
            try:
                with self._writable.transaction():
                    done = self._commit(encoder)
                self._forget()
            finally:
                self._collect()
        if self._background:
            self._start_merging()
        return done

    def rollback(self) -> None:
        """Forget what was added and deleted since the last commit."""
        with self._mutex:
            self._forget()

    def merge(self, *, progress: Progress | None = None) -> bool:
        """Merge once if the policy asks for it; returns whether it did.

        Adding, deleting and committing go on meanwhile.
        """
        return self._merge_chosen(self._policy.choose, progress)

    def compact(self, *, reorder: bool | None = None, progress: Progress | None = None) -> bool:
        """Merge everything into one segment without deleted documents; returns whether it did.

        Parameters
        ----------
        reorder : bool, optional
            Put similar documents next to each other. Default: as the index was built.
        """

        def everything(segments: Sequence[SegmentEntry]) -> range | None:
            clean = len(segments) == 1 and not segments[0].n_deleted and not reorder
            return None if clean or not segments else range(len(segments))

        options = self._options()
        if reorder is not None:
            options = replace(options, reorder="bisect" if reorder else "none")
        return self._merge_chosen(everything, progress, options)

    def wait_for_merges(self) -> None:
        """Return when no background merge is running; raises what went wrong in one."""
        thread = self._thread
        if thread is not None:
            thread.join()
        error, self._merge_error = self._merge_error, None
        if error is not None:
            raise error

    def snapshot(self) -> Index:
        """Return the last committed state, opened for reading."""
        with self._mutex:
            self._refuse_when_closed()
            return Index(self.path, self._manifest, self._files)

    def close(self) -> None:
        """Wait for a running merge and release the lock; harmless when closed already."""
        if not self._closed:
            self._closed = True
            thread = self._thread
            if thread is not None:
                thread.join()
            self._writable.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # The commit.

    def _commit(self, encoder: EncoderAssets | None) -> Commit:
        pending = self._pending
        peak, scale = pending.largest_weight(), self._manifest.scale
        too_large = bool(np.rint(peak / scale) > MAX_IMPACT)
        kept, n_deleted = self._without_gone()
        if too_large:
            scale = fit_scale(peak * SCALE_HEADROOM)
            segments = self._everything_rescaled(kept, scale)
        else:
            segments = [reader.entry for reader in kept]
            if pending.documents:
                segments.append(self._write(pending.chunks(scale), scale))
        stored = write_assets(self._writable, encoder) if encoder else self._manifest.encoder
        self._publish(
            replace(
                self._manifest,
                n_terms=pending.n_terms,
                scale=scale,
                segments=tuple(segments),
                encoder=stored,
            )
        )
        n_docs = self._manifest.n_docs
        return Commit(self.generation, n_docs, len(pending.documents), n_deleted, too_large)

    def _without_gone(self) -> tuple[list[SegmentReader], int]:
        """Delete from every segment what is replaced or deleted; drop the ones left empty."""
        gone = storable_ids(self._pending.gone)
        kept, n_deleted = [], 0
        for reader in self._readers:
            deleted = ~reader.live_mask()
            n_before = int(deleted.sum())
            deleted[[position for _, position in reader.docnos.find_all(gone)]] = True
            n_now = int(deleted.sum())
            n_deleted += n_now - n_before
            if n_now > n_before and n_now < reader.n_docs:
                entry = self._with_deletes(reader.entry, deleted)
                reader = self._reader(entry, self._manifest.scale)
            if n_now < reader.n_docs:
                kept.append(reader)
        return kept, n_deleted

    def _with_deletes(self, entry: SegmentEntry, deleted: NDArray[np.bool_]) -> SegmentEntry:
        words, n_deleted = words_of(deleted), int(deleted.sum())
        file = self._writable.write_container(
            "deletes",
            lambda container: write_deletes(container, words, entry.file, self.generation + 1),
        )
        return replace(entry, deletes=file, n_deleted=n_deleted)

    def _everything_rescaled(
        self, kept: Sequence[SegmentReader], scale: float
    ) -> list[SegmentEntry]:
        for reader in kept:
            reader.container.check()
        old = self._manifest.scale
        with self._writable.scratch() as scratch:

            def chunks() -> Iterator[Chunk]:
                for chunk in merged_chunks(kept, scratch):
                    yield rescaled(chunk, old, scale)
                yield from self._pending.chunks(scale)

            return [self._write(chunks(), scale)]

    def _write(
        self,
        chunks: Iterator[Chunk],
        scale: float,
        options: BuildOptions | None = None,
        progress: Progress | None = None,
    ) -> SegmentEntry:
        return write_segment(
            self._writable,
            chunks,
            n_terms=self._pending.n_terms,
            scale=scale,
            options=options or self._options(),
            generation=self.generation + 1,
            ordinal=next(self._ordinals),
            progress=progress,
        )

    def _publish(self, manifest: Manifest) -> None:
        if len(manifest.segments) > MAX_SEGMENTS:
            raise IndexStateError(f"{self.path}: {MAX_SEGMENTS} segments are too many; merge first")
        manifest = replace(manifest, generation=self.generation + 1, parent=self.generation)
        self._writable.publish(manifest)
        self._take(manifest)

    def _collect(self) -> None:
        # The commit has happened; what cannot be removed now is removed by a later one.
        with suppress(OSError, LsrError):
            self._writable.collect_garbage()

    def _merge_chosen(
        self,
        choose: Callable[[Sequence[SegmentEntry]], range | None],
        progress: Progress | None,
        options: BuildOptions | None = None,
    ) -> bool:
        with self._merging, self._writable.transaction():
            with self._mutex:
                self._refuse_when_closed()
                chosen = choose(self._manifest.segments)
                if chosen is None:
                    return False
                before, scale = self._readers[chosen.start : chosen.stop], self._manifest.scale
            merged = self._write_merged(before, scale, options, progress)
            with self._mutex:
                swapped = self._manifest.scale == scale and self._swap(before, merged)
        with self._mutex:
            self._collect()
        return swapped

    def _write_merged(
        self,
        before: Sequence[SegmentReader],
        scale: float,
        options: BuildOptions | None,
        progress: Progress | None,
    ) -> SegmentEntry | None:
        """Write the live documents of some segments as one; None when there is none."""
        n_live = sum(reader.entry.n_live for reader in before)
        if not n_live:
            return None
        for reader in before:
            # Damage must not be copied: the new file would have a checksum that fits it.
            reader.container.check()
        with self._writable.scratch() as scratch:
            return self._write(merged_chunks(before, scratch), scale, options, progress)

    def _swap(self, before: Sequence[SegmentReader], merged: SegmentEntry | None) -> bool:
        """Commit `merged` in place of its inputs, as many of them as are still there."""
        inputs = {reader.entry.file.uuid for reader in before}
        places = [i for i, r in enumerate(self._readers) if r.entry.file.uuid in inputs]
        if not places:
            return False
        segments = [
            reader.entry for reader in self._readers if reader.entry.file.uuid not in inputs
        ]
        if merged is not None:
            deleted = carried_deletes(before, self._readers)
            if deleted.any():
                merged = None if deleted.all() else self._with_deletes(merged, deleted)
        if merged is not None:
            segments.insert(places[0], merged)
        self._publish(replace(self._manifest, segments=tuple(segments)))
        return True

    def _start_merging(self) -> None:
        with self._mutex:
            if self._thread is not None and self._thread.is_alive():
                return
            if self._policy.choose(self._manifest.segments) is None or self._closed:
                return
            self._thread = threading.Thread(target=self._merge_all, name="merge", daemon=True)
            self._thread.start()

    def _merge_all(self) -> None:
        try:
            while not self._closed and self.merge():
                pass
        except BaseException as error:
            if not self._closed:
                self._merge_error = error

    # State.

    def _take(self, manifest: Manifest) -> None:
        """Make `manifest` the current state, opening the segments that are new."""
        known = {reader.entry: reader for reader in getattr(self, "_readers", [])}
        self._readers = [
            known.get(entry) or self._reader(entry, manifest.scale) for entry in manifest.segments
        ]
        self._manifest = manifest

    def _reader(self, entry: SegmentEntry, scale: float) -> SegmentReader:
        return SegmentReader(self._files, self.path, entry, scale)

    def _holds(self, docno: str) -> bool:
        return any(reader.find(docno) is not None for reader in self._readers)

    def _forget(self) -> None:
        self._pending = Pending(self._manifest.n_terms)

    def _options(self) -> BuildOptions:
        return options_from_json(dict(self._manifest.settings), self._memory_bytes)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise IndexStateError(f"{self.path}: this writer is closed")
