"""Report of a fitted fusion, and the artefact that stores it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from lsr import __version__
from lsr_eval.fusion_fitting.fit import FusionFit
from lsr_eval.report import comparison_cells, table_of
from lsr_index.fusion import BranchIdentity, FusionArtefact


def render(found: FusionFit, warnings: Sequence[str] = ()) -> RenderableType:
    """Return a report for `rich.console.Console.print`."""
    title = f"{found.measure} on {found.n_topics} topics, each held out"
    table = table_of(title, "", [found.measure, "fusion gains", "95 % interval", "p"])
    for name, value, against in zip(found.branches, found.single, found.comparisons, strict=True):
        table.add_row(Text(name), f"{value:.4f}", *comparison_cells(against))
    low, high = found.interval
    table.add_row("fusion", f"{found.fused:.4f}", "", f"{low:.4f} … {high:.4f}", "")
    return Group(
        Text.assemble("fusion: ", (str(found.fusion), "bold")),
        table,
        Text(
            f"Found on all {found.n_topics} topics. Held out was each half of them in "
            f"{len(found.halves) // 2} splits into paired halves, ranked with the fusion fitted on "
            f"the other half: {_agreement(found)}. Paired permutation test, holm correction.",
            style="dim",
        ),
        *(Text(f"Note: {warning}.", style="yellow") for warning in warnings),
    )


def _agreement(found: FusionFit) -> str:
    """Describe how much the fusions of the halves differ."""
    method, times = Counter(half.fusion.method for half in found.halves).most_common(1)[0]
    gains = [half.gain for half in found.halves]
    ranges = [
        f"{name} {low:.2f} … {high:.2f}" for name, (low, high) in _weight_ranges(found).items()
    ]
    kept = sum(gain >= 0 for gain in gains)
    return (
        f"{method} in {times} of {len(gains)}, weights {', '.join(ranges)}, at least as good as "
        f"the best branch in {kept} of {len(gains)} (gain {min(gains):+.4f} … {max(gains):+.4f})"
    )


def _weight_ranges(found: FusionFit) -> dict[str, tuple[float, float]]:
    shares = np.array([half.fusion.shares(found.branches) for half in found.halves])
    lowest, highest = shares.min(axis=0).tolist(), shares.max(axis=0).tolist()
    return dict(zip(found.branches, zip(lowest, highest, strict=True), strict=True))


def evidence_of(found: FusionFit, source: str) -> dict[str, Any]:
    """Return what a fusion was fitted and tested on, as JSON values."""
    return {
        "lsr": __version__,
        "source": source,
        "measure": found.measure,
        "seed": found.seed,
        "n_topics": found.n_topics,
        "halves": {
            "n_splits": len(found.halves) // 2,
            "methods": dict(Counter(half.fusion.method for half in found.halves)),
            "weights": {name: list(ends) for name, ends in _weight_ranges(found).items()},
            "gains": [half.gain for half in found.halves],
        },
        "held_out": {
            "fusion": found.fused,
            "interval": list(found.interval),
            "branches": dict(zip(found.branches, found.single, strict=True)),
            "versus": {
                name: each.as_json()
                for name, each in zip(found.branches, found.comparisons, strict=True)
            },
        },
    }


def artefact_of(
    found: FusionFit, branches: Sequence[BranchIdentity], source: str
) -> FusionArtefact:
    """Return the artefact of a fitted fusion."""
    return FusionArtefact(found.fusion, branches, evidence_of(found, source))
