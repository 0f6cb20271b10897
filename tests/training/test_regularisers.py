"""Penalties, activations, schedules and scores against hand-worked values."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

from lsr_training.activations import ACTIVATIONS, double_log, log1p_relu  # noqa: E402
from lsr_training.regularisers import (  # noqa: E402
    anti_collapse,
    df_flops,
    df_weights,
    flops,
    l0_flops,
    l1,
)
from lsr_training.schedules import learning_rate, penalty_weight  # noqa: E402
from lsr_training.scoring import excluded_documents, score_all, score_groups  # noqa: E402

VECTORS = [[1.0, 0, 3, 0], [3.0, 2, 0, 0]]


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def random_vectors(n=4, n_terms=6):
    generator = torch.Generator().manual_seed(11)
    values = torch.rand(n, n_terms, generator=generator, dtype=torch.float64) + 0.1
    return values.requires_grad_()


def test_flops_by_hand():
    # Column means 2, 1, 1.5, 0.
    assert flops(tensor(VECTORS)).item() == pytest.approx(4 + 1 + 2.25)


def test_l1_by_hand():
    assert l1(tensor(VECTORS)).item() == pytest.approx((4 + 5) / 2)


def test_l0_mask_by_hand():
    vectors = tensor([[1.0, 1, 1, 0], [4, 0, 0, 0]])
    # Only the first row has more than 2 non-zeros; the mean is still over both.
    assert l0_flops(vectors, 2).item() == pytest.approx(3 * 0.25)
    assert l0_flops(vectors, 3).item() == 0
    assert l0_flops(vectors, 0).item() == pytest.approx(flops(vectors).item())


def test_df_weights_by_hand():
    weights = df_weights(tensor([0.0, 0.1, 1.0, 0.01]), alpha=0.1, beta=2)
    # At 0.01 = alpha^2 the power is 2^2, so the weight is 1 / (1 + 3^2).
    assert weights.tolist() == pytest.approx([0, 0.5, 1, 0.1])


def test_df_flops_by_hand():
    weights = tensor([1.0, 0.5, 0, 0])
    assert df_flops(tensor(VECTORS), weights).item() == pytest.approx(4 + 0.25)


def test_anti_collapse_by_hand():
    assert anti_collapse(tensor(VECTORS), epsilon=0).item() == pytest.approx(1 / 4.5**2)
    assert math.isfinite(anti_collapse(torch.zeros(2, 3)).item())


def test_the_idf_aware_penalty_is_flops_of_the_vectors_that_the_matching_function_multiplies():
    idf, documents = tensor([0.1, 5, 2, 1]), tensor(VECTORS)
    impacts = documents * idf
    in_terms_of_impacts = ((impacts.mean(dim=0) / idf) ** 2).sum()
    assert flops(documents).item() == pytest.approx(in_terms_of_impacts.item())
    query = idf * tensor([1.0, 0, 1, 0])
    assert score_all(query[None], documents).tolist()[0] == pytest.approx(
        [impacts[0, [0, 2]].sum().item(), impacts[1, [0, 2]].sum().item()]
    )


PENALTIES = {
    "flops": flops,
    "l1": l1,
    "l0": lambda v: l0_flops(v, 3),
    "df": lambda v: df_flops(v, torch.linspace(0, 1, v.shape[1], dtype=v.dtype)),
    "collapse": anti_collapse,
}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_do_not_depend_on_documents_per_query_or_devices(name):
    vectors = random_vectors()
    once = PENALTIES[name](vectors).item()
    assert PENALTIES[name](vectors.repeat(3, 1)).item() == pytest.approx(once)
    gathered = torch.cat([vectors[2:], vectors[:2]])
    assert PENALTIES[name](gathered).item() == pytest.approx(once)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_gradients_against_finite_differences(name):
    assert torch.autograd.gradcheck(PENALTIES[name], (random_vectors(),))


def test_activations_by_hand():
    logits = tensor([-1.0, 0, math.e - 1, math.exp(math.e - 1) - 1])
    assert log1p_relu(logits).tolist() == pytest.approx([0, 0, 1, math.e - 1])
    assert double_log(logits).tolist() == pytest.approx([0, 0, math.log(2), 1])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradients_against_finite_differences(name):
    logits = tensor([-2.0, -0.5, 0.3, 4]).requires_grad_()
    assert torch.autograd.gradcheck(ACTIVATIONS[name], (logits,))


def test_activations_are_those_of_the_encoder():
    from lsr.encoders.neural.pooling import Projection

    logits = torch.linspace(-3, 30, 50)
    for name, ours in ACTIVATIONS.items():
        empty = torch.zeros(0, dtype=torch.int64)
        theirs = Projection(logits[:, None], logits, "max", name, empty).activate(logits.clone())
        torch.testing.assert_close(ours(logits), theirs, rtol=0, atol=0)


def test_penalty_weight_grows_quadratically():
    weights = [penalty_weight(0.8, step, 4) for step in range(6)]
    assert weights == pytest.approx([0, 0.05, 0.2, 0.45, 0.8, 0.8])
    assert penalty_weight(0.8, 0, 0) == 0.8
    assert penalty_weight(0.8, 1, 4, "linear") == pytest.approx(0.2)
    assert penalty_weight(0.8, 0, 4, "constant") == 0.8


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate(1.0, step, warmup_steps=2, total_steps=6) for step in range(7)]
    assert rates == pytest.approx([0.5, 1, 1, 0.75, 0.5, 0.25, 0])
    flat = learning_rate(1.0, 5, warmup_steps=2, total_steps=6, decay="constant")
    assert flat == 1.0


def test_groups_pick_own_documents():
    scores = tensor([[1.0, 2, 3], [4, 5, 6]])
    groups = torch.tensor([[2, 0], [1, -1]])
    assert score_groups(scores, groups).tolist() == [[3, 1], [5, 0]]


def test_copies_of_the_positive_are_no_negatives():
    positive, groups = torch.tensor([0, 2]), torch.tensor([[0, 1], [2, -1]])
    texts = torch.tensor([7, 8, 7])
    both = excluded_documents(positive, groups, texts, in_batch=True)
    assert both.tolist() == [[True, False, True], [True, False, True]]
    own = excluded_documents(positive, groups, torch.tensor([7, 8, 9]), in_batch=False)
    assert own.tolist() == [[True, False, True], [True, True, True]]
