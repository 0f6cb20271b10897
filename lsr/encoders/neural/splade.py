"""SPLADE encoders: a masked language model whose logits, pooled over a text, are its vector.

Formal, Piwowarski, Clinchant, "SPLADE: Sparse Lexical and Expansion Model for First Stage Ranking"
(SIGIR 2021), §3; max pooling from "SPLADE v2" (2021), §3. Importing this module loads no torch.

Texts are encoded in batches of similar length, so hardly a token is padding, and returned in the
order they came. A text without any word (empty, white space) has an empty vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
)
from lsr.encoders.neural.inference_free import InferenceFreeEncoder
from lsr.encoders.neural.int8_files import is_int8
from lsr.encoders.neural.model_files import (
    check_architecture,
    config_sha256,
    find_model,
    tokenizer_sha256,
    weights_sha256,
)
from lsr.encoders.neural.onnx_vectors import OnnxVectors
from lsr.encoders.neural.pooled import PooledVectors
from lsr.encoders.neural.pooling import Activation, Pooling
from lsr.encoders.neural.splade_layout import (
    ModelLayout,
    NeuralSide,
    PooledSide,
    StaticSide,
    read_layout,
)
from lsr.encoders.neural.torch_threads import run_batches
from lsr.encoders.neural.transformer_body import load_body, load_tokenizer
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.encoders.pruning import check_pruning, prune
from lsr.errors import ModelError, UsageError
from lsr.models import packaged_model
from lsr.sparse import SparseBatch

KIND = "splade"
Backend = Literal["torch", "onnx"]
BATCH_SIZE = {"cpu": 8, "cuda": 128}
"""Texts of full length in a batch. On a CPU a small batch keeps the activations in the cache."""


class NeuralVectors:
    """Texts to vectors with one transformer.

    Parameters
    ----------
    side : NeuralSide
        What to load and how to pool.
    max_length : int, optional
        Pieces kept of a text, instead of the model's own limit.
    batch_size : int, optional
        Texts of full length in a batch; shorter texts are batched up to as many tokens.
    device : str, optional
        A torch device.
    """

    def __init__(
        self,
        side: NeuralSide,
        *,
        max_length: int | None,
        batch_size: int | None,
        device: str | None,
    ) -> None:
        check_architecture(side.folder)
        backend, limit = load_tokenizer(side.folder)
        special_ids = WordPieces(backend, max_length=8).special_ids.tolist()
        self._body, self._projection = load_body(
            side, special_ids if side.drop_specials else [], device
        )
        self.side = side
        self.pieces = WordPieces(
            backend,
            max_length=_length(max_length, side.max_length or limit, self._body.max_length),
            prompt=side.prompt,
            lowercase=side.lowercase,
        )
        size = batch_size or BATCH_SIZE.get(self._body.device.type, 32)
        self._batch_tokens = size * self.pieces.max_length

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self._projection.n_terms

    def identity(self) -> dict[str, Any]:
        """Return everything that shapes these vectors, as JSON values; hashes the weights."""
        return {
            "model": weights_sha256(self.side.folder),
            "architecture": config_sha256(self.side.folder),
            "tokenizer": tokenizer_sha256(self.side.folder),
            "pooling": self.side.pooling,
            "activation": self.side.activation,
            "special_tokens": "dropped" if self.side.drop_specials else "kept",
            "lowercase": self.side.lowercase,
            "max_length": self.pieces.max_length,
            "prompt": self.side.prompt,
        }

    def encode(self, ids: Sequence[NDArray[np.int64]]) -> SparseBatch:
        """Return the vectors of texts given as piece ids; texts without pieces get empty ones."""
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        batches = [order[cut] for cut in _batches(lengths[order], self._batch_tokens)]

        def encode_batch(rows: NDArray[np.int64]) -> SparseBatch:
            states = self._body.states([ids[row] for row in rows])
            return self._projection.vectors(states, lengths[rows].tolist())

        parts = run_batches(encode_batch, batches, self._body.device)
        position = np.empty(len(ids), np.int64)
        position[order] = np.arange(len(order))
        position[lengths == 0] = len(order)
        return SparseBatch.concatenate([*parts, SparseBatch.empty(1)]).select(position)


def _batches(lengths: NDArray[np.int64], tokens: int) -> list[slice]:
    """Cut texts, longest first, into runs that fill at most `tokens` once padded."""
    cuts, start = [], 0
    while start < len(lengths):
        end = min(start + max(1, tokens // int(lengths[start])), len(lengths))
        cuts.append(slice(start, end))
        start = end
    return cuts


def _length(asked: int | None, usual: int | None, longest: int) -> int:
    if asked is None:
        return min(usual or longest, longest)
    if not 3 <= asked <= longest:
        raise UsageError(f"max_length = {asked}: expected 3 to {longest}, what the model can take")
    return asked


Vectors = NeuralVectors | PooledVectors | OnnxVectors


class SpladeEncoder:
    """Documents through a SPLADE model, queries through the same or a second one.

    Parameters
    ----------
    documents, queries : NeuralVectors, PooledVectors or OnnxVectors
        May be the same object.
    name : str
        Where the model was loaded from, to load it again.
    settings : mapping
        Arguments of `load_splade` that shape vectors.
    """

    def __init__(
        self,
        documents: Vectors,
        queries: Vectors,
        *,
        name: str,
        settings: dict[str, Any],
    ) -> None:
        self._documents = documents
        self._queries = queries
        self._name = name
        self._settings = settings
        pruning = {"top_k": settings.get("top_k"), "mass": settings.get("mass")}
        document = documents.identity()
        query = document if queries is documents else queries.identity()
        self._fingerprint = Fingerprint(
            {"kind": KIND, **document, **pruning}, {"encoder": "model", **query}
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """Model, tokenizer, pooling and limits; not where the model lies."""
        return self._fingerprint

    @property
    def n_terms(self) -> int:
        """Size of the model's vocabulary."""
        return self._documents.n_terms

    @property
    def pieces(self) -> WordPieces:
        """The tokenizer of the document side."""
        return self._documents.pieces

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        """Encode documents and count the word pieces of their texts, as far as encoded."""
        ids = self.pieces.encode(texts)
        vectors = prune(
            self._documents.encode(ids),
            top_k=self._settings.get("top_k"),
            mass=self._settings.get("mass"),
        )
        return EncodedDocuments(vectors, self.pieces.count(texts, ids))

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Encode queries with the neural network; pruning applies to documents only."""
        return self._queries.encode(self._queries.pieces.encode(texts))

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        """Return the vectors: nothing depends on the collection."""
        return vectors

    def with_statistics(self, statistics: CollectionStatistics) -> SpladeEncoder:
        """Return this encoder: its queries need no statistics."""
        return self

    def term(self, term_id: int) -> str:
        """Return the word piece behind an id."""
        return self.pieces.term(term_id)

    def term_id(self, term: str) -> int | None:
        """Return the id of a word piece, or None."""
        return self.pieces.term_id(term)

    def assets(self) -> EncoderAssets:
        """Return where the model lies and its digest; the weights stay where they are."""
        return EncoderAssets(
            {
                "kind": KIND,
                "name": self._name,
                "settings": self._settings,
                "digest": self.fingerprint.digest,
            }
        )

    def state(self) -> bytes | None:
        """Return None: nothing grows."""
        return None

    def load_state(self, state: bytes) -> None:
        """Take up nothing."""


def load_splade(
    name: str | Path,
    *,
    query_encoder: Literal["model", "idf"] | None = None,
    max_length: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    top_k: int | None = None,
    mass: float | None = None,
    pooling: Pooling | None = None,
    activation: Activation | None = None,
    special_tokens: Literal["keep", "drop"] | None = None,
    backend: Backend | None = None,
    folder: Path | None = None,
) -> Encoder:
    """Load a SPLADE model.

    Parameters
    ----------
    name : str or Path
        A folder, or a hub id ``owner/model[@revision]``.
    query_encoder : {"model", "idf"}, optional
        Encode queries with the neural network, or as their word pieces times an IDF table. By
        default what the model's folder says, else the neural network.
    max_length : int, optional
        Word pieces kept of a text, special tokens included. By default the model's own limit.
    batch_size : int, optional
        Texts of full length in a batch.
    device : str, optional
        A torch device; by default a GPU when there is one. A GPU computes in bfloat16.
    top_k, mass : optional
        Cut document vectors to their largest weights: at most `top_k`, or as many as make up the
        share `mass` of their sum.
    pooling, activation, special_tokens : optional
        Override what the model's folder says: ``"max"`` or ``"sum"``; ``"relu"`` or
        ``"log1p_relu"``; ``"keep"`` or ``"drop"`` the weights of special tokens.
    backend : {"torch", "onnx"}, optional
        What runs the network: torch, or the int8 graph that lies in the model's folder, on the CPU.
        By default torch, except for a model that is stored in int8
        (`lsr.encoders.neural.int8_files`). Their vectors differ a little, so an index is bound to
        one of them.
    folder : Path, optional
        Where the model of this name was found already.

    Raises
    ------
    ModelError
        When the model cannot be found or may not be loaded; `PickleWeightsError` when it has
        pickled weights only.
    MissingDependencyError
        Without torch.
    UsageError
        On an option out of range.
    """
    check_pruning(top_k, mass)
    if query_encoder not in (None, "model", "idf"):
        raise UsageError(f"query_encoder = {query_encoder!r}: expected model or idf")
    if backend not in (None, "torch", "onnx"):
        raise UsageError(f"backend = {backend!r}: expected torch or onnx")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size = {batch_size}: expected at least 1")
    is_path = folder is None and packaged_model(str(name)) is None
    is_path = is_path and Path(name).expanduser().is_dir()
    folder = find_model(name) if folder is None else folder
    overrides = {"pooling": pooling, "activation": activation, "special_tokens": special_tokens}
    layout = _overridden(read_layout(folder), overrides)
    options: dict[str, Any] = {"batch_size": batch_size, "device": device, "max_length": max_length}
    settings: dict[str, Any] = {"max_length": max_length, "top_k": top_k, "mass": mass, **overrides}
    documents: Vectors
    queries: Vectors
    if _runs_graph(folder, backend):
        _refuse_for_graph({"batch_size": batch_size, "device": device, **overrides})
        documents = queries = OnnxVectors(layout.document.folder, max_length=max_length)
        settings["backend"] = "onnx"
    else:
        documents = queries = _torch_vectors(layout.document, options)
        other = layout.query != layout.document and query_encoder != "idf"
        if other and not isinstance(layout.query, StaticSide):
            queries = _torch_vectors(layout.query, options)
    where = str(folder) if is_path else str(name)
    encoder = SpladeEncoder(documents, queries, name=where, settings=settings)
    if query_encoder == "idf":
        return InferenceFreeEncoder.over(encoder, encoder.pieces)
    if query_encoder is None and isinstance(layout.query, StaticSide):
        table, prompt = layout.query.table, layout.query.prompt
        return InferenceFreeEncoder.over(encoder, encoder.pieces, table=table, prompt=prompt)
    return encoder


def _runs_graph(folder: Path, backend: Backend | None) -> bool:
    """Tell what runs a model: its graph on request, and where nothing else is in the folder."""
    if is_int8(folder) and backend == "torch":
        raise ModelError(
            f"{folder}: stores int8 numbers, which torch does not run; "
            "write it as floats first: lsr export-model MODEL -o FOLDER"
        )
    return backend == "onnx" or is_int8(folder)


def _torch_vectors(side: NeuralSide | PooledSide, options: Mapping[str, Any]) -> Vectors:
    if isinstance(side, PooledSide):
        return PooledVectors(side, **options)
    return NeuralVectors(side, **options)


def _refuse_for_graph(options: Mapping[str, Any]) -> None:
    given = sorted(key for key, value in options.items() if value not in (None, "cpu"))
    if given:
        raise UsageError(
            f"{', '.join(given)}: the exported graph of a model runs on the CPU, one text at a "
            "time, as it was exported; leave the option out"
        )


def _overridden(layout: ModelLayout, overrides: Mapping[str, str | None]) -> ModelLayout:
    allowed = {"pooling": get_args(Pooling), "activation": get_args(Activation)}
    allowed["special_tokens"] = ("keep", "drop")
    given = {key: value for key, value in overrides.items() if value is not None}
    for key, value in given.items():
        if value not in allowed[key]:
            raise UsageError(f"{key} = {value!r}: expected {' or '.join(allowed[key])}")
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
