"""Filters: exact at every selectivity, on built, changed and merged indexes."""

import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import DataError, UsageError
from lsr.records import Document, Metadata
from lsr.sparse import SparseBatch
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.search import filter_cache
from lsr_index.search.filters import check_fields, parse_filter
from lsr_index.segment import metadata_columns
from lsr_index.segment import writer as segment_writer
from lsr_index.segment.metadata_values import keyword_key
from lsr_index.update.verify import verify
from tests.index.collections import batch_of, exhaustive, numbered, query_of, random_rows
from tests.index.faults.disk import SimulatedDisk

PATH = Path("/x.index")

SECOND = 10**9
NOON = 1709294400 * SECOND  # 2024-03-01T12:00:00Z
NEW_YEAR = 1704067200 * SECOND
MOMENTS = {
    "2024-03-01T12:00:00Z": NOON,
    "2024-03-01T14:00:00+02:00": NOON,
    "2024-03-01 12:00:00+00": NOON,
    "2024-03-01t12:00:00z": NOON,
    "20240301T120000Z": NOON,
    "2024-W09-5T12Z": NOON,
    "2024W095T1200": NOON,
    "2024-061T12:00:00,0": NOON,
    "2024061T12": NOON,
    "2024-03-01T05:30:00-0630": NOON,
    "2024-03-01T12:00:00.123456789Z": NOON + 123456789,
    "2024-03-01T12:00:00,123456789": NOON + 123456789,
    "2024-03-01T12:00:00.1234567890": NOON + 123456789,
    "2024-03-01T12:00:00.123456788Z": NOON + 123456788,
    "2024-03-01T12:00:00.123456Z": NOON + 123456000,
    "2024-03-01T12:00,5": NOON + 30 * SECOND,
    "2024-03-01T12:00:30+00:00": NOON + 30 * SECOND,
    "2024": NEW_YEAR,
    "2024-01": NEW_YEAR,
    "2024-W01": NEW_YEAR,
    "2024-W01-1": NEW_YEAR,
    "2024-001": NEW_YEAR,
    "20240101": NEW_YEAR,
    "2024-01-01": NEW_YEAR,
    "2023-12-31T24:00": NEW_YEAR,
    "2023-12-31T24:00:00Z": NEW_YEAR,
    "2023-12-31T23:59:60Z": NEW_YEAR,
    "2023-12-31": NEW_YEAR - 86400 * SECOND,
    "0001-01-01T00:00:00.000000001+23:59": -62135596800 * SECOND + 1 - 86340 * SECOND,
    "9999-12-31T23:59:59.999999999-23:59": 253402300799 * SECOND + 999999999 + 86340 * SECOND,
}
BIG = [2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, float(2**53), 2**63 - 1, 2**63, float(2**63)]
BIG += [2**64 - 1, float(2**64), -(2**53) - 1, -(2**53), -(2**63), 10**17, 10**17 + 1, 1e17, 1e300]
SCALARS: list[Any] = [
    *MOMENTS, *BIG, "a", "b", "", "é", "2024-13", "2024-W54", "2024-366T25", "2023-366",
    "2024-03T12", "12:00", "2024061", "024", "2024-03-01T24:01", 0, 1, -1, 1.0, 2.5,
    True, False,
]  # fmt: skip
VALUES = st.sampled_from(SCALARS)
METADATA = st.dictionaries(
    st.sampled_from("xyz"),
    VALUES | st.lists(VALUES, max_size=3) | st.none() | st.just({"nested": 1}),
)
BOUNDS = (
    st.sampled_from(list(MOMENTS)),
    st.sampled_from([-1, 0, 1, 2.5, *BIG]),
)


def ranges(bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(
        st.sampled_from([None, "$gt", "$gte"]), bounds, st.sampled_from(["$lt", "$lte"]), bounds
    ).map(lambda t: ({t[0]: t[1]} if t[0] else {}) | {t[2]: t[3]})


EQUALS = st.sampled_from(SCALARS)
CONDITIONS = st.one_of(
    EQUALS,
    st.fixed_dictionaries({"$eq": EQUALS}),
    st.fixed_dictionaries({"$ne": EQUALS}),
    st.fixed_dictionaries({"$in": st.lists(EQUALS, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(EQUALS, max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    *(ranges(bounds) for bounds in BOUNDS),
)
FILTERS = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), CONDITIONS, max_size=2),
    lambda parts: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(parts, max_size=2)}),
        st.fixed_dictionaries({"$or": st.lists(parts, max_size=2)}),
        st.fixed_dictionaries({"$not": parts}),
    ),
    max_leaves=4,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return a == b or (a in MOMENTS and MOMENTS[a] == MOMENTS.get(b))
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def compare(value: Any, operator: str, bound: Any) -> bool:
    if isinstance(bound, str):
        value, bound = MOMENTS.get(value) if isinstance(value, str) else None, MOMENTS[bound]
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if value is None:
        return False
    return {
        "$gt": value > bound,
        "$gte": value >= bound,
        "$lt": value < bound,
        "$lte": value <= bound,
    }[operator]


def passes(source: dict[str, Any], metadata: Metadata) -> bool:
    """The meaning of a filter, spelled out over one document."""
    for name, wanted in source.items():
        if name == "$and":
            ok = all(passes(part, metadata) for part in wanted)
        elif name == "$or":
            ok = any(passes(part, metadata) for part in wanted)
        elif name == "$not":
            ok = not passes(wanted, metadata)
        else:
            stored = metadata.get(name)
            values = stored if isinstance(stored, list) else [stored]
            operators = wanted if isinstance(wanted, dict) else {"$eq": wanted}
            ok = holds(values, operators)
        if not ok:
            return False
    return True


def holds(values: list[Any], operators: dict[str, Any]) -> bool:
    bounds = {name: bound for name, bound in operators.items() if name[1] in "gl"}
    return (
        ("$eq" not in operators or any(same(v, operators["$eq"]) for v in values))
        and ("$ne" not in operators or not any(same(v, operators["$ne"]) for v in values))
        and ("$in" not in operators or any(same(v, w) for v in values for w in operators["$in"]))
        and not any(same(v, w) for v in values for w in operators.get("$nin", ()))
        and operators.get("$exists", exists(values)) == exists(values)
        and (
            not bounds
            or any(all(compare(v, name, b) for name, b in bounds.items()) for v in values)
        )
    )


def exists(values: list[Any]) -> bool:
    return any(isinstance(value, str | int | float) for value in values)


def documents_of(rows: list[Metadata]) -> dict[str, Document]:
    return {f"d{i}": Document(f"d{i}", "", "", metadata) for i, metadata in enumerate(rows)}


def index_of(rows: list[Metadata], disk: SimulatedDisk) -> Index:
    documents = documents_of(rows)
    vectors = {doc_id: {1: 1.0} for doc_id in documents}
    return build_index(PATH, [batch_of(vectors, documents)], files=disk, n_terms=5)


@settings(max_examples=150, deadline=None)
@given(st.lists(METADATA, max_size=8), st.lists(FILTERS, min_size=1, max_size=6))
def test_a_filter_selects_what_it_says(rows: list[Metadata], filters: list[Any]) -> None:
    index = index_of(rows, SimulatedDisk())
    index.check_structure()
    for source in filters:
        wanted = [i for i, metadata in enumerate(rows) if passes(source, metadata)]
        assert index.select(source | {"$lenient": True}).tolist() == wanted, source
        parsed = parse_filter(source)
        assert [i for i, metadata in enumerate(rows) if parsed.matches(metadata)] == wanted, source


def first_rules(value: Any) -> Iterator[tuple[str, Any]]:
    """What columns held before rules 2: numbers as doubles, some dates to the microsecond."""
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, bool):
            yield "boolean", int(item)
        elif isinstance(item, int | float):
            yield "number", float(item)
        elif isinstance(item, str):
            yield "keyword", keyword_key(item)
            if re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{6})?Z)?", item):
                yield "date", MOMENTS[item]


@settings(max_examples=100, deadline=None)
@given(st.lists(METADATA, max_size=8), st.lists(FILTERS, min_size=1, max_size=6))
def test_segments_of_the_first_column_rules_answer_the_same(
    rows: list[Metadata], filters: list[Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata_columns, "typed_keys", first_rules)
        patch.setattr(segment_writer, "COLUMN_RULES", 1)
        disk = SimulatedDisk()
        index = index_of(rows, disk)
    for source in filters:
        wanted = [i for i, metadata in enumerate(rows) if passes(source, metadata)]
        assert index.select(source | {"$lenient": True}).tolist() == wanted, source


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_integers_of_more_than_64_bits_are_refused(number: int) -> None:
    for value in (number, [1, number], {"k": [number]}):
        with pytest.raises(DataError, match="more than 64 bits"):
            index_of([{"x": value}], SimulatedDisk())


def test_compacting_brings_the_columns_up_to_date() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata_columns, "typed_keys", first_rules)
        patch.setattr(segment_writer, "COLUMN_RULES", 1)
        disk = SimulatedDisk()
        index_of([{"x": 2**53 + 1}, {"x": "20240101"}, {"x": 2**53}], disk)
    with IndexWriter(PATH, files=disk) as writer:
        writer.delete(["d2"])
        writer.commit()
        writer.compact()
    index = open_index(PATH, files=disk)
    assert [segment.container.params["column_rules"] for segment in index.segments] == [2]
    assert index.select({"x": {"$gt": 2**53}}).tolist() == [0]
    assert index.select({"x": "2024-01-01"}).tolist() == [1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"yeer": 2000}, r"no document has a field 'yeer' \(did you mean 'year'\?\)"),
        ({"author.name": "kim"}, "no document has a field 'author.name'"),
        ({"$not": {"yeer": {"$lt": 1}}}, r"author \(string\), open \(true or false\), year"),
        ({"year": {"$ne": "2000"}}, "field 'year' holds number, never string"),
        ({"year": {"$gt": "2024-01-01"}}, "never date"),
        ({"author": {"$gt": "2024-01-01"}}, "field 'author' holds string, never date"),
        ({"author": {"$gte": 5}}, "never number"),
        ({"$or": [{"year": 1}, {"open": 1}]}, "field 'open' holds true or false, never number"),
        ({"author": {"$in": ["kim", True]}}, "never true or false"),
        ({"nothing": {"$exists": False}}, "no document has a field 'nothing'"),
    ],
)
def test_a_filter_by_what_no_document_has_is_an_error(source: Any, message: str) -> None:
    disk = SimulatedDisk()
    index = index_of([{"year": 2000, "open": True, "author": "kim", "nothing": None}], disk)
    for check in (index.select, lambda filter: check_fields(filter, index)):
        with pytest.raises(UsageError, match=message):
            check(source)
    lenient = {"$lenient": True, **source}
    check_fields(lenient, index)
    assert index.select(lenient).tolist() == [0] * passes(source, index.documents([0])[0].metadata)
    with IndexWriter(PATH, files=disk) as writer:
        with pytest.raises(UsageError, match=message):
            writer.delete_where(source)
        assert writer.delete_where({"author": "kim"}) == 1


def test_what_a_filter_may_name() -> None:
    index = index_of([{"name": "kim", "when": "2024"}], SimulatedDisk())
    check_fields({"name": "2024-01-01"}, index)  # a string like others: no document has it
    assert index.select({"name": "2024-01-01"}).tolist() == []
    assert index.select({"when": {"$lt": "2025"}}).tolist() == [0]
    empty = index_of([], SimulatedDisk())
    assert empty.select({"anything": 1}).tolist() == []


@pytest.fixture(scope="module")
def crowd() -> tuple[SimulatedDisk, dict[str, dict[int, float]], dict[str, Document]]:
    """3,000 documents in four segments, a tenth of them deleted."""
    rng = random.Random(1)
    rows = random_rows(1, numbered(3000))
    documents = {
        doc_id: Document(doc_id, "", "", {"n": i, "even": i % 2 == 0, "tag": rng.choice("abc")})
        for i, doc_id in enumerate(rows)
    }
    disk = SimulatedDisk()
    names = list(rows)

    def part(start: int, end: int) -> dict[str, dict[int, float]]:
        return {doc_id: rows[doc_id] for doc_id in names[start:end]}

    build_index(
        PATH, [batch_of(part(0, 1500), documents)], files=disk, n_terms=40, max_weight=3.0,
        block_size=16, range_size=256,
    ).close()  # fmt: skip
    with IndexWriter(PATH, files=disk) as writer:
        for start in range(1500, 3000, 500):
            writer.add(batch_of(part(start, start + 500), documents))
            writer.commit()
        gone = rng.sample(names, 300)
        writer.delete(gone)
        writer.commit()
    kept = {doc_id: row for doc_id, row in rows.items() if doc_id not in set(gone)}
    return disk, kept, documents


@pytest.mark.parametrize(
    "source",
    [
        {"n": -1},
        {"n": 77},
        {"n": {"$lt": 30}},
        {"n": {"$in": list(range(0, 3000, 100))}},
        {"even": True},
        {"tag": {"$in": ["a", "b"]}},
        {"$not": {"n": -1}},
        {"$or": [{"n": {"$gte": 2990}}, {"tag": "a", "even": False}]},
    ],
)
def test_searching_with_a_filter_is_exact(
    crowd: tuple[SimulatedDisk, dict[str, dict[int, float]], dict[str, Document]],
    source: dict[str, Any],
) -> None:
    disk, rows, documents = crowd
    index = open_index(PATH, files=disk)
    allowed = {d: row for d, row in rows.items() if passes(source, documents[d].metadata)}
    assert index.doc_ids(index.select(source)) == list(allowed)
    queries = list(random_rows(7, numbered(15, "q")).values())
    many = index.search_batch(SparseBatch.from_rows(queries), 20, filter=source)
    for query, batched in zip(queries, many, strict=True):
        hits = index.search(query_of(query), 20, filter=source)
        wanted = exhaustive(allowed, query, 20)
        assert len(hits) == len(wanted)
        assert set(hits.ids) <= allowed.keys()
        assert hits.scores == pytest.approx([score for _, score in wanted], rel=5e-3, abs=1e-3)
        assert batched.ids == hits.ids
        plain = index.search(query_of(query), 3000)
        through = [doc_id for doc_id in plain.ids if doc_id in allowed][:20]
        assert hits.ids == through, "the same as filtering an answer of everything"


def test_merging_keeps_the_columns(
    crowd: tuple[SimulatedDisk, dict[str, dict[int, float]], dict[str, Document]],
) -> None:
    disk = crowd[0].after_kill()
    before = open_index(PATH, files=disk)
    with IndexWriter(PATH, files=disk) as writer:
        writer.compact()
    after = open_index(PATH, files=disk)
    for source in ({"n": {"$lt": 100}}, {"tag": "c"}, {"even": False, "tag": "b"}):
        assert before.doc_ids(before.select(source)) == after.doc_ids(after.select(source))
    assert after.fields() == {"n": {"number"}, "even": {"boolean"}, "tag": {"keyword"}}
    assert verify(PATH, 3, files=disk).ok


def test_deleting_by_filter() -> None:
    disk = SimulatedDisk()
    index_of([{"x": i} for i in range(10)], disk)
    with IndexWriter(PATH, files=disk) as writer:
        writer.add(
            batch_of(
                {"d0": {1: 1.0}, "new": {1: 1.0}, "old": {1: 1.0}},
                {
                    "d0": Document("d0", "", "", {"x": 100}),
                    "new": Document("new", "", "", {"x": 1}),
                    "old": Document("old", "", "", {"x": 50}),
                },
            )
        )
        assert writer.delete_where({"x": {"$lt": 3}}) == 3  # d1, d2 and new; d0 is another now
        assert writer.delete_where({"x": {"$lt": 3}}) == 0
        writer.commit()
    index = open_index(PATH, files=disk)
    left = index.doc_ids(index.select({}))
    assert left == [*(f"d{i}" for i in range(3, 10)), "d0", "old"]
    assert verify(PATH, 2, files=disk).ok


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (5, "a filter is an object"),
        ({"$nor": []}, "unknown operator"),
        ({"$and": {}}, "takes a list"),
        ({"$not": []}, "a filter is an object"),
        ({"x": None}, "expected a string, a number"),
        ({"x": [1]}, "expected a string, a number"),
        ({"x": {}}, "expected one of"),
        ({"x": {"$like": "a"}}, "expected one of"),
        ({"x": {"$in": "abc"}}, "takes a list"),
        ({"x": {"$gt": "soon"}}, "ISO 8601"),
        ({"x": {"$gt": True}}, "ISO 8601"),
        ({"x": {"$gt": 1, "$gte": 2}}, "one lower and one upper"),
        ({"x": {"$gt": 1, "$lt": "2024-01-01"}}, "of one type"),
        ({"x": {"$nin": 5}}, "takes a list"),
        ({"x": {"$exists": 1}}, "true or false"),
        ({"$lenient": "yes"}, "true or false"),
        ({"x": 2**64 + 1}, "at most 64 bits"),
        ({"x": float("nan")}, "finite"),
        ({"x": float("inf")}, "finite"),
        ({"x": 10**400}, "finite"),
        ({"x": "\ud800"}, "surrogate"),
        ({5: 1}, "a field is a string"),
        ({"x": {"$in": list(range(10_001))}}, "at most 10000 values"),
    ],
)
def test_what_is_no_filter_is_refused(source: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_filter(source)


def test_a_filter_that_is_too_deep_is_refused() -> None:
    source: dict[str, Any] = {"x": 1}
    for _ in range(40):
        source = {"$not": source}
    with pytest.raises(UsageError, match="nested at most"):
        parse_filter(source)


def test_a_filter_is_evaluated_once() -> None:
    index = index_of([{"x": i} for i in range(10)], SimulatedDisk())
    first = index.snapshot.filters.find({"x": 1})
    assert index.snapshot.filters.find({"x": {"$eq": 1.0}}) is first
    for i in range(100):
        index.select({"x": i})
    assert len(index.snapshot.filters) <= 32
    np.testing.assert_array_equal(index.snapshot.filters.find({"x": 1}).words[0], first.words[0])


def test_searches_with_a_filter_that_comes_again_read_lists_of_its_own(
    crowd: tuple[SimulatedDisk, dict[str, dict[int, float]], dict[str, Document]],
) -> None:
    disk, rows, documents = crowd
    index = open_index(PATH, files=disk)
    source = {"n": {"$in": list(range(0, 3000, 100))}}
    allowed = {d: row for d, row in rows.items() if passes(source, documents[d].metadata)}
    query = {term: 1.0 + term / 40 for term in range(40)}
    wanted = [doc_id for doc_id, _ in exhaustive(allowed, query, 100)]
    first, again, third = (index.search(query_of(query), 100, filter=source) for _ in range(3))
    assert first.ids == again.ids == third.ids
    assert set(first.ids) == set(wanted)
    assert len(wanted) > 10
    assert list(first.scores) == list(again.scores) == list(third.scores)
    postings = [hits.counters["postings_scored"] for hits in (first, again, third)]
    inside = sum(term in row for row in allowed.values() for term in query)
    assert postings[1] == postings[2] <= inside < postings[0], "no posting of another document"
    held = index.snapshot.filters.n_bytes
    index.search(query_of(query), 100, filter=source)
    assert index.snapshot.filters.n_bytes == held, "nothing is copied out twice"


def test_threads_share_the_lists_of_a_filter(
    crowd: tuple[SimulatedDisk, dict[str, dict[int, float]], dict[str, Document]],
) -> None:
    disk = crowd[0]
    queries = [query_of(row) for row in random_rows(9, numbered(60, "q")).values()]
    source = {"n": {"$in": list(range(0, 3000, 70))}}
    plain = open_index(PATH, files=disk)
    wanted = [plain.search(query, 3000) for query in queries]
    allowed = set(plain.doc_ids(plain.select(source)))
    through = [[doc_id for doc_id in hits.ids if doc_id in allowed][:5] for hits in wanted]
    for _ in range(5):
        index = open_index(PATH, files=disk)
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(index.search, query, 5, filter=source) for query in queries + queries
            ]
            assert [job.result().ids for job in jobs] == through + through


@pytest.mark.parametrize("limit", [0, 3000, 20_000])
def test_filters_hold_no_more_memory_than_they_may(
    crowd: tuple[SimulatedDisk, dict[str, dict[int, float]], dict[str, Document]],
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filter_cache, "MAX_BYTES", limit)
    index = open_index(PATH, files=crowd[0])
    queries = [query_of(row) for row in random_rows(10, numbered(20, "q")).values()]
    wanted = [index.search(query, 3000) for query in queries]
    for start in range(12):
        source = {"n": {"$in": list(range(start, 3000, 90))}}
        allowed = set(index.doc_ids(index.select(source)))
        for query, everything in zip(queries, wanted, strict=True):
            hits = index.search(query, 5, filter=source)
            assert hits.ids == [doc_id for doc_id in everything.ids if doc_id in allowed][:5]
            held = index.snapshot.filters.n_bytes
            assert held <= limit or len(index.snapshot.filters) == 1, "but for the one in use"
