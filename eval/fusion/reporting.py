"""A fitted fusion for people, and as an artefact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eval.fusion.fitting import FusionFit
from index.fusion import BranchIdentity, FusionArtefact
from lsr import __version__


def render(found: FusionFit) -> RenderableType:
    """Return what was found for `rich.console.Console.print`."""
    table = Table(
        title=f"{found.measure} on {found.n_held_out} topics held out",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("", overflow="fold")
    for heading in (found.measure, "fusion is better by", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, value, against in zip(found.branches, found.single, found.comparisons, strict=True):
        table.add_row(
            Text(name),
            f"{value:.4f}",
            f"{against.difference:+.4f}",
            f"{against.interval.low:+.4f} … {against.interval.high:+.4f}",
            f"{against.p_corrected:.4f}",
        )
    low, high = found.interval
    table.add_row("fusion", f"{found.fused:.4f}", "", f"{low:.4f} … {high:.4f}", "")
    choice = found.choice
    return Group(
        Text.assemble("fusion: ", (str(choice.fusion), "bold")),
        table,
        Text(
            f"Chosen on {found.n_fitting} other topics, where it is worth {choice.gain:+.4f} "
            f"(standard error {choice.error:.4f}) over {choice.best_branch} alone. Paired "
            "permutation test, holm correction.",
            style="dim",
        ),
    )


def evidence_of(found: FusionFit, source: str) -> dict[str, Any]:
    """Return as JSON values what a fusion was chosen and tested on."""
    choice = found.choice
    return {
        "lsr": __version__,
        "source": source,
        "measure": found.measure,
        "seed": found.seed,
        "fitting": {
            "n_topics": found.n_fitting,
            "best_branch": choice.best_branch,
            "gain": choice.gain,
            "standard_error": choice.error,
        },
        "held_out": {
            "n_topics": found.n_held_out,
            "fusion": found.fused,
            "interval": list(found.interval),
            "branches": dict(zip(found.branches, found.single, strict=True)),
            "versus": {
                name: each._asdict() | {"interval": list(each.interval)}
                for name, each in zip(found.branches, found.comparisons, strict=True)
            },
        },
    }


def artefact_of(
    found: FusionFit, branches: Sequence[BranchIdentity], source: str
) -> FusionArtefact:
    """Return the artefact of a fitted fusion."""
    return FusionArtefact(found.choice.fusion, branches, evidence_of(found, source))
