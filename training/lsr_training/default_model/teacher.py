"""Embeddings of the dense teacher, stored chunk by chunk so that a run can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import ModelError
from lsr.files import atomic_path

QUERY_LENGTH = 64
_CHUNK = 8192
_BATCH_TOKENS = 3072


def load_teacher(folder: Path) -> tuple[Any, str]:
    """Return a BERT model on the CPU and its tokenizer in the format of the tokenizers library."""
    from transformers import AutoModel

    try:
        network = AutoModel.from_pretrained(folder, local_files_only=True)
        return network.eval(), (folder / "tokenizer.json").read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: not the folder of a teacher ({error})") from error


def embed(
    network: Any,
    tokenizer: str,
    texts: Sequence[str],
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Return normalised mean-pooled embeddings, (n, n_hidden), computed in bfloat16.

    Parameters
    ----------
    network, tokenizer
        From `load_teacher`.
    texts : sequence of str, (n,)
        Each with at least one word piece.
    folder : Path
        Keeps finished chunks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = WordPieces(tokenizer, max_length=QUERY_LENGTH)
    parts = []
    for start in range(0, len(texts), _CHUNK):
        path = folder / f"{start:07}.npy"
        if not path.is_file():
            made = _embed_chunk(network, pieces.encode(texts[start : start + _CHUNK]))
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, made.astype(np.float16))
        parts.append(np.load(path))
        progress(min(start + _CHUNK, len(texts)), len(texts))
    return np.concatenate(parts).astype(np.float32)


def _embed_chunk(network: Any, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    vectors = np.zeros((len(rows), network.config.hidden_size), np.float32)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for batch in _equal_lengths(rows):
            tokens = torch.from_numpy(np.stack([rows[i] for i in batch]))
            states = network(input_ids=tokens).last_hidden_state.float()
            vectors[batch] = nn.functional.normalize(states.mean(1), dim=1).numpy()
    return vectors


def _equal_lengths(rows: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
    """Yield batches of texts of one length: nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(number)
    for length, numbers in sorted(by_length.items()):
        if length:
            size = max(1, _BATCH_TOKENS // length)
            yield from (numbers[at : at + size] for at in range(0, len(numbers), size))
