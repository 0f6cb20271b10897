"""Requests and answers, whose schema is the OpenAPI document; unknown fields raise 422.

Limits that an operator can set are checked in `limits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lsr.encoders.registry import ENCODERS
from lsr.sparse import MAX_TERM_ID, MAX_WEIGHT
from lsr_index.fusion.method import Fusion
from lsr_index.fusion.methods import DEFAULT_METHOD, METHODS, parameters

Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]
BranchName = Literal["sparse", "dense"]
BranchWeight = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
DenseNumber = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
TermId = Annotated[int, Field(ge=0, le=MAX_TERM_ID)]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Record(BaseModel):
    """An answer that is made of a record with the same fields."""

    model_config = ConfigDict(from_attributes=True)


class SparseVector(_Request):
    """A vector by the term ids of the index's vocabulary."""

    indices: list[TermId] = Field(description="Term ids, each once.")
    values: list[Weight] = Field(description="As many weights. Zeros are dropped.")

    @model_validator(mode="after")
    def _as_many(self) -> SparseVector:
        if len(self.indices) != len(self.values):
            raise ValueError("indices and values must have the same length")
        if len(set(self.indices)) != len(self.indices):
            raise ValueError("indices must not repeat a term")
        return self


def _describe_methods(schema: dict[str, Any]) -> None:
    """Put the methods and their parameters into the schema of a fusion."""
    schema["additionalProperties"] = False
    properties = schema["properties"]
    formulas = "; ".join(f"{method.name}: {method.formula}" for method in METHODS.values())
    properties["method"] |= {"enum": list(METHODS), "description": f"{formulas}."}
    for name, (parameter, methods) in parameters().items():
        properties[name] = {
            "type": "number",
            "title": name,
            "default": parameter.default,
            "minimum": parameter.minimum,
            "maximum": parameter.maximum,
            "description": f"{parameter.help} Of {', '.join(methods)}.",
        }


class FusionRequest(_Request):
    """How the rankings of the branches become one."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_describe_methods)

    method: str = DEFAULT_METHOD
    weights: dict[BranchName, BranchWeight] | None = Field(
        default=None,
        min_length=1,
        description="Only their ratio matters. 0: the branch is left out.",
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Hits of each branch in the pool, which does not depend on offset. By default "
        "100, or k where it is more.",
    )
    absent: Literal["score", "floor"] = Field(
        default="score",
        description="A document that a branch did not return counts there with its score, or as "
        "its last one.",
    )

    @model_validator(mode="after")
    def _is_a_fusion(self) -> FusionRequest:
        self.fusion()
        return self

    def fusion(self) -> Fusion:
        """Return the fusion asked for; raises UsageError, which is a ValueError."""
        return Fusion.from_json(self.model_dump())


class FeedbackRequest(_Request):
    """Search a second time with what the first hits say."""

    method: Literal["rocchio", "average"] = "rocchio"
    docs: int = Field(default=5, ge=1, le=100, description="Hits learned from.")
    terms: int = Field(default=10, ge=1, le=1000, description="New terms of a sparse query.")
    alpha: float = Field(default=0.4, ge=0, le=1e6, allow_inf_nan=False)
    beta: float = Field(default=0.6, gt=0, le=1e6, allow_inf_nan=False)
    source: Literal["fused", "own"] = Field(
        default="fused", description="Of the fused ranking, or of each branch's own."
    )


class SearchRequest(_Request):
    """What to search for: exactly one of `query`, `tokens` and `vector`, or a `dense_vector`."""

    query: str | None = Field(
        default=None, description="Text, encoded by the encoder of the index."
    )
    tokens: dict[str, Weight] | None = Field(
        default=None, description="Weights by term. Zeros are dropped; unknown terms match nothing."
    )
    vector: SparseVector | None = None
    dense_vector: list[DenseNumber] | None = Field(
        default=None,
        min_length=1,
        max_length=65_536,
        description="For the dense branch, instead of the encoded text.",
    )
    mode: Literal["sparse", "dense", "hybrid"] | None = Field(
        default=None,
        description="Which vectors to search. By default sparse; hybrid where a fusion is given or "
        "the server was started with one for this index.",
    )
    fusion: FusionRequest | None = Field(
        default=None, description="With mode hybrid; by default the server's, or min-max."
    )
    selective: bool | None = Field(
        default=None,
        description="With mode hybrid: let sparse results choose which dense vectors are compared. "
        "By default where the server was started with a selection for this index.",
    )
    feedback: FeedbackRequest | None = None
    rerank: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Let the server's cross-encoder order this many hits; there are none beyond.",
    )
    k: int = Field(default=10, ge=1, description="Number of hits.")
    offset: int = Field(default=0, ge=0, description="Hits to skip.")
    filter: dict[str, Any] | None = Field(
        default=None,
        description='Only documents whose metadata pass, as in {"year": {"$gte": 2000}}.',
    )
    explain: bool = Field(
        default=False,
        description="Say what each matched term contributes, and each branch of a fusion.",
    )
    timeout_ms: int | None = Field(
        default=None,
        ge=1,
        description="Give up after this time; the server's own deadline still holds.",
    )

    @model_validator(mode="after")
    def _one_query(self) -> SearchRequest:
        given = 3 - [self.query, self.tokens, self.vector].count(None)
        if given > 1 or (given == 0 and self.dense_vector is None):
            raise ValueError("give exactly one of query, tokens and vector")
        if self.dense_vector is not None and not any(abs(x) > 1e-30 for x in self.dense_vector):
            raise ValueError("dense_vector is all zeros, which has no direction")
        if self.fusion is not None and self.mode not in (None, "hybrid"):
            raise ValueError("a fusion goes with mode hybrid")
        if self.selective and self.mode not in (None, "hybrid"):
            raise ValueError("selective goes with mode hybrid")
        return self

    @property
    def plain(self) -> bool:
        """Whether the request names nothing beyond a search of the sparse vectors."""
        extras = (self.dense_vector, self.fusion, self.feedback, self.rerank)
        plain = self.mode in (None, "sparse") and all(extra is None for extra in extras)
        return plain and not self.selective


class EmbedRequest(_Request):
    """Texts to encode as queries, in the shape of text-embeddings-inference."""

    inputs: str | list[str]
    truncate: bool | None = Field(
        default=True,
        description="Accepted for its clients: texts beyond the encoder's length are cut.",
    )
    truncation_direction: Literal["Right", "right"] = Field(
        default="Right", description="Texts are cut at their end."
    )
    prompt_name: Literal["query"] | None = Field(
        default=None, description="Texts are encoded as queries, with the prompt of the model."
    )


class NewDocument(_Request):
    """A document to add, or to put in place of the one with its id."""

    id: str = Field(description="1 to 512 bytes of UTF-8 without control characters.")
    text: str = ""
    title: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict, description="JSON values to filter by.")


class DocumentBatch(_Request):
    """Documents of one change: all of them are applied, or none."""

    documents: list[NewDocument] = Field(min_length=1, description="Each id once.")


class DeleteRequest(_Request):
    """Which documents to delete."""

    filter: dict[str, Any] = Field(
        min_length=1,
        description="All whose metadata pass. Refused: an empty one, and one that names a field or "
        "a type that no document has.",
    )
    all: bool = Field(default=False, description="Allow a filter that matches every document.")


class CompactRequest(_Request):
    """How to compact."""

    reorder: bool | None = Field(
        default=None,
        description="Put similar documents side by side; by default as the index was made.",
    )


class ChangeResponse(BaseModel):
    """A change that is durable and visible to every search that starts from now on."""

    index: str
    generation: int = Field(description="The state that holds the change.")
    n_docs: int = Field(description="Documents in it.")
    n_changed: int = Field(description="Documents that this change added, replaced or deleted.")


class CompactResponse(BaseModel):
    """The index after compacting."""

    index: str
    generation: int
    n_docs: int
    changed: bool = Field(description="False: there was nothing to compact.")


class TermContribution(_Record):
    """What one matched term adds to a score."""

    term: str
    contribution: float


class BranchScore(_Record):
    """What one branch says of a hit."""

    rank: int | None = Field(description="Null: the branch did not return it within the depth.")
    score: float | None = Field(description="The branch's own score, where it was computed.")
    normalised: float
    contribution: float = Field(description="Weighted; the contributions sum to the score.")


class BranchAnswer(_Record):
    """One branch of a hybrid search."""

    name: str
    kind: Literal["sparse", "dense"]
    weight: float = Field(description="Its share; the shares sum to 1.")
    n_hits: int = Field(description="Hits it brought into the pool.")
    rank_safe: bool = Field(description="True: exactly its best documents.")
    bound_gap: float
    generation: int
    took_ms: float
    n_compared: int | None = Field(
        default=None, description="Dense vectors that were compared with the query."
    )


class Highlights(BaseModel):
    """Where the words are that matched: pairs of start and end, in characters (code points)."""

    title: Sequence[tuple[int, int]]
    text: Sequence[tuple[int, int]]
    snippet: tuple[int, int] = Field(description="The part of the text that shows the most.")


class Hit(_Record):
    """One result."""

    rank: int = Field(description="From 1 over the whole result, whatever the page.")
    id: str
    score: float
    title: str
    text: str
    metadata: dict[str, Any]
    explanation: list[TermContribution] | None = Field(
        default=None,
        description="Largest contribution first; they sum to the score of the sparse branch.",
    )
    highlights: Highlights | None = Field(default=None, description="With explain.")
    branches: dict[str, BranchScore] | None = Field(
        default=None, description="With explain, for a fusion."
    )


class EncoderInfo(BaseModel):
    """The encoder an index was made with."""

    kind: str = Field(
        description=f"{', '.join(kind.name for kind in ENCODERS.kinds())}, or a registered kind."
    )
    fingerprint: str = Field(description="SHA-256 of all that shapes document vectors.")


class SearchResponse(BaseModel):
    """The hits of one query, score descending."""

    index: str
    generation: int = Field(description="State of the index that answered.")
    took_ms: float
    rank_safe: bool = Field(description="True: exactly what an exhaustive scan returns.")
    bound_gap: float = Field(
        description="How much a document left out may score over the last hit."
    )
    encoder: EncoderInfo | None
    unknown_terms: list[str]
    mode: Literal["sparse", "dense", "hybrid"] = "sparse"
    fusion: dict[str, Any] | None = Field(default=None, description="The fusion that was used.")
    branches: list[BranchAnswer] = Field(
        default_factory=list, description="Empty for a plain search of the sparse vectors."
    )
    pool_size: int | None = Field(
        default=None, description="Documents that were ranked; there are no hits beyond."
    )
    hits: list[Hit]


class IndexSummary(BaseModel):
    """One index in a list."""

    name: str
    state: Literal["ready", "unavailable"]
    n_docs: int
    generation: int


class IndexList(BaseModel):
    """The indexes of this server."""

    indexes: list[IndexSummary]


class IndexDetails(IndexSummary):
    """One index with its figures."""

    n_terms: int
    encoder: EncoderInfo | None
    modes: list[Literal["sparse", "dense", "hybrid"]] = Field(
        default_factory=list, description="What a search can ask for."
    )
    fusion: dict[str, Any] | None = Field(
        default=None, description="The fitted fusion the server was started with."
    )
    selective: float | None = Field(
        default=None,
        description="Share of the dense vectors that a hybrid search compares on average, where "
        "the server was started with a selection.",
    )
    stats: dict[str, Any]


class DocumentResponse(_Record):
    """A stored document."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any]


class TermWeight(BaseModel):
    """One entry of a sparse vector."""

    index: int
    value: float


class Health(BaseModel):
    """Whether the process, or every index, can answer."""

    status: Literal["ok", "ready", "degraded", "draining"]
    indexes: dict[str, str] = Field(default_factory=dict)
    generations: dict[str, int] = Field(
        default_factory=dict, description="The state of each index that answers."
    )


class ErrorDetail(BaseModel):
    """One thing wrong with a request."""

    location: list[str | int]
    message: str


class ErrorResponse(BaseModel):
    """Every error has this shape."""

    error: str = Field(description="A fixed word for programs.")
    message: str
    details: list[ErrorDetail] = Field(default_factory=list)
    request_id: str
