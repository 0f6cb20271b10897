"""The transformer of a dense encoder, run by torch or, exported, by onnxruntime.

Both bodies turn token ids into the states of the last layer. Which one runs does not change what
is done with them (`lsr.encoders.dense.encoder`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import check_architecture, read_json, weight_files
from lsr.encoders.neural.onnx_session import open_session
from lsr.errors import MissingDependencyError, ModelError
from lsr.machine import cpu_count

ARCHITECTURES = {
    **{
        f"{stem}{suffix}": model_type
        for stem, model_type in {
            "Bert": "bert",
            "Camembert": "camembert",
            "DistilBert": "distilbert",
            "Electra": "electra",
            "ModernBert": "modernbert",
            "MPNet": "mpnet",
            "Roberta": "roberta",
            "XLMRoberta": "xlm-roberta",
        }.items()
        for suffix in ("Model", "ForMaskedLM")
    }
}
"""Architecture to ``model_type``: encoders whose code is part of transformers."""
# Families of RoBERTa count positions from the padding id on.
_SHIFTED = ("roberta", "xlm-roberta", "camembert", "mpnet")

Ids = Sequence[NDArray[np.int64]]


class Body(Protocol):
    """Runs a transformer."""

    @property
    def dimension(self) -> int:
        """Numbers in a state."""

    @property
    def max_length(self) -> int | None:
        """Longest input in tokens; None where the model does not say."""

    def run(
        self, batches: Sequence[Ids], pool: Callable[[NDArray[Any], Ids], NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return ``pool(states, batch)`` of every batch, in order.

        `states` is (texts, tokens, dimension) float32 with padding at the end of shorter texts, or
        (texts, dimension) from a graph that has pooled already.
        """


def longest_input(config: dict[str, Any]) -> int | None:
    """Return how many tokens the positions of a model allow."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    shifted = config.get("model_type") in _SHIFTED
    return positions - int(config.get("pad_token_id") or 0) - 1 if shifted else positions


def padded(ids: Ids, pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return token ids and attention mask, both (texts, tokens)."""
    lengths = np.array([len(row) for row in ids])
    real = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.full(real.shape, pad_id, np.int64)
    tokens[real] = np.concatenate(list(ids))
    return tokens, real.astype(np.int64)


class TorchBody:
    """A transformer from safetensors, run by torch in float32.

    Parameters
    ----------
    folder : Path
    device : str or None
        A torch device; None takes a GPU when there is one.

    Raises
    ------
    MissingDependencyError
        Without torch and transformers.
    ModelError
        The folder is not one that may be loaded.
    """

    def __init__(self, folder: Path, device: str | None) -> None:
        check_architecture(folder, ARCHITECTURES)
        weight_files(folder)
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingDependencyError("this dense encoder", "torch") from error
        from lsr.encoders.neural.transformer_body import choose_device, quiet

        self._config = read_json(folder / "config.json")
        self._pad_id = int(self._config.get("pad_token_id") or 0)
        self.device = choose_device(device)
        with quiet():
            model = self._load(transformers, folder, torch.float32)
        self._model = model.eval().requires_grad_(False).to(self.device)

    @property
    def dimension(self) -> int:
        """Numbers in a state."""
        return int(self._model.config.hidden_size)

    @property
    def max_length(self) -> int | None:
        """Longest input in tokens."""
        return longest_input(self._config)

    def run(
        self, batches: Sequence[Ids], pool: Callable[[NDArray[Any], Ids], NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return ``pool(states, batch)`` of every batch, in order."""
        from lsr.encoders.neural.torch_threads import run_batches

        return run_batches(lambda batch: pool(self._states(batch), batch), batches, self.device)

    def _states(self, ids: Ids) -> NDArray[np.float32]:
        import torch

        tokens, mask = padded(ids, self._pad_id)
        inputs = {"input_ids": torch.from_numpy(tokens).to(self.device)}
        if not mask.all():
            inputs["attention_mask"] = torch.from_numpy(mask).to(self.device)
        states: NDArray[np.float32] = self._model(**inputs).last_hidden_state.cpu().numpy()
        return states

    def _load(self, transformers: Any, folder: Path, dtype: Any) -> Any:
        by_type = {v: k for k, v in ARCHITECTURES.items() if k.endswith("Model")}
        architecture = getattr(transformers, by_type[self._config["model_type"]])
        from lsr.encoders.neural.transformer_body import load_pretrained

        return load_pretrained(
            architecture, folder, dtype, f"those of a {architecture}", optional="pooler."
        )


class OnnxBody:
    """An exported transformer, run by onnxruntime on the CPU; no torch.

    Parameters
    ----------
    graph : Path
    config : mapping
        The model's ``config.json``.

    Raises
    ------
    ModelError
        The file is no graph of a text encoder.
    """

    def __init__(self, graph: Path, config: dict[str, Any]) -> None:
        self._config = config
        self._pad_id = int(config.get("pad_token_id") or 0)
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
        self._dimension = size

    @property
    def dimension(self) -> int:
        """Numbers in a state."""
        return self._dimension

    @property
    def max_length(self) -> int | None:
        """Longest input in tokens."""
        return longest_input(self._config)

    def run(
        self, batches: Sequence[Ids], pool: Callable[[NDArray[Any], Ids], NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return ``pool(states, batch)`` of every batch, in order."""
        return [pool(self._states(batch), batch) for batch in batches]

    def _states(self, ids: Ids) -> NDArray[np.float32]:
        tokens, mask = padded(ids, self._pad_id)
        given = {
            "input_ids": tokens,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(tokens),
            "position_ids": np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape),
        }
        feeds = {name: np.ascontiguousarray(given[name]) for name in self._inputs}
        (states,) = self._session.run([self._output], feeds)
        found: NDArray[np.float32] = states.astype(np.float32, copy=False)
        return found
