"""Training curves: plot of the log of a run, if matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def draw_curves(records: Sequence[dict[str, Any]], path: Path) -> Path | None:
    """Draw loss, non-zeros, expected FLOPS and nDCG@10 over the steps.

    Returns None without matplotlib, or without anything to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    steps = [r for r in records if r["kind"] == "step"]
    evaluations = [r for r in records if r["kind"] == "evaluation"]
    if not steps:
        return None
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    at = [r["step"] for r in steps]
    axes[0, 0].plot(at, [r["loss"] for r in steps], label="loss", color="black")
    for name in steps[0]["parts"]:
        axes[0, 0].plot(at, [r["parts"].get(name, 0.0) for r in steps], label=name, linewidth=0.8)
    axes[0, 0].set(title="loss", yscale="symlog")
    axes[0, 1].plot(at, [r["nnz_documents"] for r in steps], label="documents")
    axes[0, 1].plot(at, [r["nnz_queries"] for r in steps], label="queries")
    axes[0, 1].set(title="non-zeros", yscale="symlog")
    axes[1, 0].plot(at, [r["flops"] for r in steps], label="batch")
    axes[1, 0].set(title="expected FLOPS", yscale="symlog")
    if evaluations:
        measured = [r["step"] for r in evaluations]
        axes[1, 0].plot(measured, [r["flops"] for r in evaluations], "o-", label="evaluation")
        axes[1, 1].plot(measured, [r["ndcg_10"] for r in evaluations], "o-", label="nDCG@10")
        axes[1, 1].set(title="nDCG@10")
    for axis in axes.flat:
        axis.set_xlabel("step")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    figure.savefig(path, dpi=110)
    return path
