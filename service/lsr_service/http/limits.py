"""Limits that an operator can set: checked after the models, and part of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from lsr.errors import UsageError
from lsr_service.http.errors import invalid
from lsr_service.http.models import EmbedRequest, SearchRequest
from lsr_service.settings import Limits


def check_search(request: SearchRequest, limits: Limits) -> None:
    """Raise ApiError 422 for a search beyond a limit, with the field and its limit."""
    if request.query is not None and len(request.query) > limits.query_chars:
        raise invalid(["body", "query"], f"at most {limits.query_chars} characters")
    if request.tokens is not None and len(request.tokens) > limits.query_terms:
        raise invalid(["body", "tokens"], f"at most {limits.query_terms} terms")
    if request.vector is not None and len(request.vector.indices) > limits.query_terms:
        raise invalid(["body", "vector", "indices"], f"at most {limits.query_terms} terms")
    if request.k > limits.k:
        raise invalid(["body", "k"], f"at most {limits.k}")
    if request.offset + request.k > limits.window:
        raise invalid(["body", "offset"], f"offset + k is at most {limits.window}")
    if request.fusion is not None and (request.fusion.depth or 0) > limits.window:
        raise invalid(["body", "fusion", "depth"], f"at most {limits.window}")
    if request.filter is not None:
        check_filter(request.filter)


def check_filter(filter: dict[str, Any]) -> None:
    """Raise ApiError 422 for a filter that is malformed."""
    from lsr_index.search.filters import parse_filter

    try:
        parse_filter(filter)
    except UsageError as error:
        raise invalid(["body", "filter"], str(error).partition(", got ")[0][:200]) from None


def check_embed(request: EmbedRequest, limits: Limits) -> list[str]:
    """Return the texts of a request; raises ApiError 422 for too many or too long ones."""
    texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
    if len(texts) > limits.embed_inputs:
        raise invalid(["body", "inputs"], f"at most {limits.embed_inputs} texts")
    for position, text in enumerate(texts):
        if len(text) > limits.query_chars:
            raise invalid(["body", "inputs", position], f"at most {limits.query_chars} characters")
    return texts


def write_into(schema: dict[str, Any], limits: Limits) -> None:
    """Add the limits of this server to an OpenAPI document, in place."""
    models = schema["components"]["schemas"]
    search = models["SearchRequest"]["properties"]
    search["k"]["maximum"] = limits.k
    search["offset"]["maximum"] = limits.window - 1
    _alternative(search["query"], "string")["maxLength"] = limits.query_chars
    _alternative(search["tokens"], "object")["maxProperties"] = limits.query_terms
    for field in models["SparseVector"]["properties"].values():
        field["maxItems"] = limits.query_terms
    inputs = models["EmbedRequest"]["properties"]["inputs"]
    _alternative(inputs, "string")["maxLength"] = limits.query_chars
    texts = _alternative(inputs, "array")
    texts["maxItems"] = limits.embed_inputs
    texts["items"]["maxLength"] = limits.query_chars


def _alternative(field: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(a for a in field["anyOf"] if a.get("type") == kind)
    return found
