"""Examples at the end of the help of the main commands."""

from __future__ import annotations

_EXAMPLES: dict[str, tuple[str, ...]] = {
    "index": (
        "lsr index notes/ -o notes.index",
        "lsr index articles.jsonl -o articles.index --encoder bm25 --language de",
        "lsr index articles.jsonl -o articles.index --dense minilm",
    ),
    "add": (
        "lsr add notes.index new-notes/",
        "lsr add articles.index large.jsonl --commit-every 10000",
    ),
    "delete": (
        "lsr delete articles.index doc-17 doc-23",
        'lsr delete articles.index --filter \'{"year": {"$lt": 2000}}\' --dry-run',
        'lsr delete articles.index --filter \'{"year": {"$lt": 2000}}\' --yes',
    ),
    "search": (
        'lsr search notes.index "bitter tea"',
        'lsr search notes.index "bitter tea" -k 10 --offset 10 --explain',
        'lsr search articles.index "bitter tea" --filter \'{"lang": "en"}\' --json',
        "lsr search articles.index --topics queries.tsv -k 1000 -o run.trec",
    ),
    "serve": ("lsr serve notes.index", "lsr serve notes=notes.index articles.index --port 9000"),
    "eval": (
        "lsr eval scifact/ --encoder lsr-tiny-en --encoder bm25",
        "lsr eval scifact/ --index scifact.index --measures nDCG@10 --measures R@100",
    ),
    "train": (
        "lsr train recipe.yaml",
        "lsr train recipe.yaml --set optimizer.learning_rate=1e-5 --restart",
    ),
}


def examples_of(command: str) -> str | None:
    """Return the examples of a command, one on each line; None for one without."""
    lines = _EXAMPLES.get(command)
    return None if lines is None else "\n    ".join(["Examples:\n", *lines])
