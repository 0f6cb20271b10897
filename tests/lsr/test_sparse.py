"""`SparseBatch`: what it accepts, what it refuses, and that its operations agree with SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import VectorError
from lsr.sparse import SparseBatch

rows = st.lists(
    st.dictionaries(
        st.integers(0, 2**32 - 1),
        st.floats(np.float32(1e-6), 1e4, width=32),
        max_size=8,
    ),
    max_size=6,
)


def as_dicts(batch: SparseBatch) -> list[dict[int, float]]:
    return [
        dict(zip(map(int, ids), map(float, weights), strict=True))
        for ids, weights in (batch.row(i) for i in range(len(batch)))
    ]


@given(rows)
def test_rows_come_back_sorted_and_equal(rows):
    batch = SparseBatch.from_rows(rows)
    assert as_dicts(batch) == rows
    for i in range(len(batch)):
        assert (np.diff(batch.row(i)[0].astype(np.int64)) > 0).all()


@given(rows, rows)
def test_concatenation_and_slicing_are_inverse(first, second):
    both = SparseBatch.concatenate([SparseBatch.from_rows(first), SparseBatch.from_rows(second)])
    assert as_dicts(both.rows(0, len(first))) == first
    assert as_dicts(both.rows(len(first), len(both))) == second


@given(rows, st.integers(0, 9))
def test_top_keeps_the_largest_weights(rows, n):
    for row, kept in zip(rows, as_dicts(SparseBatch.from_rows(rows).top(n)), strict=True):
        expected = sorted(row.items(), key=lambda entry: (-entry[1], entry[0]))[:n]
        assert kept == dict(expected)


@given(rows, st.randoms(use_true_random=False))
def test_select_reorders_rows(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    picked = SparseBatch.from_rows(rows).select(np.array(order, np.int64))
    assert as_dicts(picked) == [rows[i] for i in order]


def test_scipy_round_trip_keeps_everything():
    batch = SparseBatch.from_rows([{3: 1.0, 1: 0.5}, {}, {7: 2.0}])
    again = SparseBatch.from_scipy(batch.to_scipy(9))
    assert as_dicts(again) == as_dicts(batch)
    assert batch.to_scipy().shape == (3, 8)


def test_explicit_zeros_are_dropped():
    assert as_dicts(SparseBatch.from_rows([{1: 0.0, 2: 1.0}])) == [{2: 1.0}]


@pytest.mark.parametrize(
    ("indptr", "ids", "weights", "message"),
    [
        ([0, 2], [1, 1], [1.0, 1.0], "row 0: term id 1 appears twice"),
        ([0, 0, 1], [1], [float("nan")], "row 1, entry 0: expected a finite weight"),
        ([0, 1], [1], [-1.0], "row 0, entry 0: expected a finite weight"),
        ([0, 1], [1], [1e40], "row 0, entry 0: expected a finite weight"),
        ([0, 1], [1], [10_001.0], "from 0 to 10000, got 10001"),
        ([0, 1], [-1], [1.0], "row 0, entry 0: expected a term id"),
        ([0, 1], [2**32], [1.0], "row 0, entry 0: expected a term id"),
        ([0, 1], [0.5], [1.0], "term ids must be integers"),
        ([0, 2], [1], [1.0], "indptr must start at 0"),
        ([1, 1], [1], [1.0], "indptr must start at 0"),
        ([0, 2, 1], [1], [1.0], "indptr must start at 0"),
        ([0, 1], [1, 2], [1.0], "2 term ids for 1 weights"),
        ([], [], [], "indptr must be integers"),
    ],
)
def test_bad_arrays_are_named(indptr, ids, weights, message):
    with pytest.raises(VectorError, match=message):
        SparseBatch.from_arrays(np.array(indptr, np.int64 if indptr else float), ids, weights)
