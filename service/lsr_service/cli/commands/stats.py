"""``lsr stats``: what an index holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsr_service.cli import options
from lsr_service.cli.terminal import one_line, write, write_json


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
    if json:
        write_json(figures)
        return
    for name, value in _rows(figures):
        write(f"{name:<28} {value}")


def _rows(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        label = prefix + name.replace("_", " ")
        if isinstance(value, Mapping):
            rows += _rows(value, label + " ")
        elif name.endswith("_bytes") and isinstance(value, int):
            rows.append((label.removesuffix(" bytes"), options.size(value)))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            rows.append((label, one_line(str(value))))
        else:
            rows.append((label, f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"))
    return rows
