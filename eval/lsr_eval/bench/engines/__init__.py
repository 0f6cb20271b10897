"""Engines that can be compared, by name; each is imported only in its own process."""

from __future__ import annotations

from importlib import import_module
from itertools import product

from lsr.errors import UsageError
from lsr_eval.bench.engines.base import Engine, EngineSpec, Setting, Variant

OURS = "lsr"
SEGMENT = "lsr-segment"
PEERS = ("splade-index", "bmp", "seismic", "scipy", "pisa")

_SEISMIC_BUILD = {"centroid_fraction": 0.2, "summary_energy": 0.5}
_SEISMIC_SETTINGS = tuple(
    Setting(f"cut={cut} factor={factor}", {"query_cut": cut, "heap_factor": factor})
    for cut, factor in product((4, 6, 9, 14, 100), (0.6, 0.7, 0.8, 0.9, 1.0))
)
_PACKAGE = "lsr_eval.bench.engines"

SPECS: dict[str, EngineSpec] = {
    spec.name: spec
    for spec in (
        EngineSpec(OURS, f"{_PACKAGE}.ours", "BlockMaxIndex", "lsr-engine"),
        EngineSpec(SEGMENT, f"{_PACKAGE}.segment", "Segment", "lsr-engine"),
        EngineSpec("scipy", f"{_PACKAGE}.peer_scipy", "ScipyProduct", "scipy"),
        EngineSpec(
            "splade-index", f"{_PACKAGE}.peer_splade_index", "SpladeIndexScan", "splade-index"
        ),
        EngineSpec(
            "bmp",
            f"{_PACKAGE}.peer_bmp",
            "BlockMaxPruning",
            "bmp",
            variants=tuple(Variant(f"b={size}", {"block_size": size}) for size in (8, 16, 32, 64)),
            settings=(Setting("alpha=1", {"alpha": 1.0, "beta": 1.0}),),
        ),
        EngineSpec(
            "seismic",
            f"{_PACKAGE}.peer_seismic",
            "Seismic",
            "pyseismic-lsr",
            variants=(
                Variant("default"),
                Variant("recall95", {**_SEISMIC_BUILD, "n_postings": 4000, "max_fraction": 3.0}),
                Variant("recall99", {**_SEISMIC_BUILD, "n_postings": 3000, "max_fraction": 6.0}),
            ),
            settings=_SEISMIC_SETTINGS,
            approximate=True,
        ),
        EngineSpec(
            "pisa",
            f"{_PACKAGE}.peer_pisa",
            "Pisa",
            "pyterrier-pisa",
            settings=tuple(
                Setting(name, {"algorithm": name}) for name in ("maxscore", "block_max_wand")
            ),
        ),
    )
}


def engine_specs(names: list[str]) -> list[EngineSpec]:
    """Return the engines of these names; raise `UsageError` for a name that is not among them."""
    unknown = [name for name in names if name not in (OURS, *PEERS)]
    if unknown:
        raise UsageError(f"no such peer: {', '.join(unknown)}; choose from {', '.join(PEERS)}")
    return [SPECS[name] for name in names]


def load_engine(spec: EngineSpec) -> Engine:
    """Import an engine and make one; raise `ImportError` if its package is not installed."""
    engine: Engine = getattr(import_module(spec.module), spec.attribute)()
    return engine
