"""The groups of arrays that kernels take, as named tuples (Numba passes them without a copy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Accumulators = NDArray[np.uint16] | NDArray[np.uint32]

# Positions in `SegmentView.sizes`.
N_DOCS, N_TERMS, N_RANGES, RANGE_SIZE, N_BLOCKS, N_DENSE, DOCS_PER_RANGE, PLAIN_ORDER = range(8)

# Positions in the int64 options of a search.
(
    OPT_K,
    OPT_ALPHA,  # bound scaling, 65,536 = exact
    OPT_MAX_WORK,  # postings and completions (in postings) a query may cost; 0 = no cap
    OPT_SPLIT,  # essential split and block bounds
    OPT_BOUNDS,  # block-local bounds (else the range-wide ones)
    OPT_KTH,  # stored k-th impacts as a first threshold
    OPT_ESTIMATE,  # thresholds from partial scores
    OPT_FINISH,  # scatter the rest when candidates are many
    OPT_COMPLETION_COST,  # postings that one completion is worth
    OPT_DOC_BASE,  # added to document numbers in keys
    OPT_PREPARE,  # 1: the queries are still to be checked and quantised
    OPT_LIVE,  # address of the live bitmap
    OPT_LIVE_WORDS,  # its length; 0 = all live
    OPT_LAST,  # 1: no segment follows, the hits are to be ranked
    N_OPTIONS,
) = range(15)

# Columns of the per-query state that is carried from segment to segment.
(
    STAT_POSTINGS,
    STAT_BLOCKS,
    STAT_COMPLETED,
    STAT_RANGES,
    STAT_FINISHED,
    STAT_UNSEEN,  # largest upper bound of anything left out without proof
    STAT_CUT,  # 1 if the work cap or the cancel flag ended the search early
    STAT_COUNT,  # keys in the buffer
    STAT_THRESHOLD,  # score that k live documents are known to reach
    STAT_KTH_KEY,  # k-th largest key so far
    N_STATS,
) = range(11)

# Rows of `Workspace.lanes`, `words` and `longs`.
ACC, GROUPS, BOUNDS, FLAGS, N_LANES = range(5)
SLOTS, BLOCKS, DOCS, SCORES, TABLE, N_WORDS = range(6)
LOCAL, WEIGHT, BEGIN, END, PEAK, ORDER, RANGES, RANGE_PEAK, HISTOGRAM, N_LONGS = range(10)


class SegmentView(NamedTuple):
    """Arrays of one segment, read-only; see `index.layout.SegmentArrays` for the meaning."""

    sizes: NDArray[np.int64]
    terms: NDArray[np.uint32]
    dense_of_term: NDArray[np.int32]
    kth_impacts: NDArray[np.uint8]
    range_base: NDArray[np.int64]
    offsets: NDArray[np.uint32]
    range_max: NDArray[np.uint8]
    slots: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    block_max: NDArray[np.uint8]
    forward_base: NDArray[np.int64]
    forward_offsets: NDArray[np.uint32]
    forward_terms: NDArray[np.uint16]
    forward_impacts: NDArray[np.uint8]
    slot_docs: NDArray[np.uint32]


class Workspace(NamedTuple):
    """Scratch of one thread, rows named above; sized for the largest segment and query so far."""

    lanes: Accumulators
    words: NDArray[np.uint32]
    longs: NDArray[np.int64]


class QueryBatch(NamedTuple):
    """Queries of one accumulator width as they came in, and as the kernels take them.

    ``indptr``, ``terms`` and ``weights`` are filled by `index.kernels.prepare.prepare_queries`:
    integer weights, heaviest term first. So are ``factors`` (integer weight per unit of weight)
    and ``dropped`` (integer weights taken out by ``beta``), one per query.
    """

    raw_indptr: NDArray[np.int64]
    raw_terms: NDArray[np.uint32]
    raw_weights: NDArray[np.float32]
    indptr: NDArray[np.int64]
    terms: NDArray[np.uint32]
    weights: NDArray[np.uint32]
    factors: NDArray[np.float64]
    dropped: NDArray[np.int64]


class ResultState(NamedTuple):
    """What a search carries from segment to segment, one row per query.

    A key orders hits: ``score << 32 | (2**32 - 1 - document)``, below 2**63. There is room for
    ``k + max(k, 32)`` of them, and for ``k`` ranked hits.
    """

    keys: NDArray[np.uint64]
    stats: NDArray[np.int64]
    doc_ids: NDArray[np.int64]
    scores: NDArray[np.int64]
    float_scores: NDArray[np.float64]
