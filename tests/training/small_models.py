"""Recipe sections over models small enough to be made on the spot, and a way to stop them."""

from lsr_training.recipe import Recipe
from lsr_training.recipe.sections import ModelSection
from tests.lsr.tiny_models import WORDS

LENGTHS = {"query": 8, "document": 16}
TEXTS = [
    "the man said that it was the first time",
    "which of these would you do now",
    "they were all there when he made them into some other like our new man",
    "so many of them can only be about time time time",
]


class Stop:
    """Ctrl-C after a step."""

    def __init__(self, step):
        self.step = step

    def __call__(self, report):
        if report.step == self.step:
            raise KeyboardInterrupt


def section(backbone, **more):
    return ModelSection.model_validate({"backbone": str(backbone), "max_length": LENGTHS, **more})


def write_pairs(path, n=24, negatives=2, seed=0, scores=False):
    """Write examples of random words whose query shares words with its positive."""
    import json
    import random

    rng = random.Random(seed)
    lines = []
    for _ in range(n):
        positive = rng.choices(WORDS, k=6)
        record = {
            "query": " ".join(rng.sample(positive, 3)),
            "positive": " ".join(positive),
            "negatives": [" ".join(rng.choices(WORDS, k=6)) for _ in range(negatives)],
        }
        if scores:
            record["scores"] = {
                "one": [9.0, *(rng.random() for _ in range(negatives))],
                "two": [0.9, *(rng.random() / 2 for _ in range(negatives))],
            }
        lines.append(json.dumps(record) + "\n")
    path.write_text("".join(lines))
    return path


def recipe(output, backbone, pairs, **more):
    """Return a recipe for a few steps of a tiny model."""
    content = {
        "output": str(output),
        "model": {"backbone": str(backbone), "max_length": LENGTHS},
        "data": {"sources": [{"path": str(pairs)}], "negatives": 1},
        "loss": {"infonce": {}},
        "penalties": {"document": {"weight": 0.01, "warmup_steps": 4}},
        "optimiser": {"lr": 1e-3, "warmup_steps": 2},
        "batch": {"queries": 6, "chunk": 4},
        "steps": 6,
        "checkpoint_steps": 3,
        "log_steps": 1,
        "device": "cpu",
    }
    return Recipe.model_validate({**content, **more})
