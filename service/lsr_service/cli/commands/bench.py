"""``lsr bench``: this index against others, on the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lsr.errors import UsageError
from lsr_service.cli.terminal import progress, tell, write

if TYPE_CHECKING:
    from rich.console import Console

    from lsr_eval.bench.workload import Workload


def bench(
    docs: Annotated[Path, typer.Option("--docs", help="Document vectors: SciPy .npz or .parquet.")],
    queries: Annotated[Path, typer.Option("--queries", help="Query vectors, in the same formats.")],
    k: Annotated[str, typer.Option("--k", help="Results per query; several with commas.")] = (
        "10,100,1000"
    ),
    peers: Annotated[
        str,
        typer.Option(
            "--peers",
            help="Of splade-index, bmp, seismic, scipy, pisa; needs the extra [peers]; none: ''.",
        ),
    ] = "splade-index,bmp,seismic,scipy,pisa",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Passes of every engine.")] = 3,
    queries_limit: Annotated[
        int | None, typer.Option("--queries-limit", min=1, help="Use so many queries.")
    ] = None,
    docs_limit: Annotated[
        int | None, typer.Option("--docs-limit", min=1, help="Use the first documents.")
    ] = None,
    trial_queries: Annotated[
        int, typer.Option("--trial-queries", min=1, help="To choose the peers' settings with.")
    ] = 300,
    shuffle: Annotated[
        int | None, typer.Option("--shuffle", help="Seed of a random order of the documents.")
    ] = None,
    synthetic: Annotated[
        int | None,
        typer.Option("--synthetic", min=1, help="So many synthetic documents, fitted to --docs."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of synthetic documents.")] = 0,
    throughput: Annotated[
        bool, typer.Option("--throughput/--no-throughput", help="Measure two threads as well.")
    ] = True,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Instead: what each lever of our search buys.")
    ] = False,
    growth: Annotated[
        str | None,
        typer.Option(
            "--growth",
            metavar="SIZES",
            help="Instead: our index on synthetic sets of these sizes, as 74000,1000000.",
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep the indexes and the engines' logs here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw a picture into this file (.png, .svg).")
    ] = None,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures; - for stdout.")
    ] = None,
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
    depths = _numbers("--k", k)
    if ablation:
        _ablation(workload, depths, rounds, json)
    elif growth is not None:
        _growth(workload, _numbers("--growth", growth), depths, rounds, plot, json)
    else:
        from lsr_eval.bench.run import Options

        names = [name.strip() for name in peers.split(",") if name.strip()]
        chosen = Options(depths, names, rounds, trial_queries, folder, throughput)
        _comparison(workload, chosen, plot, json)


def _comparison(workload: Workload, chosen: Any, plot: Path | None, json: str | None) -> None:
    from lsr_eval.bench.plot import plot_latency_against_recall
    from lsr_eval.bench.report import print_report
    from lsr_eval.bench.run import run_benchmark

    with progress() as show:
        result = run_benchmark(workload, chosen, show)
    if json != "-":
        print_report(result, _console())
    if plot is not None:
        plot_latency_against_recall(result, plot)
        tell(f"wrote {plot}")
    _write(result.as_dict(), json)


def _ablation(workload: Workload, depths: list[int], rounds: int, json: str | None) -> None:
    from lsr_eval.bench.ablation import run_ablation

    with progress() as show:
        result = run_ablation(workload, depths, rounds, show)
    if json != "-":
        _console().print(result.table())
    _write(result.as_dict(), json)


def _growth(
    workload: Workload,
    sizes: list[int],
    depths: list[int],
    rounds: int,
    plot: Path | None,
    json: str | None,
) -> None:
    from lsr_eval.bench.growth import plot_growth, run_growth

    with progress() as show:
        result = run_growth(workload, sizes, depths, rounds, show)
    if json != "-":
        _console().print(result.table())
    if plot is not None:
        plot_growth(result, plot)
        tell(f"wrote {plot}")
    _write(result.as_dict(), json)


def _write(figures: dict[str, Any], json: str | None) -> None:
    from lsr_eval.bench.records import as_json

    if json == "-":
        write(as_json(figures).decode())
    elif json is not None:
        Path(json).write_bytes(as_json(figures))
        tell(f"wrote {json}")


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
