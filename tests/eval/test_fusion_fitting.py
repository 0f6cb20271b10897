"""Fitting a fusion: it finds what is there to gain, and refuses where there is nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lsr.errors import DataError, EncoderMismatchError, UsageError
from lsr.trec.measures import measure_run, parse_measures
from lsr.trec.runs import Ranking, Run
from lsr_eval.fusion_fitting.bagging import bag, beyond_chance, draws, weight_grid
from lsr_eval.fusion_fitting.fit import FusionFit, choose, cross_fit, fit
from lsr_eval.fusion_fitting.grid import Bench
from lsr_eval.fusion_fitting.paired_splits import N_SPLITS, paired_halves
from lsr_eval.fusion_fitting.report import artefact_of, render
from lsr_eval.fusion_fitting.topics import fuse_runs, topics_of
from lsr_index.fusion import (
    BranchIdentity,
    Fusion,
    FusionArtefact,
    fusion_of,
    parse_fusion,
    read_artefact,
    write_artefact,
)
from tests.index import fusion_oracle

NDCG = parse_measures(["nDCG@10"])[0]
N_DOCS, N_RELEVANT = 60, 6


def collection(
    n_topics: int, signals: dict[str, float], seed: int = 0
) -> tuple[dict[str, dict[str, int]], dict[str, Run]]:
    """Topics with relevant documents, and runs that see them through noise of their own."""
    rng = np.random.default_rng(seed)
    qrels, hits = {}, {name: {} for name in signals}  # type: ignore[var-annotated]
    for topic in range(n_topics):
        qid = f"q{topic}"
        doc_ids = [f"{qid}-{at:02}" for at in rng.permutation(N_DOCS)]
        relevant = np.arange(N_DOCS) < N_RELEVANT
        qrels[qid] = dict.fromkeys(doc_ids[:N_RELEVANT], 1)
        for name, signal in signals.items():
            scores = signal * relevant + rng.standard_normal(N_DOCS)
            kept = np.argsort(-scores)[:40]
            hits[name][qid] = Ranking.of([doc_ids[at] for at in kept], scores[kept])
    return qrels, {name: Run(name, found) for name, found in hits.items()}


def bench(qrels: dict[str, dict[str, int]], runs: dict[str, Run]) -> Bench:
    topics = topics_of(list(runs.values()), qrels)
    return Bench(list(runs), [None] * len(runs), topics, qrels, NDCG)


@pytest.fixture(scope="module")
def complementary() -> FusionFit:
    qrels, runs = collection(60, {"a": 1.5, "b": 1.5})
    return fit(bench(qrels, runs))


class TestGrid:
    @pytest.mark.parametrize("n", range(2, 9))
    def test_weights_are_spread_over_all_mixtures(self, n: int) -> None:
        grid = weight_grid(n)
        steps = round(1 / grid[grid > 0].min())
        assert len(grid) == len(np.unique(grid, axis=0)) == comb(steps + n - 1, n - 1) <= 36
        assert grid.sum(axis=1) == pytest.approx(1)
        assert (grid.max(axis=1) == 1).sum() == n
        assert (grid.max(axis=1) < 1).any()

    def test_values_are_those_of_fused_runs(self) -> None:
        """What fitting measures is what fusing the runs and measuring them gives."""
        qrels, runs = collection(8, {"a": 1.0, "b": 2.0, "c": 1.5})
        made = bench(qrels, runs)
        for method in ("min-max", "rrf", "z-score"):
            for weights in ([0.3, 0.5, 0.2], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]):
                named = ",".join(f"{name}={at}" for name, at in zip("abc", weights, strict=True))
                fusion = parse_fusion(f"{method}:{named},depth=20,absent=floor")
                values = made.fused(fusion, [weights], [1, 5, 6])[0]
                run = fuse_runs(runs, fusion)
                expected = measure_run(run, qrels, [NDCG]).per_topic["nDCG@10"]
                assert values.tolist() == expected[[1, 5, 6]].tolist()

    def test_a_branch_alone_is_measured_as_its_run(self) -> None:
        qrels, runs = collection(8, {"a": 1.0, "b": 2.0})
        found = bench(qrels, runs).measured()
        for at, run in enumerate(runs.values()):
            corner = int(found.grid[:, at].argmax())
            expected = measure_run(run, qrels, [NDCG]).per_topic["nDCG@10"]
            assert (found.values[:, corner] == expected).all()

    def test_fused_runs_are_those_of_the_oracle(self) -> None:
        qrels, runs = collection(3, {"a": 1.0, "b": 2.0, "c": 0.5})
        fused = fuse_runs(runs, parse_fusion("dbsf:a=1,b=2,c=0"), k=25)
        for qid in qrels:
            keys = sorted({d for run in runs.values() for d in run[qid].doc_ids})
            branches = [
                {
                    keys.index(doc_id): float(score)
                    for doc_id, score in zip(
                        runs[name][qid].doc_ids, runs[name][qid].scores, strict=True
                    )
                }
                for name in "ab"
            ]
            truth = fusion_oracle.fused("dbsf", branches, [1, 2], depth=25)
            best = sorted(truth, key=lambda key: -truth[key])[:25]
            assert set(fused[qid].doc_ids) == {keys[key] for key in best}
            assert fused[qid].scores == pytest.approx([truth[key] for key in best], abs=1e-6)


class TestBagging:
    def test_left_out_values_are_of_weights_that_never_saw_the_topic(self) -> None:
        """Each topic likes only the weights that no other likes: seen, 1; left out, 0."""
        n = 9
        values = np.vstack([np.eye(n), np.zeros((2, n))])
        grid = np.vstack([weight_grid(2)])
        found = bag(values, grid, draws(n, np.random.default_rng(0)))
        assert found.left_out.mean() < 0.3
        assert found.weights.sum() == pytest.approx(1)

    def test_chance(self) -> None:
        assert beyond_chance(np.array([0.1, 0.2, 0.1]), 3.0)
        assert not beyond_chance(np.array([0.5, -0.4, 0.0]), 1.0)
        assert not beyond_chance(np.zeros(5), 0.0)
        assert not beyond_chance(np.array([1.0]), 1.0)


class TestHalves:
    """Property: topics that the branches answer alike are apart, whatever the branches are."""

    @given(
        single=arrays(
            np.float64,
            st.tuples(st.integers(2, 4), st.integers(2, 31)),
            elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.63, 1.0]),
        ),
        seed=st.integers(0, 9),
    )
    def test_every_topic_is_held_out_once_in_a_split(
        self, single: npt.NDArray[np.float64], seed: int
    ) -> None:
        n_topics = single.shape[1]
        halves = list(paired_halves(single, seed))
        assert len(halves) == 2 * N_SPLITS
        for first, second in zip(halves[::2], halves[1::2], strict=True):
            assert sorted([*first[0], *first[1]]) == list(range(n_topics))
            assert len(first[0]) == n_topics // 2
            assert second[0].tolist() == first[1].tolist()
            assert second[1].tolist() == first[0].tolist()

    @given(
        single=arrays(
            np.float64,
            st.tuples(st.just(2), st.integers(1, 15).map(lambda half: 2 * half)),
            elements=st.floats(0, 1, width=16),
        ),
        seed=st.integers(0, 9),
    )
    def test_of_two_neighbours_one_is_in_each_half(
        self, single: npt.NDArray[np.float64], seed: int
    ) -> None:
        difference = single[0] - single[1]
        neighbours = np.sort(difference).reshape(-1, 2)
        for fitting, held_out in paired_halves(single, seed):
            apart = np.stack([np.sort(difference[fitting]), np.sort(difference[held_out])], axis=1)
            assert np.sort(apart, axis=1) == pytest.approx(neighbours, abs=1e-11)

    def test_splits_and_seeds_differ(self) -> None:
        single = np.random.default_rng(0).random((2, 20))
        found = {tuple(fitting) for seed in (0, 1) for fitting, _ in paired_halves(single, seed)}
        assert len(found) == 4 * N_SPLITS

    def test_a_topic_without_a_partner_is_any(self) -> None:
        single = np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]])
        smaller = {int(first[0]) for first, _ in list(paired_halves(single, 0))[::2]}
        assert smaller == {0, 1, 2}

    @pytest.mark.parametrize("signals", [{"a": 1.5, "b": 1.2}, {"a": 1.5, "b": 1.2, "c": 1.0}])
    def test_halves_tell_the_same_more_than_halves_at_random(
        self, signals: dict[str, float]
    ) -> None:
        """What a fixed fusion gains over the best branch differs less between the halves."""
        qrels, runs = collection(60, signals)
        made = bench(qrels, runs)
        single = made.measured().single
        equal = np.full((1, len(signals)), 1 / len(signals))
        gains = made.fused(Fusion("z-score", depth=40, absent="floor"), equal)[0] - single[0]
        alike = [gains[one].mean() - gains[other].mean() for one, other in paired_halves(single, 0)]
        rng = np.random.default_rng(0)
        by_chance = [
            gains[order[:30]].mean() - gains[order[30:]].mean()
            for order in (rng.permutation(60) for _ in range(200))
        ]
        assert np.std(alike) < 0.9 * np.std(by_chance)


class TestFit:
    def test_finds_what_two_branches_have_together(self, complementary: FusionFit) -> None:
        assert complementary.refusal is None
        assert complementary.fused > max(complementary.single) + 0.03
        assert 0.25 < complementary.fusion.shares(["a", "b"])[0] < 0.75
        assert all(each.p_corrected < 0.05 for each in complementary.comparisons)
        assert complementary.n_topics == 60

    def test_refuses_to_mix_noise_in(self) -> None:
        """At best it leaves the noise alone; it never gives up what the good branch has."""
        for seed in range(3):
            qrels, runs = collection(60, {"good": 3.0, "noise": 0.0}, seed)
            found = fit(bench(qrels, runs), seed=seed)
            assert found.refusal is not None or found.fused >= max(found.single)
            weights = found.fusion.weights
            assert weights is not None
            assert weights["good"] > 0.7
            assert found.best_branch == "good"

    def test_values_are_of_fusions_that_other_topics_chose(self) -> None:
        """Each topic: the mean of what the fusions of the halves without it give, from runs."""
        qrels, runs = collection(24, {"a": 1.5, "b": 1.0})
        made = bench(qrels, runs)
        values, halves = cross_fit(made, made.measured(), seed=7)
        expected = np.zeros(24)
        alone = np.stack(
            [measure_run(run, qrels, [NDCG]).per_topic["nDCG@10"] for run in runs.values()]
        )
        for (fitting, held_out), half in zip(paired_halves(alone, 7), halves, strict=True):
            kept = {list(qrels)[at]: qrels[list(qrels)[at]] for at in fitting}
            assert choose(bench(kept, runs).measured(), seed=7) == half.fusion
            fused = measure_run(fuse_runs(runs, half.fusion), qrels, [NDCG]).per_topic["nDCG@10"]
            expected[held_out] += fused[held_out] / N_SPLITS
            best = max(branch[held_out].mean() for branch in alone)
            assert half.gain == pytest.approx(fused[held_out].mean() - best, abs=2e-12)
        assert values == pytest.approx(expected, abs=2e-12)

    def test_the_split_matters_little(self) -> None:
        qrels, runs = collection(40, {"a": 1.5, "b": 1.2})
        found = [fit(bench(qrels, runs), seed=seed) for seed in range(4)]
        error = (found[0].interval.high - found[0].interval.low) / 4
        assert np.ptp([each.fused for each in found]) < error / 2
        assert len({str(each.fusion.method) for each in found}) == 1

    def test_one_branch_alone_is_no_fusion(self, complementary: FusionFit) -> None:
        alone = replace(complementary.fusion, weights={"a": 1.0, "b": 0.0})
        assert "one branch alone" in str(replace(complementary, fusion=alone).refusal)

    def test_theoretical_minimum_is_preferred_where_it_is_known(self) -> None:
        qrels, runs = collection(10, {"a": 1.0, "b": 1.0})
        topics = topics_of(list(runs.values()), qrels)

        def methods(*bounds: float | None) -> list[str]:
            made = Bench(list(runs), list(bounds), topics, qrels, NDCG)
            return [family.method for family in made.families()]

        assert methods(0.0, -1.0)[0] == "theoretical-min"
        assert "theoretical-min" not in methods(0.0, None)

    def test_the_same_again(self) -> None:
        qrels, runs = collection(30, {"a": 1.0, "b": 2.0})
        first, again = (fit(bench(qrels, runs)) for _ in range(2))
        assert first == again

    def test_identical_branches_gain_nothing(self) -> None:
        qrels, runs = collection(30, {"a": 1.5})
        found = fit(bench(qrels, {"a": runs["a"], "b": runs["a"]}))
        assert found.refusal is not None
        assert "no better than a alone" in found.refusal
        assert [each.difference for each in found.comparisons] == [0, 0]
        assert [each.p_value for each in found.comparisons] == [1, 1]

    @pytest.mark.parametrize(
        ("signals", "n_topics", "message"),
        [({"a": 1.0}, 20, "two branches or more"), ({"a": 1.0, "b": 1.0}, 9, "10 topics or more")],
    )
    def test_too_little_to_fit_to(
        self, signals: dict[str, float], n_topics: int, message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            fit(bench(*collection(n_topics, signals)))


class TestArtefact:
    def test_written_and_read(self, complementary: FusionFit, tmp_path: Path) -> None:
        branches = [BranchIdentity("a", "sparse", "1" * 64), BranchIdentity("b", "dense", "2" * 64)]
        artefact = artefact_of(complementary, branches, "made up")
        write_artefact(artefact, tmp_path / "f.json")
        found = read_artefact(tmp_path / "f.json")
        assert found.fusion == artefact.fusion
        assert list(found.branches) == branches
        assert found.evidence["held_out"]["fusion"] == complementary.fused
        assert fusion_of(str(tmp_path / "f.json"), branches[::-1]) == found.fusion
        assert render(complementary)

    def test_other_branches_are_refused(self) -> None:
        one, two = BranchIdentity("a", "sparse", "1" * 64), BranchIdentity("b", "dense")
        artefact = FusionArtefact(Fusion(weights={"a": 1.0, "b": 1.0}), [one, two])
        artefact.check([two, one])
        with pytest.raises(UsageError, match="fitted to the branches a, b; there are a"):
            artefact.check([one])
        with pytest.raises(UsageError, match="there are a, b, c"):
            artefact.check([one, two, BranchIdentity("c", "dense")])
        with pytest.raises(EncoderMismatchError, match="'a' was fitted with another encoder"):
            artefact.check([BranchIdentity("a", "sparse", "3" * 64), two])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "is no JSON"),
            ("[]", "no file of lsr fit-fusion"),
            ('{"format": "lsr-fusion", "version": 99}', "version 99"),
            ('{"format": "lsr-fusion", "version": 1}', "damaged"),
            (
                '{"format": "lsr-fusion", "version": 1, "fusion": {"method": "rrf", "weights": '
                '{"a": -1}}, "branches": [{"name": "a", "kind": "run"}]}',
                "damaged .*weight of branch 'a'",
            ),
            (
                '{"format": "lsr-fusion", "version": 1, "fusion": {"weights": {"a": 1}}, '
                '"branches": [{"name": "b", "kind": "run"}]}',
                "damaged .*no branch 'a'",
            ),
        ],
    )
    def test_files_that_are_none(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "f.json").write_text(text)
        with pytest.raises(DataError, match=message):
            read_artefact(tmp_path / "f.json")

    def test_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            fusion_of(str(tmp_path / "f.json"), [])
        artefact = FusionArtefact(Fusion(weights={"a": 1.0}), [BranchIdentity("a", "run")])
        with pytest.raises(UsageError, match="cannot be written"):
            write_artefact(artefact, tmp_path / "no" / "f.json")
        assert json.dumps(artefact.fusion.to_json())
