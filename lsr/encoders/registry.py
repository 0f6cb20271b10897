"""Sparse encoders by name, and those of an index by what the index stored.

`ENCODERS` is the one list of kinds. The command line, composite files, restoring an index and the
HTTP schema read it. Nothing of a kind is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from lsr.encoders.base import CollectionStatistics, Encoder, EncoderAssets, QueryEncoder
from lsr.encoders.kinds import Kind, Registry
from lsr.encoders.neural.model_files import find_model
from lsr.encoders.options import Option
from lsr.errors import IndexFormatError

T = TypeVar("T")

DESCRIPTION = "composite.json"
"""The file that makes a folder a composite."""

MAX_LENGTH = Option(
    "max_length", int, "Maximum length in tokens; the rest is cut off.", minimum=1, flag=True
)
BATCH_SIZE = Option(
    "batch_size", int, "Texts that a network encodes at once.",
    minimum=1, shapes_vectors=False, flag=True,
)  # fmt: skip
DEVICE = Option(
    "device", str, "cpu or cuda. Default: the fastest there is.",
    shapes_vectors=False, flag=True,
)  # fmt: skip
LEXICAL = (
    Option(
        "language",
        str,
        "Language of the text, for bm25: a name or an ISO 639 code, as german or de. "
        "Default: english.",
        flag=True,
    ),
    Option("k1", float, "Term-frequency saturation, from 0 up, for bm25.", minimum=0, flag=True),
    Option("b", float, "Length normalisation, 0 to 1, for bm25.", minimum=0, maximum=1, flag=True),
    Option("stopwords", list, "Words that bm25 leaves out, instead of the language's."),
    Option("accents", str, "What bm25 does with accents.", choices=("fold", "keep")),
)
NEURAL = (
    Option(
        "query_encoder", str,
        "model: the network encodes queries; idf: a table does (no network at search time).",
        choices=("model", "idf"), flag=True,
    ),
    MAX_LENGTH,
    BATCH_SIZE,
    DEVICE,
    Option("top_k", int, "Keep the N heaviest terms of each document.", minimum=1, flag=True),
    Option("mass", float, "Keep the heaviest terms that make up this share of the weights.",
           minimum=0, maximum=1),
    Option("pooling", str, "How the weights of tokens become one.", choices=("max", "sum")),
    Option("activation", str, "Of the logits.", choices=("relu", "log1p_relu")),
    Option("special_tokens", str, "Keep or drop their weights.", choices=("keep", "drop")),
    Option("backend", str, "What runs the network.", choices=("torch", "onnx")),
)  # fmt: skip

ENCODERS: Registry[type[Encoder]] = Registry(
    "encoder",
    "lsr.encoders",
    [
        Kind(
            "splade", "lsr.encoders.neural.splade:SpladeEncoder",
            "a masked language model", NEURAL, detects=lambda folder: True,
        ),
        Kind(
            "inference-free", "lsr.encoders.neural.inference_free:InferenceFreeEncoder",
            "documents through a network, queries through a table",
        ),
        Kind(
            "composite", "lsr.encoders.composite.encoder:CompositeEncoder",
            "several encoders in one vector", "lsr.encoders.composite.files:options_of",
            detects=lambda folder: (folder / DESCRIPTION).is_file(),
        ),
        Kind(
            "bm25", "lsr.encoders.lexical.bm25:BM25Encoder",
            "BM25 weights", LEXICAL, by_name=True,
        ),
        Kind(
            "precomputed", "lsr.encoders.precomputed:PrecomputedEncoder",
            "vectors that were made elsewhere",
            (Option("vocabulary", Path, "A tokenizer.json, or a text file with a term a line."),),
            by_name=True,
        ),
    ],
    find_model,
)  # fmt: skip
"""All kinds of sparse encoders."""


register_encoder = ENCODERS.register


def load_encoder(
    name: str | Path,
    *,
    query_encoder: Literal["model", "idf"] | None = None,
    language: str | None = None,
    stopwords: Iterable[str] | None = None,
    accents: Literal["fold", "keep"] | None = None,
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
    options: Mapping[str, Any] | None = None,
) -> Encoder:
    """Load an encoder. An option that is None keeps the default of the encoder.

    Parameters
    ----------
    name : str or Path
        ``bm25``, ``precomputed``, another registered kind, a model that comes with the package
        (`lsr.models`), the folder of a model or of a composite (`lsr.encoders.composite.files`), or
        a hub id ``owner/model[@revision]``.
    query_encoder : {"model", "idf"}, optional
        For a model: encode queries with its network, or as their word pieces times an IDF table
        counted in the collection. By default what the model says; with a table of its own, that.
    language, stopwords, accents, k1, b : optional
        For ``bm25``; see `lsr.analysis.Analyzer` and `lsr.encoders.lexical.bm25.BM25Encoder`.
    vocabulary : path, optional
        For ``precomputed``: a ``tokenizer.json``, or a text file with a term a line.
    max_length : int, optional
        Word pieces kept of a text, special tokens included. By default the model's own limit. A
        composite hands this and the following options to the parts that take them.
    batch_size : int, optional
        Texts of full length in a batch.
    device : str, optional
        A torch device; by default a GPU when there is one. A GPU computes in bfloat16.
    top_k, mass : optional
        Pruning of document vectors: at most `top_k` weights, or as many as make up the share `mass`
        of their sum.
    pooling, activation, special_tokens : optional
        Override what the model's folder says: ``"max"`` or ``"sum"``; ``"relu"`` or
        ``"log1p_relu"``; ``"keep"`` or ``"drop"`` the weights of special tokens.
    backend : {"torch", "onnx"}, optional
        What runs the network: torch (default), or the int8 graph of the model's folder, on the CPU
        (default for a model stored in int8). Their vectors differ a little, so an index is bound
        to one of them.
    options : mapping, optional
        Further ones by name: those of a registered kind.

    Raises
    ------
    UsageError
        An option is out of range or does not belong to this encoder.
    ModelError
        The model cannot be found or may not be loaded (`PickleWeightsError`: pickled weights only).
    MissingDependencyError
        A model is asked for and torch is not installed.
    """
    given: dict[str, Any] = {
        "query_encoder": query_encoder, "language": language, "stopwords": stopwords,
        "accents": accents, "k1": k1, "b": b, "vocabulary": vocabulary, "max_length": max_length,
        "batch_size": batch_size, "device": device, "top_k": top_k, "mass": mass,
        "pooling": pooling, "activation": activation, "special_tokens": special_tokens,
        "backend": backend, **(options or {}),
    }  # fmt: skip
    encoder: Encoder = ENCODERS.load(name, given)
    return encoder


def restore_encoder(assets: EncoderAssets) -> QueryEncoder:
    """Restore the query encoder of an index; loads torch only where queries need the network.

    Raises IndexFormatError for an unknown kind or missing parts, EncoderMismatchError or ModelError
    for a model that has changed or is not where it was.
    """
    return _complete(assets, ENCODERS.of_assets(assets).restore)


def restore_document_encoder(assets: EncoderAssets) -> Encoder:
    """Restore the encoder of an index for further documents.

    Raises as `restore_encoder`; UsageError when the vectors came from elsewhere, or the index does
    not say which model made them; MissingDependencyError without torch where documents need it.
    """
    return _complete(assets, ENCODERS.of_assets(assets).restore_documents)


def statistics_of(assets: EncoderAssets) -> CollectionStatistics | None:
    """Return the counts that the queries of an index depend on; None when they depend on none."""
    return _complete(assets, ENCODERS.of_assets(assets).stored_statistics)


def _complete(assets: EncoderAssets, make: Callable[[EncoderAssets], T]) -> T:
    try:
        return make(assets)
    except KeyError as error:
        raise IndexFormatError(
            f"the encoder stored in the index ({assets.config.get('kind')}) lacks {error}; index "
            "the corpus again"
        ) from error
