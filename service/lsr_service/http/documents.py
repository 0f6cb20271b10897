"""Documents of a request, with every limit checked before one is applied."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from lsr.records import Document
from lsr_service.http.errors import ApiError, invalid
from lsr_service.http.models import DocumentBatch, NewDocument
from lsr_service.http.strict_json import parse_json
from lsr_service.settings import Limits

NDJSON = "application/x-ndjson"
MEDIA_TYPES = ("application/json", NDJSON)


def read_documents(body: bytes, media_type: str, limits: Limits) -> list[Document]:
    """Read a batch of documents: a JSON object, or a document per line.

    Raises ApiError or RequestValidationError, 422, with the location of the first error.
    """
    if media_type == NDJSON:
        given = list(_lines(body, limits))
    else:
        value = parse_json(body, limits.json_depth)
        many = value.get("documents") if isinstance(value, dict) else None
        if isinstance(many, list):
            _check_number(len(many), limits)
        given = _validated(DocumentBatch, value, ("body",)).documents
    _check_number(len(given), limits)
    return _checked(given, limits)


def _lines(body: bytes, limits: Limits) -> Iterator[NewDocument]:
    number = 0
    for line in body.removeprefix(codecs.BOM_UTF8).split(b"\n"):
        if not line.strip():
            continue
        _check_number(number + 1, limits)
        try:
            value = parse_json(line, limits.json_depth)
        except ApiError as error:
            for detail in error.details:
                detail.location[:1] = ["body", number]
            raise
        yield _validated(NewDocument, value, ("body", number))
        number += 1


def _validated(model: type[Any], value: Any, place: tuple[str | int, ...]) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**problem, "loc": (*place, *problem["loc"])} for problem in problems[:10]]
        ) from None


def _check_number(n_docs: int, limits: Limits) -> None:
    if not 1 <= n_docs <= limits.batch_docs:
        raise invalid(["body"], f"a batch has 1 to {limits.batch_docs} documents")


def _checked(given: list[NewDocument], limits: Limits) -> list[Document]:
    from lsr.corpus.limits import Limits as DocumentLimits
    from lsr.corpus.limits import document_problem

    sizes = DocumentLimits(
        text_bytes=limits.doc_text_bytes, metadata_bytes=limits.doc_metadata_bytes
    )
    documents: list[Document] = []
    seen: set[str] = set()
    for position, each in enumerate(given):
        document = Document(each.id, each.text, each.title, each.metadata)
        problem = document_problem(document, sizes)
        if problem is not None:
            problem = problem.replace(f" {each.id!r}", "")  # never what the client sent
        elif each.id in seen:
            problem = "the id is in this batch already"
        if problem is not None:
            raise invalid(["body", "documents", position], problem)
        seen.add(each.id)
        documents.append(document)
    return documents
