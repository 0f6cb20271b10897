"""Effectiveness measures, computed by ir-measures, comparable with trec_eval.

The mean is over the topics of the qrels, a topic without hits counts as 0 (or the measure's own
value for "nothing returned"), topics of the run without judgments do not count, and ties are broken
as in trec_eval (`lsr.trec.runs`). The back ends of ir-measures break ties differently; they get
descending ranks in place of scores, so that there are none.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.trec.qrels import Qrels
from lsr.trec.runs import Run

DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")
MAX_GRADE = 1_000_000
"""trec_eval counts documents by grade in an array, without looking whether the grade is in it."""


@dataclass(frozen=True)
class Measured:
    """Values of one run, by measure name.

    `per_topic` values are (n,) float64 in the order of the n `topics`, `overall` is their mean; for
    measures that count (``NumRet``, ``NumQ``), their sum.
    """

    topics: Sequence[str]
    per_topic: Mapping[str, NDArray[np.float64]]
    overall: Mapping[str, float]


def parse_measures(names: Iterable[str]) -> list[Any]:
    """Return the measures of ir-measures with these names, each once.

    Names such as ``nDCG@10``, ``P(rel=2)@5``. One string may hold several, apart by white space or
    by commas outside of parentheses. Raises UsageError that lists every name that is no measure.
    """
    measures: list[Any] = []
    problems = []
    for name in (part for text in names for part in _split(text)):
        try:
            measure = _parse(name)
        except ValueError as error:
            problems.append(f"{name!r} ({error})")
        else:
            if measure not in measures:
                measures.append(measure)
    if problems:
        raise UsageError(
            f"no measure: {'; '.join(problems)}; expected names of ir-measures, such as "
            f"{', '.join(DEFAULT_MEASURES)}"
        )
    if not measures:
        raise UsageError("no measure was named; expected at least one, such as nDCG@10")
    return measures


def measures_within(names: Iterable[str] | None, k: int) -> list[Any]:
    """Return measures that look at no more than the `k` hits that each topic has.

    Without `names`, they are `DEFAULT_MEASURES`, their cutoffs lowered to `k`. Raises UsageError
    for a name that is no measure, or a cutoff beyond `k`.
    """
    if names is None:
        shallow = k < max(measure.params.get("cutoff", 0) for measure in _defaults())
        return parse_measures(
            f"{measure.NAME}@{min(measure.params.get('cutoff', k), k)}" if shallow else str(measure)
            for measure in _defaults()
        )
    measures = parse_measures(names)
    deep = [str(measure) for measure in measures if measure.params.get("cutoff", 0) > k]
    if deep:
        raise UsageError(
            f"{', '.join(deep)}: cut off beyond the {k} hits that each topic gets; "
            f"retrieve more (-k), or name measures of at most {k} hits"
        )
    return measures


def _defaults() -> list[Any]:
    return parse_measures(DEFAULT_MEASURES)


def measure_run(
    run: Run, qrels: Qrels, measures: Sequence[Any], *, drop_query_id: bool = False
) -> Measured:
    """Measure a run against judgments, whose topics are those of the evaluation.

    `measures` are those of `parse_measures`; `drop_query_id` drops hits whose doc_id equals the
    qid. Raises UsageError for a grade above `MAX_GRADE`, or when a back end of ir-measures cannot
    compute a measure.
    """
    import ir_measures

    topics = list(qrels)
    judged, ranked = {}, {}
    for at, qid in enumerate(topics):
        hits = run[qid].without(qid) if drop_query_id else run[qid]
        judged[str(at)], ranking = _numbered(hits.doc_ids, qrels[qid])
        if ranking:
            ranked[str(at)] = ranking
    values = {str(measure): np.zeros(len(topics)) for measure in measures}
    totals = {measure: measure.aggregator() for measure in measures}
    try:
        for metric in ir_measures.iter_calc(measures, judged, ranked):
            values[str(metric.measure)][int(metric.query_id)] = metric.value
            totals[metric.measure].add(metric.value)
    except (subprocess.CalledProcessError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{', '.join(map(str, measures))}: ir-measures cannot compute one of them here "
            f"({type(error).__name__}); leave out measures that its other back ends compute, such "
            "as ERR, which takes no grade above 4"
        ) from error
    overall = {str(measure): float(total.result()) for measure, total in totals.items()}
    return Measured(topics, values, overall)


def _numbered(
    doc_ids: list[str], grades: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, float]]:
    """Return grades and descending ranks by small numbers in place of doc_ids.

    Some back ends use files that cannot hold every id. Grades below 0, which mark spam in some
    collections, become 0: trec_eval interprets them otherwise, reads outside of its memory, and
    never ends computing Bpref.
    """
    if max(grades.values(), default=0) > MAX_GRADE:
        raise UsageError(f"grade {max(grades.values())}: at most {MAX_GRADE} can be measured")
    numbers = {doc_id: str(at) for at, doc_id in enumerate(doc_ids)}
    judged = {
        numbers.setdefault(doc_id, str(len(numbers))): max(grade, 0)
        for doc_id, grade in grades.items()
    }
    n = len(doc_ids)
    return judged, {str(at): float(n - at) for at in range(n)}


def _parse(name: str) -> Any:
    """Parse ``Name(parameter=value)@cutoff``.

    `ir_measures.parse_measure` uses syntax tree classes that Python 3.14 no longer has, and checks
    parameters with assertions; here the registry behind it is used.
    """
    import ir_measures

    try:
        node = ast.parse(name, mode="eval").body
    except (SyntaxError, ValueError):
        raise ValueError("expected Name, Name@cutoff or Name(parameter=value)@cutoff") from None
    parameters: dict[str, Any] = {}
    cutoff = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        cutoff, node = _literal(node.right), node.left
    if isinstance(node, ast.Call) and not node.args:
        parameters = {str(word.arg): _literal(word.value) for word in node.keywords}
        node = node.func
    if not isinstance(node, ast.Name):
        raise ValueError("expected Name, Name@cutoff or Name(parameter=value)@cutoff")
    kind = ir_measures.measures.registry.get(node.id)
    if kind is None:
        raise ValueError("unknown")
    if cutoff is not None:
        parameters[kind.AT_PARAM] = cutoff
    return _checked(kind, parameters)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)} is no number or string") from None


def _checked(kind: Any, parameters: dict[str, Any]) -> Any:
    import ir_measures

    allowed = getattr(kind, "SUPPORTED_PARAMS", {})
    for parameter, value in parameters.items():
        if parameter not in allowed:
            raise ValueError(f"has no parameter {parameter}; it has: {', '.join(allowed)}")
        whole = parameter != "cutoff" or (type(value) is int and value >= 1)
        if not (whole and allowed[parameter].validate(value)):
            raise ValueError(f"{parameter} cannot be {value!r}")
    measure = kind(**parameters)
    missing = [p for p, info in allowed.items() if info.required and p not in measure.params]
    if missing:
        raise ValueError(f"needs {', '.join(missing)}")
    if not ir_measures.DefaultPipeline.supports(measure):
        raise ValueError("no installed back end of ir-measures computes it")
    return measure


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        if depth == 0 and (character == "," or character.isspace()):
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]
