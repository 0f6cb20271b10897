"""The range loop: one query over the segments of an index, the best ranges of each first.

Ranges are gathered into groups of small ones, see `lsr_index.kernels.score.search_group`.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import longs_at, open_view
from lsr_index.kernels.score.bounds import (
    contribution,
    find_terms,
    order_ranges,
    scaled,
    stored_threshold,
)
from lsr_index.kernels.score.filtered_postings import known_terms, search_narrowed
from lsr_index.kernels.score.range_group import padded_blocks, take_part
from lsr_index.kernels.score.search_group import search_group
from lsr_index.kernels.structs import (
    GROUP_SLOTS,
    LIVE_DOCS,
    LIVE_LISTS,
    LIVE_WORDS,
    LOCAL,
    MAX_PARTS,
    N_BLOCKS,
    N_RANGES,
    N_TERMS,
    OPT_ALPHA,
    OPT_K,
    OPT_KTH,
    OPT_MAX_WORK,
    QUERY_TERM,
    QUERY_WEIGHT,
    RANGE_PEAK,
    RANGE_SIZE,
    RANGES,
    STAT_CELLS,
    STAT_CUT,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_THRESHOLD,
    STAT_UNSEEN,
    WEIGHT,
)

# Cells of a row that are added in the time of one scattered posting.
_CELLS_PER_POSTING = 16


@kernel
def at_an_end(stats, options, cancel):  # type: ignore[no-untyped-def]
    """Whether the search is to stop here, or has done all the work it may."""
    spent = stats[STAT_POSTINGS] + stats[STAT_CELLS] // _CELLS_PER_POSTING
    return cancel[0] != 0 or 0 < options[OPT_MAX_WORK] <= spent


@kernel
def cut_off(found, n, shift, stats):  # type: ignore[no-untyped-def]
    """Leave a segment out of a search that is at an end."""
    peak = np.int64(0)
    for i in range(n):
        peak += contribution(255, found[1, i], shift)
    stats[STAT_CUT] = 1
    stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], peak)


@kernel
def find_all_terms(segments, live, n_terms, work, found, n_found):  # type: ignore[no-untyped-def]
    """Find the terms of a query in all segments.

    All segments first: what a search reads of each is on its way while others are looked at.

    Returns
    -------
    int64
        Blocks of all segments, -1 where the lists of a filter lack a term.
    """
    longs, n_all_blocks = work.longs, np.int64(0)
    for s in range(segments.shape[0]):
        seg = open_view(segments[s])
        n_all_blocks += seg.sizes[N_RANGES] * seg.sizes[N_BLOCKS]
        n_found[s] = find_terms(
            segments[s], longs[QUERY_TERM], longs[QUERY_WEIGHT], n_terms, found[s]
        )
        if live[s, LIVE_LISTS] != 0:
            lists = longs_at(live[s, LIVE_LISTS], seg.sizes[N_TERMS])
            if not known_terms(lists, seg.counts, found[s], n_found[s]):
                return np.int64(-1)
    return n_all_blocks


@kernel
def search_narrow_segments(
    segments, live, found, n_found, work, keys, stats, options, shift, cancel
):  # type: ignore[no-untyped-def]
    """Search the segments that have filtered posting lists, see `filtered_postings`."""
    for s in range(segments.shape[0]):
        if live[s, LIVE_LISTS] == 0 or n_found[s] == 0:
            continue
        if at_an_end(stats, options, cancel):
            cut_off(found[s], n_found[s], shift, stats)
            continue
        search_narrowed(
            segments[s], live[s], found[s], n_found[s], work, keys, stats, options, shift
        )


@kernel
def begin_segment(table, live, found, n, work, threshold, shift, options):  # type: ignore[no-untyped-def]
    """Order the ranges of a segment; returns the threshold, raised by what the segment promises.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    live : (N_LIVE,) int64
    found : (2, >= n) int64
        Positions and weights of the query's terms.
    n : int64
    work : Workspace
        ``LOCAL``, ``WEIGHT``, ``RANGES`` and ``RANGE_PEAK`` are filled.
    threshold : int64
    shift : uint32
    options : (N_OPTIONS,) int64
    """
    longs = work.longs
    longs[LOCAL, :n] = found[0, :n]
    longs[WEIGHT, :n] = found[1, :n]
    if options[OPT_KTH] != 0 and live[LIVE_WORDS] == 0:
        threshold = max(threshold, stored_threshold(table, longs, n, options[OPT_K], shift))
    order_ranges(table, longs, n, shift)
    return threshold


@kernel
def search_ranges(  # type: ignore[no-untyped-def]
    segments, live, found, n_found, n_all_blocks, work, keys, stats, options, shift, top, cancel
):
    """Search the segments without lists of a filter, range by range; returns the threshold."""
    longs, threshold = work.longs, max(np.int64(1), stats[STAT_THRESHOLD])
    n_parts, n_blocks, block_size = np.int64(0), np.int64(0), np.int64(0)
    for s in range(segments.shape[0]):
        n = n_found[s]
        if live[s, LIVE_LISTS] != 0 or live[s, LIVE_DOCS] == 0 or n == 0:
            continue
        sizes = open_view(segments[s]).sizes
        size, need = sizes[RANGE_SIZE] // sizes[N_BLOCKS], padded_blocks(sizes)
        threshold = begin_segment(
            segments[s], live[s], found[s], n, work, threshold, shift, options
        )
        for at in range(sizes[N_RANGES]):
            full = n_parts == MAX_PARTS or (n_blocks + need) * size > GROUP_SLOTS
            if n_parts > 0 and (full or size != block_size or options[OPT_MAX_WORK] > 0):
                threshold = search_group(
                    segments, live, work, n_parts, n_blocks, n_all_blocks, shift, threshold, top,
                    keys, stats, options,
                )  # fmt: skip
                n_parts, n_blocks = np.int64(0), np.int64(0)
            r = longs[RANGES, at]
            peak = longs[RANGE_PEAK, r]
            if peak < scaled(threshold, options[OPT_ALPHA], top):
                break  # the later ranges can reach even less
            if at_an_end(stats, options, cancel):
                stats[STAT_CUT] = 1
                stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], peak)
                break
            stats[STAT_RANGES] += 1
            take_part(segments[s], work, s, r, n, n_parts, n_blocks, shift)
            n_parts, n_blocks, block_size = n_parts + 1, n_blocks + need, size
    if n_parts > 0:
        threshold = search_group(
            segments, live, work, n_parts, n_blocks, n_all_blocks, shift, threshold, top, keys,
            stats, options,
        )  # fmt: skip
    return threshold


@kernel
def search_segments(  # type: ignore[no-untyped-def]
    segments, live, n_terms, work, keys, found, n_found, stats, options, shift, top, cancel
):
    """Search the segments for one query, prepared in ``work``.

    Returns
    -------
    bool
        False: the lists of a filter lack a term.
    """
    n_all_blocks = find_all_terms(segments, live, n_terms, work, found, n_found)
    if n_all_blocks < 0:
        return False
    search_narrow_segments(
        segments, live, found, n_found, work, keys, stats, options, shift, cancel
    )
    stats[STAT_THRESHOLD] = search_ranges(
        segments, live, found, n_found, n_all_blocks, work, keys, stats, options, shift, top, cancel
    )
    return True
