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

from lsr.encoders.base import (
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
)
from lsr.encoders.neural.inference_free import InferenceFreeEncoder
from lsr.encoders.neural.int8_files import is_int8
from lsr.encoders.neural.masked_lm_vectors import NeuralVectors
from lsr.encoders.neural.model_files import find_model, find_stored_model, lasting_name
from lsr.encoders.neural.onnx_vectors import OnnxVectors
from lsr.encoders.neural.pooled import PooledVectors
from lsr.encoders.neural.pooling import Activation, Pooling
from lsr.encoders.neural.pruning import check_pruning, prune
from lsr.encoders.neural.splade_layout import (
    NeuralSide,
    PooledSide,
    StaticSide,
    overridden,
    read_layout,
)
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import EncoderMismatchError, IndexFormatError, ModelError, UsageError
from lsr.sparse import SparseBatch

KIND = "splade"
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

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> Encoder:
        """Load the model of a folder; see `load_splade`."""
        return load_splade(name, folder=folder, **options)

    @classmethod
    def restore(cls, assets: EncoderAssets) -> Encoder:
        """Load the model that an index was made with.

        Raises
        ------
        ModelError
            It is not where it was.
        EncoderMismatchError
            It has changed.
        """
        config = assets.config
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
                f"the stored encoder has a setting of an unknown name or type ({error}); it was "
                "made by a newer version of this package, or is damaged"
            ) from error
        if encoder.fingerprint.digest != config["digest"]:
            raise EncoderMismatchError(
                f"{config['name']}: the model has changed since the index was made with it; "
                "bring the old one back, or index the corpus again"
            )
        return encoder

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


def load_splade(
    name: str | Path,
    *,
    folder: Path | None = None,
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
) -> Encoder:
    """Load a SPLADE model.

    Parameters
    ----------
    name : str or Path
        A folder, or a hub id ``owner/model[@revision]``.
    folder : Path, optional
        The model's folder, where it has been found already.
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
    folder = find_model(name) if folder is None else folder
    overrides = {"pooling": pooling, "activation": activation, "special_tokens": special_tokens}
    layout = overridden(read_layout(folder), overrides)
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
    lasting = lasting_name(name, folder)
    encoder = SpladeEncoder(documents, queries, name=lasting, settings=settings)
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
