"""The settings at which each engine is compared: a peer is shown at its best.

Of all variants and settings tried, the rounds see, at each k, the fastest (of an exact engine) or
the fastest that reaches each recall target (of an approximate one), with reserves in case that the
recall turns out lower on all queries or the time higher.
"""

from __future__ import annotations

from lsr_eval.bench.contenders import Entry
from lsr_eval.bench.engines import EngineSpec
from lsr_eval.bench.records import Measurement

RECALL_TARGETS = (0.90, 0.95, 0.99)
RECALL_RESERVE = 0.01
NEARLY = 1.25


def choose(spec: EngineSpec, trials: list[Measurement], depths: list[int]) -> list[Entry]:
    """Choose what takes part in the rounds."""
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
    """Return the two fastest; the second only if one trial cannot tell them apart."""
    return [t for t in ranked[:2] if t.cpu.p50 <= ranked[0].cpu.p50 * NEARLY]


def _entry(spec: EngineSpec, trial: Measurement) -> Entry:
    variant = next(v for v in spec.variants if v.name == trial.variant)
    setting = next(s for s in spec.settings if s.name == trial.setting)
    return Entry(spec, variant, setting, trial.k)
