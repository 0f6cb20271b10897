"""From flagged blocks to documents, and from documents to exact scores."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel


@kernel
def flagged_blocks(flags, top, blocks):  # type: ignore[no-untyped-def]
    """Numbers of the blocks whose flag has the top bit set.

    Parameters
    ----------
    flags : (n_blocks,) uint16 or uint32
    top : uint32
    blocks : (>= n_blocks,) uint32
        Filled.

    Returns
    -------
    int64
    """
    n = 0
    for i in range(flags.size):
        blocks[n] = i
        n += np.int64(flags[i] >= top)
    return n


@kernel
def collect(acc, bias, top, blocks, n_hit, found_slots, found_blocks):  # type: ignore[no-untyped-def]
    """Slots of the flagged blocks that may reach the threshold, lane by lane.

    Parameters
    ----------
    acc : (lanes * n_blocks,) uint16 or uint32
    bias : (n_blocks,) same dtype
    top : uint32
    blocks : (>= n_hit,) uint32
        Flagged blocks, ascending.
    n_hit : int64
    found_slots, found_blocks : (range_size,) uint32
        Filled.

    Returns
    -------
    int64
    """
    n_blocks = bias.size
    n = 0
    for base in range(0, acc.size, n_blocks):
        for i in range(n_hit):
            block = np.int64(blocks[i])
            slot = base + block
            found_slots[n] = slot
            found_blocks[n] = block
            n += np.int64(np.uint32(acc[slot]) + np.uint32(bias[block]) >= top)
            if n == found_slots.size:
                return n
    return n


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
def drop_dead(found_slots, found_blocks, n, docs, live):  # type: ignore[no-untyped-def]
    """Keep the slots that hold a live document, in order.

    Padding slots hold no document and never have a positive score, so they are not found.

    Parameters
    ----------
    found_slots, found_blocks : (>= n,) uint32
    n : int64
    docs : (range_size,) uint32
        Document of each slot of the range.
    live : (n_words,) uint64

    Returns
    -------
    int64
    """
    kept = 0
    for i in range(n):
        slot = found_slots[i]
        found_slots[kept] = slot
        found_blocks[kept] = found_blocks[i]
        kept += np.int64(is_live(live, docs[slot]))
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
