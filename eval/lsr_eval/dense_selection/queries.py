"""Dense vectors of an index and its queries: from its model, from a file, or synthetic."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.queries import open_queries
from lsr.errors import UsageError
from lsr_eval.synthetic.lsa import LatentSemantics
from lsr_index.hybrid import Retriever
from lsr_index.search.index import open_index
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.dense_vectors import set_dense
from lsr_index.update.snapshot import snapshot

_READ_DOCS = 8192


def query_texts(path: Path, least: int, most: int) -> list[str]:
    """Return the first queries of a file; raise `UsageError` if it holds fewer than `least`."""
    texts = [query.text for query in open_queries(path)][:most]
    if len(texts) < least:
        raise UsageError(f"{path}: {len(texts)} queries; expected {least} or more")
    return texts


@contextmanager
def with_dense_queries(
    path: Path,
    texts: Sequence[str],
    *,
    lsa: int | None = None,
    vectors: Path | None = None,
    clusters: int | None = None,
) -> Iterator[tuple[Retriever, NDArray[np.float32]]]:
    """Open an index and get the dense vectors of queries.

    Parameters
    ----------
    lsa : int, optional
        Give a temporary copy of the index synthetic dense vectors of so many numbers: its sparse
        vectors, projected (`lsr_eval.synthetic.lsa`).
    vectors : Path, optional
        ``.npy`` with the vectors of the texts, or of more texts that begin with these.
    clusters : int, optional
        Put the vectors into so many clusters, in a temporary copy of the index.

    Yields
    ------
    Retriever
    (n, dimension) float32
        Zeros for a text that has no known term.
    """
    with tempfile.TemporaryDirectory() as folder:
        if lsa is not None:
            path, semantics = _with_synthetic_vectors(path, Path(folder), lsa)
        if clusters is not None:
            path = _clustered(path, Path(folder), clusters)
        with Retriever.open(path) as retriever:
            dense = retriever.index.require_dense()
            if lsa is not None:
                assert retriever.encoder is not None
                sparse = retriever.encoder.encode_queries(list(texts))
                queries = semantics.project(sparse.to_scipy(retriever.index.n_terms))
            elif vectors is not None:
                queries = np.load(vectors, allow_pickle=False)[: len(texts)]
                if len(queries) < len(texts):
                    raise UsageError(f"{vectors}: {len(queries)} vectors for {len(texts)} queries")
            else:
                queries = dense.restore_encoder().encode_queries(list(texts))
            yield retriever, queries


def _clustered(path: Path, folder: Path, n_lists: int) -> Path:
    """Return a copy of an index with its dense vectors in clusters."""
    copy = folder / "clustered.index"
    snapshot(path, copy)
    with open_index(copy) as index:
        dense, ordinals = index.require_dense(), index.select({})
        part = dense.part
        spec = DenseSpec(
            part.dimension, part.similarity, dense.encoder_assets, part.fingerprint, 0, n_lists
        )
        parts = np.array_split(ordinals, 1 + len(ordinals) // _READ_DOCS)
        vectors = [dense.vectors(part) for part in parts]
    set_dense(copy, spec, vectors).close()
    return copy


def _with_synthetic_vectors(
    path: Path, folder: Path, dimension: int
) -> tuple[Path, LatentSemantics]:
    """Return a copy of an index with synthetic dense vectors, and what projects queries."""
    copy = folder / "copy.index"
    snapshot(path, copy)
    with open_index(copy) as index:
        semantics = LatentSemantics.of(index, dimension)
        vectors = list(semantics.documents(index))
    set_dense(copy, DenseSpec(dimension), vectors).close()
    return copy, semantics
