"""Latency of hybrid search against its branches: ``python -m lsr_eval.bench.hybrid_latency``.

Each query is searched in turn with each branch alone and with both fused, one at a time, from text
to hits: *with documents* as `Retriever.search` gives them to a reader, *ids* as
`Retriever.search_batch` gives them to a run. All searches return 10 hits; a fusion takes 100 of
each branch. The wall time of a hybrid search is compared with the sum of its branches' times. On a
busy machine, read the CPU time of all threads beside it: wall time includes waiting for a core.

``--lsa D`` gives a temporary copy of the index synthetic dense vectors first (see
`lsr_eval.dense_selection.queries`; minutes for 300,000 documents). Their queries are not encoded: a
projection costs nothing like a network. ``--vectors`` takes the vectors of the queries from a file.
``--selective SHARE`` times a selective search as well, fitted on the next 200 queries of the file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lsr_eval.dense_selection.evaluate import Bench, fit_on, queries_of
from lsr_eval.dense_selection.queries import query_texts, with_dense_queries
from lsr_eval.measures.latency import Percentiles
from lsr_index.fusion import Fusion
from lsr_index.hybrid import QueryParts, Retriever
from lsr_index.search.cluster_selection import Selection

K = 10
ALLOWANCE_MS = 0.2
WARM_UP = 50
N_FIT = 200
FUSIONS = {"hybrid": Fusion(), "hybrid, absent=floor": Fusion(absent="floor")}

Search = Callable[[QueryParts], object]


def searches(
    retriever: Retriever, selection: Selection | None = None
) -> dict[str, dict[str, Search]]:
    """Return the searches to time, by what is fetched and by name, branches first."""
    ways: dict[str, dict[str, Any]] = {kind: {"mode": kind} for kind in ("sparse", "dense")}
    ways |= {name: {"mode": "hybrid", "fusion": fusion} for name, fusion in FUSIONS.items()}
    if selection is not None:
        ways["hybrid, selective"] = {"mode": "hybrid", "selection": selection}

    def with_documents(how: dict[str, Any]) -> Search:
        return lambda query: retriever.search(query, K, **how)

    def ids(how: dict[str, Any]) -> Search:
        return lambda query: retriever.search_batch([query], K, **how)

    return {
        "with documents": {name: with_documents(how) for name, how in ways.items()},
        "ids": {name: ids(how) for name, how in ways.items()},
    }


class Times(NamedTuple):
    """Milliseconds per query: elapsed, and of processors in all threads."""

    wall: Percentiles
    cpu: Percentiles


def measure(search: Mapping[str, Search], queries: Sequence[QueryParts]) -> dict[str, Times]:
    """Return the times of each search method, measured in turns."""
    names = list(search)
    for query in queries[:WARM_UP]:
        for name in names:
            search[name](query)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for at, query in enumerate(queries):
        turn = at % len(names)
        for name in names[turn:] + names[:turn]:
            cpu_started, started = time.process_time_ns(), time.perf_counter_ns()
            search[name](query)
            wall[name].append((time.perf_counter_ns() - started) / 1e6)
            cpu[name].append((time.process_time_ns() - cpu_started) / 1e6)
    return {name: Times(Percentiles.of(wall[name]), Percentiles.of(cpu[name])) for name in names}


def format_report(what: str, found: Mapping[str, Times]) -> str:
    """Write the times as a table, and whether a fusion stays within what it may cost."""
    lines = [f"{what + ' (ms)':<24}{'p50':>8}{'p95':>8}{'p99':>8}{'CPU p50':>10}"]
    lines += [
        f"{name:<24}{wall.p50:>8.3f}{wall.p95:>8.3f}{wall.p99:>8.3f}{cpu.p50:>10.3f}"
        for name, (wall, cpu) in found.items()
    ]
    sparse, dense = found["sparse"], found["dense"]
    for name in FUSIONS:
        wall, cpu = found[name]
        limit = sparse.wall.p50 + dense.wall.p50 + ALLOWANCE_MS
        verdict = "within" if wall.p50 <= limit else "beyond"
        more = cpu.p50 - sparse.cpu.p50 - dense.cpu.p50
        lines.append(
            f"{name}: p50 {wall.p50:.3f}, {verdict} sparse + dense + {ALLOWANCE_MS} = {limit:.3f}; "
            f"CPU {more:+.3f} beside sparse + dense"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m lsr_eval.bench.hybrid_latency", description=__doc__
    )
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path, help="TSV or JSON lines of queries")
    parser.add_argument("--lsa", type=int, metavar="D", help="synthetic vectors of D numbers")
    parser.add_argument("--vectors", type=Path, help=".npy with the vectors of the queries")
    parser.add_argument("--selective", type=float, metavar="SHARE", help="of vectors compared")
    parser.add_argument("--n", type=int, default=1000, help="queries to time")
    given = parser.parse_args(arguments)
    n_fit = 0 if given.selective is None else N_FIT
    texts = query_texts(given.queries, n_fit + 1, given.n + n_fit)
    own = given.lsa is not None or given.vectors is not None
    with with_dense_queries(given.index, texts, lsa=given.lsa, vectors=given.vectors) as (
        retriever,
        vectors,
    ):
        n = len(texts) - n_fit
        queries = [QueryParts(text) for text in texts[:n]]
        if own:
            queries = queries_of(retriever, texts[:n], vectors[:n])
        selection = None
        if given.selective is not None:
            training = queries_of(retriever, texts[n:], vectors[n:])
            selection = fit_on(Bench(retriever, training), given.selective)
        dense = retriever.index.require_dense()
        sys.stdout.write(
            f"{retriever.index.n_docs:,} documents, {dense.n_vectors:,} vectors of "
            f"{dense.dimension} numbers, {len(queries):,} queries, {K} hits\n"
        )
        for what, search in searches(retriever, selection).items():
            sys.stdout.write("\n" + format_report(what, measure(search, queries)) + "\n")


if __name__ == "__main__":
    main()
