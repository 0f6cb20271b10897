"""The parts of a dense model, opened: its transformer and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lsr.encoders.dense.body import Body, OnnxBody, TorchBody
from lsr.encoders.dense.layout import DenseLayout, onnx_file
from lsr.encoders.neural.model_files import (
    WEIGHTS,
    WEIGHTS_INDEX,
    config_sha256,
    read_json,
    sha256_of,
    weights_sha256,
)
from lsr.errors import ModelError, UsageError

Backend = Literal["torch", "onnx"]


def open_body(
    layout: DenseLayout, backend: Backend | None, device: str | None
) -> tuple[Body, dict[str, Any]]:
    """Open the transformer of a model, and say what shapes its states.

    Raises
    ------
    ModelError
        There is none that `backend` runs.
    MissingDependencyError
        What runs it is not installed.
    UsageError
        A device that the backend does not run on.
    """
    graph = onnx_file(layout)
    has_weights = any((layout.folder / name).is_file() for name in (WEIGHTS, WEIGHTS_INDEX))
    if backend == "onnx" or (backend is None and graph is not None and not has_weights):
        if graph is None:
            raise ModelError(f"{layout.root}: no onnx/model.onnx and no model.onnx in it")
        if device not in (None, "cpu"):
            raise UsageError(f"device {device!r}: an ONNX model runs on the CPU; leave it out")
        digest = {"backend": "onnx", "model": sha256_of([graph])}
        return OnnxBody(graph, read_json(layout.folder / "config.json")), digest
    body = TorchBody(layout.folder, device)
    digest = {"backend": "torch", "model": weights_sha256(layout.folder)}
    return body, digest | {"architecture": config_sha256(layout.folder)}


def open_tokenizer(folder: Path) -> tuple[str, int | None]:
    """Return a folder's tokenizer and its own length limit, without transformers if it can be."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        from lsr.encoders.neural.transformer_body import load_tokenizer

        return load_tokenizer(folder)
    limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    # transformers writes 10^30 where a tokenizer has no limit.
    known = isinstance(limit, int) and 0 < limit < 10**9
    return path.read_text(encoding="utf-8"), limit if known else None
