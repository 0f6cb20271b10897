"""Scoring kernels: query, segments and filter in, top-k documents out.

Parameters with one of these names have this meaning in all functions; docstrings list only others.
Numbers are int64, weights and shifts uint32.

segments, table : (n_segments, 15, 2), (15, 2) int64
    Address tables, see `lsr_index.kernels.pointers.segment_at`.
live : LIVE records of the segments, one of them, or its bitmap (n_words,) uint64
    Slots that may be returned; an empty bitmap: all.
found : (>= n,) TERM records
    The ``n`` terms of the query that a segment holds.
work : Workspace
keys : (> k,) uint64
    Top-k buffer.
threshold, level : int64
    Score that a hit must reach.
stats, options : STATS record, OPTIONS record
part : PART record
cursors, order : (>= n,) CURSOR records, (>= n,) int64
    Lists and rows in a range, see `lsr_index.kernels.score.range_group.open_cursors`.
acc : (range_size,) uint16 or uint32
    Accumulators of the slots from ``first_slot`` of the segment on. Maxima and bounds are likewise.
rows, block_max : (n_cells,), (n_bounds,) uint8
    Dense rows and their block maxima; a term's begin at ``row`` and ``cell``.
blocks : (>= n,) uint32
    Numbers of ``n`` blocks of ``block_size`` slots.
"""
