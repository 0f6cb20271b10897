"""Filtered posting lists: search of the few documents that match a filter.

The postings of a term in these documents are copied once into a list of their own; later
queries read nothing else of the term. The documents are numbered from 0 in order of slots.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import carray, int64_at, pointer, segment_at, uint32_at
from lsr_index.kernels.score.evaluate_blocks import push_candidates, slots_to_ordinals
from lsr_index.kernels.score.range_group import live_bitmap
from lsr_index.kernels.score.scan import scatter
from lsr_index.kernels.score.terms import lower_bound, term_position
from lsr_index.kernels.simd.masks import lowest_bit, vector_at_least
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.simd.vectors import VECTOR
from lsr_index.kernels.structs import (
    ACC_SCORES,
    CAND_DOCS,
    CAND_SCORES,
    N_DENSE,
    N_RANGES,
    N_TERMS,
    RANGE_SIZE,
)
from lsr_index.kernels.topk import shrink

# A filtered list: its length, then numbers of documents, then impacts.
HEAD_BYTES, POSTING_BYTES, ALIGNMENT = 8, 3, 8
# A term in no more documents than this gets no filtered list: its postings are filtered in every
# search, which is cheaper than interrupting a search to copy them.
RARE = 64
# Postings in a cache line; lines of a list, and documents of a row, that are prefetched.
_STEP, _LINES, _AHEAD = 32, 6, 16


@kernel
def list_slots(words, range_size, range_starts, range_slots, slots):
    """List the slots of a bitmap, (n_words,) uint64.

    Parameters
    ----------
    range_size : int64
        A multiple of 64.
    range_starts : (n_ranges + 1,) int64
        Filled: begin of each range in the list.
    range_slots, slots : (n,) uint16, uint32
        Filled: slots counted from the begin of their range, and of the segment.
    """
    n = np.int64(0)
    for r in range(range_starts.size - 1):
        range_starts[r] = n
        first_slot = r * range_size
        for w in range(first_slot // 64, min(words.size, (first_slot + range_size) // 64)):
            word = words[w]
            while word != np.uint64(0):
                slot = w * 64 + lowest_bit(word)
                word &= word - np.uint64(1)
                range_slots[n] = slot - first_slot
                slots[n] = slot
                n += 1
    range_starts[range_starts.size - 1] = n


@kernel
def missing_terms(table, addresses, term_ids, n_docs, missing):
    """Terms of a segment that are not rare and have no filtered list yet.

    Parameters
    ----------
    addresses : (n_terms,) int64
        Of the filtered lists, 0 where there is none.
    term_ids : (n,) uint32
    n_docs : int64
        Documents that match the filter.
    missing : (n,) int64
        Filled: positions in the segment's dictionary.

    Returns
    -------
    (int64, int64)
        Number of terms, and largest possible number of bytes of their lists.
    """
    seg = segment_at(table)
    n, n_bytes = np.int64(0), np.int64(0)
    for i in range(term_ids.size):
        term = term_position(seg.terms, seg.term_positions, term_ids[i])
        known = term < 0 or addresses[max(term, 0)] != 0 or seg.counts[max(term, 0)] <= RARE
        for j in range(n):
            known |= missing[j] == term
        if not known:
            missing[n] = term
            n += 1
            room = min(np.int64(seg.counts[term]), n_docs)
            n_bytes += HEAD_BYTES + POSTING_BYTES * room + ALIGNMENT
    return n, n_bytes


@kernel
def filter_terms(table, live, range_starts, range_slots, terms, buffer, begins):
    """Make the filtered lists of some terms.

    Parameters
    ----------
    live : (n_words,) uint64
        Bitmap of the matching slots.
    range_starts, range_slots : (n_ranges + 1,) int64, (n_docs,) uint16
        The same as a list of at most 65,536, see `list_slots`.
    terms : (n,) int64
        Positions in the segment's dictionary.
    buffer : (n_bytes,) uint8
        Filled; of the size that `missing_terms` returns.
    begins : (n + 1,) int64
        Filled: begin of each list, and end of the last.
    """
    seg = segment_at(table)
    for i in range(terms.size):
        prefetch_lists(seg, terms[i])
    at = np.int64(0)
    for i in range(terms.size):
        begins[i] = at
        room = min(np.int64(seg.counts[terms[i]]), np.int64(range_slots.size))
        first = at + HEAD_BYTES
        numbers = buffer[first : first + 2 * room].view(np.uint16)
        impacts = buffer[first + 2 * room : first + POSTING_BYTES * room]
        n = filter_term(table, live, range_starts, range_slots, terms[i], numbers, impacts)
        # The impacts follow the numbers, which may be fewer than there was room for.
        moved = buffer[first + 2 * n : first + POSTING_BYTES * n]
        for j in range(n):
            moved[j] = impacts[j]
        buffer[at : at + HEAD_BYTES].view(np.int64)[0] = n
        at = first + POSTING_BYTES * n
        at += -at % ALIGNMENT
    begins[terms.size] = at


@kernel
def prefetch_lists(seg, term):
    """Prefetch the begins of a term's posting lists."""
    n_ranges = seg.sizes[N_RANGES]
    if seg.row_of_term[term] >= 0:
        return
    for r in range(n_ranges):
        begin = seg.range_base[r] + np.int64(seg.offsets[term * n_ranges + r])
        for line in range(_LINES):
            prefetch(seg.slots, begin + line * _STEP)


@kernel
def filter_term(table, live, range_starts, range_slots, term, numbers, impacts):
    """Copy the postings of a term in the filtered documents; returns their number."""
    seg = segment_at(table)
    row = np.int64(seg.row_of_term[term])
    if row < 0:
        return filter_posting_lists(seg, live, range_starts, range_slots, term, numbers, impacts)
    return filter_rows(seg, range_starts, range_slots, row, numbers, impacts)


@kernel
def filter_posting_lists(seg, live, range_starts, range_slots, term, numbers, impacts):
    """Copy from a term's posting lists; returns the number of postings."""
    slots, n_ranges = seg.slots, seg.sizes[N_RANGES]
    n = np.int64(0)
    one = np.uint64(1)
    for r in range(n_ranges):
        at = np.uint64(seg.range_base[r]) + np.uint64(seg.offsets[term * n_ranges + r])
        end = np.uint64(seg.range_base[r]) + np.uint64(seg.offsets[(term + 1) * n_ranges + r])
        matching = range_slots[range_starts[r] : range_starts[r + 1]]
        words = live[r * seg.sizes[RANGE_SIZE] // 64 :]
        while matching.size != 0 and at < end:
            prefetch(slots, at + np.uint64(_LINES * _STEP))
            for j in range(at, min(at + np.uint64(_STEP), end)):
                slot = np.uint64(slots[j])
                bit = (words[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & one
                if bit != 0 and n < numbers.size:
                    numbers[n] = range_starts[r] + lower_bound(matching, slots[j])
                    impacts[n] = seg.impacts[j]
                    n += 1
            at += np.uint64(_STEP)
    return n


@kernel
def filter_rows(seg, range_starts, range_slots, row, numbers, impacts):
    """Copy from a term's dense rows; returns the number of postings."""
    size, n_dense, rows = seg.sizes[RANGE_SIZE], seg.sizes[N_DENSE], seg.rows
    n = np.int64(0)
    for r in range(seg.sizes[N_RANGES]):
        begin, end = range_starts[r], range_starts[r + 1]
        row_begin = (r * n_dense + row) * size
        for i in range(begin, end):
            if i + _AHEAD < end:
                prefetch(rows, row_begin + np.int64(range_slots[i + _AHEAD]))
            impact = rows[row_begin + np.int64(range_slots[i])]
            if impact != 0 and n < numbers.size:
                numbers[n] = i
                impacts[n] = impact
                n += 1
    return n


@kernel
def has_lists(addresses, counts, found, n):
    """Whether all terms found in a segment, except rare ones, have filtered lists."""
    missing = np.int64(0)
    for i in range(n):
        if addresses[found[i].position] == 0:
            missing += np.int64(counts[found[i].position] > RARE)
    return missing == 0


@kernel
def search_filtered_postings(table, live, found, n, work, keys, stats, options):
    """Search all documents of one segment that match a filter.

    ``live`` has filtered lists of all terms in ``found`` that are not rare. There are at least as
    many accumulators as documents.
    """
    seg = segment_at(table)
    bitmap, n_docs = live_bitmap(live), live.n_docs
    range_starts = int64_at(live.range_starts, seg.sizes[N_RANGES] + 1)
    range_slots = carray(pointer(live.range_slots), n_docs, np.uint16)
    addresses = int64_at(live.lists, seg.sizes[N_TERMS])
    padded = (n_docs + VECTOR - 1) // VECTOR * VECTOR
    acc = work.acc[ACC_SCORES, :padded]
    docs, scores = work.candidates[CAND_DOCS], work.candidates[CAND_SCORES]
    for i in range(n):
        prefetch(int64_at(addresses[found[i].position], 1), 0)
    acc[:] = 0
    for i in range(n):
        address, weight = addresses[found[i].position], np.uint32(found[i].weight)
        if address != 0:
            size = int64_at(address, 1)[0]
            numbers = carray(pointer(address + HEAD_BYTES), size, np.uint16)
            impacts = carray(pointer(address + HEAD_BYTES + 2 * size), size, np.uint8)
            scatter(acc, numbers, impacts, 0, size, weight)
        else:
            rare_numbers, rare_impacts = docs.view(np.uint16), scores.view(np.uint8)
            size = filter_term(
                table, bitmap, range_starts, range_slots, found[i].position, rare_numbers,
                rare_impacts,
            )  # fmt: skip
            scatter(acc, rare_numbers, rare_impacts, 0, size, weight)
        stats.postings += size
    stats.ranges += 1
    threshold = max(np.int64(1), stats.threshold)
    n_hits = np.int64(0)
    for at in range(0, padded, VECTOR):
        mask = vector_at_least(acc, at, np.uint32(threshold))
        while mask != np.uint64(0):
            number = at + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            docs[n_hits] = number
            scores[n_hits] = acc[number]
            n_hits += 1
    slots_to_ordinals(uint32_at(live.docs, n_docs), docs, n_hits, 0, live.first_doc)
    threshold = push_candidates(work, n_hits, threshold, options.k, keys, stats)
    stats.threshold = shrink(keys, stats, options.k, threshold, work.key_scores)
