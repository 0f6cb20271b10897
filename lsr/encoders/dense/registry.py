"""Dense encoders by name, and those of an index by what the index stored.

`DENSE_ENCODERS` is the one list of kinds. Nothing of a kind is imported before it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsr.encoders.base import EncoderAssets
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoders.dense.packaged import packaged_folder, packaged_name
from lsr.encoders.kinds import Kind, Registry, restore_model
from lsr.encoders.neural.model_files import find_model
from lsr.encoders.options import Option
from lsr.encoders.registry import BATCH_SIZE, DEVICE, MAX_LENGTH
from lsr.errors import IndexFormatError

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


register_dense_encoder = DENSE_ENCODERS.register


def load_dense_encoder(name: str | Path, **options: Any) -> DenseEncoder:
    """Load a dense encoder. An option that is None keeps what the model's folder says.

    Parameters
    ----------
    name : str or Path
        ``minilm`` (all-MiniLM-L6-v2 from the package index, no model hub needed), the folder of a
        sentence-transformers model or of a transformer, a hub id ``owner/model[@revision]``, or a
        registered kind.
    backend : {"torch", "onnx"}, optional
        Run the safetensors with torch (default, where there are some), or ``onnx/model.onnx`` with
        onnxruntime. Their vectors differ a little: an index is searched with the backend that made
        it.
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
    """Restore the dense encoder of an index, for queries and for further documents.

    Raises IndexFormatError for an unknown kind or setting or missing parts, EncoderMismatchError or
    ModelError for a model that has changed or is not where it was, MissingDependencyError.
    """
    cls: type[DenseEncoder] = DENSE_ENCODERS.of_assets(assets)
    remedy = "encode the documents again with dense= (lsr reindex)"
    try:
        return restore_model(
            assets.config,
            lambda: cls.restore(assets),
            noun="dense model",
            moved=remedy,
            changed=remedy,
        )
    except KeyError as error:
        raise IndexFormatError(
            f"the dense encoder stored in the index ({assets.config.get('kind')}) lacks {error}; "
            f"{remedy}"
        ) from error
