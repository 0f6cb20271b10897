"""A fitted selection of clusters as a file, with the encoders it belongs to and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsr.errors import EncoderMismatchError
from lsr_index.search.cluster_selection import Selection
from lsr_index.search.index import Index
from lsr_index.storage.json_file import read_artefact_file, write_artefact_file

FORMAT = "lsr-selection"
VERSION = 1
"""Rises when a field changes its meaning or goes away, not when one is added."""

_COMMAND = "lsr fit-selection"


@dataclass(frozen=True, slots=True)
class SelectionArtefact:
    """A fitted selection.

    `encoders` are the fingerprints of the encoders it was fitted to, by ``sparse`` and ``dense``,
    None if unknown; `evidence` holds JSON values: recall and savings on other queries.
    """

    selection: Selection
    encoders: Mapping[str, str | None]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, selection: Selection, index: Index, evidence: Mapping[str, Any]
    ) -> SelectionArtefact:
        """Return the artefact of a selection that was fitted to an index."""
        return cls(selection, encoders_of(index), evidence)

    def check(self, index: Index, source: Path | str = "the selection") -> None:
        """Raise EncoderMismatchError for an index with vectors of other encoders."""
        for kind, actual in encoders_of(index).items():
            fitted = self.encoders.get(kind)
            if fitted and actual and fitted != actual:
                raise EncoderMismatchError(
                    f"{source}: was fitted to {kind} vectors of another encoder ({fitted[:12]}, "
                    f"here {actual[:12]}); fit one to this index with {_COMMAND}"
                )


def encoders_of(index: Index) -> dict[str, str | None]:
    """Return the fingerprints of the encoders of an index, by kind of vector."""
    prints = {"sparse": index.fingerprint, "dense": index.require_dense().fingerprint}
    return {kind: None if each is None else each.digest for kind, each in prints.items()}


def write_selection(artefact: SelectionArtefact, path: Path | str) -> None:
    """Write an artefact; raises as `lsr_index.storage.json_file.write_artefact_file`."""
    values = {
        "selection": artefact.selection.to_json(),
        "encoders": dict(artefact.encoders),
        "evidence": dict(artefact.evidence),
    }
    write_artefact_file(path, FORMAT, VERSION, values)


def read_selection(path: Path | str) -> SelectionArtefact:
    """Read what `write_selection` wrote; raises as `read_artefact_file`."""
    return read_artefact_file(path, FORMAT, VERSION, _COMMAND, _made)


def _made(values: dict[str, Any]) -> SelectionArtefact:
    encoders = dict(values["encoders"])
    if not all(isinstance(each, str | None) for each in encoders.values()):
        raise ValueError("encoders are named by fingerprints")
    selection = Selection.from_json(values.get("selection"))
    return SelectionArtefact(selection, encoders, dict(values.get("evidence") or {}))


def selection_for(path: Path | str, index: Index) -> Selection:
    """Return the selection in a file; raises as `read_selection` and `SelectionArtefact.check`."""
    artefact = read_selection(path)
    artefact.check(index, path)
    return artefact.selection
