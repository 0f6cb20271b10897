"""``lsr fit-selection``: learn which dense vectors are worth comparing, from queries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from lsr_service.cli import options
from lsr_service.cli.terminal import tell, write, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lsr_eval.dense_selection.evaluate import Point


def fit_selection(
    index: options.IndexPath,
    queries: Annotated[
        str,
        Option(
            metavar="SOURCE",
            help="Queries like those to come (TSV or JSONL); judgments are not needed.",
        ),
    ] = ...,  # type: ignore[assignment]  # how typer says that an option must be given
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="FILE", help="Write the selection to this .json file."),
    ] = None,
    share: Annotated[
        float, Option(metavar="X", help="Share of the dense vectors to compare on average, 0 to 1.")
    ] = 0.1,
    most: Annotated[int, Option(min=1, metavar="N", help="Use the first N queries.")] = 400,
    json: options.Json = False,
) -> None:
    """Fit to queries which clusters of dense vectors a search opens, given its sparse hits.

    Fitted to every second query; the recall of such a search is measured on the others.
    The result is a file that search, serve and eval take as --selective.
    """
    from lsr.corpus.queries import open_queries
    from lsr_eval.dense_selection.evaluate import fit_and_check
    from lsr_index.hybrid import Retriever, SelectionArtefact, write_selection
    from lsr_index.search.cluster_selection import check_share

    check_share(share)
    texts = [query.text for query in open_queries(queries)][:most]
    with Retriever.open(index) as retriever:
        selection, measured = fit_and_check(retriever, texts, share)
        evidence = {name: point._asdict() for name, point in measured.items()}
        artefact = SelectionArtefact.of(
            selection, retriever.index, {"n_queries": len(texts), "held_out": evidence}
        )
    if json:
        write_json({"selection": selection.to_json(), "evidence": dict(artefact.evidence)})
    else:
        write("\n".join(_lines(measured)))
    if output is not None:
        write_selection(artefact, output)
        tell(f"wrote {output}; use it with --selective {output}")


def _lines(measured: Mapping[str, Point]) -> list[str]:
    width = max(len(point.name) for point in measured.values())
    lines = [
        "of what an exact search finds, on queries held out:",
        "",
        f"{'':<{width}}  compared   dense, first 100   hybrid, first 100   first 10",
    ]
    lines += [
        f"{point.name:<{width}}{point.compared_hybrid:>10.1%}{point.dense:>19.3f}"
        f"{point.hybrid:>20.3f}{point.hybrid_10:>11.3f}"
        for point in measured.values()
    ]
    return lines
