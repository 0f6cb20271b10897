"""Streaming construction of a segment: spool the documents, then build range by range.

With a scratch folder both the spooled input and the finished arrays live in files.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.build.range_layout import count_terms
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.geometry import BuildOptions, plan_geometry
from lsr_index.segment.graph_bisection import reorder_documents
from lsr_index.segment.range_builder import RangeBuilder
from lsr_index.storage.spool import Spool

# Vocabularies up to this size are counted in arrays over all term ids.
_DIRECT_TERMS = 1 << 24
# Working bytes per posting of a range while it is built (input, local ids, lists, rows).
_BYTES_PER_POSTING = 24


class SegmentBuilder:
    """Builds a segment from chunks of quantised documents.

    The vocabulary has `n_terms`, at most 2**32. `scratch` is an existing folder for the spooled
    input and the finished arrays (``<name>.bin``); without it everything stays in memory.
    `progress` is called with (documents done, documents in all) while ranges are built.
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
        plan_geometry(1, self._options.range_size, self._options.block_size)
        if self._options.reorder not in ("none", "bisect"):
            raise ValueError(f"reorder must be 'none' or 'bisect', got {self._options.reorder!r}")
        spool = (lambda name: scratch / f"spool-{name}.tmp") if scratch else (lambda name: None)
        self._terms = Spool(np.uint32, spool("terms"))
        self._impacts = Spool(np.uint8, spool("impacts"))
        self._lengths: list[NDArray[np.int64]] = []
        self._counts = np.zeros(n_terms if n_terms <= _DIRECT_TERMS else 0, dtype=np.int64)
        self._sparse_counts = (np.zeros(0, np.uint32), np.zeros(0, np.int64))

    def add(
        self, indptr: NDArray[np.int64], term_ids: NDArray[np.uint32], impacts: NDArray[np.uint8]
    ) -> None:
        """Add documents as CSR; they get the next ordinals.

        Term ids strictly ascend within a document and are below ``n_terms``, impacts are 1..255;
        else ValueError.
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
        with closing(self._terms), closing(self._impacts):
            options, order = self._options, None
            if options.reorder == "bisect":
                order = reorder_documents(
                    options.block_size, options.threads, indptr, self._terms.read, terms, counts
                )
            geometry = plan_geometry(len(indptr) - 1, self._range_size(indptr), options.block_size)
            ranges = RangeBuilder(
                indptr,
                self._terms,
                self._impacts,
                terms,
                counts,
                geometry,
                order,
                options,
                self._n_terms if self._counts.size else 0,
            )
            return ranges.build(self._scratch, self._progress)

    def _range_size(self, indptr: NDArray[np.int64]) -> int:
        """Return the largest range that fits the memory bound with all threads at work."""
        options = self._options
        size = options.range_size
        share = options.memory_bytes // (2 * max(1, options.threads))
        per_doc = (int(indptr[-1]) / max(1, indptr.size - 1)) * _BYTES_PER_POSTING
        while size > 4096 and size * per_doc > share:
            size //= 2
        return size


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


def build_segment(
    indptr: NDArray[np.int64],
    term_ids: NDArray[np.uint32],
    impacts: NDArray[np.uint8],
    n_terms: int,
    *,
    options: BuildOptions | None = None,
) -> SegmentArrays:
    """Build a segment in memory; ordinals are positions in ``indptr``.

    Parameters and errors are those of `SegmentBuilder` and its `add`.
    """
    builder = SegmentBuilder(n_terms, options or BuildOptions())
    builder.add(indptr, term_ids, impacts)
    return builder.finish()
