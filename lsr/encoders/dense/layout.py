"""Layout of a dense model's folder. Nothing heavy is imported here.

Two layouts are read: a sentence-transformers repository, whose ``modules.json`` lists a
transformer, a pooling and perhaps a normalisation, and the plain folder of a transformer (mean
pooling, not normalised, as sentence-transformers takes it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from lsr.encoders.neural.model_files import read_json
from lsr.encoders.neural.module_list import read_limits, read_modules, read_prompts
from lsr.errors import ModelError

DensePooling = Literal["mean", "cls", "max"]

_POOLING_KEYS: dict[str, DensePooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
_ONNX_NAMES = ("onnx/model.onnx", "model.onnx")


class DenseLayout(NamedTuple):
    """A transformer and its tokenizer in `folder`, below the model's `root`, and their settings.

    `max_length`, in tokens with specials, is None where tokenizer and model decide. Prompts are put
    in front of every text.
    """

    folder: Path
    root: Path
    pooling: DensePooling = "mean"
    normalise: bool = False
    max_length: int | None = None
    lowercase: bool = False
    query_prompt: str = ""
    document_prompt: str = ""


def read_dense_layout(folder: Path) -> DenseLayout:
    """Read the layout of a model folder; raises ModelError."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return DenseLayout(folder, folder)
    listed = read_modules(modules, folder)
    names = [name for name, _ in listed]
    if names[:2] != ["Transformer", "Pooling"] or names[2:] not in ([], ["Normalize"]):
        raise ModelError(
            f"{modules}: modules {', '.join(names)} are not supported; expected Transformer, "
            "Pooling and perhaps Normalize (a sparse encoder goes to encoder=)"
        )
    transformer = listed[0][1]
    pooling = listed[1][1] / "config.json"
    if read_json(pooling).get("include_prompt") is False:
        raise ModelError(f"{pooling}: leaving the prompt out of the pooling is not supported")
    max_length, lowercase = read_limits(transformer)
    prompts = read_prompts(folder)
    return DenseLayout(
        folder=transformer,
        root=folder,
        pooling=read_pooling(pooling),
        normalise="Normalize" in names,
        max_length=max_length,
        lowercase=lowercase,
        query_prompt=prompts.query,
        document_prompt=prompts.document,
    )


def read_pooling(path: Path) -> DensePooling:
    """Return the pooling in the ``config.json`` of a Pooling module; raises ModelError."""
    config = read_json(path)
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    mode = config.get("pooling_mode")
    if mode is not None:
        chosen = [f"pooling_mode_{mode}" + ("_token" if mode == "cls" else "_tokens")]
    if len(chosen) == 1 and chosen[0] in _POOLING_KEYS:
        return _POOLING_KEYS[chosen[0]]
    raise ModelError(
        f"{path}: pooling {', '.join(chosen) or 'missing'} is not supported; expected exactly one "
        f"of {', '.join(_POOLING_KEYS)}"
    )


def onnx_file(layout: DenseLayout) -> Path | None:
    """Return the exported graph of a model, or None when it has none."""
    candidates = [root / name for root in (layout.folder, layout.root) for name in _ONNX_NAMES]
    return next((path for path in candidates if path.is_file()), None)
