"""Sparse vectors by an exported int8 graph: no torch, no transformers.

The graph takes the pieces of one text and returns terms and weights, zeros included. It is written
by ``lsr_training.onnx_graph`` for SPLADE models, by ``lsr_training.default_model.int8_graph`` for
the default encoder, where it names places in ``model.safetensors`` instead of holding numbers. One
text at a time: the scales of the quantisation depend on that text alone, so its vector is the same
in any batch. Texts run in parallel, one a core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import WEIGHTS as WEIGHTS_FILE
from lsr.encoders.neural.model_files import read_json, sha256_of, tokenizer_sha256
from lsr.encoders.neural.onnx_session import open_session
from lsr.encoders.neural.word_pieces import WordPieces, input_length
from lsr.errors import ModelError
from lsr.machine import cpu_count
from lsr.sparse import SparseBatch

GRAPH = "encoder-int8.onnx"
INPUT, WEIGHTS, TERMS = "ids", "weights", "terms"
_CHUNK = 16
_T = TypeVar("_T")


class OnnxVectors:
    """Sparse vectors by an exported graph, beside its ``tokenizer.json`` and ``config.json``.

    `max_length` replaces the model's own limit in pieces. Raises ModelError without a usable graph.
    """

    def __init__(self, folder: Path, *, max_length: int | None) -> None:
        self._graph = folder / GRAPH
        self._folder = folder
        config = read_json(folder / "config.json")
        longest = int(config.get("max_position_embeddings", 512))
        usual = read_json(folder / "tokenizer_config.json").get("model_max_length")
        try:
            tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{folder}: no tokenizer.json ({error})") from error
        length = input_length(max_length, int(usual or longest), longest)
        self.pieces = WordPieces(tokenizer, max_length=length)
        self._session = _session(self._graph)
        self.n_terms = int(config.get("vocab_size", self.pieces.n_terms))

    def identity(self) -> dict[str, Any]:
        """Return everything that shapes these vectors, as JSON values."""
        return {
            "model": sha256_of(self._files()),
            "architecture": "onnx-int8",
            "tokenizer": tokenizer_sha256(self._folder),
            "special_tokens": "dropped",
            "lowercase": False,
            "max_length": self.pieces.max_length,
            "prompt": "",
        }

    def encode(self, ids: Sequence[NDArray[np.int64]]) -> SparseBatch:
        """Return the vectors of texts given as piece ids; texts without pieces get empty ones."""
        rows = self._map(self._vector, ids)
        filled = [SparseBatch.empty(1) if row is None else row for row in rows]
        return SparseBatch.concatenate(filled)

    def run(self, ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the graph's weights of texts with pieces, (n, n_weights) float32 with zeros."""
        return np.stack(
            [w for w in self._map(lambda row: self._outputs(row)[0], ids) if w is not None]
        )

    def _map(self, make: Callable[[NDArray[np.int64]], _T], ids: Sequence[Any]) -> list[_T | None]:
        """Call `make` with every text that has pieces, on all cores, longest first."""
        order = sorted((i for i, row in enumerate(ids) if len(row)), key=lambda i: -len(ids[i]))
        chunks = [order[at : at + _CHUNK] for at in range(0, len(order), _CHUNK)]
        made: list[_T | None] = [None] * len(ids)

        def make_chunk(rows: list[int]) -> None:
            for row in rows:
                made[row] = make(ids[row])

        with _pool(len(chunks)) as pool:
            list(pool.map(make_chunk, chunks))
        return made

    def _outputs(self, row: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        weights, terms = self._session.run([WEIGHTS, TERMS], {INPUT: row[None]})
        return weights, terms

    def _vector(self, row: NDArray[np.int64]) -> SparseBatch:
        weights, terms = self._outputs(row)
        active = np.flatnonzero(weights > 0)
        active = active[np.argsort(terms[active], kind="stable")]
        return SparseBatch.of_lengths(
            [len(active)], terms[active].astype(np.uint32), weights[active]
        )

    def _files(self) -> list[Path]:
        """Return the graph, and the file of its numbers where it holds none."""
        weights = self._folder / WEIGHTS_FILE
        apart = weights.is_file() and WEIGHTS_FILE.encode() in self._graph.read_bytes()
        return [self._graph, weights] if apart else [self._graph]


@contextmanager
def _pool(n_chunks: int) -> Iterator[ThreadPoolExecutor]:
    """Run chunks on all cores; an exception, Ctrl-C among them, drops what has not begun."""
    pool = ThreadPoolExecutor(max(1, min(cpu_count(), n_chunks)), "encode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _session(graph: Path) -> Any:
    if not graph.is_file():
        raise ModelError(
            f"{graph}: there is no such file; export the model again, or use the backend torch"
        )
    # One core for each text: texts in parallel need no waiting for each other.
    session = open_session(graph, n_threads=1)
    names = {put.name for put in session.get_outputs()}, {p.name for p in session.get_inputs()}
    if names != ({WEIGHTS, TERMS}, {INPUT}):
        raise ModelError(f"{graph}: is another kind of graph; export the model again")
    return session
