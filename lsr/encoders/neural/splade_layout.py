"""Model layout: where the parts of a model folder lie and how they pool. No torch here.

Three layouts are read: a plain masked-language-model checkpoint (the published SPLADE models); the
same with an ``idf.json`` beside it (the OpenSearch inference-free models); and a SparseEncoder
repository of sentence-transformers, whose ``modules.json`` lists either a transformer with what
makes sparse vectors of its states, or a router with such a list for queries and one for documents.

OpenSearch's code sets the weights of special tokens to zero; Naver's and sentence-transformers'
keep them as pooled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from lsr.encoders.neural.model_files import read_json
from lsr.encoders.neural.module_list import (
    Prompts,
    class_name,
    path_within,
    read_limits,
    read_modules,
    read_prompts,
)
from lsr.encoders.neural.pooling import Activation, Pooling
from lsr.errors import ModelError, UsageError

IDF_TABLE = "idf.json"
_TRANSFORMERS = {"Transformer", "MLMTransformer"}


class NeuralSide(NamedTuple):
    """A transformer and its tokenizer in `folder`, with its pooling.

    Attributes
    ----------
    max_length : int or None
        Tokens kept of a text, specials included; None leaves it to tokenizer and model.
    lowercase : bool
        Lower-case texts whatever the tokenizer does.
    prompt : str
        Put in front of every text.
    drop_specials : bool
        Set the weights of special tokens to zero.
    """

    folder: Path
    pooling: Pooling = "max"
    activation: Activation = "relu"
    max_length: int | None = None
    lowercase: bool = False
    prompt: str = ""
    drop_specials: bool = False


class PooledSide(NamedTuple):
    """A transformer whose mean state goes through a linear layer (`lsr.encoders.neural.pooled`).

    `pooling` and `head` are the folders of the Pooling and the SparseAutoEncoder; `normalise`
    scales embeddings to length 1; the rest is as in `NeuralSide`.
    """

    folder: Path
    pooling: Path
    head: Path
    normalise: bool
    max_length: int | None = None
    lowercase: bool = False
    prompt: str = ""


class StaticSide(NamedTuple):
    """An inference-free query side: one weight for each word piece.

    `table` is an ``idf.json`` (token to weight) or a safetensors file with the array ``weight``.
    """

    tokenizer_folder: Path
    table: Path
    prompt: str = ""


class ModelLayout(NamedTuple):
    """Both sides of a model; the sides may be the same."""

    document: NeuralSide | PooledSide
    query: NeuralSide | PooledSide | StaticSide


def read_layout(folder: Path) -> ModelLayout:
    """Read the layout of a model folder; raises ModelError."""
    modules = folder / "modules.json"
    if not modules.is_file():
        table = folder / IDF_TABLE
        plain = NeuralSide(folder, drop_specials=table.is_file())
        return ModelLayout(plain, StaticSide(folder, table) if table.is_file() else plain)
    prompts = read_prompts(folder)
    listed = read_modules(modules, folder)
    if [name for name, _ in listed] in (["Router"], ["Asym"]):
        return _routed(folder, listed[0][1], prompts)
    document = _neural_side(modules, listed, prompts.document)
    return ModelLayout(document, _neural_side(modules, listed, prompts.query))


def _routed(root: Path, router: Path, prompts: Prompts) -> ModelLayout:
    path = router / "router_config.json"
    config = read_json(path) or read_json(router / "config.json")
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise ModelError(f"{path}: expected the keys types and structure")
    missing = {"query", "document"} - set(structure)
    if missing:
        raise ModelError(f"{path}: no route for {', '.join(sorted(missing))}")
    routes = {
        route: [(class_name(types.get(name)), router / path_within(router, name)) for name in names]
        for route, names in structure.items()
    }
    document = _neural_side(path, routes["document"], prompts.document)
    if [name for name, _ in routes["query"]] == ["SparseStaticEmbedding"]:
        return ModelLayout(document, _static_side(root, routes["query"][0][1], prompts.query))
    return ModelLayout(document, _neural_side(path, routes["query"], prompts.query))


def _neural_side(
    where: Path, modules: list[tuple[str, Path]], prompt: str
) -> NeuralSide | PooledSide:
    names = [name for name, _ in modules]
    pooled = names[1:] in (
        ["Pooling", "SparseAutoEncoder"],
        ["Pooling", "Normalize", "SparseAutoEncoder"],
    )
    if not names or names[0] not in _TRANSFORMERS or not (pooled or names[1:] == ["SpladePooling"]):
        raise ModelError(
            f"{where}: modules {', '.join(names)} are not supported; expected a Transformer and a "
            "SpladePooling, or a Transformer, Pooling, perhaps Normalize, and a SparseAutoEncoder"
        )
    transformer, pooling_folder = modules[0][1], modules[1][1]
    max_length, lowercase = read_limits(transformer)
    if pooled:
        return PooledSide(
            transformer, pooling_folder, modules[-1][1], "Normalize" in names, max_length,
            lowercase, prompt,
        )  # fmt: skip
    pooling = read_json(pooling_folder / "config.json")
    return NeuralSide(
        folder=transformer,
        pooling=cast(Pooling, _choice(pooling_folder, pooling, "pooling_strategy", Pooling, "max")),
        activation=cast(
            Activation, _choice(pooling_folder, pooling, "activation_function", Activation, "relu")
        ),
        max_length=max_length,
        lowercase=lowercase,
        prompt=prompt,
    )


def _choice(folder: Path, config: Mapping[str, Any], key: str, allowed: Any, default: str) -> str:
    value = config.get(key, default)
    if value not in get_args(allowed):
        raise ModelError(
            f"{folder / 'config.json'}: {key} = {value!r}, expected one of "
            f"{', '.join(get_args(allowed))}"
        )
    return str(value)


def _static_side(root: Path, folder: Path, prompt: str) -> StaticSide:
    named = read_json(folder / "config.json").get("path")
    candidates = [folder / "model.safetensors"]
    if named:
        name = Path(path_within(folder, named)).name
        candidates = [folder / name, root / name, root / IDF_TABLE]
    for table in candidates:
        if table.is_file():
            return StaticSide(folder, table, prompt)
    raise ModelError(
        f"{folder}: no weights of the query side; expected {' or '.join(map(str, candidates))}"
    )


def overridden(layout: ModelLayout, given: Mapping[str, str]) -> ModelLayout:
    """Return a layout with another pooling, activation or treatment of special tokens.

    Raises UsageError for a model that has none.
    """
    if given and isinstance(layout.document, PooledSide):
        raise UsageError(
            f"{', '.join(sorted(given))}: this model has a linear layer behind its pooling, which "
            "fits no other; leave the option out"
        )
    changes: dict[str, Any] = dict(given)
    if "special_tokens" in changes:
        changes["drop_specials"] = changes.pop("special_tokens") == "drop"
    document, query = layout
    if isinstance(document, NeuralSide):
        document = document._replace(**changes)
    if isinstance(query, NeuralSide):
        query = query._replace(**changes)
    return ModelLayout(document, query)
