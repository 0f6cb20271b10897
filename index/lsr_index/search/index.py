"""`Index`: one generation of an index, opened for searching.

An index object never changes: what it reads is mapped by `lsr_index.search.snapshot_reader`, and
`refresh` opens the newest generation.
"""

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
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.execute import Cancel, search_segments, search_segments_batch
from lsr_index.search.hits import Hits
from lsr_index.search.inputs import check_k, single_vector, vectors_of
from lsr_index.search.options import EXACT, SearchOptions
from lsr_index.search.snapshot import SearchSnapshot
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

    Costs the same whatever the size of the index, unless `verify` asks for more.

    Parameters
    ----------
    path : path
    verify : {"header", "checksums", "structure"}
        What is proven before the first search. "header": manifest, lengths, directories, deletion
        bitmaps; documents are checked when they are fetched. "checksums": every byte, about 2 GB/s.
        "structure": also that no number in the files can lead a kernel out of its arrays, for an
        index from somebody else.
    generation : int, optional
        An older generation that is still there. Default: the newest.
    files : Files
        The disk.

    Raises
    ------
    IndexNotFoundError
        There is no index at `path`, or not this generation.
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
            # A writer may have moved on and removed what was about to be opened. If it has not,
            # the file is really missing or damaged.
            if generations(files, path)[-1] == present[-1]:
                raise
    raise IndexStateError(f"{path}: the index changed {_OPEN_ATTEMPTS} times while being opened")


class Index(Generation):
    """One generation of an index, with all that searches it. Safe to use from several threads.

    Made by `open_index`.
    """

    def __init__(self, path: Path, manifest: Manifest, files: Files = DISK) -> None:
        super().__init__(path, manifest, files)
        self._mutex = freed_after_fork(Lock())
        self._snapshot: SearchSnapshot | None = None

    @property
    def snapshot(self) -> SearchSnapshot:
        """What searches run on, checked when first asked for.

        Raises
        ------
        CorruptIndexError
            A number in a file would lead a kernel out of its arrays.
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
        """The dense vectors, where the index has them."""
        part = self.manifest.dense
        if part is None:
            return None
        arrays = [segment.dense for segment in self.segments if segment.dense]
        return DenseIndex(self, part, arrays, self._bases, self._dense_encoder, self._words)

    def require_dense(self) -> DenseIndex:
        """Return the dense vectors, or raise UsageError that says how to get them."""
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
            1 to 1,000,000; more than there are documents is allowed.
        filter : mapping, optional
            Return only documents whose metadata passes; see `lsr_index.search.filters`. Exact.
        cancel : Cancel, optional
            Ends the search from another thread.
        options : SearchOptions
            The default is exact.

        Raises
        ------
        UsageError
            `k` is out of range, or the filter is none.
        """
        vector = single_vector(query)
        check_k(k)
        snapshot = self.snapshot
        found = search_segments(
            snapshot.segments,
            vector.indices,
            vector.values,
            k,
            live=snapshot.bitmaps(filter),
            scale=self.manifest.scale,
            options=options,
            cancel=cancel,
        )
        return Hits(
            found.ordinals,
            found.float_scores,
            found.scores,
            found.rank_safe,
            found.bound_gap,
            self.generation,
            found.cancelled,
            found.counters,
            self,
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
        check_k(k)
        if threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads}")
        snapshot = self.snapshot
        found = search_segments_batch(
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
        )
        rows = zip(
            found.ordinals,
            found.float_scores,
            found.scores,
            found.counts.tolist(),
            found.rank_safe.tolist(),
            found.bound_gap.tolist(),
            strict=True,
        )
        generation = self.generation
        return [
            Hits(ids, weights, scores, safe, gap, generation, index=self)
            if n == k
            else Hits(ids[:n], weights[:n], scores[:n], safe, gap, generation, index=self)
            for ids, weights, scores, n, safe, gap in rows
        ]

    def select(self, filter: Any) -> NDArray[np.int64]:
        """Return the numbers of all documents that match a filter, rising."""
        return self.snapshot.select(filter)

    def _words(self, filter: Any) -> Sequence[Words | None]:
        if filter is None:  # needs nothing of the postings
            return [segment.live for segment in self.segments]
        return self.snapshot.words(filter)

    def explain(self, query: Any, ordinal: int) -> list[tuple[int, float]]:
        """Return each matched term's contribution; they sum to the score of a search.

        Returns
        -------
        list of (term id, contribution)
            Largest contribution first.
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
        """Return the newest generation: this object when it is the newest, else another one."""
        newest = generations(self._files, self.path)[-1]
        if newest == self.generation:
            return self
        return _open_generation(self._files, self.path, None)

    def close(self) -> None:
        """Let go of the files. A search that is running keeps what it reads until it ends."""
        with self._mutex:
            super().close()
            self._snapshot = None
