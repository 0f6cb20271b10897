"""`train` of the front door: a recipe by its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsr.errors import MissingDependencyError
from lsr.progress import Progress

if TYPE_CHECKING:
    from lsr_training.recipe.schema import Recipe
    from lsr_training.trainer.loop import TrainingResult


def train(
    recipe: str | Path | Recipe,
    *,
    overrides: Sequence[str] = (),
    restart: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train an encoder as a recipe says, and export it.

    The same call after an interruption goes on where it was.

    Parameters
    ----------
    recipe : path or Recipe
        A YAML file; see docs/training.md.
    overrides : sequence of str
        Keys of the file to set, such as ``"optimiser.steps=500"``.
    restart : bool
        Remove what an earlier run left in the output folder.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Returns
    -------
    TrainingResult
        Its `model` is the folder that was exported.

    Raises
    ------
    UsageError
        The recipe is malformed, or the output folder holds another run.
    MissingDependencyError
        torch is not installed.
    CorpusError, DataError
        The data is malformed.
    TrainingError
        The run diverged, collapsed or does not fit into memory.
    """
    try:
        from lsr_training.recipe import read_recipe
        from lsr_training.trainer import train as run_training
    except ImportError as error:
        raise MissingDependencyError("training", "torch") from error
    wanted = read_recipe(Path(recipe), overrides) if isinstance(recipe, str | Path) else recipe
    return run_training(wanted, restart=restart, progress=progress)
