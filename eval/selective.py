"""What selective dense search saves: ``python -m eval.selective INDEX QUERIES``.

Full IVF opens the lists nearest to the query; selective search (`index.dense.selective`) those that
the sparse results speak for as well. Both are measured by the share of an exact search's first 100
documents that they find, and by how many vectors they compare with the query. The selection is
fitted on some of the queries and measured on others; no judgements are needed.

``--lsa D`` gives the index synthetic dense vectors first, in a copy: the documents' sparse vectors
projected to D numbers by latent semantic analysis. Their clusters correlate with sparse results, as
those of a model do, and they cost minutes where encoding would take hours.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.synthetic.lsa import LatentSemantics
from index.backup import snapshot
from index.dense.adding import set_dense
from index.dense.part import DenseSpec
from index.dense.searching import default_probes
from index.dense.selective import Selection, fit_selection, select_lists
from index.dense.view import DenseHits, DenseIndex
from index.reader import Index, open_index
from index.retriever import Retriever
from lsr.corpus.queries import open_queries
from lsr.errors import UsageError

K = 100
SPARSE_DEPTH = 1000
PROBE_SHARES = (1 / 128, 1 / 64, 1 / 32, 1 / 24, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
BUDGET_SHARES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15)
REFERENCE = 0.99


class Point(NamedTuple):
    """One way to search, measured.

    Attributes
    ----------
    name : str
    n_opened, n_compared : float
        Lists opened, vectors compared; means over the queries.
    recall : float
        Share of the exact first 100 found.
    """

    name: str
    n_opened: float
    n_compared: float
    recall: float


def measure(
    dense: DenseIndex,
    queries: NDArray[np.float32],
    sparse: Sequence[NDArray[np.int64]],
    selection: Selection,
) -> tuple[list[Point], list[Point]]:
    """Return full IVF at several numbers of lists, and selective search at several budgets."""
    exact = [set(dense.search(query, K, exact=True).doc_ids.tolist()) for query in queries]

    def point(name: str, search: Callable[[int], DenseHits]) -> Point:
        hits = [search(i) for i in range(len(queries))]
        shares = [
            len(wanted.intersection(found.doc_ids.tolist())) / max(1, len(wanted))
            for wanted, found in zip(exact, hits, strict=True)
        ]
        return Point(
            name,
            float(np.mean([found.n_opened for found in hits])),
            float(np.mean([found.n_compared for found in hits])),
            float(np.mean(shares)),
        )

    n_lists = max(arrays.n_lists for arrays in dense.segments)
    probes = sorted({max(1, round(n_lists * share)) for share in PROBE_SHARES})
    full = [
        point(f"ivf, {n} lists", lambda i, n=n: dense.search(queries[i], K, probes=n))  # type: ignore[misc]
        for n in probes
    ]
    chosen = []
    for share in BUDGET_SHARES:
        budget = max(1, int(share * dense.n_vectors))

        def selected(i: int, budget: int = budget) -> DenseHits:
            lists = select_lists(dense, queries[i], sparse[i], budget, selection)
            return dense.search(queries[i], K, lists=lists)

        chosen.append(point(f"selective, {share:.2%} of vectors", selected))
    return full, chosen


def reference_of(full: Sequence[Point]) -> Point:
    """Return the cheapest full IVF that finds nearly everything, or the best there is."""
    good = [point for point in full if point.recall >= REFERENCE]
    return min(good, key=lambda p: p.n_compared) if good else max(full, key=lambda p: p.recall)


def format_report(dense: DenseIndex, full: Sequence[Point], chosen: Sequence[Point]) -> str:
    """Write the points as a table, and what selective search needs for 0.98 of the recall."""
    reference, n_vectors = reference_of(full), dense.n_vectors
    n_lists = sum(arrays.n_lists for arrays in dense.segments)
    lines = [
        f"{n_vectors:,} vectors of {dense.dimension} numbers in {n_lists:,} lists "
        f"(default: {default_probes(n_lists)} opened); recall@{K} of exact search",
        "",
        f"{'search':<32}{'lists':>8}{'compared':>10}{'of all':>8}{'of ref.':>9}{'recall':>8}",
    ]
    for one in (*full, *chosen):
        mark = " *" if one is reference else ""
        lines.append(
            f"{one.name + mark:<32}{one.n_opened:>8,.0f}{one.n_compared:>10,.0f}"
            f"{one.n_compared / n_vectors:>8.2%}{one.n_compared / reference.n_compared:>9.1%}"
            f"{one.recall:>8.4f}"
        )
    lines += ["", f"* reference: the cheapest full IVF with a recall of {REFERENCE} or more"]
    for name, recall, compared in (
        ("every list opened", 1.0, float(n_vectors)),
        ("the reference", reference.recall, reference.n_compared),
    ):
        enough = [p for p in chosen if p.recall >= 0.98 * recall]
        found = "not reached"
        if enough:
            least = min(enough, key=lambda p: p.n_compared)
            found = f"{least.n_compared / compared:.1%} of its comparisons ({least.name})"
        lines.append(f"0.98 of the recall of {name}: {found}")
    return "\n".join(lines)


def with_synthetic_vectors(
    path: Path, folder: Path, dimension: int
) -> tuple[Index, LatentSemantics]:
    """Return a copy of an index with synthetic dense vectors, and what projects queries."""
    copy = folder / "copy.index"
    snapshot(path, copy)
    with open_index(copy) as index:
        semantics = LatentSemantics.of(index, dimension)
        vectors = list(semantics.documents(index))
    return set_dense(copy, DenseSpec(dimension), vectors), semantics


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; see the module."""
    parser = argparse.ArgumentParser(prog="python -m eval.selective", description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path, help="TSV or JSON lines of queries")
    parser.add_argument("--lsa", type=int, metavar="D", help="synthetic vectors of D numbers")
    parser.add_argument("--fit", type=int, default=200, help="queries to fit the selection on")
    parser.add_argument("--test", type=int, default=300, help="queries to measure on")
    given = parser.parse_args(arguments)
    topics = list(islice(open_queries(given.queries), given.fit + given.test))
    if len(topics) < given.fit + 1:
        raise UsageError(f"{given.queries}: {len(topics)} queries; expected more than {given.fit}")
    texts = [topic.text for topic in topics]
    with tempfile.TemporaryDirectory() as folder, Retriever.open(given.index) as retriever:
        assert retriever.encoder is not None
        sparse_queries = retriever.encoder.encode_queries(texts)
        if given.lsa:
            index, semantics = with_synthetic_vectors(given.index, Path(folder), given.lsa)
            queries = semantics.project(sparse_queries.to_scipy(index.n_terms))
        else:
            index = open_index(given.index)
            queries = index.dense_or_refuse().restore_encoder().encode_queries(texts)
        with index:
            hits = index.search_batch(sparse_queries, SPARSE_DEPTH)
            known = [i for i in range(len(texts)) if queries[i].any()]
            sparse = [hits[i].doc_ids for i in known]
            dense, queries, n = index.dense_or_refuse(), queries[known], given.fit
            selection = fit_selection(dense, queries[:n], sparse[:n])
            full, chosen = measure(dense, queries[n:], sparse[n:], selection)
            sys.stdout.write(format_report(dense, full, chosen) + "\n")
            sys.stdout.write(f"selection: {selection.to_json()}\n")


if __name__ == "__main__":
    main()
