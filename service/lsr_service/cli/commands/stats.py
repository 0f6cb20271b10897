"""``lsr stats``: what an index holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lsr_service.cli import options
from lsr_service.cli.terminal import one_line, write, write_json

_LABELS = {
    "path": "Index",
    "n_docs": "Documents",
    "n_bytes": "Size on disk",
    "postings_bytes": "Size of postings",
    "documents_bytes": "Size of documents",
    "vectors_bytes": "Size",
    "n_clipped": "Clipped weights",
    "n_dropped": "Dropped weights",
    "n_lists": "Clusters",
}
"""Names of figures for people, where they are not the name itself."""
_DIGEST = re.compile("[0-9a-f]{64}")


def stats(index: options.IndexPath, json: options.Json = False) -> None:
    """Show what an index holds: documents, terms, postings, sizes, encoder."""
    from lsr_index.search.index import open_index

    with open_index(index) as opened:
        figures: dict[str, Any] = {"path": str(index), **opened.stats()._asdict()}
        if opened.fingerprint is not None:
            figures["encoder"] = dict(opened.fingerprint.document)
            figures["fingerprint"] = opened.fingerprint.digest
        if opened.dense is not None:
            figures["dense"] = opened.dense.stats()
        fields = opened.fields()
    if json:
        write_json(figures)
        return
    kinds = (f"{name} ({', '.join(sorted(kinds))})" for name, kinds in sorted(fields.items()))
    rows = [*_rows(figures), ("Metadata fields", one_line(", ".join(kinds)) or "none")]
    width = max(len(label) for label, _ in rows) + 2
    for label, value in rows:
        write(f"{label:<{width}}{value}")


def _rows(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = _LABELS.get(name, name.removeprefix("n_").replace("_", " ").capitalize())
        label = f"{prefix} {label.lower()}" if prefix else label
        if name == "dense":
            yield from _rows(value, "Dense")
        elif isinstance(value, Mapping):
            yield label, _encoder(value)
            yield from (("", f"  {_encoder(part)}") for part in value.get("parts", ()))
        elif name.endswith("_bytes"):
            yield label, options.size(value)
        elif value is None or isinstance(value, bool):
            yield label, {None: "none", True: "yes", False: "no"}[value]
        elif isinstance(value, int | float):
            yield label, f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
        else:
            yield label, one_line(str(value))


def _encoder(document: Mapping[str, Any]) -> str:
    """Return the kind of an encoder and its settings, without digests of files."""
    settings = ", ".join(_settings(document))
    return one_line(f"{document.get('kind', 'unknown')}{f': {settings}' if settings else ''}")


def _settings(document: Mapping[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield from _settings(value)
        elif value is True:
            yield words
        elif isinstance(value, int | float) and value is not False:
            yield f"{words} {value:g}"
        elif isinstance(value, str) and name != "kind" and _DIGEST.fullmatch(value) is None:
            yield f"{words} {value or 'none'}"
