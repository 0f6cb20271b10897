"""Held-out split of pairs: training data, and a judged collection of unseen queries.

``python -m lsr_training.held_out PAIRS --out FOLDER [--dev 100] [--test 200] [--documents 1000]``
writes ``train.jsonl`` and, in BEIR layout, a collection with the splits dev and test. Pairs that
share a query or a document stay on one side, so that an unseen query is answered by an unseen
document. Choose settings by dev, report test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from lsr.errors import LsrError, UsageError
from lsr_training.data import Example, load_examples
from lsr_training.mining.collection import key
from lsr_training.recipe.schema import Source


@dataclass(frozen=True)
class HeldOut:
    """Numbers of queries in each part, and of documents in the collection."""

    train: int
    dev: int
    test: int
    documents: int


def hold_out(
    source: Source,
    out: Path,
    *,
    dev: int = 100,
    test: int = 200,
    documents: int = 1000,
    seed: int = 42,
) -> HeldOut:
    """Split the pairs of a source.

    Parameters
    ----------
    source : Source
    out : Path
        Folder to make.
    dev, test : int
        Pairs held out.
    documents : int
        Size of the collection: the held-out documents and, up to this number, documents of the
        training pairs.
    seed : int
        Of the shuffling.

    Raises
    ------
    UsageError
        `out` exists, or nothing would be left to train on.
    """
    if out.exists():
        raise UsageError(f"{out}: exists already; remove it or choose another folder")
    examples = list(load_examples(source).items)
    if len(examples) <= dev + test:
        raise UsageError(
            f"{source.path}: {len(examples)} pairs, of which {dev + test} are to be held out; "
            "nothing is left to train on, hold out fewer"
        )
    groups = _groups(examples)
    order = np.random.default_rng(seed).permutation(len(groups))
    parts = _fill([groups[i] for i in order], {"test": test, "dev": dev})
    (out / "qrels").mkdir(parents=True)
    numbers: dict[str, str] = {}
    for split in ("dev", "test"):
        _write_split(out, split, [examples[i] for i in parts[split]], numbers)
    rest = [examples[i] for i in parts["train"]]
    for example in rest:
        if len(numbers) >= documents:
            break
        numbers.setdefault(example.documents[0], f"d{len(numbers)}")
    _write_lines(out / "corpus.jsonl", [{"_id": n, "text": t} for t, n in numbers.items()])
    _write_lines(out / "train.jsonl", [_record(example) for example in rest])
    return HeldOut(len(rest), len(parts["dev"]), len(parts["test"]), len(numbers))


def _groups(examples: Sequence[Example]) -> list[list[int]]:
    """Return examples that share a query or a positive, together."""
    leader = list(range(len(examples)))

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    seen: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        for side in (("query", key(example.query)), ("document", key(example.documents[0]))):
            leader[find(i)] = find(seen.setdefault(side, i))
    groups: dict[int, list[int]] = {}
    for i in range(len(examples)):
        groups.setdefault(find(i), []).append(i)
    return list(groups.values())


def _fill(groups: Sequence[Sequence[int]], wanted: dict[str, int]) -> dict[str, list[int]]:
    """Assign groups to parts until they have their numbers of pairs; the rest is training data."""
    parts: dict[str, list[int]] = {**{name: [] for name in wanted}, "train": []}
    for group in groups:
        open_parts = [n for n, size in wanted.items() if len(parts[n]) + len(group) <= size]
        parts[open_parts[0] if open_parts else "train"].extend(group)
    return parts


def _write_split(
    out: Path, split: str, examples: Sequence[Example], numbers: dict[str, str]
) -> None:
    """Write the judgments of a split and append its queries; number its documents."""
    queries: dict[str, str] = {}
    judged = {"query-id\tcorpus-id\tscore": None}
    for example in examples:
        document = numbers.setdefault(example.documents[0], f"d{len(numbers)}")
        query = queries.setdefault(example.query, f"{split}{len(queries)}")
        judged[f"{query}\t{document}\t1"] = None
    _write_lines(out / "queries.jsonl", [{"_id": n, "text": t} for t, n in queries.items()])
    (out / "qrels" / f"{split}.tsv").write_text("\n".join(judged) + "\n", encoding="utf-8")


def _write_lines(path: Path, records: Sequence[dict[str, object]]) -> None:
    with path.open("ab") as file:
        file.writelines(orjson.dumps(record) + b"\n" for record in records)


def _record(example: Example) -> dict[str, object]:
    positive, *negatives = example.documents
    more = {"negatives": negatives, "scores": dict(example.scores)}
    filled = {name: value for name, value in more.items() if value}
    return {"query": example.query, "positive": positive, **filled}


def main() -> int:
    """Run from the command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m lsr_training.held_out", description=__doc__)
    parser.add_argument("pairs", help=".jsonl, .tsv (.gz), .parquet, BEIR folder, ir-datasets:ID")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    for name, usual in (("dev", 100), ("test", 200), ("documents", 1000), ("seed", 42)):
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"default {usual}")
    arguments = vars(parser.parse_args())
    try:
        held = hold_out(Source(path=arguments.pop("pairs")), **arguments)
    except LsrError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(
        f"{held.train:,} pairs to train on; {held.documents:,} documents with {held.dev:,} queries "
        f"of dev and {held.test:,} of test\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
