"""Limits of ids, texts and metadata. Checks return an error message, or None."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from lsr.records import Document, Metadata

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum sizes of documents, in bytes of UTF-8.

    Attributes
    ----------
    text_bytes : int
        Title and text together.
    text_chars : int or None
        Characters of the text alone, for queries.
    metadata_bytes : int
        Metadata as compact JSON.
    metadata_depth : int
        Nesting of lists and objects in metadata.
    """

    id_bytes: int = 512
    text_bytes: int = 2**20
    text_chars: int | None = None
    metadata_bytes: int = 64 * 2**10
    metadata_depth: int = 32


DEFAULT_LIMITS = Limits()


def document_problem(document: Document, limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Return the error message for an invalid document, or None.

    Ids have 1 to 512 bytes of UTF-8 without control characters; texts may be empty, no string has a
    lone surrogate; metadata are JSON values with finite numbers.
    """
    problem = _id_problem(document.id, limits)
    if problem:
        return problem
    size = 0
    for what, text in (("text", document.text), ("title", document.title)):
        length = _utf8_length(text)
        if length < 0:
            return f"the {what} holds a lone surrogate; expected valid Unicode"
        size += length
    if size > limits.text_bytes:
        return (
            f"title and text take {size:,} bytes; at most {limits.text_bytes:,} are accepted, "
            "split the document into passages"
        )
    if limits.text_chars is not None and len(document.text) > limits.text_chars:
        return (
            f"the text has {len(document.text):,} characters; "
            f"at most {limits.text_chars:,} are accepted"
        )
    return _metadata_problem(document.metadata, limits) if document.metadata else None


def _id_problem(doc_id: str, limits: Limits) -> str | None:
    length = _utf8_length(doc_id)
    if length < 0:
        return "the id holds a lone surrogate; expected valid Unicode"
    if not 1 <= length <= limits.id_bytes:
        return f"the id takes {length:,} bytes; expected 1 to {limits.id_bytes}"
    if _CONTROL.search(doc_id):
        return f"the id {doc_id!r} holds a control character"
    return None


def _metadata_problem(metadata: Metadata, limits: Limits) -> str | None:
    problem = _value_problem(dict(metadata), limits.metadata_depth)
    if problem:
        return f"metadata: {problem}"
    try:
        size = len(orjson.dumps(dict(metadata)))
    except TypeError as error:  # lone surrogates
        return f"metadata: not representable as JSON ({error})"
    if size > limits.metadata_bytes:
        return f"metadata take {size:,} bytes as JSON; at most {limits.metadata_bytes:,} accepted"
    return None


def _value_problem(value: object, depth: int) -> str | None:
    if value is None or isinstance(value, str | bool):
        return None
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 64:
            return None
        return "an integer of more than 64 bits; write it as a string"
    if isinstance(value, float):
        return None if value - value == 0 else f"{value} is not a JSON number"
    if not isinstance(value, dict | list):
        return f"{type(value).__name__} is not a JSON value"
    if depth == 0:
        return "nested too deeply"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "field names must be strings"
        value = list(value.values())
    return next(filter(None, (_value_problem(item, depth - 1) for item in value)), None)


def _utf8_length(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1
