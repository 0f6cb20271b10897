"""Encoders by name, and the query side of an index by what the index stored.

The one place that knows which kinds there are. Neural modules are imported inside the functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lsr.analysis.analyzer import Accents
from lsr.encoders import precomputed
from lsr.encoders.base import CollectionStatistics, Encoder, EncoderAssets, QueryEncoder
from lsr.encoders.composite import encoder as composite
from lsr.encoders.composite.encoder import (
    CompositeEncoder,
    CompositeQueryEncoder,
    parts_of,
    statistics_of_parts,
)
from lsr.encoders.composite.files import is_composite, load_composite
from lsr.encoders.lexical import bm25
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.encoders.neural import inference_free
from lsr.encoders.neural.inference_free import InferenceFreeEncoder, InferenceFreeQueryEncoder
from lsr.encoders.neural.model_files import find_model, find_stored_model
from lsr.encoders.precomputed import PrecomputedEncoder, read_vocabulary
from lsr.errors import EncoderMismatchError, IndexFormatError, ModelError, UsageError

NAMES = (bm25.KIND, precomputed.KIND)
"""Encoders that are no model; anything else is a folder or a hub id."""


def load_encoder(
    name: str | Path,
    *,
    query_encoder: Literal["model", "idf"] | None = None,
    language: str | None = None,
    stopwords: Iterable[str] | None = None,
    accents: Accents | None = None,
    k1: float | None = None,
    b: float | None = None,
    vocabulary: str | Path | None = None,
    max_length: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    top_k: int | None = None,
    mass: float | None = None,
    pooling: Literal["max", "sum"] | None = None,
    activation: Literal["relu", "log1p_relu"] | None = None,
    special_tokens: Literal["keep", "drop"] | None = None,
    backend: Literal["torch", "onnx"] | None = None,
) -> Encoder:
    """Load an encoder. What is None keeps the default of the encoder.

    Parameters
    ----------
    name : str or Path
        ``bm25``, ``precomputed``, a model that comes with the package (`lsr.models`), the folder of
        a model or of a composite (`lsr.encoders.composite.files`), or a hub id
        ``owner/model[@revision]``.
    query_encoder : {"model", "idf"}, optional
        For a model: encode queries with its network, or as their word pieces times an IDF table
        counted in the collection. By default what the model says; with a table of its own, that.
    language, stopwords, accents, k1, b : optional
        For ``bm25``; see `lsr.analysis.Analyzer` and `lsr.encoders.lexical.bm25.BM25Encoder`.
    vocabulary : path, optional
        For ``precomputed``: a ``tokenizer.json``, or a text file with a term a line.
    max_length, batch_size, device, top_k, mass, pooling, activation, special_tokens, backend
        Optional, for a model; see `lsr.encoders.neural.splade.load_splade`. A composite hands
        options on to the parts that take them.

    Raises
    ------
    UsageError
        An option is out of range or does not belong to this encoder.
    ModelError
        The model cannot be found or may not be loaded.
    MissingDependencyError
        A model is asked for and torch is not installed.
    """
    lexical: dict[str, Any] = {
        "language": language, "stopwords": stopwords, "accents": accents, "k1": k1, "b": b,
    }  # fmt: skip
    neural: dict[str, Any] = {
        "max_length": max_length, "batch_size": batch_size, "device": device, "top_k": top_k,
        "mass": mass, "pooling": pooling, "activation": activation,
        "special_tokens": special_tokens, "backend": backend,
    }  # fmt: skip
    if name == bm25.KIND:
        _refuse(name, {"vocabulary": vocabulary, **neural})
        if query_encoder == "model":
            raise UsageError("query_encoder model: bm25 has no network; leave the option out")
        return BM25Encoder.for_language(**_given(lexical))
    if name == precomputed.KIND:
        _refuse(name, {"query_encoder": query_encoder, **lexical, **neural})
        terms = None if vocabulary is None else read_vocabulary(Path(vocabulary))
        return PrecomputedEncoder(terms)
    _refuse(name, {"vocabulary": vocabulary})
    from lsr.encoders.neural.splade import load_splade

    folder = find_model(name)
    if is_composite(folder):
        options = _given({"query_encoder": query_encoder, **lexical, **neural})
        return load_composite(str(name), folder, options, BM25Encoder.for_language, load_splade)
    _refuse(name, lexical)
    return load_splade(name, query_encoder=query_encoder, **neural)


def restore_encoder(assets: EncoderAssets) -> QueryEncoder:
    """Make the query encoder of an index again.

    Loads neither torch nor transformers, except for an index whose queries need the network.

    Raises
    ------
    IndexFormatError
        The index stores another kind of encoder than this version knows, or not all of it.
    EncoderMismatchError
        The model has changed since the index was made.
    ModelError
        The model is not where it was.
    """
    kind = assets.config.get("kind")
    try:
        if kind == bm25.KIND:
            return BM25Encoder.from_assets(assets)
        if kind == inference_free.KIND:
            return InferenceFreeQueryEncoder.from_assets(assets)
        if kind == precomputed.KIND:
            return PrecomputedEncoder.from_assets(assets)
        if kind == composite.KIND:
            return CompositeQueryEncoder.from_assets(assets, restore_encoder)
        if kind == "splade":
            return _restore_model(assets.config)
    except KeyError as error:
        raise IndexFormatError(
            f"the encoder stored in the index ({kind}) lacks {error}; index the corpus again"
        ) from error
    raise IndexFormatError(
        f"the index stores an encoder of an unknown kind, {kind!r}; it was made by a newer "
        "version of this package, or is damaged"
    )


def restore_document_encoder(assets: EncoderAssets) -> Encoder:
    """Make the encoder of an index again, to encode further documents as the first ones were.

    Raises
    ------
    UsageError
        The vectors came from elsewhere, or the index does not say which model made them.
    IndexFormatError, EncoderMismatchError, ModelError
        As in `restore_encoder`.
    MissingDependencyError
        The documents need a model and torch is not installed.
    """
    config = assets.config
    if config.get("kind") == precomputed.KIND:
        raise UsageError(
            "the index was made of vectors from elsewhere and has no encoder for text; add vectors "
            "with index.IndexWriter.add from Python, or index the file of all vectors again"
        )
    if config.get("kind") == composite.KIND:
        parts, _ = parts_of(assets, restore_document_encoder)
        return CompositeEncoder(parts)
    if config.get("kind") != inference_free.KIND:
        encoder = restore_encoder(assets)
        assert isinstance(encoder, Encoder)
        return encoder
    if "documents" not in config:
        raise UsageError(
            "the index does not say where the model of its documents lies; encode the documents "
            "again with encoder= (lsr reindex), once"
        )
    documents = _restore_model(config["documents"])
    assert isinstance(documents, Encoder)
    return InferenceFreeEncoder(documents, InferenceFreeQueryEncoder.from_assets(assets))


def statistics_of(assets: EncoderAssets) -> CollectionStatistics | None:
    """Return the counts that the queries of an index depend on; None when they depend on none."""
    if assets.config.get("kind") == composite.KIND:
        return statistics_of_parts(assets, statistics_of)
    config, counted = assets.config, assets.arrays.get("document_frequency")
    if counted is None or config.get("idf") == "model":
        return None
    return CollectionStatistics(config["n_docs"], config["total_length"], counted.astype(np.int64))


def _restore_model(config: Mapping[str, Any]) -> QueryEncoder:
    from lsr.encoders.neural.splade import load_splade

    try:
        name = str(config["name"])
        folder = find_stored_model(name)
        encoder = load_splade(name, query_encoder="model", folder=folder, **config["settings"])
    except ModelError as error:
        raise ModelError(
            f"the index needs the model it was made with to encode queries: {error}; "
            "bring it back, or give its new place as encoder="
        ) from error
    except TypeError as error:
        raise IndexFormatError(
            f"the stored encoder has a setting of an unknown name or type ({error}); it was made "
            "by a newer version of this package, or is damaged"
        ) from error
    if encoder.fingerprint.digest != config["digest"]:
        raise EncoderMismatchError(
            f"{config['name']}: the model has changed since the index was made with it; "
            "bring the old one back, or index the corpus again"
        )
    return encoder


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _refuse(name: str | Path, options: Mapping[str, Any]) -> None:
    foreign = sorted(_given(options))
    if foreign:
        raise UsageError(f"{', '.join(foreign)}: not an option of the encoder {name}; leave it out")
