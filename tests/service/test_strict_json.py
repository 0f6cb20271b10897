"""The body parser takes JSON and nothing else, in linear time."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr_service.http.errors import ApiError
from lsr_service.http.strict_json import parse_json

DEPTH = 32
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=30,
)


@given(VALUES, st.booleans())
def test_takes_what_json_can_say(value: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode(), 200) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"k": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        rb'["\ud800"]',
        rb'["\udc00\ud800"]',
        rb'{"\uD83D": 1}',
        b'["\xff"]',
        b'"\xed\xa0\x80"',
        b"",
        b"[1,",
        b"{'a': 1}",
        b"1" * 5000,
        b"[1] 2",
        b"\xef\xbb\xbf[]",
    ],
)
def test_refuses_what_is_not_json(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_json(body, DEPTH)
    assert refused.value.status_code == 422


def test_takes_whole_surrogate_pairs() -> None:
    assert parse_json(rb'["\ud83d\ude00"]', DEPTH) == ["\U0001f600"]


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_limit_is_exact(opening: bytes, closing: bytes) -> None:
    inner = b"1"
    assert parse_json(opening * DEPTH + inner + closing * DEPTH, DEPTH)
    with pytest.raises(ApiError) as refused:
        parse_json(opening * (DEPTH + 1) + inner + closing * (DEPTH + 1), DEPTH)
    assert refused.value.status_code == 400


def test_brackets_in_strings_are_no_depth() -> None:
    value = ["[" * 100, '"[[[' * 50, "\\" * 7 + "{" * 99]
    assert parse_json(json.dumps(value).encode(), DEPTH) == value


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (1 << 20),
        b"[]" * (1 << 19),
        b'"' + rb"\"" * (1 << 19),
        b'"' + rb"\"" * (1 << 19) + b"\\",
        rb"\"" * (1 << 19),
        b'"' * (1 << 20),
        b'{"":' * (1 << 18),
    ],
    ids=["open", "pairs", "escapes", "escapes-cut", "quotes-escaped", "quotes", "objects"],
)
def test_hostile_bodies_of_full_size_are_refused_fast(body: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(ApiError):
        parse_json(body, DEPTH)
    assert time.perf_counter() - started < 2  # a quadratic scan takes minutes
