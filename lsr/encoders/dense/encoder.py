"""`TransformerVectors`: a dense encoder over a transformer with pooling.

Mean pooling and length normalisation as in Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019), §3.
Texts are encoded in batches of similar length, and returned in the order they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.encoders.dense.base import DenseEncoder, Similarity
from lsr.encoders.dense.body import Body, Ids, open_body
from lsr.encoders.dense.layout import DensePooling, read_dense_layout
from lsr.encoders.dense.packaged import packaged_folder, packaged_name
from lsr.encoders.neural.model_files import (
    find_stored_model,
    lasting_name,
    read_json,
    tokenizer_sha256,
)
from lsr.encoders.neural.transformer_body import load_tokenizer
from lsr.encoders.neural.word_pieces import WordPieces, batches_by_length, input_length
from lsr.errors import ModelError

KIND = "dense"
BATCH_SIZE = 32
DEFAULT_LENGTH = 512
_SHAPE = ("pooling", "normalise", "query_prompt", "document_prompt")
_OF_THE_MACHINE = ("batch_size", "device")


@dataclass(eq=False)
class TransformerVectors(DenseEncoder):
    """A dense encoder over one transformer.

    Parameters
    ----------
    documents, queries : WordPieces
        They differ in their prompt.
    identity : mapping
        What else shapes the vectors: digests of weights and tokenizer.
    settings : mapping
        ``name`` and options to load the encoder again.
    batch_size : int
        Texts of full length in a batch.
    """

    body: Body
    documents: WordPieces
    queries: WordPieces
    pooling: DensePooling
    normalise: bool
    identity: dict[str, Any]
    settings: dict[str, Any]
    batch_size: int

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> TransformerVectors:
        """Load the model of a folder; an option that is not given keeps what the folder says.

        Options are `lsr.encoders.dense.registry.DENSE_OPTIONS`. Raises ModelError,
        MissingDependencyError or UsageError.
        """
        assert folder is not None
        unknown = options.keys() - {*_SHAPE, *_OF_THE_MACHINE, "backend", "max_length"}
        if unknown:
            raise TypeError(f"a dense encoder has no option {', '.join(sorted(unknown))}")
        layout = read_dense_layout(folder)
        layout = layout._replace(**{key: options[key] for key in _SHAPE if key in options})
        tokenizer, own_limit = open_tokenizer(layout.folder)
        body, identity = open_body(layout, options.get("backend"), options.get("device"))
        length = input_length(
            options.get("max_length"),
            layout.max_length or own_limit,
            body.max_length or DEFAULT_LENGTH,
        )
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
        name, options = str(assets.config["name"]), assets.config["settings"]
        packaged = packaged_name(name)
        folder = find_stored_model(name) if packaged is None else packaged_folder(packaged)
        return cls.load(name, folder, **options)

    @property
    def fingerprint(self) -> Fingerprint:
        """Model, tokenizer, pooling and limits; not where the model lies."""
        shape = {
            "dimension": self.dimension,
            "pooling": self.pooling,
            "normalise": self.normalise,
            "max_length": self.documents.max_length,
        }
        return Fingerprint(
            {"kind": KIND, **self.identity, **shape, "prompt": self.documents.prompt},
            {"prompt": self.queries.prompt},
        )

    @property
    def dimension(self) -> int:
        return self.body.dimension

    @property
    def similarity(self) -> Similarity:
        """Cosine of normalised vectors, inner product of others."""
        return "cosine" if self.normalise else "dot"

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_ids(self.documents.encode(texts))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_ids(self.queries.encode(texts))

    def assets(self) -> EncoderAssets:
        """Return where the model lies and its digest; the weights stay where they are."""
        return EncoderAssets({"kind": KIND, **self.settings, "digest": self.fingerprint.digest})

    def encode_ids(self, ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the vectors of texts given as piece ids; zeros for texts without pieces."""
        vectors = np.zeros((len(ids), self.dimension), np.float32)
        batches = batches_by_length(ids, self.batch_size * self.documents.max_length)
        parts = self.body.run([[ids[row] for row in rows] for rows in batches], self._pooled)
        for rows, part in zip(batches, parts, strict=True):
            vectors[rows] = part
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"{self.settings.get('name')}: the model made vectors that are not finite; "
                "its weights are damaged or it does not fit its configuration"
            )
        return vectors

    def _pooled(self, states: NDArray[Any], ids: Ids) -> NDArray[np.float32]:
        pooled = states if states.ndim == 2 else pool(states, ids, self.pooling)
        if self.normalise:
            norms = np.linalg.norm(pooled, axis=1, keepdims=True)
            pooled = pooled / np.maximum(norms, 1e-12)
        result: NDArray[np.float32] = np.ascontiguousarray(pooled, np.float32)
        return result


def open_tokenizer(folder: Path) -> tuple[str, int | None]:
    """Return a folder's tokenizer and its own length limit; loads transformers only if it must."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return load_tokenizer(folder)
    limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    # transformers writes 10^30 where a tokenizer has no limit.
    known = isinstance(limit, int) and 0 < limit < 10**9
    return path.read_text(encoding="utf-8"), limit if known else None


def pool(
    states: NDArray[Any], ids: Sequence[NDArray[np.int64]], pooling: DensePooling
) -> NDArray[np.float32]:
    """Pool the states of texts, (texts, tokens, dimension) float32 with padding at the end.

    Of `ids`, only the lengths matter.
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
