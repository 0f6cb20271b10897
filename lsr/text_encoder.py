"""`TextEncoder`: an encoder by itself, outside of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec

from lsr.encoders import CollectionStatistics, Encoder, load_encoder
from lsr.encoders.base import Fingerprint
from lsr.errors import require_text
from lsr.sparse import SparseBatch

P = ParamSpec("P")
_TEXTS_AT_A_TIME = 64


class TextEncoder:
    """Turns texts into sparse vectors; `lsr.encoder` makes one.

    Examples
    --------
    >>> encoder = TextEncoder(load_encoder("bm25"))
    >>> documents = encoder.encode_document(["bitter tea", "green tea"])
    >>> encoder.decode(documents)[0].keys() == {"bitter", "tea"}
    True
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary: every term id is smaller. Of BM25 it grows with documents."""
        return self.encoder.n_terms

    @property
    def fingerprint(self) -> Fingerprint:
        """Identity of the encoder: equal ones make comparable vectors."""
        return self.encoder.fingerprint

    def encode_query(self, texts: str | Sequence[str]) -> SparseBatch:
        """Return the vectors of queries.

        Parameters
        ----------
        texts : str or sequence of str, (n,)
            UsageError for anything else.

        Returns
        -------
        SparseBatch
            `n` rows, one for a single text; weights are float32.
        """
        return self.encoder.encode_queries(_listed(texts))

    def encode_document(self, texts: str | Sequence[str]) -> SparseBatch:
        """Return the vectors of documents.

        Weights that depend on a collection (BM25) count these texts as the whole collection.
        Parameters, result and errors are those of `encode_query`.
        """
        listed = _listed(texts)
        parts, counted = list[SparseBatch](), CollectionStatistics()
        for start in range(0, len(listed), _TEXTS_AT_A_TIME):
            encoded = self.encoder.encode_documents(listed[start : start + _TEXTS_AT_A_TIME])
            parts.append(encoded.vectors)
            counted += encoded.statistics
        return self.encoder.finish_documents(SparseBatch.concatenate(parts), counted)

    def decode(self, vectors: SparseBatch) -> list[dict[str, float]]:
        """Return vectors as weights by term, heaviest first."""
        found = []
        for row in range(vectors.n_rows):
            indices, values = vectors.row(row)
            weights = zip(indices.tolist(), values.tolist(), strict=True)
            ranked = sorted(weights, key=lambda entry: (-entry[1], entry[0]))
            found.append({self.encoder.term(term): weight for term, weight in ranked})
        return found

    def __repr__(self) -> str:
        kind = self.fingerprint.document.get("kind", "unknown")
        return f"<TextEncoder {kind}, {self.n_terms:,} terms>"


def _loading(load: Callable[P, Encoder]) -> Callable[P, TextEncoder]:
    """Return a function with the arguments of `load` that returns a `TextEncoder`."""

    @wraps(load)
    def encoder(*args: P.args, **kwargs: P.kwargs) -> TextEncoder:
        return TextEncoder(load(*args, **kwargs))

    encoder.__name__ = encoder.__qualname__ = "encoder"
    encoder.__module__ = __name__
    encoder.__doc__ = (load.__doc__ or "") + _EXAMPLE
    return encoder


_EXAMPLE = """
    Examples
    --------
    >>> encoder("bm25", language="english").encode_document(["bitter tea"]).nnz
    2
    """

encoder = _loading(load_encoder)


def _listed(texts: str | Sequence[str]) -> list[str]:
    listed = [texts] if isinstance(texts, str) else list(texts)
    for at, text in enumerate(listed):
        require_text(f"text {at}", text)
    return listed
