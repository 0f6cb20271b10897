"""Kernels of the structure check; they run on arrays of proven length but unproven contents."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.views import N_BLOCKS, N_DENSE, N_RANGES, N_TERMS, RANGE_SIZE


@kernel
def check_lists(seg, r):  # type: ignore[no-untyped-def]
    """Number of the first rule that the lists of range ``r`` break, 0 if none.

    The offsets of the range, the dictionary and ``dense_of_term`` must have been checked.
    """
    n_terms = seg.sizes[N_TERMS]
    n_ranges = seg.sizes[N_RANGES]
    n_blocks = seg.sizes[N_BLOCKS]
    range_size = seg.sizes[RANGE_SIZE]
    base = seg.range_base[r]
    for t in range(n_terms):
        at = t * n_ranges + r
        dense = np.int64(seg.dense_of_term[t])
        last = np.int64(-1)
        peak = np.int64(0)
        for j in range(
            base + np.int64(seg.offsets[at]), base + np.int64(seg.offsets[at + n_ranges])
        ):
            slot = np.int64(seg.slots[j])
            impact = np.int64(seg.impacts[j])
            if slot <= last or slot >= range_size:
                return 1
            if impact == 0:
                return 2
            if seg.slot_docs[r * range_size + slot] == np.uint32(0xFFFFFFFF):
                return 5
            last = slot
            peak = max(peak, impact)
            if dense >= 0:
                row = (r * seg.sizes[N_DENSE] + dense) * n_blocks
                if impact > np.int64(seg.block_max[row + slot % n_blocks]):
                    return 4
        if peak != np.int64(seg.range_max[at]):
            return 3
        # A block bound above the range's would break the essential split.
        if dense >= 0:
            row = (r * seg.sizes[N_DENSE] + dense) * n_blocks
            for b in range(n_blocks):
                if np.int64(seg.block_max[row + b]) > peak:
                    return 3
    return 0


@kernel
def check_forward(seg, r):  # type: ignore[no-untyped-def]
    """Number of the first rule that the forward index of range ``r`` breaks, 0 if none.

    The lists must have been checked: each is walked along with the forward rows, which visit
    every list in slot order too.
    """
    n_terms = seg.sizes[N_TERMS]
    n_ranges = seg.sizes[N_RANGES]
    n_dense = seg.sizes[N_DENSE]
    range_size = seg.sizes[RANGE_SIZE]
    cursor = np.zeros(n_dense + 1, np.int64)
    stop = np.zeros(n_dense + 1, np.int64)
    base = seg.range_base[r]
    for t in range(n_terms):
        dense = np.int64(seg.dense_of_term[t])
        if dense >= 0:
            at = t * n_ranges + r
            cursor[dense] = base + np.int64(seg.offsets[at])
            stop[dense] = base + np.int64(seg.offsets[at + n_ranges])
    forward_base = seg.forward_base[r]
    for slot in range(range_size):
        at = r * (range_size + 1) + slot
        last = np.int64(-1)
        begin = forward_base + np.int64(seg.forward_offsets[at])
        end = forward_base + np.int64(seg.forward_offsets[at + 1])
        for j in range(begin, end):
            dense = np.int64(seg.forward_terms[j])
            if dense <= last or dense >= n_dense:
                return 2
            last = dense
            here = cursor[dense]
            if (
                here >= stop[dense]
                or np.int64(seg.slots[here]) != slot
                or seg.impacts[here] != seg.forward_impacts[j]
            ):
                return 3
            cursor[dense] = here + 1
    for row in range(n_dense):
        if cursor[row] != stop[row]:
            return 3
    return 0


@kernel
def first_bad_kth(seg):  # type: ignore[no-untyped-def]
    """First term with fewer postings than a stored k-th impact promises, -1 if none."""
    n_terms = seg.sizes[N_TERMS]
    n_ranges = seg.sizes[N_RANGES]
    for t in range(n_terms):
        depth = np.int64(1)
        for column in range(3):
            depth *= 10
            wanted = seg.kth_impacts[t * 3 + column]
            if wanted == 0:
                continue
            seen = np.int64(0)
            for r in range(n_ranges):
                at = t * n_ranges + r
                base = seg.range_base[r]
                begin = base + np.int64(seg.offsets[at])
                end = base + np.int64(seg.offsets[at + n_ranges])
                for j in range(begin, end):
                    seen += np.int64(seg.impacts[j] >= wanted)
            if seen < depth:
                return t
    return -1
