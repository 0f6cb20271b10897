"""A masked language model, cut before its output layer.

The body turns token ids into the states that the output layer sees; the output layer goes to
`lsr.encoders.neural.pooling`, which never writes all logits down. Another body (an exported graph,
say) can take this one's place: it has to offer `states`, `max_length` and `device`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import check_architecture, weight_files
from lsr.encoders.neural.pooling import Projection, projection_of
from lsr.encoders.neural.splade_layout import NeuralSide
from lsr.errors import MissingDependencyError, ModelError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class TransformerBody:
    """The transformer and the transform of its language-model head.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A masked language model whose output layer was replaced by the identity.
    device : torch.device
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        self.device = device
        self._pad_id = int(model.config.pad_token_id or 0)

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        positions = int(self._model.config.max_position_embeddings)
        # Families of RoBERTa count positions from the padding id on.
        shifted = self._model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet")
        return positions - self._pad_id - 1 if shifted else positions

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

        lengths = np.array([len(row) for row in ids])
        real = np.arange(lengths.max()) < lengths[:, None]
        padded = np.full(real.shape, self._pad_id, np.int64)
        padded[real] = np.concatenate(ids)
        inputs = {"input_ids": torch.from_numpy(padded).to(self.device)}
        if real.all():
            return self._model(**inputs).logits.flatten(0, 1)
        mask = torch.from_numpy(real).to(self.device)
        logits = self._model(**inputs, attention_mask=mask.long()).logits
        return logits[mask]


def load_body(
    side: NeuralSide, dropped: Sequence[int], device: str | None
) -> tuple[TransformerBody, Projection]:
    """Load the transformer of one side of a model.

    Parameters
    ----------
    side : NeuralSide
        Where it lies and how it pools.
    dropped : sequence of int
        Terms whose weight is set to zero.
    device : str or None
        A torch device; None takes a GPU when there is one.

    Raises
    ------
    MissingDependencyError
        Without torch and transformers.
    ModelError
        When the folder is not one that may be loaded.
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
    """Load the weights of a local folder and refuse one that lacks some.

    Parameters
    ----------
    architecture : type
        A class of transformers.
    folder : Path
    dtype : torch.dtype
    expected : str
        What the weights should be, for the message.
    optional : str, optional
        Weights whose names begin with this may be missing.

    Raises
    ------
    ModelError
        When loading fails, or weights are missing.
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
        raise ModelError(f"{folder}: cannot be loaded ({_brief(error)})") from error
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

    Raises
    ------
    MissingDependencyError
        Without transformers.
    ModelError
        When there is none, or none that the tokenizers library runs.
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
            raise ModelError(f"{folder}: no usable tokenizer ({_brief(error)})") from error
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
        raise UsageError(f"device {name!r} cannot be used ({_brief(error)})") from error
    return device


def _brief(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing progress bars and advice."""
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
