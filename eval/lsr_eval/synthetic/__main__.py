"""``python -m lsr_eval.synthetic make|check``: make a synthetic collection, or check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lsr.errors import LsrError
from lsr_eval.bench.workload import load_vectors, widened, write_npz
from lsr_eval.synthetic import SyntheticCollection, SyntheticQueries, fit
from lsr_eval.synthetic.crowding import TOLERANCE, WINDOW, compare_crowding, crowding
from lsr_eval.synthetic.pruning import (
    ABSOLUTE_TOLERANCE,
    RELATIVE_TOLERANCE,
    Comparison,
    PruningProfile,
    compare_pruning,
    pruning_profile,
)

app = typer.Typer(
    help="Synthetic collections that prune and rank like the real one they are fitted to.",
    no_args_is_help=True,
    add_completion=False,
)
console = Console()

GROWN = (4, 13)
"""Sizes of the collections that `check` makes, over that of the collection they are fitted to."""
_SAMPLED_BLOCK = 256

Fit = Annotated[Path, typer.Option("--fit", help="Real vectors: .npz or .parquet.")]
Seed = Annotated[int, typer.Option(help="Another seed makes another collection.")]


@app.command()
def make(
    fit_to: Fit,
    docs: Annotated[int, typer.Option(help="Number of documents.")],
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    seed: Seed = 0,
    float32: Annotated[bool, typer.Option(help="Weights in float32, not float16.")] = False,
) -> None:
    """Write synthetic documents as a SciPy CSR file."""
    collection = SyntheticCollection(fit(load_vectors(fit_to)), docs, seed)
    blocks = track(collection, "documents", collection.n_blocks, console=console)
    nnz = write_npz(out, blocks, collection.n_terms, "float32" if float32 else "float16")
    console.print(
        f"{out}: {docs:,} documents, {nnz:,} non-zeros, {out.stat().st_size / 1e6:,.0f} MB"
    )


@app.command()
def queries(
    fit_to: Fit,
    fit_queries: Annotated[Path, typer.Option(help="Real queries: .npz or .parquet.")],
    count: Annotated[int, typer.Option(help="Number of queries.")],
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    seed: Seed = 0,
) -> None:
    """Write synthetic queries as a SciPy CSR file."""
    groups = fit(load_vectors(fit_to)).groups
    real = widened(load_vectors(fit_queries), len(groups))
    made = SyntheticQueries(fit(real, groups=groups), count, seed).batch()
    write_npz(out, [made], len(groups))
    console.print(f"{out}: {count:,} queries, {made.nnz / count:.1f} terms a query")


@app.command()
def check(
    fit_to: Fit,
    fit_queries: Annotated[Path, typer.Option("--queries", help="Real queries.")],
    queries_limit: Annotated[
        int, typer.Option(help="Queries that pruning is measured with, drawn at random.")
    ] = 200,
    seed: Seed = 0,
) -> None:
    """Compare what block-max pruning skips, and how close scores are, with the real vectors.

    Always collections of the same size: synthetic documents against the real ones, the same with
    both shuffled, and documents grown from a quarter and from a thirteenth of the real collection
    against the whole of it. Exit status 1 if a figure is outside of its tolerance.
    """
    real = load_vectors(fit_to)
    asked = widened(load_vectors(fit_queries), real.shape[1])
    rng = np.random.default_rng(seed)
    some = asked[rng.permutation(asked.shape[0])[:queries_limit]]
    shuffle = rng.permutation(real.shape[0])
    in_order, near = pruning_profile(real, some), crowding(real, asked)
    failed = 0
    for title, every in (("source order", 1), *((f"grown {n}-fold", n) for n in GROWN)):
        blocks = np.arange(real.shape[0]) // _SAMPLED_BLOCK
        model = fit(real[np.flatnonzero(blocks % every == every // 2)])
        made = SyntheticCollection(model, real.shape[0], seed).to_scipy()
        profiles = [(title, in_order, pruning_profile(made, some))]
        if every == 1:
            one, other = (pruning_profile(docs[shuffle], some) for docs in (real, made))
            profiles.append(("shuffled", one, other))
        for name, one, other in profiles:
            shares = compare_pruning(one, other)
            failed += sum(not row.passes for row in shares)
            table = _table(f"Share of surviving blocks, {name}", shares, 4)
            table.caption = _caption(one, other)
            console.print(table)
        counts = compare_crowding(near, crowding(made, asked))
        failed += sum(not row.passes for row in counts)
        heading = f"Documents within {WINDOW:.1%} of the k-th best score, {title}"
        console.print(_table(heading, counts, 2))
    console.print(
        f"tolerance: shares {RELATIVE_TOLERANCE:.0%} of the real one, or {ABSOLUTE_TOLERANCE} if "
        f"more, counts {TOLERANCE:.0%}; {failed} outside"
    )
    raise typer.Exit(1 if failed else 0)


def _table(title: str, rows: list[Comparison], digits: int) -> Table:
    table = Table(title=title, title_justify="left")
    sizes = ("block size",) if rows[0].block_size is not None else ()
    for column in (*sizes, "k", "real", "synthetic", "ratio", ""):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(str(row.block_size) for _ in sizes),
            str(row.k),
            f"{row.real:.{digits}f}",
            f"{row.synthetic:.{digits}f}",
            f"{row.synthetic / row.real:.3f}",
            "" if row.passes else "outside",
        )
    return table


def _caption(real: PruningProfile, synthetic: PruningProfile) -> str:
    cuts = ", ".join(
        f"k={k} {real.thresholds[k]:.2f}/{synthetic.thresholds[k]:.2f}" for k in real.thresholds
    )
    return (
        f"terms per document {real.terms_per_doc:.1f}/{synthetic.terms_per_doc:.1f}, "
        f"documents matched {real.matches_per_doc:.1%}/{synthetic.matches_per_doc:.1%}, "
        f"mean threshold {cuts}"
    )


def main() -> None:
    """Run the command line; usage errors end in one line without a traceback."""
    try:
        app()
    except LsrError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
