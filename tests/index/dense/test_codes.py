"""Vectors in half precision: what is refused, what is kept, and the kernel that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr.errors import DataError, UsageError, VectorError
from lsr_index import IndexWriter, build_index
from lsr_index.dense.codes import decode, encode_rows, finite, present
from lsr_index.dense.sortable import descending, sortable
from lsr_index.kernels.inner_product import open_lists, score_rows
from lsr_index.kernels.simd.half_precision import single_by_arithmetic
from lsr_index.search.dense_probe import best
from lsr_index.storage.dense_part import DenseSpec
from tests.index.collections import numbered
from tests.index.dense.collections import DIMENSION, clustered, dense_batch
from tests.strategies import bitmap

NO_BLANK = np.zeros(1, np.bool_)


def encode(row: list[float] | NDArray[np.float32], similarity: str = "dot") -> NDArray[np.uint16]:
    vectors = np.array([row], np.float32)
    return encode_rows(vectors, similarity, vectors.shape[1], ["d0"], NO_BLANK)  # type: ignore[arg-type]


def test_the_kernel_reads_every_half() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    halves = halves[(halves & 0x7C00) != 0x7C00].reshape(-1, 1)
    out = np.empty(len(halves), np.float32)
    score_rows(np.ones(1, np.float32), halves, np.arange(len(halves), dtype=np.int32), out)
    np.testing.assert_array_equal(out, halves.view(np.float16).astype(np.float32)[:, 0])
    np.testing.assert_array_equal(decode(halves)[:, 0], out)


@pytest.mark.parametrize("seed", range(20))
def test_scores_in_falling_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([-np.inf, -3e38, -1.5, -1e-45, -0.0, 0.0, 1e-45, 0.25, 3e38, np.inf])
    scores = np.concatenate([rng.choice(values, 40), rng.normal(size=60)]).astype(np.float32)
    rng.shuffle(scores)
    np.testing.assert_array_equal(descending(scores), np.argsort(-scores, kind="stable"))
    whole = sortable(scores)
    np.testing.assert_array_equal(whole[:, None] > whole, scores[:, None] > scores)


def test_arithmetic_gives_what_the_instruction_gives() -> None:
    halves = np.arange(0, 1 << 16, 3, dtype=np.uint16)
    halves = halves[(halves & 0x7C00) != 0x7C00]
    found = np.array([single_by_arithmetic(half) for half in halves], np.float32)
    np.testing.assert_array_equal(
        found.view(np.uint32), halves.view(np.float16).astype(np.float32).view(np.uint32)
    )


@pytest.mark.parametrize("dimension", [1, 2, 7, 8, 16, 31, 33, 384])
def test_the_kernel_adds_up(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    rows = rng.normal(size=(50, dimension)).astype(np.float16)
    query = rng.normal(size=dimension).astype(np.float32)
    chosen = rng.integers(0, 50, 33).astype(np.int32)
    out = np.empty(33, np.float32)
    score_rows(query, rows.view(np.uint16), chosen, out)
    expected = rows.astype(np.float64)[chosen] @ query.astype(np.float64)
    np.testing.assert_allclose(out, expected, atol=1e-5 * dimension)


@pytest.mark.parametrize("seed", range(40))
def test_lists_are_opened_in_order_until_there_is_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 9, 12)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    documents = rng.permutation(int(starts[-1])).astype(np.int32)
    live = rng.random(len(documents)) < rng.choice([0.0, 0.1, 0.5, 1.0])
    order = rng.permutation(12)[: int(rng.integers(13))]
    least, wanted = int(rng.integers(14)), int(rng.integers(60))
    filtered = bool(rng.random() < 0.7)
    expected: list[int] = []
    n_expected = 0
    for number in order:
        if n_expected >= least and len(expected) >= wanted:
            break
        own = range(starts[number], starts[number + 1])
        expected += [row for row in own if not filtered or live[documents[row]]]
        n_expected += 1
    out = np.empty(len(documents), np.int32)
    words = bitmap(live) if filtered else np.zeros(0, np.uint64)
    n_rows, n_opened = open_lists(starts, order, least, wanted, documents, words, out)
    assert (out[:n_rows].tolist(), n_opened) == (expected, n_expected)


@pytest.mark.parametrize("n", [0, 1, 99, 100, 101, 4095, 4097, 9000])
@pytest.mark.parametrize("levels", [1, 3, 10**9])
def test_the_best_of_many(n: int, levels: int) -> None:
    rng = np.random.default_rng(n)
    scores = rng.integers(0, levels, n).astype(np.float32)
    documents = rng.permutation(n)
    for k in (1, 100, 2000):
        expected = sorted(zip((-scores).tolist(), documents.tolist(), strict=True))[:k]
        found, values = best(documents, scores, k)
        assert list(zip((-values).tolist(), found.tolist(), strict=True)) == expected


def test_stored_vectors_can_be_stored_again_without_a_change() -> None:
    vectors = clustered(np.random.default_rng(0), 200, 384)
    once = encode_rows(vectors, "cosine", 384, numbered(200), np.zeros(200, np.bool_))
    twice = encode_rows(decode(once), "cosine", 384, numbered(200), np.zeros(200, np.bool_))
    np.testing.assert_array_equal(once, twice)
    assert np.abs(np.linalg.norm(decode(once), axis=1) - 1).max() < 1e-3
    assert finite(once)
    assert present(once).all()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([1, np.nan, 0], "document 'd0': its dense vector holds a number that is not finite"),
        ([1, np.inf, 0], "not finite"),
        ([0, 0, 0], "all zeros"),
        ([1e5, 0, 0], "at most 65504"),
        ([1e-9, 0, 0], "too small"),
    ],
)
def test_what_cannot_be_stored(row: list[float], says: str) -> None:
    with pytest.raises(VectorError, match=says):
        encode(row)


def test_a_tiny_or_huge_vector_has_a_direction() -> None:
    for size in (1e-9, 1e9):
        assert decode(encode([size, size, 0], "cosine"))[0].tolist() == pytest.approx(
            [0.7071, 0.7071, 0], abs=1e-3
        )


class TestBatches:
    """A refused batch leaves the index as it was."""

    @pytest.mark.parametrize("case", ["dimension", "nan", "zeros", "none", "rows", "integers"])
    def test_refused(self, tmp_path: Path, case: str) -> None:
        good = dense_batch(numbered(4), clustered(np.random.default_rng(0), 4))
        vectors = good.dense
        assert vectors is not None
        dense: NDArray[np.float32] | None = vectors.copy()
        error: type[Exception] = VectorError
        if case == "dimension":
            dense, says = vectors[:, :5], "have 5 numbers, those of the index 12"
        elif case == "nan":
            dense[2, 1], says = np.nan, "document 'd2'.*not finite"  # type: ignore[index]
        elif case == "zeros":
            dense[3], says = 0, "document 'd3'.*all zeros"  # type: ignore[index]
        elif case == "none":
            dense, says, error = None, "the index has dense vectors of 12 numbers", DataError
        elif case == "rows":
            dense, says, error = vectors[:3], "a row for each of 4 documents", DataError
        else:
            dense, says, error = vectors.astype(np.int32), "floating-point", DataError
        bad = good._replace(dense=dense)
        with pytest.raises(error, match=says):
            build_index(tmp_path / "a", [bad], dense=DenseSpec(DIMENSION))
        assert not (tmp_path / "a").exists()
        build_index(tmp_path / "b", [good], dense=DenseSpec(DIMENSION)).close()
        with IndexWriter(tmp_path / "b") as writer:
            with pytest.raises(error, match=says):
                writer.add(bad)
            assert writer.n_pending == 0

    def test_dense_vectors_for_an_index_without(self, tmp_path: Path) -> None:
        batch = dense_batch(numbered(2), clustered(np.random.default_rng(0), 2))
        build_index(tmp_path / "x", [batch._replace(dense=None)]).close()
        with IndexWriter(tmp_path / "x") as writer, pytest.raises(DataError, match="without any"):
            writer.add(batch)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dimension": 0}, "1 to 65536 numbers"),
        ({"similarity": "l2"}, "cosine or dot"),
        ({"flat_below": -1}, "flat_below"),
        ({"n_lists": 0}, "n_lists"),
    ],
)
def test_a_spec_that_makes_no_sense(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        DenseSpec(**{"dimension": 4, **options})  # type: ignore[arg-type]
