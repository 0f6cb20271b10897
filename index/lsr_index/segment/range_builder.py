"""The range-by-range work of building a segment.

The layout is range-major, so one range (at most 65,536 documents) is all that has to be in memory
besides counts per term. Ranges are independent and are built by a few threads (the kernels release
the GIL).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.build.range_layout import (
    add_histograms,
    count_listed,
    invert_range,
    kth_from_histograms,
)
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.format import DTYPES, KTH_DEPTHS
from lsr_index.segment.geometry import NO_DOC, BuildOptions, Geometry
from lsr_index.storage.spool import Sink, Spool


@dataclass
class RangeBuilder:
    """Builds the ranges of a segment, and puts the segment together.

    The documents are CSR of `indptr`, `term_ids` and `impacts`, in the order of their ordinals;
    `terms`, ascending, and `counts` the dictionary; `order` the document at each layout position,
    None: identity. Term ids below `table_size` are looked up in a table; with 0 by binary search.
    """

    indptr: NDArray[np.int64]
    term_ids: Spool
    impacts: Spool
    terms: NDArray[np.uint32]
    counts: NDArray[np.int64]
    geometry: Geometry
    order: NDArray[np.uint32] | None
    options: BuildOptions
    table_size: int

    def __post_init__(self) -> None:
        self._row_of_term = choose_dense(self.counts, self.geometry, self.options.share)
        self._lookup: NDArray[np.uint32] | None = None
        if self.table_size:
            self._lookup = np.zeros(self.table_size, dtype=np.uint32)
            self._lookup[self.terms] = np.arange(self.terms.size, dtype=np.uint32)

    def _local(self, term_ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        if self._lookup is not None:
            return self._lookup[term_ids]
        return np.searchsorted(self.terms, term_ids).astype(np.uint32)

    def _documents(
        self, number: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
        """Return the documents of a range in layout order, as CSR over local term numbers."""
        geometry = self.geometry
        first = min(number * geometry.range_size, geometry.n_docs)
        last = min(first + geometry.range_size, geometry.n_docs)
        if self.order is None:
            begin, end = int(self.indptr[first]), int(self.indptr[last])
            indptr = self.indptr[first : last + 1] - begin
            terms = self.term_ids.read(begin, end)
            return indptr, self._local(terms), self.impacts.read(begin, end)
        docs = self.order[first:last].astype(np.int64)
        lengths = self.indptr[docs + 1] - self.indptr[docs]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        terms = np.empty(int(indptr[-1]), np.uint32)
        impacts = np.empty(int(indptr[-1]), np.uint8)
        for at, doc in enumerate(docs):
            begin, end = int(self.indptr[doc]), int(self.indptr[doc + 1])
            terms[indptr[at] : indptr[at + 1]] = self.term_ids.read(begin, end)
            impacts[indptr[at] : indptr[at + 1]] = self.impacts.read(begin, end)
        return indptr, self._local(terms), impacts

    def _measure(self, threads: int) -> NDArray[np.int64]:
        """Return the first listed posting of every range, (n_ranges + 1,)."""

        def size(number: int) -> int:
            indptr, local, _ = self._documents(number)
            return int(count_listed(indptr, local, self._row_of_term))

        with ThreadPoolExecutor(max(1, threads)) as pool:
            sizes = list(pool.map(size, range(self.geometry.n_ranges)))
        return np.cumsum([0, *sizes], dtype=np.int64)

    def build(
        self, folder: Path | None, progress: Callable[[int, int], None] | None
    ) -> SegmentArrays:
        """Build all ranges and the segment; for the parameters see `SegmentBuilder`."""
        geometry, n_terms, options = self.geometry, self.terms.size, self.options
        range_base = self._measure(options.threads)
        histogram_of_term = choose_histograms(self.counts, options.memory_bytes)
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
        slot_docs = np.zeros(0, np.uint32)
        if self.order is not None:
            slot_docs = np.full(geometry.n_ranges * geometry.range_size, NO_DOC, np.uint32)
            slot_docs[: geometry.n_docs] = self.order
        arrays: dict[str, NDArray[Any]] = {name: sink.finish() for name, sink in sinks.items()}
        arrays |= {
            "terms": self.terms,
            "counts": self.counts.astype(np.uint32),
            "row_of_term": self._row_of_term,
            "kth_impacts": kth,
            "offsets": offsets.reshape(-1),
            "range_max": range_max.reshape(-1),
            "range_base": range_base,
            "slot_docs": slot_docs,
        }
        return SegmentArrays.from_arrays(arrays, geometry._asdict() | {"compact": options.compact})

    def _range(self, number: int, n_dense: int) -> dict[str, NDArray[Any]]:
        geometry, n_terms = self.geometry, self.terms.size
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
    """Number the terms in at least ``share`` of the slots, stored as rows; others -1."""
    chosen = counts >= max(2.0, share * geometry.n_ranges * geometry.range_size)
    return _numbered(np.flatnonzero(chosen), counts.size)


def choose_histograms(counts: NDArray[np.int64], memory_bytes: int) -> NDArray[np.int32]:
    """Number the terms that can have a k-th impact and get a histogram, within memory; else -1."""
    limit = max(1, memory_bytes // 8 // 1024)
    wanted = np.flatnonzero(counts >= KTH_DEPTHS[0])
    if wanted.size > limit:
        wanted = np.sort(wanted[np.argsort(-counts[wanted], kind="stable")[:limit]])
    return _numbered(wanted, counts.size)


def _numbered(chosen: NDArray[np.int64], n_terms: int) -> NDArray[np.int32]:
    numbers = np.full(n_terms, -1, dtype=np.int32)
    numbers[chosen] = np.arange(chosen.size, dtype=np.int32)
    return numbers
