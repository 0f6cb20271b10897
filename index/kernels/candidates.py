"""From flagged blocks to documents, and from documents to exact scores."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.views import DOCS_PER_RANGE, N_BLOCKS, PLAIN_ORDER, RANGE_SIZE


@kernel
def flagged_blocks(flags, high_bits, hits):  # type: ignore[no-untyped-def]
    """Numbers of the blocks whose flag has its top bit set.

    Parameters
    ----------
    flags : (n_blocks,) uint16 or uint32
    high_bits : uint64
        The top bit of every accumulator that a 64-bit word holds.
    hits : (>= n_blocks,) uint32
        Filled, ascending.

    Returns
    -------
    int64
    """
    words = flags.view(np.uint64)
    per_word = flags.size // words.size
    n = np.int64(0)
    for w in range(words.size):
        if words[w] & high_bits:
            for i in range(w * per_word, (w + 1) * per_word):
                hits[n] = i
                n += np.int64(np.uint64(flags[i]) & high_bits != 0)
    return n


@kernel
def collect_sparse(acc, bias, top, hits, n_hit, needs, found):  # type: ignore[no-untyped-def]
    """Slots of few flagged blocks that may reach the threshold, lane by lane.

    Parameters
    ----------
    acc : (lanes * n_blocks,) uint16 or uint32
    bias : (n_blocks,) same dtype
    top : uint32
    hits : (>= n_hit,) uint32
        Flagged blocks, ascending.
    n_hit : int64
    needs : (>= n_hit,) uint32
        Scratch.
    found : ((range_size,) uint32, (range_size,) uint32)
        Slots and blocks, filled.

    Returns
    -------
    int64
    """
    slots, blocks = found
    n_blocks = bias.size
    for i in range(n_hit):
        needs[i] = top - np.uint32(bias[hits[i]])
    n = 0
    for base in range(0, acc.size, n_blocks):
        lane = acc[base : base + n_blocks]
        for i in range(np.uint64(n_hit)):
            block = hits[i]
            if np.uint32(lane[block]) >= needs[i]:
                slots[n] = base + np.int64(block)
                blocks[n] = block
                n += 1
    return n


@kernel
def collect_dense(acc, bias, high_bits, found):  # type: ignore[no-untyped-def]
    """As `collect_sparse` when many blocks are flagged: tests a 64-bit word at a time."""
    slots, blocks = found
    words = acc.view(np.uint64)
    bias_words = bias.view(np.uint64)
    per_word = acc.size // words.size
    n = 0
    for base in range(0, words.size, bias_words.size):
        lane = words[base : base + bias_words.size]
        for w in range(bias_words.size):
            if (lane[w] + bias_words[w]) & high_bits:
                for i in range(w * per_word, (w + 1) * per_word):
                    slot = base * per_word + i
                    reach = np.uint64(acc[slot]) + np.uint64(bias[i])
                    if reach & high_bits:
                        slots[n] = slot
                        blocks[n] = i
                        n += 1
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
