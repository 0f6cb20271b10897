"""Every method learns, on words drawn at random and a tiny model, without anything else at hand.

On real texts with a real encoder, where frozen IDF tables and distillation can show what they are
worth: `tests/training/test_real_methods.py`.
"""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

from lsr_training.ablation import run_ablation, table  # noqa: E402
from lsr_training.data import load_examples  # noqa: E402
from lsr_training.recipe import Recipe  # noqa: E402
from lsr_training.recipe.schema import Source  # noqa: E402
from lsr_training.trainer import train  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from tests.training.small_models import LENGTHS, write_pairs  # noqa: E402

STEPS = 40
INFONCE = {"infonce": {}}
METHODS = {
    "splade-sum": {"model": {"document": {"pooling": "sum"}}, "loss": INFONCE},
    "splade-max": {"model": {}, "loss": INFONCE},
    "lexical": {"model": {"query": {"head": "shared", "lexical": True}}, "loss": INFONCE},
    "separate": {
        "model": {"query": {"head": "mlm"}},
        "loss": {"margin_mse": {"weight": 0.01}, "infonce": {}},
    },
    "unicoil": {"model": {"document": {"head": "mlp"}, "query": {"head": "mlp"}}, "loss": INFONCE},
    "deepimpact": {
        "model": {
            "document": {"head": "mlp", "layers": 2, "occurrence": "first"},
            "query": {"head": "tokens", "table": "binary"},
        },
        "loss": INFONCE,
        "optimiser": {"lr": 1e-2, "warmup_steps": 4},
    },
    "free-learned-double-log": {
        "model": {
            "query": {"head": "tokens", "table": "learned"},
            "document": {"activation": "log1p_relu"},
        },
        "loss": INFONCE,
    },
    "free-projected": {
        "model": {"query": {"head": "tokens", "table": "projected"}}, "loss": INFONCE,
    },
}  # fmt: skip


def write_collection(folder, examples):
    """Write queries and all their documents as a judged collection; the positive is relevant."""
    (folder / "qrels").mkdir(parents=True)
    documents, queries, judged = [], [], ["query-id\tcorpus-id\tscore"]
    for i, example in enumerate(examples):
        queries.append(json.dumps({"_id": f"q{i}", "text": example.query}))
        judged.append(f"q{i}\td{i}.0\t1")
        for j, text in enumerate(example.documents):
            documents.append(json.dumps({"_id": f"d{i}.{j}", "text": text}))
    (folder / "corpus.jsonl").write_text("\n".join(documents))
    (folder / "queries.jsonl").write_text("\n".join(queries))
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the folder of a tiny model with training pairs and a collection of other pairs."""
    folder = tmp_path_factory.mktemp("small")
    save_model(folder / "backbone")
    write_pairs(folder / "train.jsonl", n=200, scores=True)
    other = load_examples(Source(path=str(write_pairs(folder / "test.jsonl", n=40, seed=1)))).items
    write_collection(folder / "test", other)
    return folder


def recipe_of(folder, output, lengths=LENGTHS, **more):
    content = {
        "output": str(output),
        "data": {"sources": [{"path": str(folder / "train.jsonl")}], "negatives": 1},
        "penalties": {"document": {"weight": 0.001, "warmup_steps": 20}},
        "optimiser": {"lr": 3e-3, "warmup_steps": 4, "max_grad_norm": 1.0},
        "batch": {"queries": 16, "chunk": 32},
        "loss": INFONCE,
        "teachers": {"scale": 8.0},
        "evaluation": {"collections": [str(folder / "test")], "every_steps": 1000},
        "steps": STEPS,
        "log_steps": 1,
        "device": "cpu",
        **more,
    }
    content["model"] = {
        "backbone": str(folder / "backbone"), "max_length": lengths, **more.get("model", {})
    }  # fmt: skip
    return Recipe.model_validate(content)


def run(recipe):
    """Train; return the log's steps, and the first and the last evaluation."""
    from pathlib import Path

    train(recipe)
    lines = (Path(recipe.output) / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    evaluations = [r for r in records if r["kind"] == "evaluation"]
    return [r for r in records if r["kind"] == "step"], evaluations[0], evaluations[-1]


def loss_of(steps):
    return sum(v for s in steps for k, v in s["parts"].items() if "flops" not in k) / len(steps)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_and_unseen_queries_are_answered_better(small, tmp_path, method):
    steps, start, end = run(recipe_of(small, tmp_path / "run", **METHODS[method]))
    assert loss_of(steps[-8:]) < loss_of(steps[:8])
    assert end["ndcg_10"] > start["ndcg_10"]


def test_sparsity_follows_the_weight(small, tmp_path):
    flops = []
    for weight in (0.0, 0.05, 1.0):
        penalties = {"document": {"weight": weight, "warmup_steps": 10}}
        _, _, end = run(recipe_of(small, tmp_path / str(weight), penalties=penalties))
        flops.append(end["flops"])
    assert flops[0] > flops[1] > flops[2]


def test_the_ablation_measures_every_penalty(small, tmp_path):
    recipe = recipe_of(small, tmp_path / "runs", steps=4)
    rows = run_ablation(recipe, scales=[1.0])
    assert [row.variant for row in rows] == [
        "FLOPS", "IDF-aware FLOPS", "DF-FLOPS", "l0 mask", "l0 mask + double log",
    ]  # fmt: skip
    text = table(rows)
    assert all(f"{row.measured.ndcg_10:.4f}" in text for row in rows)
    again = run_ablation(recipe, scales=[1.0])
    assert again == rows
