"""Searching the few documents that pass a filter: their postings alone, term by term.

For such documents the postings of a term are copied out once, into a list of its own, and from then
on a query reads nothing else of it. The documents that pass are numbered from 0 in order of slots.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import carray, halves_at, longs_at, open_view, pointer, words_at
from lsr_index.kernels.score.bounds import lower_bound, place_of
from lsr_index.kernels.score.evaluate_blocks import number_documents, offer
from lsr_index.kernels.score.scan import scatter
from lsr_index.kernels.simd.masks import UNIT, lowest_bit, unit_at_least
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.structs import (
    ACC,
    LIVE_ADDRESS,
    LIVE_BASE,
    LIVE_CHOSEN,
    LIVE_DOCS,
    LIVE_LISTS,
    LIVE_NUMBERS,
    LIVE_STARTS,
    LIVE_WORDS,
    N_DENSE,
    N_RANGES,
    N_TERMS,
    OPT_K,
    RANGE_SIZE,
    SCORES,
    SLOTS,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_THRESHOLD,
)
from lsr_index.kernels.topk.buffer import settle

# A list of documents that pass: its length, their numbers, their impacts.
HEAD_BYTES, POSTING_BYTES, ALIGNMENT = 8, 3, 8
# A term in no more documents than this has no list: it is read where it stands, as copying it out
# would interrupt the search for next to nothing.
RARE = 64
# Postings in a line of the cache, the lines that are on their way, and documents of a row that are.
_STEP, _LINES, _AHEAD = 32, 6, 16


@kernel
def list_slots(words, range_size, starts, chosen, slots):  # type: ignore[no-untyped-def]
    """List the slots of a bitmap.

    Parameters
    ----------
    words : (n_words,) uint64
    range_size : int64
        A multiple of 64.
    starts : (n_ranges + 1,) int64
        Filled: where each range begins in the list.
    chosen, slots : (n,) uint16, uint32
        Filled: slots counted from the beginning of their range, and of the segment.
    """
    n = np.int64(0)
    for r in range(starts.size - 1):
        starts[r] = n
        first_slot = r * range_size
        for w in range(first_slot // 64, min(words.size, (first_slot + range_size) // 64)):
            word = words[w]
            while word != np.uint64(0):
                slot = w * 64 + lowest_bit(word)
                word &= word - np.uint64(1)
                chosen[n] = slot - first_slot
                slots[n] = slot
                n += 1
    starts[starts.size - 1] = n


@kernel
def missing_terms(table, addresses, term_ids, n_passing, missing):  # type: ignore[no-untyped-def]
    """Terms of a segment that are not rare and of which there is no list yet.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    addresses : (n_terms,) int64
        Where the lists are, 0 where there is none.
    term_ids : (n,) uint32
    n_passing : int64
    missing : (n,) int64
        Filled: positions in the segment's dictionary.

    Returns
    -------
    (int64, int64)
        How many, and the bytes that their lists may take.
    """
    seg = open_view(table)
    n, n_bytes = np.int64(0), np.int64(0)
    for i in range(term_ids.size):
        term = place_of(seg.terms, seg.places, term_ids[i])
        known = term < 0 or addresses[max(term, 0)] != 0 or seg.counts[max(term, 0)] <= RARE
        for j in range(n):
            known |= missing[j] == term
        if not known:
            missing[n] = term
            n += 1
            room = min(np.int64(seg.counts[term]), n_passing)
            n_bytes += HEAD_BYTES + POSTING_BYTES * room + ALIGNMENT
    return n, n_bytes


@kernel
def narrow_terms(table, live, starts, chosen, terms, buffer, places):  # type: ignore[no-untyped-def]
    """Copy out what some terms are in the documents that pass.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    live : (n_words,) uint64
        Bitmap of the slots that pass.
    starts, chosen : (n_ranges + 1,) int64, (n_passing,) uint16
        The same as a list, see `list_slots`. At most 65,536.
    terms : (n,) int64
        Positions in the segment's dictionary.
    buffer : (n_bytes,) uint8
        Filled; as large as `missing_terms` says.
    places : (n + 1,) int64
        Filled: where each list begins, and where the last ends.
    """
    seg = open_view(table)
    for i in range(terms.size):
        ask_lists(seg, terms[i])
    at = np.int64(0)
    for i in range(terms.size):
        places[i] = at
        room = min(np.int64(seg.counts[terms[i]]), np.int64(chosen.size))
        first = at + HEAD_BYTES
        numbers = buffer[first : first + 2 * room].view(np.uint16)
        impacts = buffer[first + 2 * room : first + POSTING_BYTES * room]
        n = narrow_term(table, live, starts, chosen, terms[i], numbers, impacts)
        # The impacts follow the numbers that there turned out to be.
        moved = buffer[first + 2 * n : first + POSTING_BYTES * n]
        for j in range(n):
            moved[j] = impacts[j]
        buffer[at : at + HEAD_BYTES].view(np.int64)[0] = n
        at = first + POSTING_BYTES * n
        at += -at % ALIGNMENT
    places[terms.size] = at


@kernel
def ask_lists(seg, term):  # type: ignore[no-untyped-def]
    """Ask for the beginnings of a term's posting lists."""
    n_ranges = seg.sizes[N_RANGES]
    if seg.row_of_term[term] >= 0:
        return
    for r in range(n_ranges):
        begin = seg.range_base[r] + np.int64(seg.offsets[term * n_ranges + r])
        for line in range(_LINES):
            prefetch(seg.slots, begin + line * _STEP)


@kernel
def narrow_term(table, live, starts, chosen, term, numbers, impacts):  # type: ignore[no-untyped-def]
    """Copy out what one term is in the documents that pass; returns the number of postings."""
    seg = open_view(table)
    row = np.int64(seg.row_of_term[term])
    if row < 0:
        return narrow_list(seg, live, starts, chosen, term, numbers, impacts)
    return narrow_row(seg, starts, chosen, row, numbers, impacts)


@kernel
def narrow_list(seg, live, starts, chosen, term, numbers, impacts):  # type: ignore[no-untyped-def]
    """Copy out of a term's posting lists; returns the number of postings."""
    slots, n_ranges = seg.slots, seg.sizes[N_RANGES]
    n = np.int64(0)
    one = np.uint64(1)
    for r in range(n_ranges):
        at = np.uint64(seg.range_base[r]) + np.uint64(seg.offsets[term * n_ranges + r])
        end = np.uint64(seg.range_base[r]) + np.uint64(seg.offsets[(term + 1) * n_ranges + r])
        few = chosen[starts[r] : starts[r + 1]]
        words = live[r * seg.sizes[RANGE_SIZE] // 64 :]
        while few.size != 0 and at < end:
            prefetch(slots, at + np.uint64(_LINES * _STEP))
            for j in range(at, min(at + np.uint64(_STEP), end)):
                slot = np.uint64(slots[j])
                passes = (words[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & one
                if passes != 0 and n < numbers.size:
                    numbers[n] = starts[r] + lower_bound(few, slots[j])
                    impacts[n] = seg.impacts[j]
                    n += 1
            at += np.uint64(_STEP)
    return n


@kernel
def narrow_row(seg, starts, chosen, row, numbers, impacts):  # type: ignore[no-untyped-def]
    """Copy out of a term's rows; returns the number of postings."""
    size, n_dense, rows = seg.sizes[RANGE_SIZE], seg.sizes[N_DENSE], seg.rows
    n = np.int64(0)
    for r in range(seg.sizes[N_RANGES]):
        begin, end = starts[r], starts[r + 1]
        row_begin = (r * n_dense + row) * size
        for i in range(begin, end):
            if i + _AHEAD < end:
                prefetch(rows, row_begin + np.int64(chosen[i + _AHEAD]))
            impact = rows[row_begin + np.int64(chosen[i])]
            if impact != 0 and n < numbers.size:
                numbers[n] = i
                impacts[n] = impact
                n += 1
    return n


@kernel
def known_terms(addresses, counts, found, n):  # type: ignore[no-untyped-def]
    """Whether there are lists of all terms found in a segment but the rare ones."""
    missing = np.int64(0)
    for i in range(n):
        if addresses[found[0, i]] == 0:
            missing += np.int64(counts[found[0, i]] > RARE)
    return missing == 0


@kernel
def search_narrowed(table, passing, found, n, work, keys, stats, options, shift):  # type: ignore[no-untyped-def]
    """Search the documents of one segment that pass, all of them.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    passing : (N_LIVE,) int64
        What passes, see `lsr_index.search.segment_set.LiveBitmaps`; with lists of all terms found
        that are not rare. There are as many accumulators as documents at least.
    found : (2, >= n) int64
        Positions and weights of the query's terms.
    n : int64
    work, keys, stats, options, shift
        As in `lsr_index.kernels.score.search_segments.search_segments`.
    """
    seg = open_view(table)
    k, n_passing = options[OPT_K], passing[LIVE_DOCS]
    live = words_at(passing[LIVE_ADDRESS], passing[LIVE_WORDS])
    starts = longs_at(passing[LIVE_STARTS], seg.sizes[N_RANGES] + 1)
    chosen = carray(pointer(passing[LIVE_CHOSEN]), n_passing, np.uint16)
    addresses = longs_at(passing[LIVE_LISTS], seg.sizes[N_TERMS])
    padded = (n_passing + UNIT - 1) // UNIT * UNIT
    acc = work.lanes[ACC, :padded]
    slots, scores = work.words[SLOTS], work.words[SCORES]
    for i in range(n):
        prefetch(carray(pointer(addresses[found[0, i]]), 1, np.int64), 0)
    acc[:] = 0
    for i in range(n):
        address, weight = addresses[found[0, i]], np.uint32(found[1, i])
        if address != 0:
            size = carray(pointer(address), 1, np.int64)[0]
            numbers = carray(pointer(address + HEAD_BYTES), size, np.uint16)
            impacts = carray(pointer(address + HEAD_BYTES + 2 * size), size, np.uint8)
            scatter(acc, numbers, impacts, 0, size, weight, shift)
        else:
            some, their = slots.view(np.uint16), scores.view(np.uint8)
            size = narrow_term(table, live, starts, chosen, found[0, i], some, their)
            scatter(acc, some, their, 0, size, weight, shift)
        stats[STAT_POSTINGS] += size
    stats[STAT_RANGES] += 1
    threshold = max(np.int64(1), stats[STAT_THRESHOLD])
    n_hits = np.int64(0)
    for at in range(0, padded, UNIT):
        mask = unit_at_least(acc, at, np.uint32(threshold))
        while mask != np.uint64(0):
            slot = at + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            slots[n_hits] = slot
            scores[n_hits] = acc[slot]
            n_hits += 1
    docs = halves_at(passing[LIVE_NUMBERS], n_passing)
    number_documents(docs, slots, n_hits, 0, passing[LIVE_BASE])
    threshold = offer(work, n_hits, threshold, k, keys, stats)
    stats[STAT_THRESHOLD] = settle(keys, stats, k, threshold, work.key_scores)
