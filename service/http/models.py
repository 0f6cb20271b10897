"""Requests and answers. Their schema is the OpenAPI document; unknown fields are refused.

Only what never changes is checked here. Limits that an operator can set are in `limits`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lsr.sparse import MAX_TERM_ID, MAX_WEIGHT

Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]
TermId = Annotated[int, Field(ge=0, le=MAX_TERM_ID)]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


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


class SearchRequest(_Request):
    """What to search for: exactly one of `query`, `tokens` and `vector`."""

    query: str | None = Field(
        default=None, description="Text, encoded by the encoder of the index."
    )
    tokens: dict[str, Weight] | None = Field(
        default=None, description="Weights by term. Zeros are dropped; unknown terms match nothing."
    )
    vector: SparseVector | None = None
    k: int = Field(default=10, ge=1, description="Number of hits.")
    offset: int = Field(default=0, ge=0, description="Hits to skip.")
    filter: dict[str, Any] | None = Field(
        default=None,
        description='Only documents whose metadata pass, as in {"year": {"$gte": 2000}}.',
    )
    explain: bool = Field(default=False, description="Say what each matched term contributes.")
    timeout_ms: int | None = Field(
        default=None,
        ge=1,
        description="Give up after this time; the server's own deadline still holds.",
    )

    @model_validator(mode="after")
    def _one_query(self) -> SearchRequest:
        if [self.query, self.tokens, self.vector].count(None) != 2:
            raise ValueError("give exactly one of query, tokens and vector")
        return self


class EmbedRequest(_Request):
    """Texts to encode as queries, in the shape of text-embeddings-inference."""

    inputs: str | list[str]
    truncate: bool = Field(
        default=True,
        description="Accepted for its clients: texts beyond the encoder's length are cut.",
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
        min_length=1, description="All whose metadata pass; an empty one is refused."
    )


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


class TermContribution(BaseModel):
    """What one matched term adds to a score."""

    term: str
    contribution: float


class Hit(BaseModel):
    """One result."""

    rank: int = Field(description="From 1 over the whole result, whatever the page.")
    id: str
    score: float
    title: str
    text: str
    metadata: dict[str, Any]
    explanation: list[TermContribution] | None = Field(
        default=None, description="Largest contribution first; they sum to the score."
    )


class EncoderInfo(BaseModel):
    """The encoder an index was made with."""

    kind: str
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
    stats: dict[str, Any]


class DocumentResponse(BaseModel):
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
