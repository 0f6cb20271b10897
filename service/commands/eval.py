"""``lsr eval``: encoders, indexes and runs, measured on a test collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service import options
from service.terminal import progress, resumable, tell, write_json


def evaluate(
    collection: Annotated[
        str, typer.Argument(help="BEIR folder (corpus, queries, qrels) or ir-datasets id.")
    ],
    encoder: Annotated[
        list[str] | None,
        typer.Option("--encoder", metavar="NAME", help="bm25, a model folder, a hub id; repeat."),
    ] = None,
    index: Annotated[
        list[Path] | None, typer.Option("--index", help="An index of this corpus; repeat.")
    ] = None,
    run: Annotated[list[Path] | None, typer.Option("--run", help="A TREC run; repeat.")] = None,
    query_encoder: options.QuerySide = None,
    split: Annotated[str | None, typer.Option("--split", help="Which judgments (test).")] = None,
    measures: Annotated[
        str | None,
        typer.Option("--measures", help="Of ir-measures, separated by blanks or commas."),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=options.MAX_K, help="Hits per topic.")
    ] = 1000,
    drop_query_id: Annotated[
        bool | None,
        typer.Option(
            "--drop-query-id/--keep-query-id",
            help="Leave out hits with the id of the query. By default for ArguAna and Quora.",
            show_default=False,
        ),
    ] = None,
    max_length: options.MaxLength = None,
    batch_size: options.BatchSize = None,
    device: options.Device = None,
    top_k: options.TopK = None,
    language: options.Language = None,
    k1: options.K1 = None,
    b: options.B = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="For the rankings.")] = 1,
    index_dir: Annotated[
        Path | None,
        typer.Option("--index-dir", help="Keep indexes here; a later run finds them again."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rankings as TREC runs.")
    ] = None,
    per_topic: Annotated[
        bool, typer.Option("--per-topic", help="Add the values of every topic to the JSON.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Measure encoders, indexes and runs on a test collection.

    Several are compared with the first: encoders, then indexes, then runs.
    """
    from eval.experiment import evaluate as run_evaluation
    from eval.report import to_json, write_runs

    more: dict[str, Any] = {} if measures is None else {"measures": [measures]}
    with resumable("the evaluation", resumes=index_dir is not None), progress() as show:
        report = run_evaluation(
            collection,
            encoder=encoder or (),
            index=index or (),
            run=run or (),
            query_encoder=None if query_encoder is None else query_encoder.value,
            encoder_options=options.given(
                max_length=max_length,
                batch_size=batch_size,
                device=device,
                top_k=top_k,
                language=language,
                k1=k1,
                b=b,
            ),
            split=split,
            k=k,
            drop_query_id=drop_query_id,
            index_dir=index_dir,
            threads=threads,
            progress=show,
            **more,
        )
    if output is not None:
        for path in write_runs(report, output):
            tell(f"wrote {path}")
    if json:
        write_json(to_json(report, per_topic=per_topic))
    else:
        _show(report)


def _show(report: Any) -> None:
    from rich.console import Console

    from eval.report import render_table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(render_table(report))
