"""``lsr mine``: hard negatives and teachers' scores for pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from lsr.errors import MissingDependencyError
from lsr_service.cli import options
from lsr_service.cli.encoder_options import EncoderName
from lsr_service.cli.terminal import progress, resumable, write_result


def mine(
    pairs: Annotated[
        str,
        Argument(
            metavar="PAIRS",
            help="Pairs or triples: .jsonl/.tsv (.gz too), .parquet, BEIR folder, ir-datasets:ID.",
        ),
    ],
    output: Annotated[
        Path, Option("--output", "-o", metavar="FILE", help="The .jsonl file to write.")
    ],
    encoder: EncoderName = "bm25",
    corpus: Annotated[
        str | None,
        Option(
            metavar="SOURCE", help="Documents to mine negatives from. Default: those of the pairs."
        ),
    ] = None,
    negatives: Annotated[int, Option(min=1, metavar="N", help="Negatives kept per query.")] = 8,
    depth: Annotated[int, Option(min=1, metavar="N", help="Ranks that negatives come from.")] = 100,
    skip_top: Annotated[int, Option(min=0, metavar="N", help="Leave out the first N ranks.")] = 0,
    max_score_ratio: Annotated[
        float | None,
        Option(
            min=0.0,
            metavar="X",
            help="Leave out documents that score above this share of the positive's score.",
        ),
    ] = None,
    choice: Annotated[
        Literal["top", "random"], Option(help="The best ranked, or random ones.")
    ] = "top",
    teacher: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="Score with bm25, a SPLADE model, dense:NAME or cross-encoder:NAME; "
            "can be repeated.",
        ),
    ] = None,
    split: Annotated[str, Option(metavar="NAME", help="Split of a BEIR folder.")] = "train",
    on_error: options.OnError = "fail",
    limit: Annotated[int | None, Option(min=1, metavar="N", help="Use the first N pairs.")] = None,
    seed: Annotated[int, Option(metavar="N", help="Random seed.")] = 42,
    json: options.Json = False,
) -> None:
    """Mine hard negatives for pairs, and let teachers score them.

    Stopped with Ctrl-C or killed, the same command goes on where it was.
    """
    try:
        from lsr_training.mining import MiningOptions
        from lsr_training.mining import mine as run_mining
        from lsr_training.recipe.schema import Source
    except ImportError as error:
        raise MissingDependencyError("mining", "torch") from error
    wanted = MiningOptions(
        encoder, negatives, depth, skip_top, max_score_ratio, choice, teacher or (), seed
    )
    source = Source(path=pairs, split=split, on_error=on_error, limit=limit)
    with resumable("mining"), progress() as show:
        result = run_mining(source, output, wanted, corpus=corpus, progress=show)
    text = (
        f"{result.path}: {result.n_examples:,} examples, {result.n_negatives:,} negatives, "
        f"{result.n_without:,} examples without any"
    )
    write_result(result, text, json=json)
