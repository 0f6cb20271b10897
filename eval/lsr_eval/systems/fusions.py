"""Fused systems of an experiment: the rankings they take, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lsr.errors import UsageError
from lsr.trec.runs import slug
from lsr_eval.results import Answers, SystemKind

if TYPE_CHECKING:  # measuring a run needs no index
    from lsr_index.fusion import Fusion


@dataclass(frozen=True, slots=True)
class FusedSystem:
    """The fused rankings of other systems of the same experiment.

    `parts` are the names of the systems in the report, `source` is the fusion as it was named.
    """

    fusion: Fusion
    parts: Sequence[str]
    source: str
    kind: ClassVar[SystemKind] = "fusion"

    @property
    def name(self) -> str:
        """The parts and the method."""
        fitted = " fitted" if self.source.endswith(".json") else ""
        return f"{' + '.join(self.parts)}: {self.fusion.method}{fitted}"

    def answer(self, parts: Sequence[Answers], k: int) -> Answers:
        """Fuse the runs of the parts, `k` hits per topic."""
        from lsr_eval.fusion_fitting.topics import fuse_runs

        runs = {name: part.run for name, part in zip(self.parts, parts, strict=True)}
        bounds = {name: part.least_score for name, part in zip(self.parts, parts, strict=True)}
        fused = fuse_runs(runs, self.fusion, name=slug(self.name), k=k, bounds=bounds)
        known = [part.rank_safe for part in parts]
        return Answers(fused, None if None in known else all(known))


def fused_systems(
    fusions: Sequence[str], names: Sequence[str], dense: Sequence[str]
) -> list[FusedSystem]:
    """Return the fused systems of an experiment.

    A fusion with weights takes the systems that these name. Without weights, it takes each sparse
    system with each dense one; where there is no dense one or no other, all systems together.

    `fusions` are what `lsr_index.fusion.parse_fusion` reads, or files of ``lsr fit-fusion``;
    `names` are those of all systems, `dense` of the dense ones. Raises `UsageError` for fewer than
    two systems, or a weight for one that is not there.
    """
    if not fusions:
        return []
    from lsr_index.fusion import parse_fusion, read_artefact

    if len(names) < 2:
        raise UsageError("a fusion needs two systems or more: name encoders, indexes or runs")
    others = [name for name in names if name not in dense]
    pairs: list[tuple[str, ...]] = [(sparse, one) for one in dense for sparse in others]
    pairs = pairs or [tuple(names)]
    made = []
    for text in fusions:
        is_file = Path(text).is_file() or text.endswith(".json")
        fusion = read_artefact(text).fusion if is_file else parse_fusion(text)
        if fusion.weights is None:
            made += [FusedSystem(fusion, parts, text) for parts in pairs]
            continue
        unknown = sorted(fusion.weights.keys() - set(names))
        if unknown:
            raise UsageError(
                f"fusion {text!r}: no system {unknown[0]!r}; the systems are {', '.join(names)}"
            )
        made.append(FusedSystem(fusion, [n for n in names if n in fusion.weights], text))
    return made
