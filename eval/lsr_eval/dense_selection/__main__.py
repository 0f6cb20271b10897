"""Savings of selective dense search: ``python -m lsr_eval.dense_selection INDEX QUERIES``.

Plain IVF opens the lists nearest to the query; selective search
(`lsr_index.search.cluster_selection`) ranks the lists by their centres and the first thousand
sparse results. Both are measured by the share of vectors compared with the query, and by recall
against an exact search (`lsr_eval.dense_selection.evaluate`). The selection is fitted on some of
the queries and measured on others; no judgements are needed.

``--qrels FILE`` adds the recall of relevant documents among the first 100; then the selection is
fitted on queries that are not judged there. ``--lsa D`` gives a temporary copy of the index
synthetic dense vectors first: the documents' sparse vectors projected to D numbers by latent
semantic analysis. Their clusters correlate with sparse results, as those of a model do, and they
cost minutes where encoding would take hours. ``--clusters N`` puts the vectors of a small index
into clusters, in a temporary copy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lsr.corpus.queries import open_queries
from lsr.errors import UsageError
from lsr.trec.qrels import read_qrels
from lsr_eval.dense_selection.evaluate import Bench, Point, Way, fit_on, queries_of
from lsr_eval.dense_selection.queries import with_dense_queries
from lsr_index.fusion import parse_fusion
from lsr_index.search.cluster_selection import SHARES
from lsr_index.search.dense_probe import default_probes

PROBE_SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 6, 1 / 4, 1 / 2)
WANTED = 0.98


class Questions(NamedTuple):
    """Query texts to fit a selection on and to measure it on, with relevant documents if judged."""

    fitted_on: list[str]
    tested_on: list[str]
    relevant: list[set[str]] | None


def questions_of(path: Path, qrels: Path | None, n_fit: int, n_test: int) -> Questions:
    """Read queries; raise `UsageError` if there are too few."""
    if qrels is None:
        texts = [query.text for query in open_queries(path)][: n_fit + n_test]
        found = Questions(texts[:n_fit], texts[n_fit:], None)
    else:
        grades = read_qrels(qrels)
        relevant = {
            qid: {doc_id for doc_id, grade in judged.items() if grade > 0}
            for qid, judged in grades.items()
        }
        queries = list(open_queries(path))
        tested = [query for query in queries if relevant.get(query.id)][:n_test]
        unjudged = [query.text for query in queries if query.id not in grades][:n_fit]
        found = Questions(
            unjudged, [query.text for query in tested], [relevant[query.id] for query in tested]
        )
    if not (found.fitted_on and found.tested_on):
        raise UsageError(
            f"{path}: {len(found.fitted_on)} queries to fit on and {len(found.tested_on)} to "
            "measure; expected some of both"
        )
    return found


def measure(bench: Bench, training: Bench) -> list[Point]:
    """Measure exact search, IVF at several numbers of probes, and selective search at shares."""
    n_lists = max(arrays.n_lists for arrays in bench.index.segments)
    probes = sorted({max(1, round(n_lists * share)) for share in PROBE_SHARES})
    ways = [Way("every list opened")]
    ways += [Way(f"ivf, {n} of {n_lists:,} lists", n) for n in probes]
    fitted = fit_on(training, SHARES[0])
    ways += [Way.selective(replace(fitted, share=share)) for share in SHARES]
    return [bench.measure(way) for way in ways]


def format_report(bench: Bench, points: Sequence[Point]) -> str:
    """Format the points as a table, and the share that selective search needs for 0.98 recall."""
    n_lists = sum(arrays.n_lists for arrays in bench.index.segments)
    lines = [
        f"{bench.index.n_vectors:,} vectors of {bench.index.dimension} numbers in {n_lists:,} "
        f"lists (default: {default_probes(n_lists)} opened), {len(bench.queries)} queries, "
        f"fusion {bench.fusion}",
        "",
        f"{'':<26}{'compared':>9}{'dense':>9}{'compared':>10}{'hybrid':>9}{'hybrid':>9}"
        + (f"{'dense':>10}{'hybrid':>10}" if bench.relevant else ""),
        f"{'search':<26}{'(dense)':>9}{'of 100':>9}{'(hybrid)':>10}{'of 100':>9}{'of 10':>9}"
        + (f"{'R@100':>10}{'R@100':>10}" if bench.relevant else ""),
    ]
    for one in points:
        judged = "" if one.judged is None else f"{one.judged:>10.4f}{one.judged_hybrid:>10.4f}"
        lines.append(
            f"{one.name:<26}{one.compared:>9.2%}{one.dense:>9.4f}{one.compared_hybrid:>10.2%}"
            f"{one.hybrid:>9.4f}{one.hybrid_10:>9.4f}{judged}"
        )
    lines += ["", f"comparisons of all vectors that {WANTED} of every list opened takes:"]
    for kind in ("ivf", "selective"):
        own = [point for point in points if point.name.startswith(kind)]
        needed = [
            f"{what} {least_share(points[0], own, field)}"
            for field, what in FIELDS.items()
            if getattr(points[0], field) is not None
        ]
        lines.append(f"{kind}: {', '.join(needed)}")
    return "\n".join(lines)


FIELDS = {
    "dense": "dense of 100",
    "hybrid": "hybrid of 100",
    "hybrid_10": "hybrid of 10",
    "judged": "dense R@100",
    "judged_hybrid": "hybrid R@100",
}


def least_share(reference: Point, points: Sequence[Point], field: str) -> str:
    """Return the least share of vectors at which a field is nearly that of the reference."""
    enough = [
        one.compared_hybrid if "hybrid" in field else one.compared
        for one in points
        if getattr(one, field) >= WANTED * getattr(reference, field)
    ]
    return f"{min(enough):.1%}" if enough else "not reached"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; see the module."""
    parser = argparse.ArgumentParser(prog="python -m lsr_eval.dense_selection", description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path, help="TSV or JSON lines of queries")
    parser.add_argument("--qrels", type=Path, help="judgements of the queries to measure on")
    parser.add_argument("--lsa", type=int, metavar="D", help="synthetic vectors of D numbers")
    parser.add_argument("--vectors", type=Path, help=".npy with the vectors of the queries")
    parser.add_argument("--clusters", type=int, metavar="N", help="lists of a small index")
    parser.add_argument("--fusion", default="min-max", help="as in lsr search")
    parser.add_argument("--fit", type=int, default=200, help="queries to fit the selection on")
    parser.add_argument("--test", type=int, default=300, help="queries to measure on")
    given = parser.parse_args(arguments)
    questions = questions_of(given.queries, given.qrels, given.fit, given.test)
    n_fit = len(questions.fitted_on)
    with with_dense_queries(
        given.index,
        [*questions.fitted_on, *questions.tested_on],
        lsa=given.lsa,
        vectors=given.vectors,
        clusters=given.clusters,
    ) as (retriever, vectors):
        training = queries_of(retriever, questions.fitted_on, vectors[:n_fit])
        tested = queries_of(retriever, questions.tested_on, vectors[n_fit:])
        relevant = questions.relevant
        if relevant is not None:
            pairs = zip(relevant, vectors[n_fit:], strict=True)
            relevant = [documents for documents, vector in pairs if vector.any()]
        bench = Bench(retriever, tested, relevant, parse_fusion(given.fusion))
        points = measure(bench, Bench(retriever, training))
        sys.stdout.write(format_report(bench, points) + "\n")


if __name__ == "__main__":
    main()
