"""Dense encoders by name, and those of an index by what the index stored.

`DENSE_ENCODERS` is the one list of kinds. Nothing of a kind is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lsr.encoders.base import EncoderAssets
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoders.dense.packaged import packaged_folder, packaged_name
from lsr.encoders.kinds import Kind, Registry
from lsr.encoders.neural.model_files import find_model
from lsr.encoders.options import Option
from lsr.encoders.registry import BATCH_SIZE, DEVICE, MAX_LENGTH
from lsr.errors import EncoderMismatchError, IndexFormatError, ModelError

D = TypeVar("D", bound=type[DenseEncoder])

DENSE_OPTIONS = (
    Option("backend", str, "What runs the network.", choices=("torch", "onnx")),
    MAX_LENGTH,
    BATCH_SIZE,
    DEVICE,
    Option("pooling", str, "How the states become one.", choices=("mean", "cls", "max")),
    Option("normalise", bool, "Scale vectors to length 1, to compare them by their cosine."),
    Option("query_prompt", str, "Put in front of every query."),
    Option("document_prompt", str, "Put in front of every document."),
)


def _locate(name: str) -> Path:
    packaged = packaged_name(name)
    return find_model(name) if packaged is None else packaged_folder(packaged)


DENSE_ENCODERS: Registry[type[DenseEncoder]] = Registry(
    "dense encoder",
    "lsr.dense_encoders",
    [
        Kind(
            "dense", "lsr.encoders.dense.encoder:TransformerVectors",
            "a transformer, pooled", DENSE_OPTIONS, detects=lambda folder: True,
        ),
    ],
    _locate,
)  # fmt: skip
"""All kinds of dense encoders."""


def register_dense_encoder(
    name: str,
    *,
    options: tuple[Option, ...] = (),
    detects: Callable[[Path], bool] | None = None,
    by_name: bool | None = None,
    help: str = "",
) -> Callable[[D], D]:
    """Make a class of dense encoders known; as `lsr.encoders.register_encoder`.

    The group of entry points is ``lsr.dense_encoders``.
    """

    def register(cls: D) -> D:
        named = detects is None if by_name is None else by_name
        DENSE_ENCODERS.register(Kind(name, cls, help, options, named, detects))
        return cls

    return register


def load_dense_encoder(name: str | Path, **options: Any) -> DenseEncoder:
    """Load a dense encoder. An option that is None keeps what the model's folder says.

    Parameters
    ----------
    name : str or Path
        ``minilm`` (all-MiniLM-L6-v2 from the package index, no model hub needed), the folder of a
        sentence-transformers model or of a transformer, a hub id ``owner/model[@revision]``, or a
        registered kind.
    backend : {"torch", "onnx"}, optional
        Run the safetensors with torch, or ``onnx/model.onnx`` with onnxruntime. Default: torch
        where there are safetensors. The two give nearly, not exactly, the same vectors: an index
        made with one is not searched with the other.
    max_length : int, optional
        Word pieces kept of a text, special tokens included.
    batch_size : int, optional
        Texts of full length in a batch.
    device : str, optional
        A torch device; by default a GPU when there is one.
    pooling : {"mean", "cls", "max"}, optional
    normalise : bool, optional
        Scale vectors to length 1, so that they are compared by their cosine.
    query_prompt, document_prompt : str, optional
        Put in front of every text.

    Raises
    ------
    ModelError
        The model cannot be found or may not be loaded.
    MissingDependencyError
        What runs it is not installed; says which extra to install.
    UsageError
        An option is out of range, or none of this encoder.
    """
    encoder: DenseEncoder = DENSE_ENCODERS.load(name, options)
    return encoder


def restore_dense_encoder(assets: EncoderAssets) -> DenseEncoder:
    """Make the dense encoder of an index again, for queries and for further documents.

    Raises
    ------
    IndexFormatError
        The index stores another kind of encoder than is known here, or not all of it.
    EncoderMismatchError
        The model has changed since the index was made.
    ModelError
        The model is not where it was.
    MissingDependencyError
        What runs it is not installed.
    """
    config = assets.config
    cls = DENSE_ENCODERS.of_assets(assets)
    try:
        encoder: DenseEncoder = cls.restore(assets)
    except KeyError as error:
        raise IndexFormatError(
            f"the dense encoder stored in the index ({config.get('kind')}) lacks {error}; encode "
            "the documents again with dense= (lsr reindex)"
        ) from error
    except TypeError as error:
        raise IndexFormatError(
            f"the stored encoder has a setting of an unknown name or type ({error}); it was made "
            "by a newer version of this package, or is damaged"
        ) from error
    except ModelError as error:
        raise ModelError(
            f"the index needs the dense model it was made with: {error}; bring it back, or encode "
            "the documents again with dense= (lsr reindex)"
        ) from error
    if encoder.fingerprint.digest != config.get("digest", encoder.fingerprint.digest):
        raise EncoderMismatchError(
            f"{config.get('name', config['kind'])}: the dense model has changed since the index "
            "was made with it; bring the old one back, or encode the documents again with dense= "
            "(lsr reindex)"
        )
    return encoder
