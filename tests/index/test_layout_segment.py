"""Layout: validation finds every damage, maps work, large and odd inputs are representable."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.structs import SegmentView
from lsr_index.search.execute import search_segments
from lsr_index.search.options import EXHAUSTIVE
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.format import DTYPES, POSTINGS, Sizes
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import SegmentBuilder, build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.quantize import fit_scale, quantize_documents, quantize_query
from lsr_index.segment.structure import check_structure
from tests import oracle, strategies
from tests.shared import ROOT

SMALL = BuildOptions(block_size=16, range_size=64, dense_fraction=0.1, threads=1)


def sample(seed: int = 3, shape: str = "plain") -> tuple[np.ndarray, SegmentArrays]:
    matrix = strategies.random_matrix(np.random.default_rng(seed), shape, 60)
    options = dataclasses.replace(SMALL, reorder="bisect")
    return matrix, build_segment(*strategies.from_dense(matrix), options=options)


def test_round_trip_through_maps(tmp_path: Path) -> None:
    _matrix, segment = sample()
    arrays = {}
    for name, array in segment.arrays().items():
        array.tofile(tmp_path / name)
        arrays[name] = (
            np.memmap(tmp_path / name, dtype=array.dtype, mode="r") if array.size else array
        )
    again = SegmentArrays.from_arrays(arrays, segment.params())
    check_structure(again)
    terms, weights = np.arange(5, dtype=np.uint32), np.ones(5, np.float32)
    one, other = (
        search_segments([KernelSegment(item)], terms, weights, 10) for item in (segment, again)
    )
    assert np.array_equal(one.ordinals, other.ordinals)


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_every_damaged_array_is_found(name: str) -> None:
    """Any change of a single number is refused, or leaves a segment that is pruned rightly.

    What a changed impact used to be only the checksums know.
    """
    matrix, segment = sample()
    rng = np.random.default_rng(5)
    terms = np.arange(matrix.shape[1], dtype=np.uint32)
    weights = np.ones(terms.size, np.float32)
    refused = 0
    for _ in range(30):
        arrays = {key: np.array(value) for key, value in segment.arrays().items()}
        at = int(rng.integers(arrays[name].size))
        value = rng.integers(0, 256, 8, dtype=np.uint8).view(np.uint64)[0]
        arrays[name][at] = value.astype(arrays[name].dtype)
        try:
            damaged = SegmentArrays.from_arrays(arrays, segment.params())
            check_structure(damaged)
        except ValueError:
            refused += 1
            continue
        if name != "terms":
            searchers = [KernelSegment(damaged)]
            found = search_segments(searchers, terms, weights, 10)
            truth = search_segments(searchers, terms, weights, 10, options=EXHAUSTIVE)
            assert np.array_equal(found.ordinals, truth.ordinals)
            assert np.array_equal(found.int_scores, truth.int_scores)
    assert refused > 0


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_missing_short_or_mistyped_arrays_are_refused(name: str) -> None:
    _, segment = sample()
    arrays = segment.arrays()
    for bad in (None, arrays[name][:-1], arrays[name].astype(np.float64)):
        changed = {key: value for key, value in arrays.items() if key != name}
        if bad is not None:
            changed[name] = bad
        with pytest.raises(ValueError, match=r"segment"):
            check_structure(SegmentArrays.from_arrays(changed, segment.params()))


def test_the_specification_has_the_table_of_the_format() -> None:
    """docs/index-format.md and `lsr_index.segment.format` say the same of every array."""
    page = (ROOT / "docs" / "index-format.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `postings/")]
    assert rows == [
        f"| `postings/{array.name}` | {array.code}, {array.rule} | {array.meaning} |"
        for array in POSTINGS
    ]


def test_rules_of_lengths_are_what_is_checked() -> None:
    """The rule of the specification, read as arithmetic, is the length that the code expects."""
    sizes = Sizes(T=7, D=2, R=3, B=5, S=80, P=11)
    for array in POSTINGS:
        rule = array.rule.removesuffix(" or 0")
        assert (rule != array.rule) is array.optional
        total = 0
        for part in rule.replace("(T + 1)", "8").split(" + "):
            total += math.prod(int(p) if p.isdigit() else getattr(sizes, p) for p in part.split())
        assert array.length(sizes) == total


def test_kernels_see_the_arrays_of_the_format() -> None:
    """What the kernels make of a table of addresses is what the format says, type by type."""
    _, arrays = sample()
    segment = KernelSegment(arrays)
    assert SegmentView._fields == ("sizes", *DTYPES, "term_positions", "term_info")
    seen = _open(segment.table)
    for name, array in segment.view._asdict().items():
        assert getattr(seen, name).dtype == array.dtype, name
        assert np.array_equal(getattr(seen, name), array), name
    for name, dtype in DTYPES.items():
        assert getattr(segment.view, name).dtype == dtype


@kernel
def _open(table):  # type: ignore[no-untyped-def]
    return segment_at(table)


def test_out_of_core_equals_in_memory(tmp_path: Path) -> None:
    matrix = strategies.random_matrix(np.random.default_rng(9), "clustered")
    whole = strategies.from_dense(matrix)
    calls: list[tuple[int, int]] = []
    builder = SegmentBuilder(
        whole.n_terms,
        dataclasses.replace(SMALL, threads=2),
        tmp_path,
        lambda done, total: calls.append((done, total)),
    )
    for part in np.array_split(matrix, 4):
        piece = strategies.from_dense(part)
        builder.add(piece.indptr, piece.terms, piece.impacts)
    outside = builder.finish()
    inside = build_segment(*whole, options=SMALL)
    for name, array in inside.arrays().items():
        assert np.array_equal(array, outside.arrays()[name]), name
    check_structure(outside)
    assert not list(tmp_path.glob("*.tmp"))
    assert max(calls) == (whole.n_docs, whole.n_docs)


def test_term_ids_beyond_16_bits_and_a_vocabulary_too_large_to_index() -> None:
    for n_terms, terms in ((200_000, [3, 70_000, 199_999]), (1 << 32, [5, 1 << 31, (1 << 32) - 1])):
        segment = build_segment(
            np.array([0, 3, 5], dtype=np.int64),
            np.array([*terms, terms[1], terms[2]], dtype=np.uint32),
            np.array([9, 8, 7, 6, 255], dtype=np.uint8),
            n_terms,
        )
        check_structure(segment)
        found = search_segments(
            [KernelSegment(segment)], np.array(terms[2:], np.uint32), np.ones(1, np.float32), 5
        )
        assert found.ordinals.tolist() == [1, 0]


def test_offsets_are_64_bit_where_postings_are_counted() -> None:
    assert DTYPES["range_base"] is np.int64


@pytest.mark.parametrize(
    ("terms", "impacts", "message"),
    [
        ([1, 1], [3, 3], "ascend"),
        ([2, 1], [3, 3], "ascend"),
        ([1, 50], [3, 3], "term ids must be"),
        ([1, 2], [3, 0], "drop zeros"),
    ],
)
def test_bad_documents_are_refused(terms: list[int], impacts: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_segment(
            np.array([0, 2], np.int64), np.array(terms, np.uint32), np.array(impacts, np.uint8), 50
        )


def test_weights_above_the_scale_are_an_error_not_a_clip() -> None:
    scale = fit_scale(2.0)
    assert quantize_documents(np.array([2.0, 1.0], np.float32), scale).tolist() == [255, 128]
    with pytest.raises(ValueError, match="rebuild"):
        quantize_documents(np.array([2.1], np.float32), scale)
    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="finite"):
            quantize_documents(np.array([bad], np.float32), scale)


@pytest.mark.parametrize("size", [1, 2, 64, 65, 1024])
def test_integer_query_weights_cannot_overflow(size: int) -> None:
    rng = np.random.default_rng(size)
    for weights in (np.ones(size), rng.random(size) + 1e-6, rng.random(size) ** 8 + 1e-9):
        ints, _ = quantize_query(weights.astype(np.float32))
        shift, top = (8, 1 << 15) if size <= 64 else (0, 1 << 31)
        assert int(((255 * ints.astype(np.int64)) >> shift).sum()) < top
        expected, _ = oracle.integer_weights(weights.astype(np.float32), 16 if size <= 64 else 32)
        assert np.array_equal(ints, expected)
