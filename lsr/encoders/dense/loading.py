"""Dense encoders by name, and those of an index by what the index stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from lsr.encoders.base import EncoderAssets
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoders.dense.body import Body, OnnxBody, TorchBody
from lsr.encoders.dense.encoder import KIND, TransformerVectors
from lsr.encoders.dense.layout import DenseLayout, DensePooling, onnx_file, read_dense_layout
from lsr.encoders.dense.packaged import packaged_folder, packaged_name
from lsr.encoders.neural.model_files import (
    WEIGHTS,
    WEIGHTS_INDEX,
    config_sha256,
    find_model,
    find_stored_model,
    read_json,
    sha256_of,
    tokenizer_sha256,
    weights_sha256,
)
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import EncoderMismatchError, IndexFormatError, ModelError, UsageError

Backend = Literal["torch", "onnx"]
BATCH_SIZE = 32
DEFAULT_LENGTH = 512


def load_dense_encoder(
    name: str | Path,
    *,
    backend: Backend | None = None,
    max_length: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    pooling: DensePooling | None = None,
    normalise: bool | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    folder: Path | None = None,
) -> DenseEncoder:
    """Load a dense encoder. What is None keeps what the model's folder says.

    Parameters
    ----------
    name : str or Path
        ``minilm`` (all-MiniLM-L6-v2 from the package index, no model hub needed), the folder of a
        sentence-transformers model or of a transformer, or a hub id ``owner/model[@revision]``.
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
    folder : Path, optional
        Where the model of this name was found already.

    Raises
    ------
    ModelError
        The model cannot be found or may not be loaded.
    MissingDependencyError
        What runs it is not installed; says which extra to install.
    UsageError
        An option is out of range.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size = {batch_size}: expected at least 1")
    if backend not in (None, *get_args(Backend)):
        raise UsageError(f"backend = {backend!r}: expected torch or onnx")
    if pooling not in (None, *get_args(DensePooling)):
        raise UsageError(f"pooling = {pooling!r}: expected mean, cls or max")
    given: dict[str, Any] = {
        "backend": backend, "max_length": max_length, "pooling": pooling, "normalise": normalise,
        "query_prompt": query_prompt, "document_prompt": document_prompt,
    }  # fmt: skip
    packaged = packaged_name(name)
    is_path = folder is None and Path(name).expanduser().is_dir()
    if packaged is not None:
        folder = packaged_folder(packaged)
    elif folder is None:
        folder = find_model(name)
    layout = read_dense_layout(folder)
    shape = ("pooling", "normalise", "query_prompt", "document_prompt")
    layout = layout._replace(**{key: given[key] for key in shape if given[key] is not None})
    where = packaged or (str(folder) if is_path else str(name))
    settings = {"name": where, "settings": {k: v for k, v in given.items() if v is not None}}
    return _assembled(layout, backend, max_length, batch_size, device, settings)


def restore_dense_encoder(assets: EncoderAssets) -> DenseEncoder:
    """Make the dense encoder of an index again, for queries and for further documents.

    Raises
    ------
    IndexFormatError
        The index stores another kind of encoder than this version knows.
    EncoderMismatchError
        The model has changed since the index was made.
    ModelError
        The model is not where it was.
    MissingDependencyError
        What runs it is not installed.
    """
    config = assets.config
    if config.get("kind") != KIND or not isinstance(config.get("settings"), dict):
        raise IndexFormatError(
            f"the index stores a dense encoder of an unknown kind, {config.get('kind')!r}; it was "
            "made by a newer version of this package, or is damaged"
        )
    try:
        name = str(config["name"])
        folder = None if packaged_name(name) else find_stored_model(name)
        encoder = load_dense_encoder(name, folder=folder, **config["settings"])
    except ModelError as error:
        raise ModelError(
            f"the index needs the dense model it was made with: {error}; bring it back, or encode "
            "the documents again with dense= (lsr reindex)"
        ) from error
    except TypeError as error:
        raise IndexFormatError(
            f"the stored encoder has a setting of an unknown name or type ({error}); it was made "
            "by a newer version of this package, or is damaged"
        ) from error
    if encoder.fingerprint.digest != config.get("digest"):
        raise EncoderMismatchError(
            f"{config['name']}: the dense model has changed since the index was made with it; "
            "bring the old one back, or encode the documents again with dense= (lsr reindex)"
        )
    return encoder


def _assembled(
    layout: DenseLayout,
    backend: Backend | None,
    max_length: int | None,
    batch_size: int | None,
    device: str | None,
    settings: dict[str, Any],
) -> TransformerVectors:
    tokenizer, own_limit = _tokenizer(layout.folder)
    body, identity = _body(layout, backend, device)
    longest = body.max_length or DEFAULT_LENGTH
    if max_length is not None and not 3 <= max_length <= longest:
        raise UsageError(
            f"max_length = {max_length}: expected 3 to {longest}, what the model can take"
        )
    length = max_length or min(layout.max_length or own_limit or longest, longest)
    sides = [
        WordPieces(tokenizer, max_length=length, prompt=prompt, lowercase=layout.lowercase)
        for prompt in (layout.document_prompt, layout.query_prompt)
    ]
    identity |= {"tokenizer": tokenizer_sha256(layout.folder), "lowercase": layout.lowercase}
    return TransformerVectors(
        body,
        *sides,
        pooling=layout.pooling,
        normalise=layout.normalise,
        identity=identity,
        settings=settings,
        batch_size=batch_size or BATCH_SIZE,
    )


def _body(
    layout: DenseLayout, backend: Backend | None, device: str | None
) -> tuple[Body, dict[str, Any]]:
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


def _tokenizer(folder: Path) -> tuple[str, int | None]:
    """Return a folder's tokenizer and its own length limit, without transformers if it can be."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        from lsr.encoders.neural.transformer_body import load_tokenizer

        return load_tokenizer(folder)
    limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    # transformers writes 10^30 where a tokenizer has no limit.
    known = isinstance(limit, int) and 0 < limit < 10**9
    return path.read_text(encoding="utf-8"), limit if known else None
