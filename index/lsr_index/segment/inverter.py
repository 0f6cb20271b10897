"""Streaming construction of a segment: spool the documents, then build range by range.

The layout is range-major, so one range (at most 65,536 documents) is all that has to be in memory
besides counts per term. Ranges are independent and are built by a few threads (the kernels release
the GIL). With a scratch folder both the spooled input and the finished arrays live in files.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.build.range_layout import (
    add_histograms,
    count_listed,
    count_terms,
    invert_range,
    kth_from_histograms,
)
from lsr_index.segment.arrays import DTYPES, KTH_DEPTHS, BuildOptions, SegmentArrays
from lsr_index.segment.geometry import Geometry, plan_geometry, slot_documents
from lsr_index.storage.spool import Sink, Spool

# Vocabularies up to this size are counted in arrays over all term ids.
_DIRECT_TERMS = 1 << 24
# Working bytes per posting of a range while it is built (input, local ids, lists, rows).
_BYTES_PER_POSTING = 24


class SegmentBuilder:
    """Build a segment from chunks of quantised documents.

    Parameters
    ----------
    n_terms : int
        Size of the vocabulary.
    options : BuildOptions
    scratch : Path, optional
        Existing folder for the spool and the finished arrays (``<name>.bin``); without it
        everything stays in memory.
    progress : callable, optional
        Called with (documents done, documents in all) while ranges are built.
    """

    def __init__(
        self,
        n_terms: int,
        options: BuildOptions | None = None,
        scratch: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        if not 1 <= n_terms <= 1 << 32:
            raise ValueError(f"n_terms must be in 1..2**32, got {n_terms}")
        self._n_terms = n_terms
        self._options = options or BuildOptions()
        self._scratch = scratch
        self._progress = progress
        self._lock = Lock()
        plan_geometry(1, self._options.range_size, self._options.block_size)
        spool = (lambda name: scratch / f"spool-{name}.tmp") if scratch else (lambda name: None)
        self._terms = Spool(np.uint32, spool("terms"))
        self._impacts = Spool(np.uint8, spool("impacts"))
        self._lengths: list[NDArray[np.int64]] = []
        self._counts = np.zeros(n_terms if n_terms <= _DIRECT_TERMS else 0, dtype=np.int64)
        self._sparse_counts = (np.zeros(0, np.uint32), np.zeros(0, np.int64))

    def add(
        self,
        indptr: NDArray[np.int64],
        term_ids: NDArray[np.uint32],
        impacts: NDArray[np.uint8],
    ) -> None:
        """Add documents; they get the next ids.

        Parameters
        ----------
        indptr : (n + 1,) int64
        term_ids : (nnz,) uint32
            Strictly ascending within a document.
        impacts : (nnz,) uint8
            1..255.

        Raises
        ------
        ValueError
            If the chunk is not as described.
        """
        indptr = np.asarray(indptr, dtype=np.int64)
        term_ids = np.asarray(term_ids)
        impacts = np.asarray(impacts)
        _check_chunk(indptr, term_ids, impacts, self._n_terms)
        term_ids = np.ascontiguousarray(term_ids, dtype=np.uint32)
        if self._counts.size:
            count_terms(term_ids, self._counts)
        else:
            self._sparse_counts = _merge_counts(self._sparse_counts, term_ids)
        self._lengths.append(np.diff(indptr))
        self._terms.append(term_ids)
        self._impacts.append(impacts)

    def finish(self) -> SegmentArrays:
        """Build the arrays; the builder cannot be used afterwards."""
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        indptr = np.cumsum(lengths, dtype=np.int64)
        if self._counts.size:
            terms = np.flatnonzero(self._counts).astype(np.uint32)
            counts = self._counts[terms]
        else:
            terms, counts = self._sparse_counts
        try:
            return self._build(indptr, terms, counts)
        finally:
            self._terms.close()
            self._impacts.close()

    def _build(
        self, indptr: NDArray[np.int64], terms: NDArray[np.uint32], counts: NDArray[np.int64]
    ) -> SegmentArrays:
        options = self._options
        n_docs = indptr.size - 1
        geometry = plan_geometry(n_docs, self._range_size(indptr), options.block_size)
        row_of_term = choose_dense(counts, geometry, options.share)
        order = self._order(indptr, terms, counts)
        job = _Job(self, indptr, terms, counts, row_of_term, geometry, order)
        return job.run(job.measure(options.threads), options, self._scratch, self._progress)

    def _range_size(self, indptr: NDArray[np.int64]) -> int:
        """The largest range that fits the memory bound with all threads at work."""
        options = self._options
        size = options.range_size
        share = options.memory_bytes // (2 * max(1, options.threads))
        per_doc = (int(indptr[-1]) / max(1, indptr.size - 1)) * _BYTES_PER_POSTING
        while size > 4096 and size * per_doc > share:
            size //= 2
        return size

    def _order(
        self, indptr: NDArray[np.int64], terms: NDArray[np.uint32], counts: NDArray[np.int64]
    ) -> NDArray[np.uint32] | None:
        if self._options.reorder == "none":
            return None
        if self._options.reorder != "bisect":
            raise ValueError(f"reorder must be 'none' or 'bisect', got {self._options.reorder!r}")
        from lsr_index.segment.graph_bisection import reorder_documents

        return reorder_documents(
            self._options.block_size,
            self._options.threads,
            indptr,
            self._terms.read,
            terms,
            counts,
        )


class _Job:
    """One build: what every range needs, and the range-by-range work."""

    def __init__(
        self,
        source: SegmentBuilder,
        indptr: NDArray[np.int64],
        terms: NDArray[np.uint32],
        counts: NDArray[np.int64],
        row_of_term: NDArray[np.int32],
        geometry: Geometry,
        order: NDArray[np.uint32] | None,
    ) -> None:
        self._source = source
        self._indptr = indptr
        self._terms = terms
        self._counts = counts
        self._row_of_term = row_of_term
        self._geometry = geometry
        self._order = order
        self._lookup: NDArray[np.uint32] | None = None
        if source._counts.size:
            self._lookup = np.zeros(source._n_terms, dtype=np.uint32)
            self._lookup[terms] = np.arange(terms.size, dtype=np.uint32)

    def _local(self, term_ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        if self._lookup is not None:
            return self._lookup[term_ids]
        return np.searchsorted(self._terms, term_ids).astype(np.uint32)

    def _documents(
        self, number: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
        """Documents of a range in layout order, as CSR over local term numbers."""
        geometry = self._geometry
        first = min(number * geometry.range_size, geometry.n_docs)
        last = min(first + geometry.range_size, geometry.n_docs)
        source = self._source
        if self._order is None:
            begin, end = int(self._indptr[first]), int(self._indptr[last])
            indptr = self._indptr[first : last + 1] - begin
            terms = source._terms.read(begin, end)
            return indptr, self._local(terms), source._impacts.read(begin, end)
        docs = self._order[first:last].astype(np.int64)
        lengths = self._indptr[docs + 1] - self._indptr[docs]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        terms = np.empty(int(indptr[-1]), np.uint32)
        impacts = np.empty(int(indptr[-1]), np.uint8)
        for at, doc in enumerate(docs):
            begin, end = int(self._indptr[doc]), int(self._indptr[doc + 1])
            terms[indptr[at] : indptr[at + 1]] = source._terms.read(begin, end)
            impacts[indptr[at] : indptr[at + 1]] = source._impacts.read(begin, end)
        return indptr, self._local(terms), impacts

    def measure(self, threads: int) -> NDArray[np.int64]:
        """First listed posting of every range, (n_ranges + 1,)."""

        def size(number: int) -> int:
            indptr, local, _ = self._documents(number)
            return int(count_listed(indptr, local, self._row_of_term))

        with ThreadPoolExecutor(max(1, threads)) as pool:
            sizes = list(pool.map(size, range(self._geometry.n_ranges)))
        return np.cumsum([0, *sizes], dtype=np.int64)

    def run(
        self,
        range_base: NDArray[np.int64],
        options: BuildOptions,
        folder: Path | None,
        progress: Callable[[int, int], None] | None,
    ) -> SegmentArrays:
        """Build every range and put the segment together."""
        geometry, n_terms = self._geometry, self._terms.size
        histogram_of_term = choose_histograms(self._counts, options.memory_bytes)
        n_dense = int((self._row_of_term >= 0).sum())
        sizes = {
            "slots": int(range_base[-1]),
            "impacts": int(range_base[-1]),
            "rows": geometry.n_ranges * n_dense * geometry.range_size,
            "block_max": geometry.n_ranges * n_dense * geometry.n_blocks,
        }
        sinks = {
            name: Sink(DTYPES[name], size, None if folder is None else folder / f"{name}.bin")
            for name, size in sizes.items()
        }
        histograms = np.zeros((int(histogram_of_term.max(initial=-1)) + 1, 256), dtype=np.uint32)
        # Term-major, so that a query reads a term's lists of all ranges from one place.
        offsets = np.empty((n_terms + 1, geometry.n_ranges), np.uint32)
        range_max = np.empty((n_terms, geometry.n_ranges), np.uint8)
        lock, done = Lock(), 0

        def one(number: int) -> None:
            nonlocal done
            parts = self._range(number, n_dense)
            offsets[:, number] = parts["offsets"]
            range_max[:, number] = parts.pop("range_max")
            with lock:
                add_histograms(
                    parts.pop("offsets"), parts["impacts"], parts["rows"], geometry.range_size,
                    self._row_of_term, histogram_of_term, histograms,
                )  # fmt: skip
            for name, part in parts.items():
                listed = name in ("slots", "impacts")
                sinks[name].write(int(range_base[number]) if listed else number * part.size, part)
            with lock:
                done = min(geometry.n_docs, done + geometry.range_size)
                if progress is not None:
                    progress(done, geometry.n_docs)

        with ThreadPoolExecutor(max(1, options.threads)) as pool:
            list(pool.map(one, range(geometry.n_ranges)))
        kth = np.zeros(n_terms * len(KTH_DEPTHS), dtype=np.uint8)
        depths = np.array(KTH_DEPTHS, dtype=np.int64)
        kth_from_histograms(histograms, histogram_of_term, depths, kth)
        arrays: dict[str, NDArray[Any]] = {name: sink.finish() for name, sink in sinks.items()}
        arrays |= {
            "terms": self._terms,
            "counts": self._counts.astype(np.uint32),
            "row_of_term": self._row_of_term,
            "kth_impacts": kth,
            "offsets": offsets.reshape(-1),
            "range_max": range_max.reshape(-1),
            "range_base": range_base,
            "slot_docs": slot_documents(geometry, self._order),
        }
        return SegmentArrays.from_arrays(arrays, geometry._asdict() | {"compact": options.compact})

    def _range(self, number: int, n_dense: int) -> dict[str, NDArray[Any]]:
        geometry, n_terms = self._geometry, self._terms.size
        indptr, local, impacts = self._documents(number)
        if local.size >= 1 << 32:
            raise ValueError(f"range {number} has {local.size} postings; use a smaller range_size")
        n_listed = int(count_listed(indptr, local, self._row_of_term))
        parts: dict[str, NDArray[Any]] = {
            "offsets": np.empty(n_terms + 1, np.uint32),
            "slots": np.empty(n_listed, np.uint16),
            "impacts": np.empty(n_listed, np.uint8),
            "range_max": np.zeros(n_terms, np.uint8),
            "rows": np.zeros(n_dense * geometry.range_size, np.uint8),
            "block_max": np.zeros(n_dense * geometry.n_blocks, np.uint8),
        }
        invert_range(
            indptr,
            local,
            impacts,
            geometry.block_size,
            geometry.n_blocks,
            self._row_of_term,
            (parts["offsets"], parts["slots"], parts["impacts"]),
            parts["range_max"],
            (parts["rows"], parts["block_max"]),
        )
        return parts


def choose_dense(counts: NDArray[np.int64], geometry: Geometry, share: float) -> NDArray[np.int32]:
    """Number the terms that are stored as rows: those that fill at least ``share`` of the places.

    Returns
    -------
    (n_terms,) int32
        Row, ascending with the term id, or -1.
    """
    chosen = counts >= max(2.0, share * geometry.n_ranges * geometry.range_size)
    rows = np.full(counts.size, -1, dtype=np.int32)
    rows[chosen] = np.arange(int(chosen.sum()), dtype=np.int32)
    return rows


def choose_histograms(counts: NDArray[np.int64], memory_bytes: int) -> NDArray[np.int32]:
    """Number the terms that can have a k-th impact and get a histogram, within memory."""
    limit = max(1, memory_bytes // 8 // 1024)
    wanted = np.flatnonzero(counts >= KTH_DEPTHS[0])
    if wanted.size > limit:
        wanted = np.sort(wanted[np.argsort(-counts[wanted], kind="stable")[:limit]])
    numbers = np.full(counts.size, -1, dtype=np.int32)
    numbers[wanted] = np.arange(wanted.size, dtype=np.int32)
    return numbers


def _check_chunk(
    indptr: NDArray[np.int64], term_ids: NDArray[Any], impacts: NDArray[Any], n_terms: int
) -> None:
    if indptr.ndim != 1 or indptr.size == 0 or int(indptr[0]) != 0:
        raise ValueError("indptr must be one-dimensional and start with 0")
    if bool((np.diff(indptr) < 0).any()) or int(indptr[-1]) != term_ids.size:
        raise ValueError("indptr must ascend and end at the number of term ids")
    if term_ids.shape != impacts.shape or term_ids.ndim != 1:
        raise ValueError("term_ids and impacts must be one-dimensional and of one length")
    if impacts.dtype != np.uint8:
        raise ValueError(f"impacts must be uint8, got {impacts.dtype}")
    if term_ids.size == 0:
        return
    if int(term_ids.min()) < 0 or int(term_ids.max()) >= n_terms:
        raise ValueError(f"term ids must be in 0..{n_terms - 1}, found {int(term_ids.max())}")
    if int(impacts.min()) == 0:
        raise ValueError("impacts must be 1..255: drop zeros before indexing")
    ascending = np.ones(term_ids.size, dtype=np.bool_)
    ascending[1:] = term_ids[1:] > term_ids[:-1]
    ascending[indptr[:-1][indptr[:-1] < term_ids.size]] = True
    if not bool(ascending.all()):
        raise ValueError("term ids must strictly ascend within each document")


def _merge_counts(
    counts: tuple[NDArray[np.uint32], NDArray[np.int64]], term_ids: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Add the counts of a chunk to sorted (terms, counts), for vocabularies too large to index."""
    fresh, added = np.unique(term_ids, return_counts=True)
    merged = np.union1d(counts[0], fresh)
    total = np.zeros(merged.size, dtype=np.int64)
    total[np.searchsorted(merged, counts[0])] += counts[1]
    total[np.searchsorted(merged, fresh)] += added
    return merged, total


__all__ = ["SegmentBuilder", "choose_dense"]
