"""Field names of id, text and title; documents from records with named fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lsr.records import Document, Metadata

NO_METADATA: Metadata = MappingProxyType({})
_JSON_NAMES = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class FieldError(ValueError):
    """A field of a record is missing or of the wrong type."""


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Accepted names of each field; the first that a record has counts."""

    id: tuple[str, ...] = ("_id", "id", "docid", "docno", "doc_id", "pid", "passage_id")
    text: tuple[str, ...] = ("text", "contents", "content", "body", "passage")
    title: tuple[str, ...] = ("title",)

    def chosen(self, id_: str | None, text: str | None, title: str | None) -> FieldNames:
        """Return the names with those given by the user in place of the known ones."""
        return FieldNames(
            (id_,) if id_ else self.id,
            (text,) if text else self.text,
            (title,) if title else self.title,
        )

    def find(self, names: Iterable[str]) -> tuple[str, str, str | None]:
        """Return the names of the id, text and title fields among `names`.

        Raises FieldError, which lists the present fields, without an id or text field.
        """
        present = list(names)
        found: list[str] = []
        for what, wanted in (("id", self.id), ("text", self.text)):
            match = next((name for name in wanted if name in present), None)
            if match is None:
                raise FieldError(
                    f"no {what} field: expected {' or '.join(wanted)}, "
                    f"found {', '.join(present[:20]) or 'no field at all'}; "
                    "rename the one that is it"
                )
            found.append(match)
        return found[0], found[1], next((name for name in self.title if name in present), None)


DOCUMENT_FIELDS = FieldNames()
QUERY_FIELDS = FieldNames(
    id=("_id", "id", "qid", "query_id", "query-id"),
    text=("text", "query", "query_text", "question", "title"),
    title=(),
)


def document_from_fields(fields: Mapping[str, Any], names: FieldNames) -> Document:
    """Return a record as a document.

    Integer ids become decimal strings; a null or absent title becomes empty. All other fields, and
    the members of an object in a field ``metadata``, become metadata. Raises FieldError if a field
    is missing or of the wrong type.
    """
    id_name, text_name, title_name = names.find(fields)
    doc_id, text = fields[id_name], fields[text_name]
    title = fields[title_name] if title_name is not None else None
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    _require_string(id_name, doc_id)
    _require_string(text_name, text)
    if title_name is not None and title is not None:
        _require_string(title_name, title)
    used = (id_name, text_name, title_name)
    metadata = {name: value for name, value in fields.items() if name not in used}
    if isinstance(metadata.get("metadata"), dict):
        metadata = {**metadata.pop("metadata"), **metadata}
    return Document(doc_id, text, title or "", metadata or NO_METADATA)


def document_or_problem(fields: Mapping[str, Any], names: FieldNames) -> Document | str:
    """Return a record as a document, or the error message of `document_from_fields`."""
    try:
        return document_from_fields(fields, names)
    except FieldError as error:
        return str(error)


def _require_string(name: str, value: object) -> None:
    if not isinstance(value, str):
        got = _JSON_NAMES.get(type(value), type(value).__name__)
        raise FieldError(f'field "{name}": expected a string, got {got}')
