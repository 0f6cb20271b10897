"""Kernels that turn doc-major postings into the layout of one range."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel


@kernel
def count_terms(term_ids, counts):  # type: ignore[no-untyped-def]
    """Add the number of occurrences of each term; ids must be below ``counts.size``."""
    for j in range(term_ids.size):
        counts[term_ids[j]] += 1


@kernel
def count_dense(indptr, local_terms, dense_of_term):  # type: ignore[no-untyped-def]
    """Number of postings that belong to terms with block bounds."""
    total = np.int64(0)
    for j in range(indptr[0], indptr[-1]):
        total += np.int64(dense_of_term[local_terms[j]] >= 0)
    return total


@kernel
def invert_range(  # type: ignore[no-untyped-def]
    indptr, local_terms, impacts, block_size, n_blocks, dense_of_term, lists, bounds, forward
):
    """Fill the arrays of one range.

    Parameters
    ----------
    indptr : (n_docs_in_range + 1,) int64
        Offsets from 0 into the two arrays below; documents in layout order.
    local_terms : (n,) uint32
        Ascending and unique within a document.
    impacts : (n,) uint8
    block_size, n_blocks : int64
        ``block_size * n_blocks`` slots; document ``i`` is in block ``i // block_size``.
    dense_of_term : (n_terms,) int32
    lists : (offsets (n_terms + 1,) uint32, slots (n,) uint16, impacts (n,) uint8)
        Filled; lists ascend by slot.
    bounds : (range_max (n_terms,) uint8, block_max (n_dense * n_blocks,) uint8)
        Filled; must be zero.
    forward : (offsets (n_slots + 1,) uint32, terms uint16, impacts uint8)
        Filled.
    """
    offsets, slots, list_impacts = lists
    range_max, block_max = bounds
    forward_offsets, forward_terms, forward_impacts = forward
    n_docs = indptr.size - 1
    n_terms = dense_of_term.size
    cursor = np.zeros(n_terms + 1, np.int64)
    for j in range(local_terms.size):
        cursor[np.int64(local_terms[j]) + 1] += 1
    for t in range(n_terms):
        cursor[t + 1] += cursor[t]
        offsets[t] = cursor[t]
    offsets[n_terms] = cursor[n_terms]
    filled = np.int64(0)
    for slot in range(block_size * n_blocks):
        forward_offsets[slot] = filled
        block = slot % n_blocks
        doc = block * block_size + slot // n_blocks
        if doc >= n_docs:
            continue
        for j in range(indptr[doc], indptr[doc + 1]):
            term = np.int64(local_terms[j])
            impact = impacts[j]
            at = cursor[term]
            cursor[term] = at + 1
            slots[at] = slot
            list_impacts[at] = impact
            range_max[term] = max(range_max[term], impact)
            dense = np.int64(dense_of_term[term])
            if dense >= 0:
                cell = dense * n_blocks + block
                block_max[cell] = max(block_max[cell], impact)
                forward_terms[filled] = dense
                forward_impacts[filled] = impact
                filled += 1
    forward_offsets[block_size * n_blocks] = filled


@kernel
def add_histograms(offsets, impacts, row_of_term, histograms):  # type: ignore[no-untyped-def]
    """Count the impacts of each list into its term's row.

    Parameters
    ----------
    offsets : (n_terms + 1,) uint32
    impacts : (n,) uint8
    row_of_term : (n_terms,) int32
        -1 for terms that are not counted.
    histograms : (n_rows, 256) uint32
    """
    for t in range(row_of_term.size):
        row = row_of_term[t]
        if row >= 0:
            for j in range(np.int64(offsets[t]), np.int64(offsets[t + 1])):
                histograms[row, impacts[j]] += 1


@kernel
def kth_from_histograms(histograms, row_of_term, depths, out):  # type: ignore[no-untyped-def]
    """For each term the largest impact that at least ``depths[i]`` postings reach, else 0.

    Parameters
    ----------
    histograms : (n_rows, 256) uint32
    row_of_term : (n_terms,) int32
    depths : (n_depths,) int64
    out : (n_terms * n_depths,) uint8
        Filled where there is a row.
    """
    for t in range(row_of_term.size):
        row = row_of_term[t]
        if row < 0:
            continue
        for i in range(depths.size):
            seen = np.int64(0)
            for impact in range(255, 0, -1):
                seen += np.int64(histograms[row, impact])
                if seen >= depths[i]:
                    out[t * depths.size + i] = impact
                    break
