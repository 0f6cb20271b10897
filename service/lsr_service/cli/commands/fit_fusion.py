"""``lsr fit-fusion``: find how to fuse rankings, from judgments."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lsr.errors import LsrError, UsageError
from lsr_service.cli import hybrid_options, options
from lsr_service.cli.terminal import progress, show, tell, write_json


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
    """Fit method, weights and depth of a fusion to judged topics, and report its gain.

    The gain is cross-validated: in ten splits into paired halves, each half of the topics is ranked
    with the fusion fitted to the other. The result is a file that search, serve and eval take as
    --fusion. When it is not better than its best branch, nothing is written and the exit code is 1.
    """
    from lsr.trec.measures import parse_measures
    from lsr_eval.fusion_fitting.fit import fit
    from lsr_eval.fusion_fitting.report import artefact_of, evidence_of, render
    from lsr_eval.fusion_fitting.sources import bench_of_branches, bench_of_runs, judged_of
    from lsr_eval.measures.significance import SEED
    from lsr_index.fusion import write_artefact
    from lsr_index.hybrid import Retriever

    if (index is None) == (not run):
        raise UsageError("name an INDEX with several branches, or two runs or more with --run")
    measures = parse_measures([measure])
    if len(measures) > 1:
        raise UsageError(f"--measure {measure!r}: one measure can be made as large as possible")
    with progress() as shown, ExitStack() as stack:
        judged = judged_of(qrels, topics, split)
        if index is None:
            source = bench_of_runs(_named(run or []), judged, measures[0])
        else:
            retriever = stack.enter_context(Retriever.open(index, also or ()))
            source = bench_of_branches(retriever, judged, measures[0], shown)
        found = fit(source.bench, seed=SEED if seed is None else seed, progress=shown)
    if json:
        values = {"fusion": found.fusion.to_json(), "evidence": evidence_of(found, qrels)}
        write_json({**values, "refusal": found.refusal, "warnings": list(source.warnings)})
    else:
        show(render(found, source.warnings))
    if found.refusal is not None:
        raise NothingGainedError(
            f"{found.refusal}; nothing was written. Search {found.best_branch} alone"
        )
    if output is not None:
        write_artefact(artefact_of(found, source.branches, qrels), output)
        tell(f"wrote {output}; use it with --fusion {output}")


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
