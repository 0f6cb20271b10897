"""`IndexWriter`: add, replace, delete and merge while others search.

One writer per index. Additions and deletes become visible and durable with `commit`, all or
none. Merging runs in parallel: it reads immutable segments, writes a new one, and replaces them in
a commit of its own, with the deletes that arrived meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from lsr.encoders.base import EncoderAssets
from lsr.errors import IndexStateError, UsageError
from lsr.progress import Progress
from lsr.records import DocumentBatch
from lsr_index.search.filters import (
    Filter,
    Not,
    check_fields,
    matching_documents,
    merged_fields,
    parse_filter,
)
from lsr_index.search.index import Index
from lsr_index.segment.delete_bitmap import mask_of
from lsr_index.segment.encoder_store import write_assets
from lsr_index.segment.geometry import DEFAULT_MEMORY_BYTES, BuildOptions
from lsr_index.segment.quantize import LossCount
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.manifest import SegmentEntry
from lsr_index.update.merge_policy import MergePolicy
from lsr_index.update.working import WorkingIndex
from lsr_index.update.write_buffer import Pending

_IDS_AT_ONCE = 1 << 16


class Commit(NamedTuple):
    """Result of a commit.

    Attributes
    ----------
    generation : int
        The state that searches see from now on. Unchanged when there was nothing to commit.
    n_docs : int
        Documents in it.
    n_added : int
        Documents added, replaced ones included.
    n_deleted : int
        Documents of earlier commits that were deleted or replaced.
    rescaled : bool
        A weight was larger than the scale allowed: all documents were quantised anew.
    n_clipped, n_dropped : int
        Postings changed by quantising; see `lsr_index.storage.manifest.Loss`.
    """

    generation: int
    n_docs: int
    n_added: int
    n_deleted: int
    rescaled: bool
    n_clipped: int = 0
    n_dropped: int = 0


class WriterBase:
    """Common part of the writers of vectors and of text.

    Parameters
    ----------
    memory_bytes : int
        Bound on the working memory of building and merging segments.
    background : bool
        Merge in a background thread after commits; else only when `merge` is called.

    Raises
    ------
    IndexNotFoundError, IndexLockedError, CorruptIndexError, FormatVersionError
    """

    def __init__(
        self,
        path: Path | str,
        *,
        memory_bytes: int = DEFAULT_MEMORY_BYTES // 4,
        policy: MergePolicy | None = None,
        background: bool = False,
        files: Files = DISK,
    ) -> None:
        self.path = Path(path)
        self._policy = policy or MergePolicy()
        self._background = background
        self._mutex = threading.RLock()
        self._merging = threading.Lock()
        self._thread: threading.Thread | None = None
        self._merge_error: BaseException | None = None
        self._closed = False
        self._work = WorkingIndex(self.path, files, memory_bytes)
        self._forget()

    @property
    def generation(self) -> int:
        """The last committed state."""
        return self._work.manifest.generation

    @property
    def n_pending(self) -> int:
        """Documents added and not committed."""
        return len(self._pending.documents)

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Delete documents by id; return how many there were."""
        with self._mutex:
            self._refuse_when_closed()
            n_found = 0
            for doc_id in dict.fromkeys(doc_ids):
                committed = doc_id not in self._pending.gone and self._work.holds(doc_id)
                n_found += self._pending.remove(doc_id) or committed
            return n_found

    def delete_where(self, filter: Any, *, allow_all: bool = True) -> int:
        """Delete the documents that pass a filter; return how many.

        UsageError: the filter is none, names a field or a type that no document has, or matches
        every document without `allow_all`; nothing is deleted.
        """
        condition = parse_filter(filter)
        with self._mutex:
            self._refuse_when_closed()
            columns = [reader.columns for reader in self._work.readers]
            check_fields(condition, merged_fields([*columns, self._pending]))
            found = list(self._matching(condition))
            if found and not allow_all and next(self._matching(Not(condition)), None) is None:
                raise UsageError(
                    f"the filter matches every document ({len(found):,}), which is allowed only on "
                    "request (all)"
                )
            return self.delete(found)

    def _matching(self, condition: Filter) -> Iterator[str]:
        """Yield the ids of the documents that pass, pending ones and committed ones."""
        yield from self._pending.matching(condition)
        for reader in self._work.readers:
            words = matching_documents(reader, condition)
            positions = np.flatnonzero(mask_of(words, reader.n_docs))
            for start in range(0, len(positions), _IDS_AT_ONCE):
                doc_ids = reader.doc_ids.doc_ids(positions[start : start + _IDS_AT_ONCE])
                yield from (doc_id for doc_id in doc_ids if doc_id not in self._pending.gone)

    def rollback(self) -> None:
        """Discard all changes since the last commit."""
        with self._mutex:
            self._work.n_terms = self._work.manifest.n_terms
            self._forget()

    def merge(self, *, progress: Progress | None = None) -> bool:
        """Merge once if the policy chooses segments; return whether it did.

        Adding, deleting and committing may continue meanwhile.
        """
        return self._merge_chosen(self._policy.choose, progress)

    def compact(self, *, reorder: bool | None = None, progress: Progress | None = None) -> bool:
        """Merge everything into one segment without deleted documents; return whether it did.

        `reorder` puts similar documents next to each other; by default as the index was built.
        """

        def everything(segments: Sequence[SegmentEntry]) -> range | None:
            clean = len(segments) == 1 and not segments[0].n_deleted and not reorder
            return None if clean or not segments else range(len(segments))

        options = self._work.options
        if reorder is not None:
            options = replace(options, reorder="bisect" if reorder else "none")
        return self._merge_chosen(everything, progress, options)

    def wait_for_merges(self) -> None:
        """Return when no background merge is running; raise the error of the last one."""
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
            return Index(self.path, self._work.manifest, self._work.files)

    def close(self) -> None:
        """Wait for a running merge and release the lock; harmless when closed already."""
        if not self._closed:
            self._closed = True
            thread = self._thread
            if thread is not None:
                thread.join()
            self._work.folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _add(self, batch: DocumentBatch, n_terms: int | None) -> None:
        with self._mutex:
            self._refuse_when_closed()
            self._pending.add(batch, n_terms)

    def _commit_pending(self, encoder: EncoderAssets | None) -> Commit:
        with self._mutex:
            self._refuse_when_closed()
            if not (self._pending or encoder):
                return Commit(self.generation, self._work.manifest.n_docs, 0, 0, False)
            try:
                with self._work.folder.transaction():
                    done = self._commit(encoder)
                self._forget()
            finally:
                self._work.collect()
        if self._background:
            self._start_merging()
        return done

    def _commit(self, encoder: EncoderAssets | None) -> Commit:
        pending, work, old = self._pending, self._work, self._work.manifest
        kept, n_deleted = work.without(list(pending.gone))
        scale, lost = work.fitting_scale(kept, pending.weights()), LossCount()
        rescaled = scale != old.scale
        work.n_terms = pending.n_terms
        chunks = pending.chunks(scale, lost)
        if rescaled:
            segments = [work.rewrite(kept, scale, lost=lost, added=chunks)]
        else:
            segments = [reader.entry for reader in kept]
            if pending.documents:
                segments.append(work.write(chunks, scale))
        stored = write_assets(work.folder, encoder) if encoder else old.encoder
        work.publish(
            replace(
                old,
                n_terms=pending.n_terms,
                scale=scale,
                segments=tuple(segments),
                encoder=stored,
                loss=old.loss + lost.total,
            )
        )
        return Commit(
            self.generation,
            work.manifest.n_docs,
            len(pending.documents),
            n_deleted,
            rescaled,
            lost.total.n_clipped,
            lost.total.n_dropped,
        )

    def _merge_chosen(
        self,
        choose: Callable[[Sequence[SegmentEntry]], range | None],
        progress: Progress | None,
        options: BuildOptions | None = None,
    ) -> bool:
        with self._merging, self._work.folder.transaction():
            with self._mutex:
                self._refuse_when_closed()
                chosen = choose(self._work.manifest.segments)
                if chosen is None:
                    return False
                before = self._work.readers[chosen.start : chosen.stop]
                scale = self._work.manifest.scale
            merged = None
            if any(reader.entry.n_live for reader in before):
                merged = self._work.rewrite(before, scale, options=options, progress=progress)
            with self._mutex:
                swapped = self._work.manifest.scale == scale and self._work.swap(before, merged)
        with self._mutex:
            self._work.collect()
        return swapped

    def _start_merging(self) -> None:
        with self._mutex:
            if self._thread is not None and self._thread.is_alive():
                return
            if self._policy.choose(self._work.manifest.segments) is None or self._closed:
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

    def _forget(self) -> None:
        manifest = self._work.manifest
        self._pending = Pending(manifest.n_terms, manifest.dense, self._work.columns)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise IndexStateError(f"{self.path}: this writer is closed")


class IndexWriter(WriterBase):
    """The one writer of an index, for vectors. A context manager: leaving it releases the lock.

    Leaving without `commit` discards changes since the last one. Methods may be called from several
    threads. For parameters and errors see `WriterBase`.
    """

    def add(self, batch: DocumentBatch, *, n_terms: int | None = None) -> None:
        """Add documents; one whose id is in the index already replaces it.

        `n_terms` is the size of the vocabulary, where it has grown. DataError: a document cannot be
        stored, an id appears twice in the batch, or a term is outside of the vocabulary; nothing of
        the batch is added.
        """
        self._add(batch, n_terms)

    def commit(self, *, encoder: EncoderAssets | None = None) -> Commit:
        """Make all changes since the last commit visible and durable, or none of them.

        `encoder` replaces the stored encoder: a vocabulary that has grown, a refreshed IDF table.

        Raises
        ------
        StorageFullError
            Nothing happened; call again when there is room, or `rollback`.
        CommitOutcomeError
            It may or may not have happened; this writer refuses further work.
        """
        return self._commit_pending(encoder)
