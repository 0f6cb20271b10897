"""Ablation of sparsity penalties on one data set: nDCG@10 against the cost of a query.

``python -m lsr_training.ablation RECIPE [--set A.B=C] [--scales 0.3,1,3]`` trains the recipe with
plain FLOPS (queries weigh every piece 1), IDF-aware FLOPS, DF-FLOPS, the l0 mask, and the l0 mask
with the double logarithm, each at several weights, and prints a table and draws a plot. All of them
are inference-free and differ in nothing else. A finished run is not trained again.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsr.errors import LsrError, UsageError
from lsr.progress import Progress
from lsr_training.recipe import Recipe, read_recipe
from lsr_training.trainer import train
from lsr_training.trainer.evaluation import Measurement

VARIANTS: dict[str, dict[str, str]] = {
    "FLOPS": {"kind": "flops", "table": "binary", "activation": "relu"},
    "IDF-aware FLOPS": {"kind": "flops", "table": "idf", "activation": "relu"},
    "DF-FLOPS": {"kind": "df_flops", "table": "idf", "activation": "relu"},
    "l0 mask": {"kind": "l0", "table": "idf", "activation": "relu"},
    "l0 mask + double log": {"kind": "l0", "table": "idf", "activation": "log1p_relu"},
}


@dataclass(frozen=True)
class AblationRow:
    """Result of one run: the penalty, its weight and the measurements."""

    variant: str
    weight: float
    measured: Measurement


def run_ablation(
    recipe: Recipe,
    scales: Sequence[float] = (0.3, 1.0, 3.0),
    progress: Progress | None = None,
    on_row: Callable[[AblationRow], None] | None = None,
) -> list[AblationRow]:
    """Train every variant at several weights: `scales` times that of the recipe's document penalty.

    `on_row` is called with each result when it is ready. Raises UsageError where the recipe
    measures nothing, penalises nothing, or has no ``mlm`` document head.
    """
    penalty = recipe.penalties.document
    if penalty is None or not recipe.evaluation.collections or recipe.model.document.head != "mlm":
        raise UsageError(
            "an ablation needs penalties.document, evaluation.collections and an mlm document head"
        )
    rows = []
    for variant in VARIANTS:
        for scale in scales:
            weight = penalty.weight * scale
            measured = train(_variant(recipe, variant, weight), progress=progress).measured
            assert measured is not None, "the recipe names a collection"
            rows.append(AblationRow(variant, weight, measured))
            if on_row is not None:
                on_row(rows[-1])
    return rows


def _variant(recipe: Recipe, variant: str, weight: float) -> Recipe:
    settings = VARIANTS[variant]
    content: dict[str, Any] = recipe.model_dump(mode="json")
    name = re.sub(r"\W+", "-", variant.lower()).strip("-")
    content["output"] = str(Path(recipe.output) / f"{name}-{weight:g}")
    content["model"]["query"] = {"head": "tokens", "table": settings["table"]}
    content["model"]["document"]["activation"] = settings["activation"]
    content["penalties"]["query"] = None
    content["penalties"]["document"].update(kind=settings["kind"], weight=weight)
    return Recipe.model_validate(content)


def table(rows: Sequence[AblationRow]) -> str:
    """Format the results as lines of text."""
    heading = (
        f"{'penalty':22} {'weight':>9} {'nDCG@10':>8} {'FLOPS':>8} {'nnz/doc':>8} {'post./q':>9}"
    )
    return "\n".join([heading, *map(_line, rows)])


def _line(row: AblationRow) -> str:
    m = row.measured
    return (
        f"{row.variant:22} {row.weight:9.4g} {m.ndcg_10:8.4f} {m.flops:8.3f} "
        f"{m.nnz_documents:8.1f} {m.postings_mean:9,.0f}"
    )


def plot(rows: Sequence[AblationRow], path: Path) -> Path | None:
    """Draw nDCG@10 over FLOPS and over non-zeros; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    fields = (("flops", "FLOPS"), ("nnz_documents", "non-zeros a document"))
    for axis, (field, label) in zip(axes, fields, strict=True):
        for variant in VARIANTS:
            own = [row.measured for row in rows if row.variant == variant]
            points = sorted((getattr(m, field), m.ndcg_10) for m in own)
            axis.plot([x for x, _ in points], [y for _, y in points], "o-", label=variant)
        axis.set(xlabel=label, ylabel="nDCG@10")
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
    return path


def main() -> int:
    """Run from the command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m lsr_training.ablation", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C")
    parser.add_argument("--scales", default="0.3,1,3", help="multiply the penalty's weight")
    arguments = parser.parse_args()
    try:
        recipe = read_recipe(arguments.recipe, arguments.set)
        rows = run_ablation(recipe, _scales(arguments.scales), on_row=_tell)
    except LsrError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again and it goes on from here\n")
        return 130
    sys.stdout.write(table(rows) + "\n")
    path = plot(rows, Path(recipe.output) / "ablation.png")
    sys.stdout.write(f"plot: {path}\n" if path else "no plot: matplotlib is not installed\n")
    return 0


def _scales(text: str) -> list[float]:
    try:
        scales = [float(scale) for scale in text.split(",")]
    except ValueError:
        scales = []
    if not scales or any(not 0 <= scale < math.inf for scale in scales):
        raise UsageError(f"--scales {text}: expected numbers separated by commas, as in 0.3,1,3")
    return scales


def _tell(row: AblationRow) -> None:
    sys.stderr.write(_line(row) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
