"""Latency ratios: this package's time over each peer's."""

from __future__ import annotations

from lsr_eval.bench.engines import OURS, EngineSpec
from lsr_eval.bench.operating_points import RECALL_TARGETS
from lsr_eval.bench.records import Measurement, Ratio


def ratios_against_peers(measurements: list[Measurement], specs: list[EngineSpec]) -> list[Ratio]:
    """Divide our default variant's times by those of each peer at its best, for each k.

    Parameters
    ----------
    measurements : list of Measurement
        Of the rounds.
    specs : list of EngineSpec
        All engines measured; ours is compared with its first variant and setting.
    """
    ours = next(spec for spec in specs if spec.name == OURS)
    ratios = []
    for mine in measurements:
        if not _is_default(mine, ours):
            continue
        for peer in (spec for spec in specs if spec.name != OURS):
            targets = RECALL_TARGETS if peer.approximate else (None,)
            for target in targets:
                best = _best(measurements, peer.name, mine.k, target)
                if best is not None:
                    ratios.append(_ratio(mine, best, target))
    return ratios


def _is_default(measurement: Measurement, ours: EngineSpec) -> bool:
    return (
        measurement.engine == ours.name
        and measurement.variant == ours.variants[0].name
        and measurement.setting == ours.settings[0].name
    )


def _best(
    measurements: list[Measurement], peer: str, k: int, target: float | None
) -> Measurement | None:
    qualified = [
        m for m in measurements if m.engine == peer and m.k == k and m.recall >= (target or 0.0)
    ]
    return min(qualified, key=lambda m: m.cpu.p50, default=None)


def _ratio(mine: Measurement, peer: Measurement, target: float | None) -> Ratio:
    return Ratio(
        peer=peer.engine,
        k=mine.k,
        recall_target=target,
        peer_variant=peer.variant,
        peer_setting=peer.setting,
        peer_recall=peer.recall,
        p50=mine.cpu.p50 / peer.cpu.p50,
        p99=mine.cpu.p99 / peer.cpu.p99,
    )
