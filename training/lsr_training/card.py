"""Model card: recipe, training data and measurements of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_COLUMNS = (
    ("nDCG@10", "ndcg_10", ".4f"),
    ("FLOPS", "flops", ".3f"),
    ("nnz/query", "nnz_queries", ".1f"),
    ("nnz/document", "nnz_documents", ".1f"),
    ("postings/query", "postings_mean", ",.0f"),
)

_USE = """
```python
from lsr.encoders import load_encoder
encoder = load_encoder("path/to/this/folder")

from sentence_transformers import SparseEncoder
model = SparseEncoder("path/to/this/folder")
```
"""

_PARTLY = """
The heads of this model are known to no other program: `transformers` loads its backbone, the
weights of the heads are in `lsr_heads.safetensors`.

```python
from pathlib import Path
from lsr_training.export import load_heads
vectors = load_heads(Path("path/to/this/folder")).encode(["some text"], queries=False)
```
"""


def model_card(facts: Mapping[str, Any], *, loads_elsewhere: bool) -> str:
    """Return the model card as Markdown.

    `facts` has ``recipe``, ``sources`` (path, n_examples), ``step`` and ``measured`` (step to
    collection to values).
    """
    recipe = facts["recipe"]
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: feature-extraction",
        "tags: [sparse-encoder, sparse, splade]",
        "---",
        "",
        "# Learned sparse encoder",
        "",
        f"Trained from `{Path(recipe['model']['backbone']).name}` for {facts['step']:,} steps of "
        f"{recipe['batch']['queries'] * recipe['batch']['accumulate']} queries, seed "
        f"{recipe['seed']}. The whole recipe is in `recipe.json`.",
        "",
        f"* Documents: {_described(recipe['model']['document'])}",
        f"* Queries: {_described(recipe['model']['query'])}",
        f"* Losses: {', '.join(recipe['loss'])}",
        f"* Penalties: {_penalties(recipe['penalties'])}",
        "",
        "## Use",
        _USE if loads_elsewhere else _PARTLY,
        "## Data",
        "",
        *(f"* {Path(s['path']).name}: {s['n_examples']:,} examples" for s in facts["sources"]),
        "",
        "Check the licences of the data and of the backbone before publishing these weights.",
        "",
        *_measurements(facts),
    ]
    return "\n".join(lines)


def _described(head: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in head.items() if key != "head")
    return f"{head['head']} ({rest})" if rest else str(head["head"])


def _penalties(penalties: Mapping[str, Any]) -> str:
    sides = [
        f"{penalties[side]['kind']} {penalties[side]['weight']} on {side} vectors"
        for side in ("document", "query")
        if penalties.get(side)
    ]
    return ", ".join(sides) or "none"


def _measurements(facts: Mapping[str, Any]) -> list[str]:
    if not facts["measured"]:
        return ["## Measured", "", "Nothing was measured during training.", ""]
    heading = "| step | collection | " + " | ".join(name for name, _, _ in _COLUMNS) + " |"
    lines = ["## Measured", "", heading, "|" + "---|" * (2 + len(_COLUMNS))]
    for step, collections in facts["measured"].items():
        for name, values in collections.items():
            cells = [format(values[key], style) for _, key, style in _COLUMNS]
            lines.append(f"| {step} | {name} | " + " | ".join(cells) + " |")
    note = "Step 0 is the model before training. The best step was chosen by these numbers."
    return [*lines, "", note, ""]
