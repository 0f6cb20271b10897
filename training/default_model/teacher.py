"""Embeddings of the dense teacher, written chunk by chunk: a run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsr.encoders.word_pieces import WordPieces
from lsr.errors import ModelError
from training.models.tokens import pad

MAX_LENGTH = 128
_CHUNK = 2048
_BATCH_TOKENS = 4096


def embed(
    model: Path,
    texts: Sequence[str],
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Return normalised mean-pooled embeddings, computed in int8 on a CPU.

    Parameters
    ----------
    model : Path
        Folder of a BERT model with ``tokenizer.json``, as sentence-transformers stores them.
    texts : sequence of str, (n,)
    folder : Path
        Keeps the parts that are done.

    Returns
    -------
    (n, n_hidden) float32
        Rows of length one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encode: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    parts = []
    for start in range(0, len(texts), _CHUNK):
        path = folder / f"{start:07}.npy"
        if not path.is_file():
            encode = encode or _encoder(model)
            made = encode(texts[start : start + _CHUNK]).astype(np.float16)
            with (folder / "part").open("wb") as file:
                np.save(file, made)
            (folder / "part").rename(path)
        parts.append(np.load(path))
        progress(min(start + _CHUNK, len(texts)), len(texts))
    return np.concatenate(parts).astype(np.float32)


def _encoder(model: Path) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    from transformers import AutoModel

    try:
        network = AutoModel.from_pretrained(model, local_files_only=True).eval()
        pieces = WordPieces((model / "tokenizer.json").read_text("utf-8"), max_length=MAX_LENGTH)
    except OSError as error:
        raise ModelError(f"{model}: not the folder of a teacher ({error})") from error
    if not torch.cuda.is_available():
        network = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = pieces.encode([text or "." for text in texts])
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        vectors: Any = None
        start = 0
        while start < len(order):
            size = max(1, _BATCH_TOKENS // max(1, len(rows[order[start]])))
            chosen = order[start : start + size]
            made = _mean(network, [rows[i] for i in chosen], device)
            vectors = (
                np.zeros((len(rows), made.shape[1]), np.float32) if vectors is None else vectors
            )
            vectors[chosen] = made.cpu().numpy()
            start += size
        return np.asarray(vectors)

    return encode


def _mean(network: Any, rows: Sequence[NDArray[np.int64]], device: torch.device) -> Tensor:
    tokens = pad(rows).to(device)
    with torch.inference_mode():
        states = network(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
    real = tokens.mask[:, :, None]
    return nn.functional.normalize((states * real).sum(1) / real.sum(1), dim=1)
