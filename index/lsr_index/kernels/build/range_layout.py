"""Inversion of document-major postings into the layout of one range."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel


@kernel
def count_terms(term_ids, counts):
    """Add the number of occurrences of each term; ids must be below ``counts.size``."""
    for j in range(term_ids.size):
        counts[term_ids[j]] += 1


@kernel
def count_listed(indptr, local_terms, row_of_term):
    """Number of postings that belong to terms with lists."""
    total = np.int64(0)
    for j in range(indptr[0], indptr[-1]):
        total += np.int64(row_of_term[local_terms[j]] < 0)
    return total


@kernel
def invert_range(
    indptr, local_terms, impacts, block_size, n_blocks, row_of_term, lists, range_max, dense
):
    """Fill the arrays of one range of ``n_blocks`` blocks of ``block_size`` slots.

    Parameters
    ----------
    indptr : (n_docs_in_range + 1,) int64
        Offsets from 0 into the next two arrays; document ``i`` gets slot ``i``.
    local_terms, impacts : (n,) uint32, (n,) uint8
        Terms ascending and unique within a document.
    row_of_term : (n_terms,) int32
    lists : (offsets (n_terms + 1,) uint32, slots (n_listed,) uint16, impacts (n_listed,) uint8)
        Filled; lists ascend by slot.
    range_max : (n_terms,) uint8
        Zeros, filled.
    dense : (rows (n_dense * n_slots,) uint8, block_max (n_dense * n_blocks,) uint8)
        Zeros, filled.
    """
    offsets, slots, list_impacts = lists
    rows, block_max = dense
    n_slots = block_size * n_blocks
    n_terms = row_of_term.size
    cursor = np.zeros(n_terms + 1, np.int64)
    for j in range(local_terms.size):
        term = np.int64(local_terms[j])
        cursor[term + 1] += np.int64(row_of_term[term] < 0)
    for t in range(n_terms):
        cursor[t + 1] += cursor[t]
        offsets[t] = cursor[t]
    offsets[n_terms] = cursor[n_terms]
    for slot in range(indptr.size - 1):
        for j in range(indptr[slot], indptr[slot + 1]):
            term = np.int64(local_terms[j])
            impact = impacts[j]
            range_max[term] = max(range_max[term], impact)
            row = np.int64(row_of_term[term])
            if row < 0:
                at = cursor[term]
                cursor[term] = at + 1
                slots[at] = slot
                list_impacts[at] = impact
            else:
                rows[row * n_slots + slot] = impact
                cell = row * n_blocks + slot // block_size
                block_max[cell] = max(block_max[cell], impact)


@kernel
def add_histograms(offsets, impacts, rows, n_slots, row_of_term, histogram_of_term, histograms):
    """Count the impacts of each term in a range into its histogram.

    Parameters
    ----------
    offsets, impacts : (n_terms + 1,) uint32, (n_listed,) uint8
    rows : (n_dense * n_slots,) uint8
        Empty places are counted as impact 0.
    row_of_term, histogram_of_term : (n_terms,) int32
        -1 for terms without a row, or without a histogram.
    histograms : (n_histograms, 256) uint32
    """
    for t in range(histogram_of_term.size):
        number = histogram_of_term[t]
        if number < 0:
            continue
        row = np.int64(row_of_term[t])
        if row >= 0:
            for j in range(row * n_slots, (row + 1) * n_slots):
                histograms[number, rows[j]] += 1
        for j in range(np.int64(offsets[t]), np.int64(offsets[t + 1])):
            histograms[number, impacts[j]] += 1


@kernel
def kth_from_histograms(histograms, row_of_term, depths, out):
    """For each term the largest impact that at least ``depths[i]`` postings reach, else 0.

    Parameters
    ----------
    histograms : (n_rows, 256) uint32
    row_of_term, depths : (n_terms,) int32, (n_depths,) int64
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
