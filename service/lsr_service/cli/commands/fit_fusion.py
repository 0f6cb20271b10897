"""``lsr fit-fusion``: find how to fuse rankings, from judgments."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from lsr.errors import LsrError, UsageError
from lsr_service.cli import hybrid_options, options
from lsr_service.cli.terminal import progress, tell, write_json

if TYPE_CHECKING:
    from lsr_eval.fusion_fitting.fit import FusionFit
    from lsr_eval.fusion_fitting.sources import Source


class NothingGainedError(LsrError):
    """The fitted fusion is no better than its best branch; nothing was written."""


def fit_fusion(
    index: Annotated[
        Path | None, Argument(metavar="INDEX", help="Index whose branches are fused; or use --run.")
    ] = None,
    qrels: Annotated[
        str,
        Option(
            metavar="SOURCE",
            help="A qrels file; or a test collection (BEIR folder, ir-datasets id) with queries.",
        ),
    ] = ...,  # type: ignore[assignment]  # how typer says that an option must be given
    topics: Annotated[
        str | None, Option(metavar="SOURCE", help="File of queries, where --qrels is a file.")
    ] = None,
    run: Annotated[
        list[str] | None,
        Option(metavar="[NAME=]FILE", help="A TREC run as a branch; can be repeated."),
    ] = None,
    also: hybrid_options.With = None,
    split: options.Split = None,
    measure: Annotated[
        str, Option(metavar="NAME", help="Measure to maximise, of ir-measures.")
    ] = "nDCG@10",
    seed: Annotated[
        int | None, Option(min=0, metavar="N", help="Random seed of the cross-validation.")
    ] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="FILE", help="Write the fusion to this .json file."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Find method, weights and depth of a fusion by judged topics; tell its gain on others.

    Half of the topics are ranked with what is found on the other half, in ten splits into halves
    alike. The result is a file that search, serve and eval take as --fusion. Nothing is written,
    and the exit code is 1, when the fusion is not better than its best branch alone.
    """
    from lsr_eval.fusion_fitting.fit import fit
    from lsr_eval.measures.significance import SEED

    if (index is None) == (not run):
        raise UsageError("name an INDEX with several branches, or two runs or more with --run")
    with progress() as show, ExitStack() as stack:
        source = _source(index, also, run or [], qrels, topics, split, measure, show, stack)
        found = fit(source.bench, seed=SEED if seed is None else seed, progress=show)
    from lsr_eval.fusion_fitting.report import artefact_of, evidence_of, render
    from lsr_index.fusion import write_artefact

    if json:
        values = {"fusion": found.fusion.to_json(), "evidence": evidence_of(found, qrels)}
        write_json({**values, "refusal": found.refusal, "warnings": list(source.warnings)})
    else:
        _show(render(found, source.warnings))
    _refuse(found)
    if output is not None:
        write_artefact(artefact_of(found, source.branches, qrels), output)
        tell(f"wrote {output}; use it with --fusion {output}")


def _source(
    index: Path | None,
    also: list[Path] | None,
    runs: list[str],
    qrels: str,
    topics: str | None,
    split: str | None,
    measure: str,
    show: Any,
    stack: ExitStack,
) -> Source:
    from lsr.trec.measures import parse_measures
    from lsr_eval.fusion_fitting.sources import bench_of_branches, bench_of_runs, judged_of

    measures = parse_measures([measure])
    if len(measures) > 1:
        raise UsageError(f"--measure {measure!r}: one measure can be made as large as possible")
    judged = judged_of(qrels, topics, split)
    if index is None:
        return bench_of_runs(_named(runs), judged, measures[0])
    from lsr_index.hybrid import Retriever

    retriever = stack.enter_context(Retriever.open(index, also or ()))
    return bench_of_branches(retriever, judged, measures[0], show)


def _named(runs: list[str]) -> dict[str, Path]:
    """Read ``NAME=FILE`` and ``FILE``; without a name, it is the file's."""
    found: dict[str, Path] = {}
    for run in runs:
        name, separator, path = run.partition("=")
        if not separator or Path(run).exists():
            name, path = Path(run).name, run
        if not name or name in found:
            raise UsageError(f"two runs are named {name!r}; tell them apart with NAME=FILE")
        found[name] = Path(path)
    return found


def _show(table: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(table, soft_wrap=not console.is_terminal)


def _refuse(found: FusionFit) -> None:
    if found.refusal is not None:
        raise NothingGainedError(
            f"{found.refusal}; nothing was written. Search {found.best_branch} alone"
        )
