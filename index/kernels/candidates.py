"""From accumulators to candidates, and from candidates to exact scores."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.mask import LANES, lowest_bit, reach_mask
from index.kernels.views import DOCS_PER_RANGE, N_BLOCKS, PLAIN_ORDER, RANGE_SIZE


@kernel
def collect(acc, bias, limit, seen, found):  # type: ignore[no-untyped-def]
    """Slots that may reach the threshold: those where ``acc + bias`` has its top bit set.

    Parameters
    ----------
    acc : (lanes * n_blocks,) uint16 or uint32
    bias : (n_blocks,) same dtype
    limit : int64
        The walk ends once more than this many are found.
    seen : (n_blocks,) same dtype
        Scratch.
    found : ((range_size,) uint32, (range_size,) uint32)
        Slots, ascending, and their blocks; filled.

    Returns
    -------
    (int64, int64)
        Slots found, and blocks they are in.
    """
    slots, blocks = found
    n_blocks = bias.size
    whole = n_blocks - n_blocks % LANES
    seen[:] = 0
    n = np.int64(0)
    n_seen = np.int64(0)
    top_bit = np.uint64(acc.itemsize * 8 - 1)
    for base in range(0, acc.size, n_blocks):
        begin = n
        for first in range(0, whole, LANES):
            mask = reach_mask(acc, base + first, bias, first)
            while mask != np.uint64(0):
                blocks[n] = first + lowest_bit(mask)
                mask &= mask - np.uint64(1)
                n += 1
        for block in range(whole, n_blocks):
            blocks[n] = block
            reach = np.uint64(acc[base + block]) + np.uint64(bias[block])
            n += np.int64(reach >> top_bit)
        for i in range(begin, n):
            block = blocks[i]
            slots[i] = base + block
            n_seen += np.int64(seen[block] == 0)
            seen[block] = 1
        if n > limit:
            break
    return n, n_seen


@kernel
def is_live(live, doc):  # type: ignore[no-untyped-def]
    """Whether bit ``doc`` is set; an empty bitmap means that every document is live.

    Parameters
    ----------
    live : (ceil(n_docs / 64),) uint64, or empty
    doc : uint32

    Returns
    -------
    bool
    """
    if live.size == 0:
        return True
    return ((live[doc >> np.uint32(6)] >> np.uint64(doc & np.uint32(63))) & np.uint64(1)) != 0


@kernel
def name_documents(seg, r, found, n, live, docs):  # type: ignore[no-untyped-def]
    """Documents of the found slots, without the dead.

    In plain order they are computed rather than looked up: a table over all documents is cold.
    Padding slots hold no document and never have a positive score, so they are not found.

    Parameters
    ----------
    seg : SegmentView
    r : int64
    found : ((range_size,) uint32, (range_size,) uint32)
        Slots and blocks; the dead are taken out.
    n : int64
    live : (n_words,) uint64
    docs : (range_size,) uint32
        Filled.

    Returns
    -------
    int64
    """
    slots, blocks = found
    n_blocks = seg.sizes[N_BLOCKS]
    size = seg.sizes[RANGE_SIZE]
    slot_docs = seg.slot_docs[r * size : (r + 1) * size]
    if seg.sizes[PLAIN_ORDER] != 0:
        first = r * seg.sizes[DOCS_PER_RANGE]
        block_size = size // n_blocks
        for i in range(n):
            block = np.int64(blocks[i])
            docs[i] = first + block * block_size + np.int64(slots[i]) // n_blocks
    else:
        for i in range(n):
            docs[i] = slot_docs[slots[i]]
    if live.size == 0:
        return n
    kept = np.int64(0)
    for i in range(n):
        doc = docs[i]
        slots[kept] = slots[i]
        blocks[kept] = blocks[i]
        docs[kept] = doc
        kept += np.int64(is_live(live, doc))
    return kept


@kernel
def complete(terms, impacts, begin, end, table, shift):  # type: ignore[no-untyped-def]
    """What the terms of ``table`` add to one document.

    Parameters
    ----------
    terms : (n_forward,) uint16
        Dense-term numbers, one run per document.
    impacts : (n_forward,) uint8
    begin, end : int64
    table : (n_dense,) uint32
        Query weight by dense-term number; zero for the others.
    shift : uint32

    Returns
    -------
    uint32
    """
    total = np.uint32(0)
    for j in range(np.uint64(begin), np.uint64(end)):
        total += (np.uint32(impacts[j]) * table[terms[j]]) >> shift
    return total
