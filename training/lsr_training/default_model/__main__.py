"""Training of the default model: ``python -m lsr_training.default_model``.

Embeds query-like texts with the dense teacher, fits a vector for each word piece to the embeddings,
converts the teacher into an int8 graph with these vectors as its last layer, and writes the folder
of the package. An interrupted run is resumed by the same command. Takes 15 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.analysis import Analyzer
from lsr.encoders.neural.idf import inverse_document_frequency
from lsr.encoders.neural.onnx_vectors import OnnxVectors
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import LsrError
from lsr_training.default_model.export import export_default
from lsr_training.default_model.int8_graph import Head, write_graph
from lsr_training.default_model.pool import PAIRS, PASSAGES, SEED, Pool, read_pool
from lsr_training.default_model.regression import bag_of_pieces, fit_table, reduce_rank, unexplained
from lsr_training.default_model.smoothing import measure_smoothing
from lsr_training.default_model.teacher import embed, load_teacher
from lsr_training.default_model.thresholds import FAVOUR, SHARE, fit_thresholds

LEARNED, TOP_K, RIDGE, RANK, FEWEST = 7.6, 100, 20.0, 256, 5
"""Factor of the learned half beside BM25 (part of the head, so that the weights of both halves are
alike and share a quantisation scale), terms kept of a document, cost of leaving the prior, rank of
the table, and in how many queries a piece must stand to be a term. The card says what each was
chosen on; the last two are what 25 MB have room for."""
DOCUMENTS, CALIBRATION, HELD_OUT = 6000, 100, 6000
TRAINING_LENGTH = 128


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lsr_training.default_model", description=__doc__
    )
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the .jsonl.gz pairs")
    parser.add_argument("--passages", type=Path, required=True, help="folder of the passages")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--work", type=Path, required=True, help="keeps embeddings")
    parser.add_argument("--out", type=Path, required=True, help="the folder that ships")
    return parser.parse_args(argv)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def make(given: argparse.Namespace) -> None:
    """Fit and export the model."""
    pool = read_pool(given.pairs, given.passages)
    network, tokenizer = load_teacher(given.teacher)
    config = json.loads((given.teacher / "config.json").read_text(encoding="utf-8"))
    pieces = WordPieces(tokenizer, max_length=TRAINING_LENGTH)
    weights = {name: values.numpy() for name, values in network.state_dict().items()}
    rows = pieces.encode(pool.documents[:CALIBRATION])
    smoothing = measure_smoothing(network, [row for row in rows if len(row)])
    _tell(f"embeddings of {DOCUMENTS} documents, as the exported graph makes them")
    documents = _document_embeddings(
        weights, config, smoothing, tokenizer, pool.documents[:DOCUMENTS], given.work
    )
    counts = pieces.count(pool.documents, pieces.encode(pool.documents))
    idf = inverse_document_frequency(counts, pieces.n_terms)
    idf[pieces.special_ids] = 0
    table, seen, facts = _fitted(network, tokenizer, pieces, idf, pool, documents, given.work)
    allowed = _allowed_terms(pieces)
    kept = allowed[seen[allowed] >= FEWEST]
    terms, reduced, share = reduce_rank(table[kept], documents, RANK)
    _tell(f"rank {RANK} keeps {share:.4f} of the variance of scores")
    exceeded = fit_thresholds(terms, reduced, documents, seen[kept], min(TOP_K, len(kept)))
    head = Head(kept, LEARNED * terms, reduced, documents.mean(axis=0), LEARNED * exceeded, TOP_K)
    recipe = {
        "sources": [source._asdict() for source in (*PAIRS, *PASSAGES)],
        "seed": SEED, "ridge": RIDGE, "rank": RANK, "top_k": TOP_K, "learned": LEARNED,
        "threshold": {"share": SHARE, "favour": FAVOUR},
        "documents": len(documents), "variance_kept_by_rank": round(share, 4), **facts,
    }  # fmt: skip
    export_default(weights, config, smoothing, head, idf, tokenizer, recipe, given.out)


def _document_embeddings(
    weights: dict[str, NDArray[Any]],
    config: dict[str, Any],
    smoothing: dict[str, NDArray[np.float32]],
    tokenizer: str,
    texts: Sequence[str],
    work: Path,
) -> NDArray[np.float32]:
    """Return the embeddings of texts by the graph without a head, (n, n_hidden)."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        write_graph(weights, config, smoothing, None, folder)
        for file, content in (
            ("config.json", json.dumps(config)),
            ("tokenizer.json", tokenizer),
            ("tokenizer_config.json", "{}"),
        ):
            (folder / file).write_text(content, encoding="utf-8")
        graph = OnnxVectors(folder, max_length=TRAINING_LENGTH)
        return graph.run(graph.pieces.encode(texts))


def _fitted(
    network: Any,
    tokenizer: str,
    pieces: WordPieces,
    idf: NDArray[np.float32],
    pool: Pool,
    documents: NDArray[np.float32],
    work: Path,
) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[str, Any]]:
    """Return a vector for each piece, its number of queries, and facts about the fit."""
    targets = embed(network, tokenizer, pool.queries, work / "queries",
                    lambda done, of: _tell(f"teacher: query {done:,} of {of:,}"))  # fmt: skip
    singles = embed(network, tokenizer, [pieces.term(i) for i in range(pieces.n_terms)],
                    work / "pieces")  # fmt: skip
    specials = pieces.special_ids
    rows = [np.setdiff1d(row, specials) for row in pieces.encode(pool.queries)]
    bag = bag_of_pieces(rows, idf)
    _tell("regression")
    left_out = slice(None, None, len(rows) // HELD_OUT)
    used = np.ones(len(rows), np.bool_)
    used[left_out] = False
    trial = fit_table(bag[used], targets[used], singles, ridge=RIDGE)
    missed = unexplained(bag[~used], targets[~used], trial, documents)
    _tell(f"{missed:.4f} of the variance of scores is left unexplained in queries left out")
    table = fit_table(bag, targets, singles, ridge=RIDGE)
    facts = {"queries": len(rows), "unexplained_in_queries_left_out": round(missed, 4)}
    seen = np.bincount(bag.indices, minlength=pieces.n_terms)
    return table, seen, facts


def _allowed_terms(pieces: WordPieces) -> NDArray[np.int64]:
    """Return the terms that may be active: no stop words, punctuation or single characters.

    Their posting lists would be the longest, and the BM25 half weights them better.
    """
    analyzer = Analyzer()
    kept = []
    for term_id in np.setdiff1d(np.arange(pieces.n_terms), pieces.special_ids).tolist():
        term = pieces.term(term_id)
        letters = term.removeprefix("##")
        if not (letters.isascii() and letters.isalnum()) or len(letters) == 1:
            continue
        if letters != term or analyzer.terms(term):
            kept.append(term_id)
    return np.array(kept, np.int64)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        torch.manual_seed(SEED)
        given = _arguments(argv)
        given.work.mkdir(parents=True, exist_ok=True)
        make(given)
    except LsrError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
