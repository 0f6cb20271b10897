"""Fusion: equal to the plain oracle, and the properties that make it safe to use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import DataError, UsageError
from lsr_index.fusion import METHODS, Fusion, FusionMethod, Parameter, parse_fusion, register_method
from lsr_index.fusion.combine import Fused, RankedList, fuse, gather
from lsr_index.fusion.methods import unregister_method
from tests.index import fusion_oracle
from tests.shared import ROOT

SCORES = st.one_of(
    st.integers(-8, 8).map(float),  # many equal ones, negative ones
    st.floats(-1e3, 1e3, allow_nan=False, width=32).filter(lambda v: v == 0 or abs(v) > 1e-3),
)
HITS = st.dictionaries(st.integers(0, 15), SCORES, max_size=12)
BRANCHES = st.lists(HITS, min_size=1, max_size=4)
WEIGHT = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])
METHOD = st.sampled_from(list(METHODS))
QUICK = settings(max_examples=60, deadline=None)


def ranked(hits: dict[int, float]) -> RankedList:
    return RankedList.of(list(hits), list(hits.values()))


def run(
    method: str,
    branches: Sequence[dict[int, float]],
    weights: Sequence[float] | None = None,
    depth: int | None = None,
    bounds: Sequence[float | None] | None = None,
    known: Sequence[dict[int, float]] | None = None,
) -> Fused:
    pool = gather([ranked(hits) for hits in branches], depth)
    for branch, extra in enumerate(known or ()):
        for at in pool.without_score(branch):
            pool.scores[branch, at] = extra[int(pool.keys[at])]
    names = [f"b{i}" for i in range(len(branches))]
    given_weights = None if weights is None else dict(zip(names, weights, strict=True))
    fusion = Fusion(method, given_weights)  # type: ignore[arg-type]
    return fuse(pool, fusion, fusion.shares(names), bounds)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[int, float]], list[float]]:
    branches = draw(BRANCHES)
    weights = draw(st.lists(WEIGHT, min_size=len(branches), max_size=len(branches)))
    return branches, weights if any(weights) else [1.0] * len(branches)


class TestAgainstOracle:
    @QUICK
    @given(cases(), METHOD, st.sampled_from([None, 1, 3]), st.sampled_from([None, -1.0, 0.0, -2e3]))
    def test_scores(
        self,
        case: tuple[list[dict[int, float]], list[float]],
        method: str,
        depth: int | None,
        bound: float | None,
    ) -> None:
        branches, weights = case
        bounds = [bound] * len(branches)
        truth = fusion_oracle.fused(method, branches, weights, depth=depth, bounds=bounds)
        found = run(method, branches, weights, depth, bounds)
        assert sorted(found.keys.tolist()) == sorted(truth)
        for key, score in zip(found.keys.tolist(), found.scores.tolist(), strict=True):
            assert score == pytest.approx(truth[key], rel=1e-9, abs=1e-9)
        assert (np.diff(found.scores) <= 0).all()
        ties = np.diff(found.scores) == 0
        assert (np.diff(found.keys)[ties] > 0).all()

    @QUICK
    @given(cases(), METHOD, st.data())
    def test_scores_of_documents_a_branch_did_not_return(
        self, case: tuple[list[dict[int, float]], list[float]], method: str, data: st.DataObject
    ) -> None:
        branches, weights = case
        everything = sorted(set().union(*branches))
        known = [{doc: data.draw(SCORES) for doc in everything} for _ in branches]
        truth = fusion_oracle.fused(method, branches, weights, known=known)
        found = run(method, branches, weights, known=known)
        for key, score in zip(found.keys.tolist(), found.scores.tolist(), strict=True):
            assert score == pytest.approx(truth[key], rel=1e-9, abs=1e-9)

    @QUICK
    @given(cases(), st.sampled_from([None, -1.0, -2e3]), st.data())
    def test_the_formula_of_a_record_is_what_its_kernel_computes(
        self,
        case: tuple[list[dict[int, float]], list[float]],
        bound: float | None,
        data: st.DataObject,
    ) -> None:
        branches, weights = case
        bounds = [bound] * len(branches)
        everything = sorted(set().union(*branches))
        known = data.draw(
            st.none()
            | st.lists(
                st.fixed_dictionaries(dict.fromkeys(everything, SCORES)),
                min_size=len(branches), max_size=len(branches),
            )
        )  # fmt: skip
        for method in list(METHODS.values()):
            compiled = run(method.name, branches, weights, bounds=bounds, known=known)
            plain = replace(method, name="plain", aliases=(), kernel_code=None)
            register_method(plain)
            try:
                found = run("plain", branches, weights, bounds=bounds, known=known)
            finally:
                unregister_method("plain")
            for one, other in (
                (found.normalised, compiled.normalised),
                (found.contributions, compiled.contributions),
                (np.sort(found.scores), np.sort(compiled.scores)),
            ):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)

    def test_reciprocal_ranks_as_in_the_paper(self) -> None:
        found = run("rrf", [{7: 9.0, 3: 8.0}, {3: 0.5}])
        assert found.keys.tolist() == [3, 7]
        assert found.scores.tolist() == [1 / 62 + 1 / 61, 1 / 61]


class TestProperties:
    @QUICK
    @given(cases(), METHOD)
    def test_the_order_of_branches_is_irrelevant(
        self, case: tuple[list[dict[int, float]], list[float]], method: str
    ) -> None:
        branches, weights = case
        forward = run(method, branches, weights)
        backward = run(method, branches[::-1], weights[::-1])
        assert forward.keys.tolist() == backward.keys.tolist()
        assert forward.scores.tolist() == backward.scores.tolist()

    @QUICK
    @given(HITS, METHOD, st.sampled_from([None, -1e3]))
    def test_a_single_branch_keeps_its_order(
        self, hits: dict[int, float], method: str, bound: float | None
    ) -> None:
        assert run(method, [hits], bounds=[bound]).keys.tolist() == ranked(hits).keys.tolist()

    @QUICK
    @given(BRANCHES, METHOD)
    def test_an_empty_branch_changes_no_order(
        self, branches: list[dict[int, float]], method: str
    ) -> None:
        without, among = run(method, branches), run(method, [*branches, {}])
        assert set(without.keys.tolist()) == set(among.keys.tolist())
        if method == "max":
            return  # an empty branch offers 0, which can be more than a negative value: none here
        scores = dict(zip(among.keys.tolist(), among.scores.tolist(), strict=True))
        ordered = [scores[key] for key in without.keys.tolist()]
        assert ordered == pytest.approx(sorted(ordered, reverse=True), rel=1e-9, abs=1e-12)

    @QUICK
    @given(cases(), METHOD)
    def test_a_document_that_is_nowhere_worse_comes_no_later(
        self, case: tuple[list[dict[int, float]], list[float]], method: str
    ) -> None:
        branches, weights = case
        found = run(method, branches, weights)
        order = found.keys.tolist()
        all_ranks = [fusion_oracle.ranks(hits) for hits in branches]
        last = 10**6
        for i, better in enumerate(order):
            for worse in order[:i]:
                nowhere_worse = all(r.get(better, last) <= r.get(worse, last) for r in all_ranks)
                # It stands behind `worse`: then only because they are equal and its id is larger.
                if nowhere_worse:
                    assert found.scores[i] == found.scores[order.index(worse)]

    @QUICK
    @given(cases(), METHOD, st.sampled_from([0.5, 4.0, 1024.0]))
    def test_only_the_ratio_of_weights_matters(
        self, case: tuple[list[dict[int, float]], list[float]], method: str, factor: float
    ) -> None:
        branches, weights = case
        plain, scaled = (run(method, branches, w) for w in (weights, [factor * w for w in weights]))
        assert plain.keys.tolist() == scaled.keys.tolist()
        assert plain.scores.tolist() == scaled.scores.tolist()

    @QUICK
    @given(st.lists(HITS.filter(bool), min_size=2, max_size=3), st.integers(1, 6))
    def test_units_of_scores_do_not_matter(
        self, branches: list[dict[int, float]], power: int
    ) -> None:
        for method in ("rrf", "min-max", "z-score", "dbsf", "max"):
            scaled = [{doc: 2.0**power * s for doc, s in hits.items()} for hits in branches]
            assert run(method, branches).keys.tolist() == run(method, scaled).keys.tolist()

    def test_a_branch_of_weight_zero_adds_nothing(self) -> None:
        for method in METHODS:
            found = run(method, [{1: 3.0, 2: 2.0}, {2: 9.0, 1: 1.0}], [1.0, 0.0])
            assert found.keys.tolist() == [1, 2]


class TestDegenerateLists:
    @pytest.mark.parametrize(
        ("method", "listed", "other"),
        [
            ("min-max", 1, 0),
            ("max", 1, 0),
            ("theoretical-min", 1, 0),
            ("z-score", 0, -1),
            ("dbsf", 0.5, 0),
        ],
    )
    @pytest.mark.parametrize("hits", [{4: -0.3}, {4: 2.0, 5: 2.0}, {4: 0.1, 5: 0.1, 6: 0.1}])
    def test_equal_scores(
        self, method: str, listed: float, other: float, hits: dict[int, float]
    ) -> None:
        found = run(method, [hits, {9: 5.0, 4: 1.0}])
        values = dict(zip(found.pool.keys.tolist(), found.normalised[0].tolist(), strict=True))
        assert values.pop(9) == other
        assert set(values.values()) == {listed}

    def test_one_hit_over_its_bound(self) -> None:
        found = run("theoretical-min", [{4: 0.4}, {9: 5.0}], bounds=[-1.0, 0.0])
        assert found.normalised.tolist() == [[1.0, 0.0], [0.0, 1.0]]

    def test_a_score_below_the_bound_is_taken_as_the_bound(self) -> None:
        found = run("theoretical-min", [{1: 3.0, 2: -2.0}], bounds=[-1.0])
        assert found.scores.tolist() == [1.0, 0.0]

    def test_negative_scores(self) -> None:
        found = run("min-max", [{1: -0.1, 2: -0.2, 3: -0.3}, {3: 1.0, 2: 0.0}])
        assert found.keys.tolist() == [1, 3, 2]
        assert found.scores.tolist() == pytest.approx([0.5, 0.5, 0.25])

    def test_nothing_at_all(self) -> None:
        for method in METHODS:
            assert run(method, [{}, {}]).keys.tolist() == []

    def test_a_document_twice_counts_with_its_best_score(self) -> None:
        assert RankedList.of([5, 6, 5], [1.0, 2.0, 3.0]).keys.tolist() == [5, 6]

    @pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
    def test_scores_that_are_no_numbers(self, score: float) -> None:
        with pytest.raises(DataError, match="position 1"):
            RankedList.of([1, 2], [0.0, score])


class TestExplanation:
    def test_each_branch_says_rank_score_and_share(self) -> None:
        found = run("min-max", [{1: 4.0, 2: 3.0, 3: 2.0}, {3: 0.5, 8: 0.1}], [3.0, 1.0])
        first, second = found.explain(found.keys.tolist().index(3))
        assert (first.rank, first.score, first.normalised, first.contribution) == (3, 2.0, 0, 0)
        assert (second.rank, second.score, second.normalised) == (1, 0.5, 1)
        assert second.contribution == 0.25
        assert found.explain(found.keys.tolist().index(1))[1].rank is None


class TestReading:
    @pytest.mark.parametrize(
        "text",
        [
            "rrf",
            "rrf:k=20",
            "min-max:sparse=0.4,dense=0.6",
            "theoretical-min:a=1,depth=500,absent=floor",
            "max:my run=2,b=0",
        ],
    )
    def test_written_as_it_was_read(self, text: str) -> None:
        assert str(parse_fusion(text)) == text
        assert Fusion.from_json(parse_fusion(text).to_json()) == parse_fusion(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("borda", "there are rrf, min-max, theoretical-min, z-score, dbsf, max"),
            ("rrf:k", "cannot read 'k'"),
            ("rrf:", "cannot read ''"),
            ("rrf:k=x", "k takes a number"),
            ("rrf:k=-1", "k of rrf"),
            ("rrf:depth=0", "depth"),
            ("rrf:depth=2.5", "depth"),
            ("rrf:a=1,a=2", "cannot read 'a=2'"),
            ("min-max:a=-1,b=2", "weight of branch 'a'"),
            ("min-max:a=nan", "takes a number"),
            ("min-max:a=0,b=0", "all 0"),
            ("min-max:absent=maybe", "score or floor"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            parse_fusion(text)

    def test_weights_of_other_branches(self) -> None:
        fusion = parse_fusion("rrf:sparse=1,dense=2")
        assert fusion.shares(["dense", "sparse"]) == [2 / 3, 1 / 3]
        with pytest.raises(UsageError, match="no branch 'dense'; the branches are sparse"):
            fusion.shares(["sparse"])
        with pytest.raises(UsageError, match="no weight for 'bm25'"):
            fusion.shares(["sparse", "dense", "bm25"])

    @pytest.mark.parametrize(
        "values", [None, [], {"methods": "rrf"}, {"method": 3}, {"weights": {}}]
    )
    def test_values_that_are_no_fusion(self, values: object) -> None:
        with pytest.raises(UsageError):
            Fusion.from_json(values)


BORDA = FusionMethod(
    "borda",
    "depth + 1 − rank, to the power p",
    "0",
    "Aslam and Montague, SIGIR 2001, section 3",
    lambda ranks, scores, bound, p: np.where(ranks > 0, (ranks.max() + 1.0 - ranks) ** p, 0.0),
    aliases=("borda-count",),
    parameters=(Parameter("p", 1.0, 0.5, 3.0, "Exponent."),),
    uses_scores=False,
)


class TestOwnMethod:
    @pytest.fixture
    def borda(self) -> Iterator[None]:
        register_method(BORDA)
        yield
        unregister_method("borda")

    @pytest.mark.usefixtures("borda")
    def test_ranks(self) -> None:
        lists = [{1: 9.0, 2: 8.0, 3: 7.0}, {3: 0.5, 1: 0.4}]
        found = run("borda", lists)
        assert found.keys.tolist() == [1, 3, 2]
        assert found.scores.tolist() == [2.0, 1.5, 1.0]
        assert found.explain(0)[0].normalised == 3

    @pytest.mark.usefixtures("borda")
    def test_is_read_and_written(self) -> None:
        fusion = parse_fusion("Borda_Count:p=2,sparse=1,dense=3")
        assert fusion == Fusion("borda", {"sparse": 1.0, "dense": 3.0}, {"p": 2.0})
        assert Fusion.from_json(fusion.to_json()).parameters == {"p": 2.0}
        assert parse_fusion(str(fusion)) == Fusion("borda", fusion.weights, {"p": 2.0})
        with pytest.raises(UsageError, match=r"p of borda is a number from 0\.5 to 3, got 4"):
            parse_fusion("borda:p=4")
        with pytest.raises(UsageError, match="dbsf, max, borda"):
            parse_fusion("nonsense")

    @pytest.mark.usefixtures("borda")
    def test_a_value_that_is_not_finite_is_an_error(self) -> None:
        broken = replace(BORDA, normalise=lambda ranks, scores, bound, p: scores * np.nan)
        register_method(broken)
        with pytest.raises(DataError, match="borda gave a value that is not finite"):
            run("borda", [{1: 1.0}])

    def test_nobody_takes_it_afterwards(self) -> None:
        with pytest.raises(UsageError, match="unknown fusion method 'borda'"):
            parse_fusion("borda")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"name": "rrf"}, "cannot be called 'rrf'"),
            ({"aliases": ("minmax",)}, "cannot be called 'minmax'"),
            ({"name": "a:b"}, "cannot be called 'a:b'"),
            ({"name": "Borda"}, "cannot be called 'Borda'"),
            ({"parameters": (Parameter("depth", 1, 0, 2, ""),)}, "cannot be called 'depth'"),
            ({"parameters": (Parameter("p", 9, 0, 2, ""),)}, "p of borda is 9 by default"),
            ({"kernel_code": 1}, "only methods of this package"),
        ],
    )
    def test_records_that_are_refused(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            register_method(replace(BORDA, **change))
        assert "borda" not in METHODS


def test_the_page_lists_the_methods() -> None:
    page = (ROOT / "docs/hybrid.md").read_text(encoding="utf-8")
    table = page.split("### Methods\n", 1)[1].strip().split("\n\n")[0].replace("`", "")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    found = [[name.removesuffix(" (default)"), *rest] for name, *rest in rows[2:]]
    assert found == [[m.name, m.formula, m.absent, m.source] for m in METHODS.values()]
