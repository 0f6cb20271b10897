"""A fitted fusion as a file, with the branches it was fitted to and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lsr.errors import EncoderMismatchError, UsageError
from lsr_index.fusion.method import Fusion, parse_fusion
from lsr_index.storage.json_file import read_artefact_file, write_artefact_file

FORMAT = "lsr-fusion"
VERSION = 1
"""Rises when a field changes its meaning or goes away, not when one is added."""


@dataclass(frozen=True, slots=True)
class BranchIdentity:
    """A branch that a fusion was fitted to."""

    name: str
    kind: str  # "sparse", "dense", or "run" for a run file
    encoder: str | None = None  # fingerprint of its encoder, if known


@dataclass(frozen=True, slots=True)
class FusionArtefact:
    """A fitted fusion, with a weight for each branch.

    `evidence` holds JSON values: measure, collection, gain on held-out topics.
    """

    fusion: Fusion
    branches: Sequence[BranchIdentity]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def check(self, branches: Sequence[BranchIdentity], source: Path | str = "the fusion") -> None:
        """Raise an error for branches that this fusion was not fitted to.

        UsageError: other names. EncoderMismatchError: another encoder.
        """
        there = {branch.name: branch for branch in branches}
        missing = [branch.name for branch in self.branches if branch.name not in there]
        if missing or len(there) != len(self.branches):
            raise UsageError(
                f"{source} was fitted to the branches {', '.join(b.name for b in self.branches)}; "
                f"there are {', '.join(there)}. Fit one to these with lsr fit-fusion"
            )
        for branch in self.branches:
            here = there[branch.name].encoder
            if branch.encoder and here and branch.encoder != here:
                raise EncoderMismatchError(
                    f"{source}: branch {branch.name!r} was fitted with another encoder "
                    f"({branch.encoder[:12]}, here {here[:12]}), whose scores its weight does not "
                    "fit; fit again with lsr fit-fusion"
                )


def write_artefact(artefact: FusionArtefact, path: Path | str) -> None:
    """Write an artefact; raises as `lsr_index.storage.json_file.write_artefact_file`."""
    values = {
        "fusion": artefact.fusion.to_json(),
        "branches": [asdict(branch) for branch in artefact.branches],
        "evidence": dict(artefact.evidence),
    }
    write_artefact_file(path, FORMAT, VERSION, values)


def read_artefact(path: Path | str) -> FusionArtefact:
    """Read what `write_artefact` wrote; raises as `read_artefact_file`."""
    return read_artefact_file(path, FORMAT, VERSION, "lsr fit-fusion", _made)


def _made(values: dict[str, Any]) -> FusionArtefact:
    fusion = Fusion.from_json(values.get("fusion"))
    branches = [BranchIdentity(**branch) for branch in values["branches"]]
    fusion.shares([branch.name for branch in branches])
    return FusionArtefact(fusion, branches, dict(values.get("evidence") or {}))


def fusion_of(text: str, branches: Sequence[BranchIdentity]) -> Fusion:
    """Return the fusion of a command line: a path of an artefact, or what `parse_fusion` reads.

    Raises UsageError, DataError or EncoderMismatchError unless it fits the branches.
    """
    if Path(text).is_file() or text.endswith(".json"):
        artefact = read_artefact(text)
        artefact.check(branches, text)
        return artefact.fusion
    fusion = parse_fusion(text)
    fusion.shares([branch.name for branch in branches])
    return fusion
