"""What the folder of a dense model says about itself. Nothing heavy is imported here.

Two layouts are read: a sentence-transformers repository, whose ``modules.json`` lists a
transformer, a pooling and perhaps a normalisation, and the plain folder of a transformer (mean
pooling, not normalised, as sentence-transformers takes it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from lsr.encoders.neural.model_files import read_json
from lsr.encoders.neural.module_list import (
    TRANSFORMER_CONFIGS,
    class_name,
    module_entries,
    path_within,
    read_prompts,
)
from lsr.errors import ModelError

DensePooling = Literal["mean", "cls", "max"]

_POOLING_KEYS: dict[str, DensePooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
_ONNX_NAMES = ("onnx/model.onnx", "model.onnx")


class DenseLayout(NamedTuple):
    """A transformer and what becomes of its states.

    Attributes
    ----------
    folder : Path
        Holds the transformer and its tokenizer.
    root : Path
        The model's folder.
    pooling : {"mean", "cls", "max"}
        How the states of the tokens become one vector.
    normalise : bool
        Scale vectors to length 1.
    max_length : int or None
        Tokens kept of a text, specials included; None leaves it to tokenizer and model.
    lowercase : bool
        Lower-case texts whatever the tokenizer does.
    query_prompt, document_prompt : str
        Put in front of every text.
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
    """Read the layout of a model folder.

    Raises
    ------
    ModelError
        Its description is malformed, names a part that is not supported, or is that of a sparse
        encoder.
    """
    modules = folder / "modules.json"
    if not modules.is_file():
        return DenseLayout(folder, folder)
    listed = [
        (class_name(entry.get("type")), folder / path_within(folder, entry.get("path")))
        for entry in module_entries(modules)
    ]
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
    own = next(filter(None, (read_json(transformer / name) for name in TRANSFORMER_CONFIGS)), {})
    prompts = read_prompts(folder)
    return DenseLayout(
        folder=transformer,
        root=folder,
        pooling=read_pooling(pooling),
        normalise="Normalize" in names,
        max_length=own.get("max_seq_length"),
        lowercase=bool(own.get("do_lower_case")),
        query_prompt=prompts.query,
        document_prompt=prompts.document,
    )


def read_pooling(path: Path) -> DensePooling:
    """Return the pooling that the ``config.json`` of a Pooling module asks for.

    Raises
    ------
    ModelError
        It is not exactly one of those known.
    """
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
