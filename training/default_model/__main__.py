"""Make the default model again: ``python -m training.default_model``.

Reads the pairs, embeds them with the dense teacher, mines, trains and writes the folder that ships.
Stopped, the same command goes on where it was. About an hour on one core of a CPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from lsr.encoders.idf import inverse_document_frequency
from lsr.encoders.word_pieces import WordPieces
from lsr.errors import LsrError
from training.default_model.export import LENGTH, export_default
from training.default_model.loop import Settings, train
from training.default_model.material import allowed_terms, make_material
from training.default_model.pool import SOURCES, read_pool
from training.default_model.student import Student
from training.models.backbone import load_backbone

LEARNED = 0.4
TOP_K = 100
"""Weight of the learned half and terms kept of a document, chosen on the held-out sets that the
model's card names."""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.default_model", description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the .jsonl.gz pairs")
    parser.add_argument("--start", required=True, help="the encoder to start from: splade-tiny")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and embeddings")
    parser.add_argument("--out", type=Path, required=True, help="the folder that ships")
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--untrained", action="store_true", help="export the start as it is")
    return parser.parse_args(argv)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def make(given: argparse.Namespace) -> None:
    """Train and export."""
    pool = read_pool(given.pairs)
    backbone, tokenizer = load_backbone(given.start)
    student = Student(backbone)
    settings = Settings(steps=0 if given.untrained else given.steps)
    if settings.steps:
        material, ranked = make_material(pool, tokenizer, given.teacher, given.work, _tell)
        train(student, material, pool, ranked, settings, given.work / "run", _tell)
    pieces = WordPieces(tokenizer, max_length=LENGTH)
    counts = pieces.count(pool.documents, pieces.encode(pool.documents))
    table = inverse_document_frequency(counts, pieces.n_terms)
    table[pieces.special_ids] = 0
    facts = {
        "recipe": {
            "model": {
                "backbone": Path(given.start).name,
                "document": {"head": "mlm"},
                "query": {"head": "tokens", "table": "idf"},
            },
            "batch": {"queries": settings.queries, "accumulate": 1},
            "seed": settings.seed,
            "loss": {"kl": {}, "infonce": {}},
            "penalties": {},
            "default_model": settings.plain(),
        },
        "sources": [{"path": source.name, "n_examples": source.used} for source in SOURCES],
        "step": settings.steps,
        "measured": {},
    }
    export_default(
        student,
        tokenizer,
        table,
        allowed_terms(pieces),
        facts,
        given.out,
        learned=LEARNED,
        top_k=TOP_K,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    try:
        torch.manual_seed(Settings().seed)
        make(_arguments(argv))
    except LsrError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
