"""Transposition of a range: posting lists and rows to vectors of documents."""

import numpy as np

from lsr_index.kernels.jit import kernel


@kernel
def count_slots(slots, rows, counts):
    """Add the number of postings in each slot to ``counts``, (n_slots,) int64.

    ``slots``, (n,) uint16, are below ``n_slots``; ``rows`` is (n_dense * n_slots,) uint8.
    """
    for i in range(slots.size):
        counts[slots[i]] += 1
    for begin in range(0, rows.size, counts.size):
        for slot in range(counts.size):
            counts[slot] += np.int64(rows[begin + slot] != 0)


@kernel
def transpose_range(
    terms, row_of_term, offsets, slots, impacts, rows, starts, out_terms, out_impacts
):
    """Turn the lists and rows of one range into one vector per slot, terms ascending.

    The caller checks that the offsets ascend from 0 to the number of listed postings, that every
    slot is below ``starts.size - 1``, that rows are numbered in order, and that ``starts`` is the
    running total of `count_slots`. Slot ``s`` owns the entries ``starts[s]:starts[s + 1]``.
    """
    n_slots = starts.size - 1
    cursor = starts.copy()
    for t in range(terms.size):
        row = np.int64(row_of_term[t])
        if row >= 0:
            for slot in range(n_slots):
                impact = rows[row * n_slots + slot]
                if impact != 0:
                    out_terms[cursor[slot]] = terms[t]
                    out_impacts[cursor[slot]] = impact
                    cursor[slot] += 1
            continue
        for i in range(np.int64(offsets[t]), np.int64(offsets[t + 1])):
            slot = np.int64(slots[i])
            out_terms[cursor[slot]] = terms[t]
            out_impacts[cursor[slot]] = impacts[i]
            cursor[slot] += 1


@kernel
def impact_at(offsets, slots, impacts, rows, n_slots, row, t, slot):
    """Impact of the ``t``-th term (with that row, or -1) in a slot; 0 where it is absent."""
    if row >= 0:
        return rows[np.int64(row) * n_slots + slot]
    low = np.int64(offsets[t])
    end = np.int64(offsets[t + 1])
    high = end
    while low < high:
        middle = (low + high) // 2
        if np.int64(slots[middle]) < slot:
            low = middle + 1
        else:
            high = middle
    if low < end and np.int64(slots[low]) == slot:
        return impacts[low]
    return np.uint8(0)


@kernel
def gather_slot(row_of_term, offsets, slots, impacts, rows, n_slots, slot, out):
    """Fill ``out``, (n_terms,) uint8, with the impact of every term of a range in one slot.

    The caller checks that the offsets ascend from 0 to the number of listed postings and that rows
    are numbered in order.
    """
    for t in range(row_of_term.size):
        out[t] = impact_at(offsets, slots, impacts, rows, n_slots, row_of_term[t], t, slot)
