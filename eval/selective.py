"""What selective dense search saves: ``python -m eval.selective INDEX QUERIES``.

Full IVF opens the lists nearest to the query; selective search (`index.dense.selective`) those that
the sparse results speak for as well. Both are measured by how many vectors they compare with the
query, and by the share found of the first 100 documents of an exact dense search (*dense*) and of
an exact hybrid search (*hybrid*). In a hybrid search the sparse results are compared too, and
counted. The selection is fitted on some of the queries and measured on others; no judgements are
needed.

Hybrid: convex combination with theoretical minimum, 0.8 for dense (Bruch et al., 2023, §4).

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
DENSE_SHARE = 0.8
PROBE_SHARES = (1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 6, 1 / 4, 1 / 2)
BUDGET_SHARES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.15)
REFERENCE = 0.99


class Point(NamedTuple):
    """One way to search, measured.

    Attributes
    ----------
    name : str
    n_opened, n_compared : float
        Lists opened, vectors compared; means over the queries.
    recall : float
        Share found of the exact first 100 of dense search.
    n_hybrid : float
        Vectors compared in a hybrid search.
    hybrid : float
        Share found of the exact first 100 of hybrid search.
    """

    name: str
    n_opened: float
    n_compared: float
    recall: float
    n_hybrid: float
    hybrid: float


class Sparse(NamedTuple):
    """What a sparse search found, best first."""

    doc_ids: NDArray[np.int64]
    scores: NDArray[np.float64]


def measure(
    dense: DenseIndex,
    queries: NDArray[np.float32],
    sparse: Sequence[Sparse],
    selection: Selection,
) -> tuple[list[Point], list[Point]]:
    """Return full IVF at several numbers of lists, and selective search at several budgets."""
    every = [dense.search(query, SPARSE_DEPTH, exact=True) for query in queries]
    exact = [set(hits.doc_ids[:K].tolist()) for hits in every]
    both = [
        set(fused(dense, query, one, hits)[0])
        for query, one, hits in zip(queries, sparse, every, strict=True)
    ]

    def point(name: str, search: Callable[[int], DenseHits]) -> Point:
        rows = []
        for i, query in enumerate(queries):
            hits = search(i)
            together, n_more = fused(dense, query, sparse[i], hits)
            rows.append(
                (
                    hits.n_opened,
                    hits.n_compared,
                    share(exact[i], hits.doc_ids[:K].tolist()),
                    hits.n_compared + n_more,
                    share(both[i], together),
                )
            )
        return Point(name, *np.mean(rows, axis=0).tolist())

    n_lists = max(arrays.n_lists for arrays in dense.segments)
    probes = sorted({max(1, round(n_lists * share)) for share in PROBE_SHARES})
    full = [
        point(f"ivf, {n} lists", lambda i, n=n: dense.search(queries[i], SPARSE_DEPTH, probes=n))  # type: ignore[misc]
        for n in probes
    ]
    chosen = []
    for part in BUDGET_SHARES:
        budget = max(1, int(part * dense.n_vectors))

        def selected(i: int, budget: int = budget) -> DenseHits:
            lists = select_lists(dense, queries[i], sparse[i].doc_ids, budget, selection)
            return dense.search(queries[i], SPARSE_DEPTH, lists=lists)

        chosen.append(point(f"selective, {part:.2%} of vectors", selected))
    return full, chosen


def share(wanted: set[int], found: Sequence[int]) -> float:
    """Return which share of the wanted documents was found."""
    return len(wanted.intersection(found)) / max(1, len(wanted))


def fused(
    dense: DenseIndex, query: NDArray[np.float32], sparse: Sparse, hits: DenseHits
) -> tuple[list[int], int]:
    """Return the first documents of both results together, and how many more were compared."""
    more = np.setdiff1d(sparse.doc_ids, hits.doc_ids)
    numbers = np.concatenate([hits.doc_ids, more])
    cosines = np.nan_to_num(np.concatenate([hits.scores, dense.scores(query, more)]), nan=-1.0)
    lexical = np.zeros(len(numbers))
    order = np.argsort(numbers)
    places = order[np.searchsorted(numbers[order], sparse.doc_ids)]
    lexical[places] = sparse.scores / max(float(sparse.scores.max(initial=0)), 1e-9)
    nearest = float(cosines.max(initial=-1)) + 1
    total = DENSE_SHARE * (cosines + 1) / max(nearest, 1e-9) + (1 - DENSE_SHARE) * lexical
    return numbers[np.lexsort((numbers, -total))[:K]].tolist(), len(more)


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
        f"{'search':<32}{'lists':>7}{'compared':>10}{'of all':>8}{'dense':>8}"
        f"{'compared':>11}{'of all':>8}{'hybrid':>8}",
    ]
    for one in (*full, *chosen):
        mark = " *" if one is reference else ""
        lines.append(
            f"{one.name + mark:<32}{one.n_opened:>7,.0f}{one.n_compared:>10,.0f}"
            f"{one.n_compared / n_vectors:>8.2%}{one.recall:>8.4f}"
            f"{one.n_hybrid:>11,.0f}{one.n_hybrid / n_vectors:>8.2%}{one.hybrid:>8.4f}"
        )
    lines += ["", f"* the cheapest full IVF with a dense recall of {REFERENCE}, or the best one"]
    for kind, recall, compared in (
        ("dense", [p.recall for p in chosen], [p.n_compared for p in chosen]),
        ("hybrid", [p.hybrid for p in chosen], [p.n_hybrid for p in chosen]),
    ):
        own = reference.recall if kind == "dense" else reference.hybrid
        for name, least_recall, whole in (
            ("every list opened", 1.0, float(n_vectors)),
            ("*", own, reference.n_compared),
        ):
            enough = [n for n, r in zip(compared, recall, strict=True) if r >= 0.98 * least_recall]
            found = f"{min(enough) / whole:.1%} of its comparisons" if enough else "not reached"
            lines.append(f"selective, 0.98 of the {kind} recall of {name}: {found}")
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
            sparse = [Sparse(hits[i].doc_ids, hits[i].scores) for i in known]
            dense, queries, n = index.dense_or_refuse(), queries[known], given.fit
            selection = fit_selection(dense, queries[:n], [one.doc_ids for one in sparse[:n]])
            full, chosen = measure(dense, queries[n:], sparse[n:], selection)
            sys.stdout.write(format_report(dense, full, chosen) + "\n")
            sys.stdout.write(f"selection: {selection.to_json()}\n")


if __name__ == "__main__":
    main()
