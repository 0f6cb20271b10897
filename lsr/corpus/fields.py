"""Documents from records with named fields: which is the id, the text, the title."""

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
    """A record has not the fields that it should have."""


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Known names of the fields; the first that is there counts. See `chosen`."""

    id: tuple[str, ...] = ("_id", "id", "docid", "docno", "doc_id", "pid", "passage_id")
    text: tuple[str, ...] = ("text", "contents", "content", "body", "passage")
    title: tuple[str, ...] = ("title",)

    def chosen(self, id_: str | None, text: str | None, title: str | None) -> FieldNames:
        """Return these names with those that the user has set in their place."""
        return FieldNames(
            (id_,) if id_ else self.id,
            (text,) if text else self.text,
            (title,) if title else self.title,
        )

    def find(self, names: Iterable[str]) -> tuple[str, str, str | None]:
        """Return the names of the id, text and title fields; raises FieldError."""
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
    """Make a document of a record; raises FieldError for a missing field or a wrong type.

    An integer id becomes its decimal string, a null or absent title an empty one. Every other
    field becomes metadata; an object in a field ``metadata`` is spread among them.
    """
    id_name, text_name, title_name = names.find(fields)
    doc_id, text = fields[id_name], fields[text_name]
    title = fields[title_name] if title_name is not None else ""
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    _require_string(id_name, doc_id)
    _require_string(text_name, text)
    if title is None:
        title = ""
    elif title_name is not None:
        _require_string(title_name, title)
    if len(fields) == 2 + (title_name is not None):
        return Document(doc_id, text, title, NO_METADATA)
    return Document(
        doc_id, text, title, _metadata_of(fields, {id_name, text_name, title_name or text_name})
    )


def _metadata_of(fields: Mapping[str, Any], used: set[str]) -> Metadata:
    metadata = {name: value for name, value in fields.items() if name not in used}
    if isinstance(metadata.get("metadata"), dict):
        nested = metadata.pop("metadata")
        metadata = {**nested, **metadata}
    return metadata or NO_METADATA


def _require_string(name: str, value: object) -> None:
    if not isinstance(value, str):
        got = _JSON_NAMES.get(type(value), type(value).__name__)
        raise FieldError(f'field "{name}": expected a string, got {got}')
