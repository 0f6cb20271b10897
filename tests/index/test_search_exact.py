"""Pruned search equals the exhaustive oracle: ids, integer scores, order, ties."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr_index.kernels.jit import JIT_ENABLED
from lsr_index.search.execute import search_segments_batch
from lsr_index.search.options import SearchOptions
from lsr_index.search.segment_set import Segments
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.structure import check_structure
from tests import oracle, strategies

N_CASES = int(os.environ.get("LSR_SEARCH_CASES", "50000" if JIT_ENABLED else "300"))
QUERIES_PER_INDEX = 100 if JIT_ENABLED else 12
N_SEEDS = -(-N_CASES // QUERIES_PER_INDEX)
GROUPS = 20 if JIT_ENABLED else 2


def build(rng: np.random.Generator, matrix: NDArray[np.int64]) -> SegmentArrays:
    """A segment with random layout options."""
    collection = strategies.from_dense(matrix)
    block_size = int(rng.choice([16, 16, 32, 64, 128]))
    options = BuildOptions(
        block_size=block_size,
        range_size=int(rng.choice([128, 200, 256, 1024, 65536])),
        dense_fraction=float(rng.choice([0.0, 0.05, 0.3, 1.1])),
        reorder=str(rng.choice(["none", "bisect"])),
        compact=bool(rng.random() < 0.3),
        threads=1,
    )
    return build_segment(*collection, options=options)


def random_options(rng: np.random.Generator) -> SearchOptions:
    """Exact settings with random levers."""
    flags = [bool(rng.random() < 0.85) for _ in range(5)]
    return SearchOptions(
        split=flags[0],
        bounds=flags[1],
        kth_threshold=flags[2],
        estimates=flags[3],
        range_scan=flags[4],
        width=int(rng.choice([0, 16, 32])),  # type: ignore[arg-type]
        block_cost=int(rng.choice([1, 2, 4, 8, 100000])),
    )


def allowance(rng: np.random.Generator) -> Callable[[int], bool]:
    """Room for the lists of few documents: all they want, or not enough for every term."""
    left = [int(rng.choice([10**9, 10**9, 2000, 0]))]

    def take(n_bytes: int) -> bool:
        left[0] -= n_bytes
        return left[0] >= 0

    return take


def check_seed(seed: int) -> int:
    """Compare one random index under several settings with the oracle; returns the cases."""
    rng = np.random.default_rng(seed)
    shape = strategies.SHAPES[seed % len(strategies.SHAPES)]
    matrix = strategies.random_matrix(rng, shape)
    cuts = np.sort(rng.integers(0, matrix.shape[0] + 1, int(rng.choice([0, 0, 1, 3]))))
    parts = np.split(matrix, cuts)
    segments = Segments(KernelSegment(build(rng, part)) for part in parts)
    for segment in segments.segments:
        check_structure(segment.arrays)
    cases = 0
    for _ in range(4):
        options = random_options(rng)
        k = int(rng.choice([1, 2, 5, 10, 40, 100, 1000]))
        lives = [strategies.random_live(rng, len(part)) for part in parts]
        words = [None if live is None else strategies.bitmap(live) for live in lives]
        alive = np.concatenate(
            [
                np.ones(len(part), bool) if live is None else live
                for part, live in zip(parts, lives, strict=True)
            ]
        )
        bitmaps = segments.bitmaps(words)
        if rng.random() < 0.7:
            bitmaps.use_filtered_postings(allowance(rng))
        queries = [
            strategies.random_query(rng, matrix.shape[1]) for _ in range(QUERIES_PER_INDEX // 4)
        ]
        lengths = [len(terms) for terms, _ in queries]
        found = search_segments_batch(
            segments,
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([terms for terms, _ in queries]),
            np.concatenate([weights for _, weights in queries]),
            k,
            live=bitmaps,
            options=options,
        )
        for row, (terms, weights) in enumerate(queries):
            order = np.argsort(terms)
            bits = options.width or (16 if len(terms) <= 64 else 32)
            everything = oracle.scores(matrix, terms[order], weights[order], bits)
            truth = oracle.best(everything, k, alive)
            count = int(found.counts[row])
            where = f"seed {seed} shape {shape} k {k} row {row} {options}"
            assert np.array_equal(found.ordinals[row, :count], truth.ordinals), where
            assert np.array_equal(found.int_scores[row, :count], truth.scores), where
            assert (found.ordinals[row, count:] == -1).all(), where
            assert found.rank_safe[row], where
            cases += 1
    return cases


@pytest.mark.parametrize("group", range(GROUPS))
def test_pruned_equals_oracle(group: int) -> None:
    """50,000 random (index, query, k, layout, levers, live bitmap, segments) cases in all."""
    cases = sum(check_seed(seed) for seed in range(group, N_SEEDS, GROUPS))
    assert cases >= N_CASES // GROUPS - QUERIES_PER_INDEX
