"""``lsr bench``: this index against others, on the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from typer import Option

from lsr.errors import UsageError
from lsr_service.cli import options
from lsr_service.cli.terminal import progress, tell, write

if TYPE_CHECKING:
    from rich.console import Console

    from lsr_eval.bench.workload import Workload


DEFAULT_K = "10,100,1000"
DEFAULT_PEERS = "splade-index,bmp,seismic,scipy,pisa"


class Written(NamedTuple):
    """Where the figures go: into a file, and as JSON to standard output instead of a table."""

    file: Path | None
    json: bool


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
    from lsr_eval.bench.workload import Workload

    if ablation and growth is not None:
        raise UsageError("--ablation and --growth are two different measurements; give one")
    if ablation and plot is not None:
        raise UsageError("--plot draws a comparison or --growth; an ablation is a table")
    if plot is not None:
        from lsr_eval.bench.plot import import_pyplot

        import_pyplot()
    workload = Workload(
        str(docs), str(queries), docs_limit, queries_limit, shuffle, synthetic, seed
    )
    depths = _numbers("--k", ",".join(k or [DEFAULT_K]))
    written = Written(output, json)
    if ablation:
        _ablation(workload, depths, rounds, written)
    elif growth is not None:
        _growth(workload, _numbers("--growth", growth), depths, rounds, plot, written)
    else:
        from lsr_eval.bench.run import Options

        listed = DEFAULT_PEERS if peers is None else ",".join(peers)
        names = [name.strip() for name in listed.split(",") if name.strip()]
        chosen = Options(depths, names, rounds, trial_queries, folder, throughput)
        _comparison(workload, chosen, plot, written)


def _comparison(workload: Workload, chosen: Any, plot: Path | None, written: Written) -> None:
    from lsr_eval.bench.plot import plot_latency_against_recall
    from lsr_eval.bench.report import print_report
    from lsr_eval.bench.run import run_benchmark

    with progress() as show:
        result = run_benchmark(workload, chosen, show)
    if not written.json:
        print_report(result, _console())
    if plot is not None:
        plot_latency_against_recall(result, plot)
        tell(f"wrote {plot}")
    _write(vars(result), written)


def _ablation(workload: Workload, depths: list[int], rounds: int, written: Written) -> None:
    from lsr_eval.bench.ablation import run_ablation

    with progress() as show:
        result = run_ablation(workload, depths, rounds, show)
    if not written.json:
        _console().print(result.table())
    _write(vars(result), written)


def _growth(
    workload: Workload,
    sizes: list[int],
    depths: list[int],
    rounds: int,
    plot: Path | None,
    written: Written,
) -> None:
    from lsr_eval.bench.growth import plot_growth, run_growth

    with progress() as show:
        result = run_growth(workload, sizes, depths, rounds, show)
    if not written.json:
        _console().print(result.table())
    if plot is not None:
        plot_growth(result, plot)
        tell(f"wrote {plot}")
    _write(vars(result), written)


def _write(figures: dict[str, Any], written: Written) -> None:
    from lsr.files import write_bytes
    from lsr_eval.bench.records import as_json

    if written.json:
        write(as_json(figures).decode())
    if written.file is not None:
        write_bytes(written.file, as_json(figures))
        tell(f"wrote {written.file}")


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"{option}: expected whole numbers above 0 with commas, got {text!r}")
    return numbers


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
