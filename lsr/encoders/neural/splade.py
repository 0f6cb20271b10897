"""SPLADE encoders: a masked language model whose logits, pooled over a text, are its vector.

Formal, Piwowarski, Clinchant, "SPLADE: Sparse Lexical and Expansion Model for First Stage Ranking"
(SIGIR 2021), §3; max pooling from "SPLADE v2" (2021), §3. Importing this module loads no torch.

Texts are encoded in batches of similar length, so hardly a token is padding, and returned in the
order they came. A text without any word (empty, white space) has an empty vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lsr.encoders.base import EncodedDocuments, Encoder, EncoderAssets, Fingerprint
from lsr.encoders.kinds import restore_model
from lsr.encoders.neural.inference_free import InferenceFreeEncoder
from lsr.encoders.neural.int8_files import is_int8
from lsr.encoders.neural.masked_lm_vectors import NeuralVectors
from lsr.encoders.neural.model_files import find_model, find_stored_model, lasting_name
from lsr.encoders.neural.onnx_vectors import OnnxVectors
from lsr.encoders.neural.pooled import PooledVectors
from lsr.encoders.neural.splade_layout import (
    NeuralSide,
    PooledSide,
    StaticSide,
    overridden,
    read_layout,
)
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.encoders.registry import NEURAL
from lsr.errors import ModelError, UsageError
from lsr.sparse import SparseBatch

KIND = "splade"
OVERRIDES = ("pooling", "activation", "special_tokens")
"""Options that replace what the model's folder says."""
SETTINGS = ("max_length", "top_k", "mass", *OVERRIDES)
"""Options that an index stores, to load the model again."""
Backend = Literal["torch", "onnx"]
Vectors = NeuralVectors | PooledVectors | OnnxVectors


class SpladeEncoder(Encoder):
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
        self, documents: Vectors, queries: Vectors, *, name: str, settings: dict[str, Any]
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

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> Encoder:
        return load_splade(name, folder=folder, **options)

    @classmethod
    def restore(cls, assets: EncoderAssets) -> Encoder:
        config = assets.config

        def load() -> Encoder:
            name = str(config["name"])
            folder = find_stored_model(name)
            return load_splade(name, query_encoder="model", folder=folder, **config["settings"])

        return restore_model(
            {"digest": None, **config},
            load,
            noun="model",
            moved="give its new place as encoder=",
            changed="index the corpus again",
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """Model, tokenizer, pooling and limits; not where the model lies."""
        return self._fingerprint

    @property
    def n_terms(self) -> int:
        return self._documents.n_terms

    @property
    def pieces(self) -> WordPieces:
        """The tokenizer of the document side."""
        return self._documents.pieces

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        ids = self.pieces.encode(texts)
        vectors = self._documents.encode(ids)
        top_k, mass = self._settings.get("top_k"), self._settings.get("mass")
        if mass is not None:
            vectors = vectors.top_mass(mass)
        if top_k is not None:
            vectors = vectors.top(top_k)
        return EncodedDocuments(vectors, self.pieces.count(texts, ids))

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Encode queries with the neural network; pruning applies to documents only."""
        return self._queries.encode(self._queries.pieces.encode(texts))

    def term(self, term_id: int) -> str:
        return self.pieces.term(term_id)

    def term_id(self, term: str) -> int | None:
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


def load_splade(name: str | Path, *, folder: Path | None = None, **options: Any) -> Encoder:
    """Load a SPLADE model, from a folder, a hub id, or the `folder` where it was found already.

    Options are those of `lsr.encoders.registry.NEURAL`; see `lsr.encoders.load_encoder`, also for
    what it raises.
    """
    known = {option.name: option for option in NEURAL}
    unknown = options.keys() - known.keys()
    if unknown:
        raise TypeError(f"a SPLADE model has no option {', '.join(sorted(unknown))}")
    given = {key: known[key].check(value) for key, value in options.items() if value is not None}
    if given.get("mass") == 0:
        raise UsageError("mass = 0: expected a share above 0 and up to 1")
    folder = find_model(name) if folder is None else folder
    settings = {key: given.get(key) for key in SETTINGS}
    overrides = {key: given[key] for key in OVERRIDES if key in given}
    layout = overridden(read_layout(folder), overrides)
    running = {key: given.get(key) for key in ("batch_size", "device", "max_length")}
    query_encoder = given.get("query_encoder")
    documents: Vectors
    queries: Vectors
    if _runs_graph(folder, given.get("backend")):
        _require_none_for_graph({**overrides, **running, "max_length": None})
        documents = queries = OnnxVectors(layout.document.folder, max_length=running["max_length"])
        settings["backend"] = "onnx"
    else:
        documents = queries = _torch_vectors(layout.document, running)
        other = layout.query != layout.document and query_encoder != "idf"
        if other and not isinstance(layout.query, StaticSide):
            queries = _torch_vectors(layout.query, running)
    lasting = lasting_name(name, folder)
    encoder = SpladeEncoder(documents, queries, name=lasting, settings=settings)
    if query_encoder == "idf":
        return InferenceFreeEncoder.over(encoder, encoder.pieces)
    if query_encoder is None and isinstance(layout.query, StaticSide):
        table, prompt = layout.query.table, layout.query.prompt
        return InferenceFreeEncoder.over(encoder, encoder.pieces, table=table, prompt=prompt)
    return encoder


def _runs_graph(folder: Path, backend: Backend | None) -> bool:
    """Return whether the graph runs a model: on request, or because the folder has no floats."""
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


def _require_none_for_graph(options: Mapping[str, Any]) -> None:
    given = sorted(key for key, value in options.items() if value not in (None, "cpu"))
    if given:
        raise UsageError(
            f"{', '.join(given)}: the exported graph of a model runs on the CPU, one text at a "
            "time, as it was exported; leave the option out"
        )
