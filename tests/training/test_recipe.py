"""Recipes: overrides, and errors that say which key."""

from pathlib import Path

import pytest

from lsr.errors import UsageError
from lsr_training.recipe import read_recipe

MINIMAL = """
output: runs/x
model: {backbone: some/model}
data: {sources: [{path: pairs.jsonl}]}
loss: {infonce: {}}
steps: 10
"""


@pytest.fixture
def recipe_file(tmp_path):
    pytest.importorskip("yaml", reason="needs PyYAML")
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL)
    return path


def test_defaults_are_filled_in(recipe_file):
    recipe = read_recipe(recipe_file)
    assert recipe.model.document.head == "mlm"
    assert recipe.model.query.head == "shared"
    assert recipe.optimiser.weight_decay == 0.01


def test_overrides_reach_into_sections_and_lists(recipe_file):
    recipe = read_recipe(
        recipe_file,
        [
            "optimiser.lr=1e-3",
            "data.sources.0.limit=5",
            "penalties.document={kind: l0, weight: 0.08, threshold: 150}",
            "model.query.head=tokens",
        ],
    )
    assert recipe.optimiser.lr == 1e-3
    assert recipe.data.sources[0].limit == 5
    assert recipe.penalties.document is not None
    assert recipe.penalties.document.kind == "l0"
    assert recipe.model.query.head == "tokens"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=1", "unknown key optimizer; did you mean optimiser?"),
        ("penalties.document={wieght: 1}", "wieght; did you mean weight?"),
        ("data.sources.0.splits=dev", "unknown key data.sources.0.splits; did you mean split?"),
        ("model.document.poolign=sum", "poolign; did you mean pooling?"),
        ("model.query={head: tokens, tabel: idf}", "tabel; did you mean table?"),
        ("steps=0", "steps: "),
        ("loss={}", "loss: no loss"),
        ("loss.infonce=null", "no loss"),
        ("penalties.query={weight: 1}", None),
        ("data.sources.7.path=x", "no position"),
        ("steps.a=1", "steps is a value"),
        ("steps.a.b=1", "nothing can be set"),
        ("steps", "expected key=value"),
        ("steps=[", "not valid YAML"),
    ],
)
def test_errors_name_the_key(recipe_file, override, message):
    if message is None:
        assert read_recipe(recipe_file, [override])
        return
    with pytest.raises(UsageError) as caught:
        read_recipe(recipe_file, [override])
    assert message in str(caught.value)


def test_a_fixed_query_table_takes_no_penalty(recipe_file):
    with pytest.raises(UsageError, match="fixed table"):
        read_recipe(recipe_file, ["model.query={head: tokens}", "penalties.query={weight: 1}"])


def test_distillation_needs_documents_to_compare(recipe_file):
    with pytest.raises(UsageError, match=r"set data\.negatives"):
        read_recipe(recipe_file, ["loss.kl={}", "data.negatives=0"])


@pytest.mark.parametrize("content", [b"- a list", b"\xff\xfe", b"a: [", b""])
def test_no_recipe(tmp_path, content):
    pytest.importorskip("yaml", reason="needs PyYAML")
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"recipe\.yaml"):
        read_recipe(path)


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")


RECIPES = sorted(
    (Path(__file__).parents[2] / "training" / "lsr_training" / "recipes").glob("*.yaml")
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_packaged_recipes_are_valid(path):
    pytest.importorskip("yaml", reason="needs PyYAML")
    assert read_recipe(path).steps > 0
