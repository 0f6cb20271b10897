"""Scores of given documents equal the oracle's, whatever the layout and the order asked in."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr_index.kernels.accumulator import NARROW, WIDE
from lsr_index.kernels.jit import JIT_ENABLED
from lsr_index.kernels.score.score_docs import score_documents
from lsr_index.search.segment_set import Segments
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.quantize import quantize_query
from tests import oracle, strategies

N_SEEDS = 150 if JIT_ENABLED else 9
QUERIES = 12


def segments_of(rng: np.random.Generator, matrix: NDArray[np.int64]) -> Segments:
    """Segments of random number and layout that hold the rows of a matrix."""
    cuts = np.sort(rng.integers(0, matrix.shape[0] + 1, int(rng.choice([0, 1, 3]))))
    made = []
    for part in np.split(matrix, cuts):
        options = BuildOptions(
            block_size=int(rng.choice([16, 64])),
            range_size=int(rng.choice([128, 200, 65536])),
            dense_fraction=float(rng.choice([0.0, 0.1, 0.3, 1.1])),
            reorder=str(rng.choice(["none", "bisect"])),
            threads=1,
        )
        made.append(KernelSegment(build_segment(*strategies.from_dense(part), options=options)))
    return Segments(made)


def scored(
    segments: Segments,
    terms: NDArray[np.uint32],
    weights: NDArray[np.float32],
    bits: int,
    docs: NDArray[np.int64],
) -> NDArray[np.int64]:
    width = NARROW if bits == 16 else WIDE
    ints, _ = quantize_query(weights, width)
    scores = np.zeros(len(docs), np.int64)
    maps = segments.slot_maps
    score_documents(
        segments.table,
        maps.table,
        segments.bases,
        terms.astype(np.int64),
        ints.astype(np.int64),
        np.uint32(width.shift),
        docs,
        scores,
    )
    return scores


@pytest.mark.parametrize("shape", strategies.SHAPES)
def test_scores_equal_the_oracle(shape: str) -> None:
    at = strategies.SHAPES.index(shape)
    for seed in range(at, N_SEEDS, len(strategies.SHAPES)):
        rng = np.random.default_rng(seed)
        matrix = strategies.random_matrix(rng, shape)
        segments = segments_of(rng, matrix)
        for _ in range(QUERIES):
            terms, weights = strategies.random_query(rng, matrix.shape[1])
            order = np.argsort(terms)
            terms, weights = terms[order], weights[order]
            bits = int(rng.choice([16, 32]))
            docs = rng.permutation(matrix.shape[0])[: int(rng.choice([0, 1, 5, 1000]))]
            truth = oracle.scores(matrix, terms, weights, bits)[docs]
            found = scored(segments, terms, weights, bits, docs.astype(np.int64))
            assert np.array_equal(found, truth), f"seed {seed} bits {bits}"


def test_a_document_asked_for_twice_and_one_that_the_layout_lost() -> None:
    rng = np.random.default_rng(3)
    matrix = np.minimum(strategies.random_matrix(rng, "plain") + 1, 255)
    options = BuildOptions(range_size=128, reorder="bisect", threads=1)
    arrays = build_segment(*strategies.from_dense(matrix), options=options)
    searcher = KernelSegment(arrays)
    assert arrays.reordered
    terms = np.arange(matrix.shape[1], dtype=np.uint32)
    weights = np.ones(len(terms), np.float32)
    docs = np.array([4, 0, 4], np.int64)
    truth = oracle.scores(matrix, terms, weights, 16)[docs]
    assert np.array_equal(scored(Segments([searcher]), terms, weights, 16, docs), truth)
    damaged = arrays.slot_docs.copy()
    damaged[np.flatnonzero(damaged == 4)] = len(matrix) + 7
    object.__setattr__(arrays, "slot_docs", damaged)
    lost = scored(Segments([searcher]), terms, weights, 16, docs)
    assert lost.tolist() == [0, truth[1], 0]


def test_the_map_of_slots_outlives_a_race_for_it() -> None:
    """Threads that all ask first: the addresses that each got stay valid."""
    rng = np.random.default_rng(5)
    matrix = strategies.random_matrix(rng, "plain")
    options = BuildOptions(range_size=128, reorder="bisect", threads=1)
    arrays = build_segment(*strategies.from_dense(matrix), options=options)
    terms = np.arange(matrix.shape[1], dtype=np.uint32)
    weights = rng.random(len(terms)).astype(np.float32) + 0.1
    docs = np.arange(len(matrix), dtype=np.int64)
    truth = oracle.scores(matrix, terms, weights, 16)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            segments = Segments([KernelSegment(arrays)])
            jobs = [pool.submit(scored, segments, terms, weights, 16, docs) for _ in range(4)]
            gc.collect()
            for job in jobs:
                assert np.array_equal(job.result(), truth)
