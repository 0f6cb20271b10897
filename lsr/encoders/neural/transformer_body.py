"""The transformer of a masked language model, without its output layer.

The body turns token ids into the states that the output layer sees; the output layer goes to
`lsr.encoders.neural.pooling`, which never holds all logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import check_architecture, weight_files
from lsr.encoders.neural.pooling import Projection, projection_of
from lsr.encoders.neural.splade_layout import NeuralSide
from lsr.errors import MissingDependencyError, ModelError, UsageError, first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class TransformerBody:
    """The transformer and the transform of its language-model head.

    `model` is a masked language model whose output layer was replaced by the identity.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        self.device = device
        self._pad_id = int(model.config.pad_token_id or 0)

    @property
    def max_length(self) -> int:
        return longest_input(self._model.config.to_dict()) or 512

    def states(self, ids: Sequence[NDArray[np.int64]]) -> Tensor:
        """Return what the output layer sees, for a batch of texts of similar length.

        Parameters
        ----------
        ids : sequence of (length,) int64
            Token ids of each text, none of them empty.

        Returns
        -------
        (sum of lengths, n_hidden) tensor
            Text after text, without padding.
        """
        import torch

        tokens, real = padded(ids, self._pad_id)
        inputs = {"input_ids": torch.from_numpy(tokens).to(self.device)}
        if real.all():
            return self._model(**inputs).logits.flatten(0, 1)
        mask = torch.from_numpy(real).to(self.device)
        logits = self._model(**inputs, attention_mask=mask.long()).logits
        return logits[mask]


def longest_input(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens the positions of a model allow; None where it does not say."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    # Families of RoBERTa count positions from the padding id on.
    shifted = config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet")
    return positions - int(config.get("pad_token_id") or 0) - 1 if shifted else positions


def padded(
    ids: Sequence[NDArray[np.int64]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return token ids and which of them are no padding, both (texts, tokens)."""
    lengths = np.array([len(row) for row in ids])
    real = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.full(real.shape, pad_id, np.int64)
    tokens[real] = np.concatenate(list(ids))
    return tokens, real


def load_body(
    side: NeuralSide, dropped: Sequence[int], device: str | None
) -> tuple[TransformerBody, Projection]:
    """Load the transformer of one side of a model; the terms `dropped` get weight zero.

    Raises MissingDependencyError or ModelError.
    """
    architecture = check_architecture(side.folder)
    weight_files(side.folder)
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingDependencyError("a neural encoder", "torch") from error
    where = choose_device(device)
    # On a GPU bfloat16 halves time and memory; on a CPU it would cost exactness, and mostly time.
    dtype = torch.float32 if where.type == "cpu" else torch.bfloat16
    with quiet():
        model = load_pretrained(
            getattr(transformers, architecture),
            side.folder,
            dtype,
            "those of a masked language model with its head",
        )
    model.eval().requires_grad_(False).to(where)
    projection = projection_of(model, side.pooling, side.activation, dropped, dtype)
    identity = torch.nn.Identity()
    identity.bias = None
    model.set_output_embeddings(identity)
    return TransformerBody(model, where), projection


def load_pretrained(
    architecture: Any, folder: Path, dtype: Any, expected: str, optional: str | None = None
) -> Any:
    """Load the weights of a local folder with a class of transformers.

    Raises ModelError when weights are missing, except those whose names begin with `optional`;
    `expected` says in the message what the weights should be.
    """
    try:
        model, report = architecture.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
        )
    except Exception as error:  # a foreign folder can fail in any way; say which folder
        raise ModelError(f"{folder}: cannot be loaded ({first_line(error)})") from error
    missing = sorted(
        key for key in report["missing_keys"] if optional is None or not key.startswith(optional)
    )
    if missing:
        raise ModelError(
            f"{folder}: the weights lack {', '.join(missing[:3])}"
            f"{' and more' if len(missing) > 3 else ''}; expected {expected}"
        )
    return model


def load_tokenizer(folder: Path) -> tuple[str, int | None]:
    """Return a folder's tokenizer as JSON of the tokenizers library, and its own length limit.

    Raises MissingDependencyError without transformers, ModelError for no usable tokenizer.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError("the tokenizer of a neural encoder", "torch") from error
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_fast=True
            )
            backend = tokenizer.backend_tokenizer.to_str()
        except Exception as error:  # as above
            raise ModelError(f"{folder}: no usable tokenizer ({first_line(error)})") from error
    limit = int(tokenizer.model_max_length)
    # transformers writes 10^30 where a tokenizer has no limit.
    return backend, limit if limit < 10**9 else None


def choose_device(name: str | None) -> torch.device:
    """Return a device by name, or the fastest there is; raises UsageError."""
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} cannot be used ({first_line(error)})") from error
    return device


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars and advice of transformers."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
