"""``lsr eval``: encoders, indexes and runs, measured on a test collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from lsr.errors import UsageError
from lsr_service.cli import hybrid_options, options
from lsr_service.cli.encoder_options import NAMES, NO_OPTIONS, EncoderOptions, takes_encoder_options
from lsr_service.cli.terminal import console, progress, resumable, tell, write_json


@takes_encoder_options
def evaluate(
    collections: Annotated[
        list[str],
        Argument(
            metavar="COLLECTION",
            help="BEIR folder (corpus, queries, qrels) or ir-datasets id; several make a table.",
        ),
    ],
    encoder: Annotated[
        list[str] | None, Option(metavar="NAME", help=f"{NAMES}; can be repeated.")
    ] = None,
    dense: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="minilm, a dense model's folder, a hub id; can be repeated."),
    ] = None,
    index: Annotated[
        list[Path] | None, Option(metavar="INDEX", help="An index of this corpus; can be repeated.")
    ] = None,
    run: Annotated[
        list[Path] | None, Option(metavar="FILE", help="A TREC run; can be repeated.")
    ] = None,
    mode: Annotated[
        hybrid_options.Mode,
        Option(help="How indexes are searched; hybrid measures each branch too."),
    ] = "sparse",
    fusion: Annotated[
        list[str] | None,
        Option(
            metavar="METHOD[:PARAMETERS]|FILE",
            help="Fuse each sparse system with each dense one, or the systems that weights name, "
            "or with --mode hybrid the branches of an index; can be repeated. As in lsr search.",
        ),
    ] = None,
    selective: hybrid_options.Selective = None,
    split: options.Split = None,
    measures: Annotated[
        list[str] | None,
        Option(
            metavar="NAMES",
            help="Measures of ir-measures, as nDCG@10, separated by blanks or commas; can be "
            "repeated.",
        ),
    ] = None,
    k: Annotated[
        int, Option("--k", "-k", min=1, max=options.MAX_K, metavar="N", help="Hits per topic.")
    ] = 1000,
    drop_query_id: Annotated[
        bool | None,
        Option(
            "--drop-query-id/--keep-query-id",
            help="Leave out hits whose id is that of the query. Default: for ArguAna and Quora.",
            show_default=False,
        ),
    ] = None,
    encoder_options: EncoderOptions = NO_OPTIONS,
    threads: options.Threads = 1,
    index_dir: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="Keep indexes here; a later run uses them again."),
    ] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="FOLDER", help="Write the rankings as TREC runs into it."),
    ] = None,
    per_topic: Annotated[
        bool, Option("--per-topic", help="Add the values of every topic to the JSON.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Measure encoders, indexes and runs on test collections.

    Several are compared with the first: encoders, then dense ones, indexes, runs. Fusions come last
    and are compared with their parts as well.
    """
    from lsr_eval.experiment import evaluate as run_evaluation

    if output is not None and len(collections) > 1:
        raise UsageError("--output writes the runs of one collection; name one")
    chosen = encoder_options.values(encoder or ())
    query_encoder = chosen.pop("query_encoder", None)
    more: dict[str, Any] = {} if measures is None else {"measures": measures}
    with resumable("the evaluation", resumes=index_dir is not None), progress() as show:
        reports = [
            run_evaluation(
                collection,
                encoder=encoder or (),
                dense=dense or (),
                mode=mode,
                fusion=fusion or (),
                selective=selective,
                index=index or (),
                run=run or (),
                query_encoder=query_encoder,
                encoder_options=chosen,
                split=split,
                k=k,
                drop_query_id=drop_query_id,
                index_dir=index_dir,
                threads=threads,
                progress=show,
                **more,
            )
            for collection in collections
        ]
    from lsr_eval.report import render_summary, render_table, to_json, write_runs

    for path in () if output is None else write_runs(reports[0], output):
        tell(f"wrote {path}")
    if json:
        values = [to_json(report, per_topic=per_topic) for report in reports]
        write_json(values if len(values) > 1 else values[0])
        return
    terminal = console(width=160)
    for report in reports:
        terminal.print(render_table(report))
    if len(reports) > 1:
        terminal.print(render_summary(reports))
