"""Document vectors through an exported int8 graph: no torch, no transformers.

The graph (``training.onnx_graph`` writes it) takes the pieces of one text and returns the largest
logit of each term over the tokens: transformer, projection in int8 tiles and pooling in one, for
the terms only that can become active. One text at a time, so there is no padding, and the scales of
the quantisation depend on nothing but the text: its vector is the same in any batch. Texts run in
parallel, one a core, in runs of similar length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.model_files import read_json, sha256_of, tokenizer_sha256
from lsr.encoders.word_pieces import WordPieces
from lsr.errors import ModelError, UsageError
from lsr.sparse import SparseBatch

GRAPH = "encoder-int8.onnx"
INPUT, LOGITS, TERMS = "ids", "logits", "terms"
_CHUNK = 16


class OnnxVectors:
    """Texts to vectors with an exported graph.

    Parameters
    ----------
    folder : Path
        Holds the graph, ``tokenizer.json`` and ``config.json``.
    max_length : int, optional
        Pieces kept of a text, instead of the model's own limit.

    Raises
    ------
    ModelError
        The folder has no graph, or none that can be run.
    """

    def __init__(self, folder: Path, *, max_length: int | None) -> None:
        self._graph = folder / GRAPH
        self._folder = folder
        config = read_json(folder / "config.json")
        longest = int(config.get("max_position_embeddings", 512))
        usual = read_json(folder / "tokenizer_config.json").get("model_max_length")
        if max_length is not None and not 3 <= max_length <= longest:
            raise UsageError(
                f"max_length = {max_length}: expected 3 to {longest}, what the model can take"
            )
        try:
            tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{folder}: no tokenizer.json ({error})") from error
        length = max_length or min(int(usual or longest), longest)
        self.pieces = WordPieces(tokenizer, max_length=length)
        self._session = _session(self._graph)
        self.n_terms = int(config.get("vocab_size", self.pieces.n_terms))
        probe = {INPUT: np.zeros((1, 3), np.int64)}
        self._terms: NDArray[np.uint32] = self._session.run([TERMS], probe)[0].astype(np.uint32)

    def identity(self) -> dict[str, Any]:
        """Return everything that shapes these vectors, as JSON values."""
        return {
            "model": sha256_of([self._graph]),
            "architecture": "onnx-int8",
            "tokenizer": tokenizer_sha256(self._folder),
            "pooling": "max",
            "activation": "relu",
            "special_tokens": "dropped",
            "lowercase": False,
            "max_length": self.pieces.max_length,
            "prompt": "",
        }

    def encode(self, ids: Sequence[NDArray[np.int64]]) -> SparseBatch:
        """Return the vectors of texts given as piece ids; texts without pieces get empty ones."""
        order = sorted((i for i, row in enumerate(ids) if len(row)), key=lambda i: -len(ids[i]))
        chunks = [order[at : at + _CHUNK] for at in range(0, len(order), _CHUNK)]

        def encode_chunk(rows: list[int]) -> SparseBatch:
            return self._pack([self._logits(ids[row]) for row in rows])

        with _pool(len(chunks)) as pool:
            parts = list(pool.map(encode_chunk, chunks))
        position = np.full(len(ids), len(order), np.int64)
        position[order] = np.arange(len(order))
        return SparseBatch.concatenate([*parts, SparseBatch.empty(1)]).select(position)

    def _logits(self, row: NDArray[np.int64]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._session.run([LOGITS], {INPUT: row[None]})[0]
        return logits

    def _pack(self, rows: Sequence[NDArray[np.float32]]) -> SparseBatch:
        active = [np.flatnonzero(row > 0) for row in rows]
        weights = [np.log1p(row[found]) for row, found in zip(rows, active, strict=True)]
        return SparseBatch(
            np.cumsum([0, *map(len, active)], dtype=np.int64),
            self._terms[np.concatenate(active)],
            np.concatenate(weights).astype(np.float32, copy=False),
        )


@contextmanager
def _pool(n_chunks: int) -> Iterator[ThreadPoolExecutor]:
    """Run chunks on all cores; an exception, Ctrl-C among them, drops what has not begun."""
    pool = ThreadPoolExecutor(max(1, min(len(os.sched_getaffinity(0)), n_chunks)), "encode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _session(graph: Path) -> Any:
    if not graph.is_file():
        raise ModelError(
            f"{graph}: there is no such file; export the model again, or use the backend torch"
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # One core for each text: texts in parallel need no waiting for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        names = {put.name for put in session.get_outputs()}, {p.name for p in session.get_inputs()}
    except Exception as error:  # a damaged file can fail in any way; say which
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{graph}: cannot be loaded ({reason[:300]})") from error
    if names != ({LOGITS, TERMS}, {INPUT}):
        raise ModelError(f"{graph}: is another kind of graph; export the model again")
    return session
