"""Tables of query weights: inverse document frequencies, or what a model brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CollectionStatistics
from lsr.encoders.neural.model_files import read_json
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import ModelError
from lsr.sparse import MAX_WEIGHT


def inverse_document_frequency(
    statistics: CollectionStatistics, n_terms: int
) -> NDArray[np.float32]:
    """Return ``ln(1 + (N - n + 0.5) / (n + 0.5))`` of every term, (n_terms,) float32, above 0.

    `N` documents were counted, `n` of them hold the term; uncounted terms occur nowhere.
    """
    held = np.zeros(n_terms, np.float64)
    counted = statistics.document_frequency[:n_terms]
    held[: len(counted)] = counted
    return np.log1p((statistics.n_docs - held + 0.5) / (held + 0.5)).astype(np.float32)


def read_table(path: Path, pieces: WordPieces) -> NDArray[np.float32]:
    """Read the query weights of a model; raises ModelError.

    Parameters
    ----------
    path : Path
        ``idf.json`` (piece to weight) or a safetensors file with the array ``weight``.
    pieces : WordPieces
        The tokenizer the table belongs to.

    Returns
    -------
    (n_terms,) float32
        0 for pieces that are not in the table.
    """
    if path.suffix == ".json":
        return _table_of_json(path, pieces)
    table = _table_of_safetensors(path, pieces.n_terms)
    bad = np.flatnonzero(~((table >= 0) & (table <= MAX_WEIGHT)))
    if len(bad):
        raise _bad_weight(path, pieces.term(int(bad[0])), table[bad[0]])
    return table


def _table_of_json(path: Path, pieces: WordPieces) -> NDArray[np.float32]:
    table = np.zeros(pieces.n_terms, np.float32)
    entries = read_json(path)
    found = 0
    for piece, weight in entries.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= MAX_WEIGHT:
            raise _bad_weight(path, piece, weight)
        term_id = pieces.term_id(piece)
        if term_id is not None:
            table[term_id] = weight
            found += 1
    if 2 * found <= len(entries):
        raise ModelError(
            f"{path}: of {len(entries)} pieces the tokenizer knows {found}; "
            "the table belongs to another vocabulary"
        )
    return table


def _bad_weight(path: Path, piece: str, weight: object) -> ModelError:
    return ModelError(
        f"{path}: the weight of {piece!r} is {weight!s:.40}; "
        f"expected a number from 0 to {MAX_WEIGHT:g}"
    )


def _table_of_safetensors(path: Path, n_terms: int) -> NDArray[np.float32]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        table = load_file(path)["weight"].astype(np.float32).ravel()
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as a table of weights ({error})") from error
    if len(table) < n_terms:
        raise ModelError(
            f"{path}: {len(table)} weights for {n_terms} pieces; expected one for each"
        )
    return np.asarray(table[:n_terms], np.float32)
