"""`create`: documents in any form made into an index that is open for searching."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from lsr.corpus import Corpus, open_corpus
from lsr.corpus.fields import DOCUMENT_FIELDS
from lsr.corpus.passages import DEFAULT_PASSAGE_WORDS
from lsr.encoders import Encoder, load_encoder
from lsr.encoders.precomputed import PrecomputedEncoder
from lsr.errors import CorpusError, UsageError
from lsr.progress import Progress
from lsr.text_encoder import TextEncoder
from lsr.vocabulary import Vocabulary
from lsr_index.api.search_index import SearchIndex, open
from lsr_index.api.sources import Records, is_vectors, vectors_of
from lsr_index.build.builder import build_index
from lsr_index.build.index_corpus import check_target, index_corpus
from lsr_index.storage.dense_part import DenseSpec

if TYPE_CHECKING:
    from lsr.encoders.dense import DenseEncoder

DEFAULT_ENCODER = "lsr-tiny-en"


class _Build(TypedDict):
    compact: bool
    reorder: bool | None
    progress: Progress | None


def create(
    path: str | Path,
    source: Any,
    *,
    encoder: str | Path | Encoder | TextEncoder | None = None,
    dense: str | Path | DenseEncoder | np.ndarray[Any, Any] | None = None,
    ids: Iterable[str] | None = None,
    vocabulary: Iterable[str] | None = None,
    passages: int | None = DEFAULT_PASSAGE_WORDS,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    overwrite: bool = False,
    compact: bool = False,
    reorder: bool | None = None,
    progress: Progress | None = None,
) -> SearchIndex:
    """Make an index and open it.

    The index appears complete and durable, in one step. If `source` is a path, an interrupted call
    leaves ``<path>.building``, and the same call again resumes there.

    Parameters
    ----------
    path : path
        Of the new index. Its folder must exist.
    source : path, iterable, data frame, SciPy matrix or SparseBatch
        A file or folder of documents or ``"ir-datasets:ID"`` (see `lsr.corpus.open_corpus`); an
        iterable of `Document` or of mappings with ``id``, ``text``, optional ``title`` and
        metadata, such as a Hugging Face data set; a pandas or polars frame (pandas row labels are
        the ids without an id column); sparse vectors of documents, (n, n_terms).
    encoder : str, path, Encoder or TextEncoder, optional
        ``"bm25"``, a model folder or hub id, or an encoder of `lsr.encoder`. Default:
        ``"lsr-tiny-en"``.
    dense : str, path, DenseEncoder or (n, dimension) array, optional
        Dense vectors beside the sparse ones: the encoder that makes them of the texts
        (``"minilm"``, …), or with vectors as `source` a matrix of them.
    ids : iterable of str, (n,), optional
        Of vectors. Default: ``"0"``, ``"1"``, …
    vocabulary : iterable of str, (n_terms,), optional
        Names of the terms of vectors, so that they can be searched by name.
    passages : int or None
        Words of a passage, for folders; None keeps sections whole.
    id_field, text_field, title_field : str, optional
        Names of the fields of records, in place of the usual ones.
    overwrite : bool
        Replace an existing index, which serves until the new one is committed.
    compact : bool
        Smaller postings, somewhat slower search.
    reorder : bool, optional
        Similar documents next to each other: slower to build, faster to search.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Raises
    ------
    IndexExistsError
        `path` exists, and `overwrite` is off.
    UsageError
        `source` has another form, such as a dense matrix, or options contradict.
    CorpusError, DataError, VectorError
        Malformed documents or vectors; names the record or row.
    ModelError, MissingDependencyError
        The encoder cannot be loaded.

    Examples
    --------
    >>> index = create(tmp / "tea.index", [{"id": "1", "text": "bitter tea"}], encoder="bm25")
    >>> index.search("tea")[0].id
    '1'
    """
    check_target(Path(path), overwrite)
    build = _Build(compact=compact, reorder=reorder, progress=progress)
    if is_vectors(source):
        if encoder is not None:
            raise UsageError("vectors are not encoded; leave out encoder=, or give texts")
        _create_of_vectors(path, source, ids, vocabulary, dense, overwrite, **build)
        return open(path)
    if ids is not None or vocabulary is not None:
        raise UsageError("ids= and vocabulary= belong to vectors; documents bring their own ids")
    if hasattr(dense, "__array__"):
        raise UsageError(
            "a matrix of dense vectors goes with sparse vectors as source; for documents give "
            "dense= the name of an encoder"
        )
    corpus: Corpus
    if isinstance(source, str | Path):
        corpus = open_corpus(
            source,
            id_field=id_field,
            text_field=text_field,
            title_field=title_field,
            passage_words=passages,
        )
    elif isinstance(source, Corpus):
        corpus = source
    else:
        corpus = Records(source, DOCUMENT_FIELDS.chosen(id_field, text_field, title_field))
    _create_of_texts(path, corpus, encoder, dense, overwrite, **build)
    return open(path)


def _create_of_texts(
    path: str | Path,
    corpus: Corpus,
    encoder: str | Path | Encoder | TextEncoder | None,
    dense: Any,
    overwrite: bool,
    **build: Unpack[_Build],
) -> None:
    if isinstance(encoder, TextEncoder):
        encoder = encoder.encoder
    if encoder is None or isinstance(encoder, str | Path):
        encoder = load_encoder(DEFAULT_ENCODER if encoder is None else encoder)
    if isinstance(dense, str | Path):
        from lsr.encoders.dense import load_dense_encoder

        dense = load_dense_encoder(dense)
    for what, part in (("encoder", encoder), ("dense", dense)):
        if part is not None and not hasattr(part, "encode_documents"):
            raise UsageError(f"{what} must be a name or an encoder, got {type(part).__name__}")
    try:
        index_corpus(
            corpus,
            encoder,
            path,
            dense=dense,
            overwrite=overwrite,
            **build,
        ).close()
    except BaseException:
        if isinstance(corpus, Records):  # nothing can go on there
            with suppress(OSError):
                shutil.rmtree(Path(path).with_name(Path(path).name + ".building"))
        raise


def _create_of_vectors(
    path: str | Path,
    source: Any,
    ids: Iterable[str] | None,
    vocabulary: Iterable[str] | None,
    dense: Any,
    overwrite: bool,
    **build: Unpack[_Build],
) -> None:
    if isinstance(dense, str | Path) or hasattr(dense, "encode_documents"):
        raise UsageError("there are no texts to encode; give dense= a matrix of vectors")
    if isinstance(vocabulary, str):
        raise UsageError(f"vocabulary must be a list of terms, got the string {vocabulary!r}")
    documents = vectors_of(source, ids, dense)
    if not documents.ids:
        raise CorpusError("there is not one vector; nothing to index")
    terms = None if vocabulary is None else Vocabulary(vocabulary)
    encoder = PrecomputedEncoder(terms)
    n_terms = int(documents.vectors.indices.max(initial=0)) + 1
    if terms is not None and len(terms) < n_terms:
        raise UsageError(
            f"vocabulary has {len(terms)} terms, but a vector has term id {n_terms - 1}"
        )
    build_index(
        path,
        documents.batches,
        encoder=encoder.assets(),
        fingerprint=encoder.fingerprint,
        dense=None if documents.dense is None else DenseSpec(documents.dense.shape[1]),
        n_terms=n_terms if terms is None else len(terms),
        max_weight=float(documents.vectors.values.max(initial=0.0)),
        replace=overwrite,
        **build,
    ).close()
