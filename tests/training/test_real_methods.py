"""Every packaged recipe trains a real encoder on real texts, in seconds.

Recipes run as they are but for size: backbone, lengths, steps, batch, and a tenth of the penalty's
weight. Learning rates and the temperature of the divergence were chosen by the split dev; what is
compared here is the split test, whose queries and documents no training saw.
"""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")
pytest.importorskip("yaml", reason="needs PyYAML")

from safetensors.torch import load_file  # noqa: E402

from lsr_training.recipe import read_recipe  # noqa: E402
from lsr_training.trainer import train  # noqa: E402
from tests.shared import shared_path  # noqa: E402
from tests.training.real_set import LENGTHS, make_real_set  # noqa: E402
from tests.training.small_models import Stop  # noqa: E402

RECIPES = {
    path.stem: path
    for path in sorted(
        (Path(__file__).parents[2] / "training" / "lsr_training" / "recipes").glob("*.yaml")
    )
    if not path.stem.startswith("default")
}
RATES = {
    "deepimpact": 1e-3,
    "splade-v2-distil": 3e-4,
    "unicoil": 3e-4,
    "unified-qmlp-dmlm": 3e-4,
}
NEGATIVES = {"splade-v2-distil": 3}
STEPS = 40

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real_set(tmp_path_factory):
    encoder = shared_path("models/splade-tiny")
    pairs = shared_path("data/pairs/scitldr.jsonl.gz")
    return make_real_set(tmp_path_factory.mktemp("real"), encoder, pairs)


def small(name, real, output, *, factor=0.1, evaluated=True):
    """Return a packaged recipe made small, the weights of its penalties times a factor."""
    as_it_is = read_recipe(RECIPES[name])
    overrides = {
        "output": output,
        "model.backbone": real.backbone,
        "model.max_length": json.dumps(LENGTHS),
        "data.sources": json.dumps([{"path": str(real.train)}]),
        "data.negatives": NEGATIVES.get(name, min(3, as_it_is.data.negatives)),
        "optimiser.lr": RATES.get(name, 1e-4),
        "optimiser.warmup_steps": 4,
        "optimiser.max_grad_norm": 1.0,
        "batch": "{queries: 6, chunk: 32}",
        "steps": STEPS,
        "log_steps": 1,
        "checkpoint_steps": 1000,
        "device": "cpu",
        "evaluation": json.dumps(
            {"collections": [str(real.collection)] if evaluated else [], "every_steps": STEPS}
        ),
    }
    if as_it_is.loss.kl is not None:
        # Scores of an encoder that errs are too far apart for the divergence as it is; to lessen
        # it, all weights would shrink first.
        overrides["loss.kl.temperature"] = 10
    if not as_it_is.teachers.normalise:
        overrides["teachers.names"] = json.dumps([str(real.teacher)])
    for side in ("document", "query"):
        penalty = getattr(as_it_is.penalties, side)
        if penalty is not None:
            overrides[f"penalties.{side}.weight"] = factor * penalty.weight
            overrides[f"penalties.{side}.warmup_steps"] = 8
            overrides[f"penalties.{side}.refresh_steps"] = 5
            overrides[f"penalties.{side}.threshold"] = 40
    return read_recipe(RECIPES[name], [f"{key}={value}" for key, value in overrides.items()])


def records(recipe, kind):
    lines = (Path(recipe.output) / "log.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == kind]


def objective(steps):
    """Return the mean loss of some steps, penalties left out."""
    parts = [r["parts"] for r in steps]
    return sum(v for p in parts for k, v in p.items() if not k.endswith(("document", "query")))


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_falls_and_unseen_queries_are_answered_better(real_set, tmp_path, name):
    recipe = small(name, real_set, tmp_path / "run")
    train(recipe)
    steps = records(recipe, "step")
    assert len(steps) == STEPS
    assert objective(steps[STEPS // 2 :]) < objective(steps[: STEPS // 2])
    start, end = records(recipe, "evaluation")
    assert (start["step"], end["step"]) == (0, STEPS)
    assert end["ndcg_10"] > start["ndcg_10"] + 0.005


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("splade-v2-max", "documents"),
        ("splade-v2-max", "queries"),
        ("inference-free-df-flops", "documents"),
        ("inference-free-l0", "documents"),
        ("splade-v3-lexical", "queries"),
    ],
)
def test_more_penalty_is_fewer_non_zeros(real_set, tmp_path, name, side):
    found = []
    for factor in (0.0, 30.0, 1000.0):
        recipe = small(name, real_set, tmp_path / str(factor), factor=factor, evaluated=False)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, on_step=Stop(14))
        found.append(sum(r[f"nnz_{side}"] for r in records(recipe, "step")[-3:]) / 3)
    assert found[0] > found[1] > found[2]


def test_resumed_equals_uninterrupted_bit_for_bit(real_set, tmp_path):
    weights = []
    for name in ("whole", "resumed"):
        recipe = small("inference-free-df-flops", real_set, tmp_path / name, evaluated=False)
        recipe = recipe.model_copy(update={"steps": 9})
        if name == "resumed":
            with pytest.raises(KeyboardInterrupt):
                train(recipe, on_step=Stop(6))
        weights.append(load_file(train(recipe).model / "model.safetensors"))
    assert all(torch.equal(tensor, weights[1][key]) for key, tensor in weights[0].items())
