"""Sections of a recipe that describe the model: heads, lengths, adaptation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from lsr.encoders.neural.pooling import Activation, Pooling


class Section(BaseModel):
    """Section of a recipe: immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MaskedLanguageHead(Section):
    """Weights for the whole vocabulary: pooled logits of a masked language model (SPLADE).

    Attributes
    ----------
    pooling : {"max", "sum"}
        ``sum`` is SPLADE v1 (SIGIR 2021), ``max`` is v2 (arXiv 2109.10086).
    activation : {"relu", "log1p_relu"}
        Named as in sentence-transformers: log(1 + relu(x)), or the logarithm twice.
    lexical : bool
        Keep the weights of the text's own pieces only (SPLADE-v3-Lexical).
    echo : bool
        Read the text twice and pool the second copy only, for decoder-only backbones, in which a
        token sees nothing that comes after it (Springer et al., arXiv 2402.15449; Echo-Mistral-
        SPLADE).
    backbone : str or None
        Another transformer than the model's.
    """

    head: Literal["mlm"] = "mlm"
    pooling: Pooling = "max"
    activation: Activation = "relu"
    lexical: bool = False
    echo: bool = False
    backbone: str | None = None


class TermWeightHead(Section):
    """Weights for a text's own pieces only, by a small network on their states.

    One linear layer with the maximum over repeats is uniCOIL (Lin and Ma, arXiv 2106.14807); two
    layers with the first occurrence is the manner of DeepImpact (Mallia et al., SIGIR 2021).
    """

    head: Literal["mlp"]
    layers: Literal[1, 2] = 1
    occurrence: Literal["max", "first"] = "max"
    backbone: str | None = None


class SharedHead(Section):
    """Queries through the same network as documents."""

    head: Literal["shared"] = "shared"
    lexical: bool = False


class TokenTableHead(Section):
    """Inference-free queries: the set of a text's pieces, each with a weight from a table.

    Attributes
    ----------
    table : {"binary", "idf", "learned", "projected"}
        All ones (SPLADE-doc); inverse document frequencies, frozen (Geng et al.,
        arXiv 2411.04403); the same as a start, then trained; or a trained linear map of the
        backbone's token embeddings (the manner of Li-LSR, SIGIR 2025).
    idf : str
        ``training`` counts in the documents of the training data; else a corpus that
        `lsr.corpus` opens, or an ``idf.json``.
    """

    head: Literal["tokens"]
    table: Literal["binary", "idf", "learned", "projected"] = "idf"
    idf: str = "training"


def _head(default: str) -> Discriminator:
    """Choose the section by its ``head``, or by the default head where there is none."""

    def chosen(value: Any) -> str:
        head = value.get("head") if isinstance(value, dict) else getattr(value, "head", None)
        return default if head is None else str(head)

    return Discriminator(chosen)


DocumentHead = Annotated[
    Annotated[MaskedLanguageHead, Tag("mlm")] | Annotated[TermWeightHead, Tag("mlp")], _head("mlm")
]
QueryHead = Annotated[
    Annotated[SharedHead, Tag("shared")]
    | Annotated[MaskedLanguageHead, Tag("mlm")]
    | Annotated[TermWeightHead, Tag("mlp")]
    | Annotated[TokenTableHead, Tag("tokens")],
    _head("shared"),
]


class Lengths(Section):
    """Pieces kept of a text, special tokens included."""

    query: Annotated[int, Field(ge=3)] = 64
    document: Annotated[int, Field(ge=3)] = 256


class LowRank(Section):
    """Low-rank adaptation of the backbones, whose own weights are frozen.

    Attributes
    ----------
    alpha : float
        The low-rank product is multiplied by ``alpha / rank``.
    dropout : float
        Of the input of the low-rank matrices.
    targets : tuple of str
        Names of linear layers, such as ``q_proj``; all of them by default.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 8.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    targets: tuple[str, ...] = ()


class ModelSection(Section):
    """Transformer, and the heads of documents and queries."""

    backbone: str
    lora: LowRank | None = None
    document: DocumentHead = MaskedLanguageHead()
    query: QueryHead = SharedHead()
    max_length: Lengths = Lengths()
