"""`Index`: one generation of an index, opened for searching. It never changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, IndexNotFoundError, IndexStateError, UsageError
from lsr_index.kernels.accumulator import width_for
from lsr_index.kernels.fork import freed_after_fork
from lsr_index.kernels.score.score_docs import score_documents
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.execute import Cancel, search_segments, search_segments_batch
from lsr_index.search.filter_cache import SearchSnapshot
from lsr_index.search.hits import Hits
from lsr_index.search.options import EXACT, SearchOptions
from lsr_index.search.query import ordinals_of, require_k, single_vector, vectors_of
from lsr_index.search.snapshot_reader import Generation
from lsr_index.segment.delete_bitmap import Words
from lsr_index.segment.quantize import quantize_query
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.manifest import Manifest, generations, read_manifest

Verify = Literal["header", "checksums", "structure"]

_OPEN_ATTEMPTS = 100


def open_index(
    path: Path | str,
    *,
    verify: Verify = "header",
    generation: int | None = None,
    files: Files = DISK,
) -> Index:
    """Open an index for reading.

    Takes the same time for an index of any size, unless `verify` checks more than headers.

    Parameters
    ----------
    path : path
    verify : {"header", "checksums", "structure"}
        Checks before the first search. "header": manifest, lengths, directories, delete bitmaps;
        documents are checked when they are read. "checksums": every byte, about 2 GB/s.
        "structure": also every number that a kernel uses as a position, for an index from an
        untrusted source.
    generation : int, optional
        An older generation that still exists. Default: the newest.
    files : Files

    Raises
    ------
    IndexNotFoundError
        There is no index at `path`, or no such generation.
    CorruptIndexError
        A file is damaged or missing; names it and the offset.
    FormatVersionError
        The index was written by another version of the format.
    """
    path = Path(path)
    if verify not in ("header", "checksums", "structure"):
        raise UsageError(f"verify is header, checksums or structure, got {verify!r}")
    index = _open_generation(files, path, generation)
    try:
        if verify != "header":
            index.check_checksums()
        if verify == "structure":
            index.check_structure()
    except BaseException:
        index.close()
        raise
    return index


def _open_generation(files: Files, path: Path, generation: int | None) -> Index:
    for _ in range(_OPEN_ATTEMPTS):
        present = generations(files, path)
        wanted = present[-1] if generation is None else generation
        if wanted not in present:
            raise IndexNotFoundError(
                f"{path}: generation {wanted} is not here; there are {present[0]} to {present[-1]}"
            )
        try:
            manifest = read_manifest(files, path, wanted)
            return Index(path, manifest, files)
        except (FileNotFoundError, CorruptIndexError):
            # A writer may have removed the files of a former generation. If the newest is still
            # the same, the file is missing or damaged.
            if generations(files, path)[-1] == present[-1]:
                raise
    raise IndexStateError(f"{path}: the index changed {_OPEN_ATTEMPTS} times while being opened")


class Index(Generation):
    """One generation of an index, opened by `open_index`. Safe to use from several threads."""

    def __init__(self, path: Path, manifest: Manifest, files: Files = DISK) -> None:
        super().__init__(path, manifest, files)
        self._mutex = freed_after_fork(Lock())
        self._snapshot: SearchSnapshot | None = None

    @property
    def snapshot(self) -> SearchSnapshot:
        """Segments, bitmaps and filters of searches, checked on first use.

        Raises
        ------
        CorruptIndexError
            A position in a file is outside of its array.
        IndexStateError
            The index is closed.
        """
        snapshot = self._snapshot
        if snapshot is None:
            with self._mutex:
                segments = self.segments  # raises when closed
                if self._snapshot is None:
                    self._snapshot = SearchSnapshot(segments)
                snapshot = self._snapshot
        return snapshot

    @property
    def dense(self) -> DenseIndex | None:
        """The dense vectors; None where the index has none."""
        part = self.manifest.dense
        if part is None:
            return None
        arrays = [segment.dense for segment in self.segments if segment.dense]
        return DenseIndex(self, part, arrays, self._bases, self._dense_encoder, self._words)

    def require_dense(self) -> DenseIndex:
        """Return the dense vectors, or raise UsageError."""
        dense = self.dense
        if dense is None:
            raise UsageError(
                f"{self.path}: this index has no dense vectors; encode its documents again with "
                'dense="minilm" (lsr reindex), or with another dense encoder'
            )
        return dense

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        filter: Any = None,
        cancel: Cancel | None = None,
        options: SearchOptions = EXACT,
    ) -> Hits:
        """Return the `k` best documents for one query.

        Parameters
        ----------
        query : SparseBatch of one row, or SciPy matrix of one row
        k : int
            1 to 1,000,000; may exceed the number of documents.
        filter : mapping, optional
            Condition on metadata, exact; see `lsr_index.search.filters`.
        cancel : Cancel, optional
            Ends the search from another thread.
        options : SearchOptions
            The default is exact.

        Raises
        ------
        UsageError
            `k` is out of range, or the filter is malformed.
        """
        vector = single_vector(query)
        require_k(k)
        snapshot = self.snapshot
        return search_segments(
            snapshot.segments,
            vector.indices,
            vector.values,
            k,
            live=snapshot.bitmaps(filter),
            scale=self.manifest.scale,
            options=options,
            cancel=cancel,
            index=self,
        )

    def search_batch(
        self,
        queries: Any,
        k: int = 10,
        *,
        threads: int = 1,
        filter: Any = None,
        cancel: Cancel | None = None,
        options: SearchOptions = EXACT,
    ) -> list[Hits]:
        """Return the `k` best documents for each row of `queries`; otherwise as `search`."""
        batch = vectors_of(queries)
        require_k(k)
        snapshot = self.snapshot
        return search_segments_batch(
            snapshot.segments,
            batch.indptr,
            batch.indices,
            batch.values,
            k,
            threads=threads,
            live=snapshot.bitmaps(filter),
            scale=self.manifest.scale,
            options=options,
            cancel=cancel,
        ).by_query(self)

    def select(self, filter: Any) -> NDArray[np.int64]:
        """Return the ordinals of all documents that match a filter, ascending."""
        return self.snapshot.select(filter)

    def _words(self, filter: Any) -> Sequence[Words | None]:
        if filter is None:  # without reading postings
            return [segment.live for segment in self.segments]
        return self.snapshot.filters.find(filter).words

    def scores(
        self, query: Any, ordinals: NDArray[np.integer] | Sequence[int]
    ) -> NDArray[np.float64]:
        """Return the scores of documents, (n,) float64, to the last bit those of a search.

        0 for a document that shares no term with the query. Looks each document up in the posting
        list of each term: for a hundred documents a fraction of the time of a search. Ordinals may
        be in any order, of deleted documents too; UsageError for one that is not of this
        generation.
        """
        segments = self.snapshot.segments
        numbers = ordinals_of(ordinals, segments.n_docs)
        terms, weights = single_vector(query).row(0)
        width = width_for(len(terms))
        ints, query_scale = quantize_query(weights, width)
        scores = np.zeros(len(numbers), np.int64)
        maps = segments.slot_maps  # its arrays must live until the kernel returns
        terms, ints = terms.astype(np.int64), ints.astype(np.int64)
        shift = np.uint32(width.shift)
        score_documents(
            segments.table, maps.table, segments.bases, terms, ints, shift, numbers, scores
        )
        return scores.astype(np.float64) * (self.manifest.scale * query_scale)

    def explain(self, query: Any, ordinal: int) -> list[tuple[int, float]]:
        """Return (term id, contribution) of each matched term, largest contribution first.

        The contributions sum to the score of a search.
        """
        terms, weights = single_vector(query).row(0)
        segment, position = self._place(ordinal)
        width = width_for(len(terms))
        ints, query_scale = quantize_query(weights, width)
        impacts = segment.vectors.impacts(position, terms).astype(np.int64)
        scores = (impacts * ints) >> width.shift
        factor = self.manifest.scale * query_scale
        matched = [(int(t), int(s) * factor) for t, s in zip(terms, scores, strict=True) if s]
        return sorted(matched, key=lambda pair: (-pair[1], pair[0]))

    def refresh(self) -> Index:
        """Return the newest generation: this object if it is the newest, else another one."""
        newest = generations(self._files, self.path)[-1]
        if newest == self.generation:
            return self
        return _open_generation(self._files, self.path, None)

    def close(self) -> None:
        """Release the files. A running search keeps its maps until it ends."""
        with self._mutex:
            super().close()
            self._snapshot = None
