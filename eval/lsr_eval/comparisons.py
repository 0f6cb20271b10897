"""Significance comparisons of an experiment: systems with the first, fusions with their parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lsr.trec.measures import Measured
from lsr_eval.measures.significance import Comparison, Correction, Test, compare, correct
from lsr_eval.systems.fusions import FusedSystem
from lsr_eval.systems.system import System


def compare_with_first(
    measured: Sequence[Measured], test: Test, correction: Correction
) -> list[dict[str, Comparison]]:
    """Compare every system with the first; empty for the first itself."""
    compared: list[dict[str, Comparison]] = [{} for _ in measured]
    for measure, baseline in measured[0].per_topic.items():
        others = [other.per_topic[measure] for other in measured[1:]]
        found = compare(baseline, others, test=test, correction=correction)
        for at, comparison in enumerate(found, start=1):
            compared[at][measure] = comparison
    return compared


def compare_with_parts(
    systems: Sequence[System | FusedSystem],
    measured: Mapping[str, Measured],
    test: Test,
    correction: Correction,
) -> list[dict[str, dict[str, Comparison]]]:
    """Compare every fusion with each of its parts; the family of the correction is its parts."""
    found: list[dict[str, dict[str, Comparison]]] = []
    for system, own in zip(systems, measured.values(), strict=True):
        parts = system.parts if isinstance(system, FusedSystem) else ()
        versus: dict[str, dict[str, Comparison]] = {part: {} for part in parts}
        for measure, values in own.per_topic.items() if parts else ():
            against = [
                compare(measured[part].per_topic[measure], [values], test=test)[0] for part in parts
            ]
            corrected = correct([each.p_value for each in against], correction)
            for part, each, p_value in zip(parts, against, corrected, strict=True):
                versus[part][measure] = each._replace(p_corrected=p_value)
        found.append(versus)
    return found
