"""Factory of a `SparseModel` from the section ``model`` of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lsr.corpus import open_corpus
from lsr.encoders.base import CollectionStatistics
from lsr.encoders.neural.idf import inverse_document_frequency, read_table
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import UsageError
from lsr.progress import Progress
from lsr_training.models.backbone import Backbone, load_backbone
from lsr_training.models.sides import (
    LexicalSide,
    MaskedLanguageSide,
    ProjectedTableSide,
    TermWeightSide,
    TokenTableSide,
)
from lsr_training.models.sparse_model import SparseModel
from lsr_training.recipe.sections import (
    MaskedLanguageHead,
    ModelSection,
    SharedHead,
    TermWeightHead,
    TokenTableHead,
)

CountPieces = Callable[[WordPieces], CollectionStatistics]
"""Function that counts pieces in the documents of the training data."""


def build_model(section: ModelSection, count_training: CountPieces) -> SparseModel:
    """Build the model of a recipe, with new weights where the backbone has none.

    Raises
    ------
    ModelError
        A backbone cannot be loaded.
    UsageError
        The lengths do not fit the backbone, or two backbones have different vocabularies.
    """
    backbone, tokenizer = _backbone(section.backbone, section)
    pieces = WordPieces(tokenizer, max_length=section.max_length.document)
    specials = torch.from_numpy(pieces.special_ids.copy())
    documents = _head(section.document, section, backbone, tokenizer, specials)
    queries = _query_side(section, backbone, documents, tokenizer, specials, count_training)
    for name, side in (("document", documents), ("query", queries)):
        _require_length(name, getattr(section.max_length, name), side, backbone)
    return SparseModel(documents, queries, tokenizer, section, backbone.n_terms)


def _query_side(
    section: ModelSection,
    backbone: Backbone,
    documents: nn.Module,
    tokenizer: str,
    specials: Tensor,
    count_training: CountPieces,
) -> nn.Module:
    head = section.query
    if isinstance(head, SharedHead):
        if not head.lexical:
            return documents
        if not isinstance(documents, MaskedLanguageSide):
            raise UsageError("model.query.lexical: an mlp head weighs own pieces anyway")
        return LexicalSide(documents)
    if isinstance(head, TokenTableHead):
        if head.table == "projected":
            return ProjectedTableSide(backbone, specials)
        # Counted as far as documents are encoded, which is what an index counts too.
        pieces = WordPieces(tokenizer, max_length=section.max_length.document)
        table = _table(head, backbone.n_terms, pieces, count_training)
        return TokenTableSide(table, specials, learned=head.table == "learned")
    # Weights of its own, equal to those of the documents at the start only.
    own = head if head.backbone else head.model_copy(update={"backbone": section.backbone})
    return _head(own, section, backbone, tokenizer, specials)


def _require_length(name: str, length: int, side: nn.Module, shared: Backbone) -> None:
    own: Any = getattr(side, "backbone", shared)
    limit: int = own.max_length
    if getattr(getattr(side, "head", None), "echo", False):
        limit //= 2
    if length > limit:
        raise UsageError(
            f"model.max_length.{name} = {length}: the backbone takes at most {limit} tokens here"
        )


def _backbone(name: str, section: ModelSection) -> tuple[Backbone, str]:
    backbone, tokenizer = load_backbone(name)
    if section.lora is not None:
        backbone.adapt(section.lora)
    return backbone, tokenizer


def _head(
    head: MaskedLanguageHead | TermWeightHead,
    section: ModelSection,
    shared: Backbone,
    tokenizer: str,
    specials: Tensor,
) -> nn.Module:
    backbone = shared
    if head.backbone is not None:
        backbone, other = _backbone(head.backbone, section)
        one, two = (WordPieces(text, max_length=8) for text in (tokenizer, other))
        if backbone.n_terms != shared.n_terms or any(
            one.term(i) != two.term(i) for i in range(one.n_terms)
        ):
            raise UsageError(
                f"{head.backbone}: its vocabulary is another than that of the model's backbone; "
                "queries and documents must share one"
            )
    if isinstance(head, TermWeightHead):
        return TermWeightSide(backbone, specials, head)
    return MaskedLanguageSide(backbone, specials, head)


def _table(
    head: TokenTableHead, n_terms: int, pieces: WordPieces, count_training: CountPieces
) -> Tensor:
    if head.table == "binary":
        return torch.ones(n_terms)
    if head.idf == "training":
        table = inverse_document_frequency(count_training(pieces), n_terms)
    elif Path(head.idf).suffix == ".json":
        table = np.zeros(n_terms, np.float32)
        known = read_table(Path(head.idf), pieces)
        table[: len(known)] = known[:n_terms]
    else:
        texts = (document.contents for document in open_corpus(head.idf))
        table = inverse_document_frequency(count_pieces(pieces, texts), n_terms)
    return torch.from_numpy(table.copy())


def count_pieces(
    pieces: WordPieces, texts: Iterable[str], progress: Progress | None = None
) -> CollectionStatistics:
    """Count in how many texts each piece occurs."""
    total, rest = CollectionStatistics(), iter(texts)
    while some := list(islice(rest, 1024)):
        total += pieces.count(some, pieces.encode(some))
        if progress is not None:
            progress("counting word pieces", total.n_docs, None)
    return total
