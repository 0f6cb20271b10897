"""Objectives against values worked out by hand, and their gradients against finite differences."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

from lsr_training.losses import (  # noqa: E402
    combine_teachers,
    infonce,
    kl_divergence,
    margin_mse,
    match_moments,
)

LN2, LN3 = math.log(2), math.log(3)


def tensor(values, requires_grad=False):
    return torch.tensor(values, dtype=torch.float64, requires_grad=requires_grad)


def random_scores(*shape):
    generator = torch.Generator().manual_seed(7)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return values.requires_grad_()


def test_infonce_by_hand():
    # Softmax of (ln 2, 0, 0) gives the positive 2/4, of (0, 0, ln 3) 3/5.
    scores = tensor([[LN2, 0, 0], [0, 0, LN3]])
    loss = infonce(scores, torch.tensor([0, 2]))
    assert loss.item() == pytest.approx((math.log(4 / 2) + math.log(5 / 3)) / 2)


def test_infonce_leaves_excluded_documents_out_but_never_the_positive():
    scores = tensor([[LN2, 0, 50.0]])
    excluded = torch.tensor([[True, False, True]])
    assert infonce(scores, torch.tensor([0]), excluded=excluded).item() == pytest.approx(
        math.log(3 / 2)
    )


def test_infonce_divides_by_the_temperature():
    scores = tensor([[2 * LN2, 0]])
    assert infonce(scores, torch.tensor([0]), temperature=2.0).item() == pytest.approx(
        math.log(3 / 2)
    )


def test_infonce_of_equal_scores_is_the_log_of_the_number_of_documents():
    assert infonce(torch.zeros(4, 9), torch.arange(4)).item() == pytest.approx(math.log(9))


def test_margin_mse_by_hand():
    student, teacher = tensor([[3.0, 1, 0], [1, 1, 9]]), tensor([[5.0, 1, 1], [2, 0, 7]])
    # Query 0: margins 2, 3 against 4, 4. Query 1: 0 against 2; its third document is absent.
    valid = torch.tensor([[True, True, True], [True, True, False]])
    expected = ((4 + 1) / 2 + 4) / 2
    assert margin_mse(student, teacher, valid=valid).item() == pytest.approx(expected)


def test_margin_mse_over_all_pairs_by_hand():
    student, teacher = tensor([[3.0, 1, 0]]), tensor([[5.0, 1, 1]])
    # Pairs (0,1), (0,2), (1,2): 2-4, 3-4, 1-0.
    loss = margin_mse(student, teacher, all_pairs=True)
    assert loss.item() == pytest.approx((4 + 1 + 1) / 3)


def test_margin_mse_does_not_see_a_constant_added_to_a_query():
    student, teacher = random_scores(3, 4), random_scores(3, 4) * 2
    moved = teacher + tensor([[1.0], [-5], [100]])
    assert margin_mse(student, moved).item() == pytest.approx(margin_mse(student, teacher).item())


def test_a_query_counts_the_same_however_many_documents_it_has():
    few, teacher = tensor([[2.0, 1], [0, 3]]), tensor([[1.0, 1], [1, 1]])
    padded = torch.cat([few, tensor([[7.0, 8], [9, 9]])], dim=1)
    more_teacher = torch.cat([teacher, tensor([[0.0, 3], [1, 2]])], dim=1)
    valid = torch.tensor([[True, True, False, False]] * 2)
    for loss in (margin_mse, kl_divergence):
        assert loss(padded, more_teacher, valid=valid).item() == pytest.approx(
            loss(few, teacher).item()
        )
    # Every negative twice: the margins of a query are averaged, so nothing changes.
    twice = margin_mse(few[:, [0, 1, 1]], teacher[:, [0, 1, 1]])
    assert twice.item() == pytest.approx(margin_mse(few, teacher).item())


def test_kl_by_hand():
    student, teacher = tensor([[0.0, 0]]), tensor([[LN3, 0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert kl_divergence(student, teacher).item() == pytest.approx(expected)


def test_kl_with_temperature_by_hand():
    student, teacher = tensor([[0.0, 0]]), tensor([[2 * LN3, 0]])
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert kl_divergence(student, teacher, temperature=2.0).item() == pytest.approx(expected)


def test_self_distillation_from_own_scores_is_at_its_minimum():
    own = random_scores(3, 5)
    loss = kl_divergence(own, own.detach() + 4)
    (gradient,) = torch.autograd.grad(loss, own)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max().item() < 1e-12


def test_ensemble_by_hand():
    dense = [[0.5, 0.7, 0.9]]
    lexical = [[10.0, 30, 20]]
    combined = combine_teachers(tensor([dense, lexical]), scale=30)
    # Min-max: (0, .5, 1) and (0, 1, .5); mean (0, .75, .75).
    assert combined.tolist()[0] == pytest.approx([0, 22.5, 22.5], rel=1e-4)


def test_ensemble_takes_extremes_over_present_documents_only():
    valid = torch.tensor([[True, True, False]])
    combined = combine_teachers(tensor([[[1.0, 3, 99]]]), valid=valid, scale=10)
    assert combined.tolist()[0] == pytest.approx([0, 10, 0], rel=1e-4)


def test_a_teacher_without_preference_adds_nothing():
    combined = combine_teachers(tensor([[[4.0, 4, 4]], [[0, 1, 2]]]), scale=2)
    assert combined.tolist()[0] == pytest.approx([0, 0.5, 1], rel=1e-4)


def test_moments_are_matched_over_the_present():
    valid = torch.tensor([[True, True], [True, False]])
    moved = match_moments(tensor([[1.0, 2], [3, 50]]), mean=7, std=2, valid=valid)
    assert moved[valid].mean().item() == pytest.approx(7)
    assert moved[valid].std(unbiased=False).item() == pytest.approx(2, rel=1e-4)
    assert moved[1, 1].item() == 0


VALID = torch.tensor(
    [[True, True, True, False], [True, True, True, True], [True, True] + [False] * 2]
)
TEACHER = torch.randn(3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize(
    "loss",
    [
        lambda s: infonce(s, torch.tensor([0, 3, 1]), temperature=0.7),
        lambda s: infonce(s, torch.tensor([0, 1, 1]), excluded=~VALID),
        lambda s: margin_mse(s, TEACHER, valid=VALID),
        lambda s: margin_mse(s, TEACHER, valid=VALID, all_pairs=True),
        lambda s: kl_divergence(s, TEACHER),
        lambda s: kl_divergence(s, TEACHER, valid=VALID, temperature=3.0),
        lambda s: combine_teachers(torch.stack([s, s.exp()]), valid=VALID).sum(),
        lambda s: match_moments(s, mean=1, std=3, valid=VALID).square().sum(),
    ],
    ids=["infonce", "excluded", "margin", "margin-all", "kl", "kl-t", "ensemble", "moments"],
)
def test_gradients_against_finite_differences(loss):
    assert torch.autograd.gradcheck(loss, (random_scores(3, 4),))


@pytest.mark.parametrize("loss", [margin_mse, kl_divergence])
def test_absent_documents_get_no_gradient(loss):
    scores = random_scores(3, 4)
    (gradient,) = torch.autograd.grad(loss(scores, TEACHER, valid=VALID), scores)
    assert torch.isfinite(gradient).all()
    assert gradient[~VALID].abs().max().item() == 0
