"""`TransformerVectors`: a transformer, pooled, as a dense encoder.

Mean pooling and length normalisation as in Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019), §3.
Texts are encoded in batches of similar length, so hardly a token is padding, and returned in the
order they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.encoders.dense.base import DenseEncoder, Similarity
from lsr.encoders.dense.body import Body, Ids
from lsr.encoders.dense.layout import DensePooling, read_dense_layout
from lsr.encoders.dense.loading import open_body, open_tokenizer
from lsr.encoders.dense.packaged import packaged_folder, packaged_name
from lsr.encoders.neural.model_files import find_stored_model, lasting_name, tokenizer_sha256
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import ModelError, UsageError

KIND = "dense"
BATCH_SIZE = 32
DEFAULT_LENGTH = 512
_SHAPE = ("pooling", "normalise", "query_prompt", "document_prompt")
_OF_THE_MACHINE = ("batch_size", "device")


class TransformerVectors(DenseEncoder):
    """A dense encoder over one transformer.

    Parameters
    ----------
    body : Body
    documents, queries : WordPieces
        They differ in their prompt.
    pooling : {"mean", "cls", "max"}
    normalise : bool
    identity : mapping
        What shapes the vectors beyond these: digests of weights and tokenizer.
    settings : mapping
        ``name`` and options to load the encoder again.
    batch_size : int
        Texts of full length in a batch.
    """

    def __init__(
        self,
        body: Body,
        documents: WordPieces,
        queries: WordPieces,
        *,
        pooling: DensePooling,
        normalise: bool,
        identity: dict[str, Any],
        settings: dict[str, Any],
        batch_size: int,
    ) -> None:
        self._body = body
        self._documents = documents
        self._queries = queries
        self._pooling = pooling
        self._normalise = normalise
        self._settings = settings
        self._batch_tokens = batch_size * documents.max_length
        shape = {
            "dimension": body.dimension,
            "pooling": pooling,
            "normalise": normalise,
            "max_length": documents.max_length,
        }
        self._fingerprint = Fingerprint(
            {"kind": KIND, **identity, **shape, "prompt": documents.prompt},
            {"prompt": queries.prompt},
        )

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> TransformerVectors:
        """Load the model of a folder; an option that is not given keeps what the folder says.

        Parameters
        ----------
        name : str
            As it is found again: a packaged model, a path or a hub id.
        folder : Path
        **options
            backend, max_length, batch_size, device, pooling, normalise, query_prompt,
            document_prompt (`lsr.encoders.dense.registry.DENSE_OPTIONS`).

        Raises
        ------
        ModelError
            The model may not be loaded.
        MissingDependencyError
            What runs it is not installed; says which extra to install.
        UsageError
            An option is out of range.
        """
        assert folder is not None
        unknown = options.keys() - {*_SHAPE, *_OF_THE_MACHINE, "backend", "max_length"}
        if unknown:
            raise TypeError(f"a dense encoder has no option {', '.join(sorted(unknown))}")
        layout = read_dense_layout(folder)
        layout = layout._replace(**{key: options[key] for key in _SHAPE if key in options})
        tokenizer, own_limit = open_tokenizer(layout.folder)
        body, identity = open_body(layout, options.get("backend"), options.get("device"))
        longest, asked = body.max_length or DEFAULT_LENGTH, options.get("max_length")
        if asked is not None and not 3 <= asked <= longest:
            raise UsageError(
                f"max_length = {asked}: expected 3 to {longest}, what the model can take"
            )
        length = asked or min(layout.max_length or own_limit or longest, longest)
        documents, queries = (
            WordPieces(tokenizer, max_length=length, prompt=prompt, lowercase=layout.lowercase)
            for prompt in (layout.document_prompt, layout.query_prompt)
        )
        identity |= {"tokenizer": tokenizer_sha256(layout.folder), "lowercase": layout.lowercase}
        kept = {key: value for key, value in options.items() if key not in _OF_THE_MACHINE}
        return cls(
            body,
            documents,
            queries,
            pooling=layout.pooling,
            normalise=layout.normalise,
            identity=identity,
            settings={"name": packaged_name(name) or lasting_name(name, folder), "settings": kept},
            batch_size=options.get("batch_size", BATCH_SIZE),
        )

    @classmethod
    def restore(cls, assets: EncoderAssets) -> TransformerVectors:
        """Load the model that an index was made with; raises like `load`."""
        name, options = str(assets.config["name"]), assets.config["settings"]
        packaged = packaged_name(name)
        folder = find_stored_model(name) if packaged is None else packaged_folder(packaged)
        return cls.load(name, folder, **options)

    @property
    def fingerprint(self) -> Fingerprint:
        """Model, tokenizer, pooling and limits; not where the model lies."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._body.dimension

    @property
    def similarity(self) -> Similarity:
        """Cosine of normalised vectors, inner product of others."""
        return "cosine" if self._normalise else "dot"

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of documents, (n, dimension) float32."""
        return self.encode_ids(self._documents.encode(texts))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of queries, (n, dimension) float32."""
        return self.encode_ids(self._queries.encode(texts))

    def assets(self) -> EncoderAssets:
        """Return where the model lies and its digest; the weights stay where they are."""
        return EncoderAssets({"kind": KIND, **self._settings, "digest": self.fingerprint.digest})

    def encode_ids(self, ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the vectors of texts given as piece ids; zeros for texts without pieces."""
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        vectors = np.zeros((len(ids), self.dimension), np.float32)
        batches, start = [], 0
        while start < len(order):
            size = max(1, self._batch_tokens // int(lengths[order[start]]))
            batches.append(order[start : start + size])
            start += size
        parts = self._body.run([[ids[row] for row in rows] for rows in batches], self._pooled)
        for rows, part in zip(batches, parts, strict=True):
            vectors[rows] = part
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"{self._settings.get('name')}: the model made vectors that are not finite; "
                "its weights are damaged or it does not fit its configuration"
            )
        return vectors

    def _pooled(self, states: NDArray[Any], ids: Ids) -> NDArray[np.float32]:
        pooled = states if states.ndim == 2 else pool(states, ids, self._pooling)
        if self._normalise:
            norms = np.linalg.norm(pooled, axis=1, keepdims=True)
            pooled = pooled / np.maximum(norms, 1e-12)
        result: NDArray[np.float32] = np.ascontiguousarray(pooled, np.float32)
        return result


def pool(
    states: NDArray[Any], ids: Sequence[NDArray[np.int64]], pooling: DensePooling
) -> NDArray[np.float32]:
    """Make one vector of the states of each text.

    Parameters
    ----------
    states : (texts, tokens, dimension) float32
        Padded at the end of shorter texts.
    ids : sequence of (length,) int64
        The texts; only their lengths matter.
    """
    if pooling == "cls":
        first: NDArray[np.float32] = states[:, 0]
        return first
    lengths = np.array([len(row) for row in ids])
    real = (np.arange(states.shape[1]) < lengths[:, None])[:, :, None]
    if pooling == "max":
        largest: NDArray[np.float32] = np.where(real, states, -np.inf).max(axis=1)
        return largest
    total = np.where(real, states, 0).sum(axis=1, dtype=np.float32)
    mean: NDArray[np.float32] = total / lengths[:, None].astype(np.float32)
    return mean
