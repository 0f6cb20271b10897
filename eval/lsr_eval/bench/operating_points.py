"""Operating points: the settings at which engines are compared, their best ones; and the ratios.

Of all variants and settings tried, the rounds measure at each k the fastest of an exact engine, and
of an approximate engine the fastest that reaches each recall target. Reserves are measured as well,
in case recall is lower or time higher on all queries than in the trials.
"""

from __future__ import annotations

from lsr_eval.bench.engines import OURS, EngineSpec
from lsr_eval.bench.records import Measurement, Ratio
from lsr_eval.bench.trials import Entry

RECALL_TARGETS = (0.90, 0.95, 0.99)
RECALL_RESERVE = 0.01
NEARLY = 1.25


def choose_operating_points(
    spec: EngineSpec, trials: list[Measurement], depths: list[int]
) -> list[Entry]:
    """Choose the settings that are measured in the rounds."""
    chosen: list[Entry] = []
    for k in depths:
        ranked = sorted((t for t in trials if t.k == k), key=lambda trial: trial.cpu.p50)
        for trial in _best(spec, ranked):
            entry = _entry(spec, trial)
            if entry not in chosen:
                chosen.append(entry)
    return chosen


def _best(spec: EngineSpec, ranked: list[Measurement]) -> list[Measurement]:
    if not spec.approximate:
        return _nearly_fastest(ranked)
    best = []
    for target in RECALL_TARGETS:
        for wanted in (target, min(target + RECALL_RESERVE, 1.0)):
            best += _nearly_fastest([trial for trial in ranked if trial.recall >= wanted])
    return best


def _nearly_fastest(ranked: list[Measurement]) -> list[Measurement]:
    """Return the fastest trial, and the second fastest if it is within the noise of one trial."""
    return [t for t in ranked[:2] if t.cpu.p50 <= ranked[0].cpu.p50 * NEARLY]


def _entry(spec: EngineSpec, trial: Measurement) -> Entry:
    variant = next(v for v in spec.variants if v.name == trial.variant)
    setting = next(s for s in spec.settings if s.name == trial.setting)
    return Entry(spec, variant, setting, trial.k)


def ratios_against_peers(measurements: list[Measurement], specs: list[EngineSpec]) -> list[Ratio]:
    """Divide our times, of the first variant and setting, by those of each peer at its best."""
    ours = next(spec for spec in specs if spec.name == OURS)
    default = (OURS, ours.variants[0].name, ours.settings[0].name)
    ratios = []
    for mine in measurements:
        if (mine.engine, mine.variant, mine.setting) != default:
            continue
        for peer in (spec for spec in specs if spec.name != OURS):
            own = [m for m in measurements if m.engine == peer.name and m.k == mine.k]
            for target in RECALL_TARGETS if peer.approximate else (None,):
                qualified = [m for m in own if m.recall >= (target or 0.0)]
                if qualified:
                    best = min(qualified, key=lambda m: m.cpu.p50)
                    ratios.append(Ratio.of(mine, best, target))
    return ratios
