"""Posting lists back to documents: what merging, checking and showing a vector need."""

import numpy as np

from index.kernels.jit import kernel


@kernel
def transpose_range(
    terms: np.ndarray,
    offsets: np.ndarray,
    slots: np.ndarray,
    impacts: np.ndarray,
    starts: np.ndarray,
    out_terms: np.ndarray,
    out_impacts: np.ndarray,
) -> None:
    """Turn the lists of one range into one vector per slot, terms ascending.

    The caller proves that the offsets ascend from 0 to the number of postings, and that every slot
    is below ``starts.size - 1``. On return slot ``s`` owns the entries
    ``starts[s]:starts[s + 1]``.
    """
    n_slots = starts.size - 1
    cursor = np.zeros(n_slots + 1, np.int64)
    for i in range(slots.size):
        cursor[np.int64(slots[i]) + 1] += 1
    for s in range(n_slots):
        cursor[s + 1] += cursor[s]
    for s in range(n_slots + 1):
        starts[s] = cursor[s]
    for t in range(terms.size):
        for i in range(np.int64(offsets[t]), np.int64(offsets[t + 1])):
            slot = np.int64(slots[i])
            out_terms[cursor[slot]] = terms[t]
            out_impacts[cursor[slot]] = impacts[i]
            cursor[slot] += 1


@kernel
def gather_slot(
    terms: np.ndarray,
    offsets: np.ndarray,
    slots: np.ndarray,
    impacts: np.ndarray,
    slot: int,
    out_terms: np.ndarray,
    out_impacts: np.ndarray,
) -> int:
    """Collect one slot's vector by a binary search in every list; returns its length.

    The caller proves that the offsets ascend from 0 to the number of postings, and sizes the
    outputs for all terms.
    """
    found = 0
    for t in range(terms.size):
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
            out_terms[found] = terms[t]
            out_impacts[found] = impacts[low]
            found += 1
    return found
