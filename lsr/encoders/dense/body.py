"""The transformer of a dense encoder, run by torch or, exported, by onnxruntime.

Both bodies turn token ids into the states of the last layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.dense.layout import DenseLayout, onnx_file
from lsr.encoders.neural.model_files import ARCHITECTURES as MASKED_LM
from lsr.encoders.neural.model_files import (
    FAMILIES,
    WEIGHTS,
    WEIGHTS_INDEX,
    check_architecture,
    config_sha256,
    read_json,
    sha256_of,
    weight_files,
    weights_sha256,
)
from lsr.encoders.neural.onnx_session import open_session
from lsr.encoders.neural.torch_threads import run_batches
from lsr.encoders.neural.transformer_body import (
    choose_device,
    load_pretrained,
    longest_input,
    padded,
    quiet,
)
from lsr.errors import MissingDependencyError, ModelError, UsageError
from lsr.machine import cpu_count

ARCHITECTURES = {f"{stem}Model": model_type for stem, model_type in FAMILIES.items()}
"""Architecture to ``model_type``, without a head."""
Backend = Literal["torch", "onnx"]
Ids = Sequence[NDArray[np.int64]]
Pool = Callable[[NDArray[Any], Ids], NDArray[np.float32]]


class Body(ABC):
    """Runs a transformer with the given ``config.json``.

    Attributes
    ----------
    dimension : int
        Numbers in a state.
    max_length : int or None
        Longest input in tokens; None where the model does not say.
    """

    dimension: int

    def __init__(self, config: dict[str, Any]) -> None:
        self.max_length = longest_input(config)
        self._pad_id = int(config.get("pad_token_id") or 0)

    def run(self, batches: Sequence[Ids], pool: Pool) -> list[NDArray[np.float32]]:
        """Return ``pool(states, batch)`` of every batch, in order.

        `states` is (texts, tokens, dimension) float32 with padding at the end of shorter texts, or
        (texts, dimension) from a graph that has pooled already.
        """
        return [pool(self._states(batch), batch) for batch in batches]

    @abstractmethod
    def _states(self, ids: Ids) -> NDArray[np.float32]: ...


def open_body(
    layout: DenseLayout, backend: Backend | None, device: str | None
) -> tuple[Body, dict[str, Any]]:
    """Open the transformer of a model; also return what identifies it in a fingerprint.

    Raises ModelError for no transformer that `backend` runs, MissingDependencyError, and UsageError
    for a device that the backend does not run on.
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


class TorchBody(Body):
    """A transformer from safetensors, run by torch in float32; without `device` on a GPU if any.

    Raises MissingDependencyError, or ModelError for a folder that may not be loaded.
    """

    def __init__(self, folder: Path, device: str | None) -> None:
        check_architecture(folder, {**ARCHITECTURES, **MASKED_LM})
        weight_files(folder)
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingDependencyError("this dense encoder", "torch") from error
        config = read_json(folder / "config.json")
        super().__init__(config)
        self.device = choose_device(device)
        by_type = {model_type: name for name, model_type in ARCHITECTURES.items()}
        architecture = getattr(transformers, by_type[config["model_type"]])
        expected = f"those of a {architecture}"
        with quiet():
            model = load_pretrained(architecture, folder, torch.float32, expected, "pooler.")
        self._model = model.eval().requires_grad_(False).to(self.device)
        self.dimension = int(model.config.hidden_size)

    def run(self, batches: Sequence[Ids], pool: Pool) -> list[NDArray[np.float32]]:
        return run_batches(lambda batch: pool(self._states(batch), batch), batches, self.device)

    def _states(self, ids: Ids) -> NDArray[np.float32]:
        import torch

        tokens, real = padded(ids, self._pad_id)
        inputs = {"input_ids": torch.from_numpy(tokens).to(self.device)}
        if not real.all():
            mask = torch.from_numpy(real.astype(np.int64))
            inputs["attention_mask"] = mask.to(self.device)
        states: NDArray[np.float32] = self._model(**inputs).last_hidden_state.cpu().numpy()
        return states


class OnnxBody(Body):
    """An exported transformer, run by onnxruntime on the CPU; no torch.

    Raises ModelError for a file that is no graph of a text encoder.
    """

    def __init__(self, graph: Path, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._session = open_session(graph, n_threads=cpu_count())
        self._inputs = {put.name for put in self._session.get_inputs()}
        unknown = self._inputs - {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
        if "input_ids" not in self._inputs or unknown:
            raise ModelError(
                f"{graph}: takes {', '.join(sorted(self._inputs))}; expected input_ids, "
                "attention_mask and token_type_ids, the graph of a text encoder"
            )
        outputs = self._session.get_outputs()
        ranked = sorted(outputs, key=lambda put: -len(put.shape or ()))
        if not ranked or len(ranked[0].shape or ()) not in (2, 3):
            raise ModelError(
                f"{graph}: expected an output of 3 dimensions, the states of the tokens"
            )
        self._output = ranked[0].name
        last = ranked[0].shape[-1]
        size = last if isinstance(last, int) else config.get("hidden_size")
        if not isinstance(size, int):
            raise ModelError(
                f"{graph}: neither graph nor config.json says how long the vectors are"
            )
        self.dimension = size

    def _states(self, ids: Ids) -> NDArray[np.float32]:
        tokens, real = padded(ids, self._pad_id)
        given = {
            "input_ids": tokens,
            "attention_mask": real.astype(np.int64),
            "token_type_ids": np.zeros_like(tokens),
            "position_ids": np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape),
        }
        feeds = {name: np.ascontiguousarray(given[name]) for name in self._inputs}
        (states,) = self._session.run([self._output], feeds)
        found: NDArray[np.float32] = states.astype(np.float32, copy=False)
        return found
