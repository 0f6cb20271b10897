"""``lsr train``: a recipe to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from lsr.errors import MissingDependencyError
from lsr_service.cli import options
from lsr_service.cli.terminal import resumable, tell, write, write_json
from lsr_service.cli.training_view import training_view

if TYPE_CHECKING:
    from lsr_training.trainer.evaluation import Measurement


def train(
    recipe: Annotated[Path, Argument(metavar="RECIPE", help="YAML file; see docs/training.md.")],
    set_: Annotated[
        list[str] | None,
        Option("--set", metavar="A.B=C", help="Set a key of the recipe; can be repeated."),
    ] = None,
    restart: Annotated[
        bool, Option("--restart", help="Discard the checkpoints of an earlier run and start over.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Train an encoder as a recipe says, and export it.

    Stopped with Ctrl-C or killed, the same command goes on where it was.
    """
    from lsr_training.recipe import read_recipe

    wanted = read_recipe(recipe, set_ or ())
    try:
        from lsr_training.trainer import train as run_training
    except ImportError as error:
        raise MissingDependencyError("training", "torch") from error
    with resumable("training"), training_view() as view:
        result = run_training(wanted, restart=restart, progress=view.progress, on_step=view.step)
    if result.skipped:
        tell(f"skipped {result.skipped:,} malformed records of the data")
    if json:
        write_json(result)
        return
    write(f"{result.model}: trained for {result.steps_done:,} steps, exported step {result.step:,}")
    if result.stopped:
        write(f"stopped early: {result.stopped}")
    for name, measured in (("before training: ", result.start), ("exported: ", result.measured)):
        if measured:
            write(name + _figures(measured))
    if result.start and result.measured and result.measured.ndcg_10 < result.start.ndcg_10:
        tell("the model ranked better before training, though perhaps at a higher cost: see above")
    if result.curves:
        write(f"curves: {result.curves}")


def _figures(m: Measurement) -> str:
    return (
        f"nDCG@10 {m.ndcg_10:.4f}, FLOPS {m.flops:.3f}, non-zeros {m.nnz_queries:.1f} a query "
        f"and {m.nnz_documents:.1f} a document, {m.postings_mean:,.0f} postings a query"
    )
