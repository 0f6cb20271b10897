"""``lsr bench``: this index against others, on the same vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from lsr.errors import UsageError
from lsr_service.cli import options
from lsr_service.cli.terminal import console, progress, tell, write

DEFAULT_K = "10,100,1000"
DEFAULT_PEERS = "splade-index,bmp,seismic,scipy,pisa"


def bench(
    docs: Annotated[
        Path, Option(metavar="FILE", help="Document vectors: a SciPy .npz or .parquet file.")
    ],
    queries: Annotated[Path, Option(metavar="FILE", help="Query vectors, in the same formats.")],
    k: Annotated[
        list[str] | None,
        Option(
            metavar="N",
            help="Hits per query: several with commas, or repeated. Default: 10,100,1000.",
        ),
    ] = None,
    peers: Annotated[
        list[str] | None,
        Option(
            metavar="NAMES",
            help="Engines to compare with, of splade-index, bmp, seismic, scipy and pisa: several "
            "with commas, or repeated; '' for none. Default: all. Needs the extra [peers].",
        ),
    ] = None,
    rounds: Annotated[int, Option(min=1, metavar="N", help="Measurements of every engine.")] = 3,
    queries_limit: Annotated[
        int | None, Option(min=1, metavar="N", help="Use the first N queries.")
    ] = None,
    docs_limit: Annotated[
        int | None, Option(min=1, metavar="N", help="Use the first N documents.")
    ] = None,
    trial_queries: Annotated[
        int,
        Option(
            min=1, metavar="N", help="Queries on which the settings of other engines are chosen."
        ),
    ] = 300,
    shuffle: Annotated[
        int | None,
        Option(metavar="SEED", help="Put the documents in a random order, by this seed."),
    ] = None,
    synthetic: Annotated[
        int | None, Option(min=1, metavar="N", help="Use N synthetic documents, fitted to --docs.")
    ] = None,
    seed: Annotated[int, Option(metavar="N", help="Random seed of synthetic documents.")] = 0,
    throughput: Annotated[
        bool, Option("--throughput/--no-throughput", help="Measure two threads as well.")
    ] = True,
    ablation: Annotated[
        bool,
        Option("--ablation", help="Instead: what each optimisation of the search contributes."),
    ] = False,
    growth: Annotated[
        str | None,
        Option(
            metavar="SIZES",
            help="Instead: this index on synthetic sets of these sizes, as 74000,1000000.",
        ),
    ] = None,
    folder: Annotated[
        Path | None, Option(metavar="FOLDER", help="Keep indexes and logs of engines here.")
    ] = None,
    plot: Annotated[
        Path | None, Option(metavar="FILE", help="Draw a plot into this .png or .svg file.")
    ] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="FILE", help="Write all figures to this .json file."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure latency, recall, size and build time against other engines.

    Every engine runs in its own process on one core, in interleaved rounds; peers are shown at
    their best settings.
    """
    from lsr.files import write_bytes
    from lsr_eval.bench.ablation import run_ablation
    from lsr_eval.bench.growth import plot_growth, run_growth
    from lsr_eval.bench.plot import import_pyplot, plot_latency_against_recall
    from lsr_eval.bench.records import Benchmark, as_json
    from lsr_eval.bench.report import print_report
    from lsr_eval.bench.run import Options, run_benchmark
    from lsr_eval.bench.workload import Workload

    if ablation and growth is not None:
        raise UsageError("--ablation and --growth are two different measurements; give one")
    if ablation and plot is not None:
        raise UsageError("--plot draws a comparison or --growth; an ablation is a table")
    if plot is not None:
        import_pyplot()
    workload = Workload(
        str(docs), str(queries), docs_limit, queries_limit, shuffle, synthetic, seed
    )
    depths = _numbers("--k", ",".join(k or [DEFAULT_K]))
    draw: Callable[[Any, Path], None] | None = None
    with progress() as shown:
        result: Any
        if ablation:
            result = run_ablation(workload, depths, rounds, shown)
        elif growth is not None:
            result = run_growth(workload, _numbers("--growth", growth), depths, rounds, shown)
            draw = plot_growth
        else:
            listed = DEFAULT_PEERS if peers is None else ",".join(peers)
            names = [name.strip() for name in listed.split(",") if name.strip()]
            chosen = Options(depths, names, rounds, trial_queries, folder, throughput)
            result = run_benchmark(workload, chosen, shown)
            draw = plot_latency_against_recall
    if not json and isinstance(result, Benchmark):
        print_report(result, console(width=200))
    elif not json:
        console(width=200).print(result.table())
    if plot is not None and draw is not None:
        draw(result, plot)
        tell(f"wrote {plot}")
    figures = as_json(vars(result))
    if json:
        write(figures.decode())
    if output is not None:
        write_bytes(output, figures)
        tell(f"wrote {output}")


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"{option}: expected whole numbers above 0 with commas, got {text!r}")
    return numbers
