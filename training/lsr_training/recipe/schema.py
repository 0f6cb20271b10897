"""Schema of a recipe. Defaults are those of the papers where a small machine can run them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lsr_training.recipe.sections import ModelSection, Section
from lsr_training.schedules import Decay, Growth

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]


class Source(Section):
    """One source of examples.

    Attributes
    ----------
    path : str
        A JSONL (.gz), TSV or Parquet file, a folder in BEIR layout, or ``ir-datasets:ID``.
    split : str
        Judgments of a BEIR folder.
    repeat : float
        How often each example is seen in an epoch; 0.1 draws a tenth.
    limit : int or None
        Read no more examples than this.
    on_error : {"fail", "skip"}
        Stop at the first malformed record, or skip and count such records.
    """

    path: str
    split: str = "train"
    on_error: Literal["fail", "skip"] = "fail"
    repeat: Positive = 1.0
    limit: Count | None = None


class Data(Section):
    """Examples and how batches are drawn from them.

    Attributes
    ----------
    negatives : int
        Hard negatives drawn for each query, as far as it has so many.
    draw : {"random", "stratified"}
        Draw negatives anywhere from their list, or one from each of as many equal parts of it.
    one_source : bool
        Fill a batch from one source only, so that in-batch negatives are of the same kind.
    """

    sources: Annotated[list[Source], Field(min_length=1)]
    negatives: CountOrZero = 1
    draw: Literal["random", "stratified"] = "random"
    one_source: bool = False


class Infonce(Section):
    """In-batch contrastive loss."""

    weight: NonNegative = 1.0
    temperature: Positive = 1.0
    in_batch: bool = True


class MarginMse(Section):
    """Distillation of margins."""

    weight: NonNegative = 1.0
    all_pairs: bool = False


class Kl(Section):
    """Distillation of distributions."""

    weight: NonNegative = 1.0
    temperature: Positive = 1.0


class Teachers(Section):
    """Combination of the teachers in the data into one.

    Attributes
    ----------
    names : list of str or None
        Teachers in the data to use; by default all.
    normalise : bool
        Per-query min-max, average, `scale`. Without it there must be one teacher, used unchanged.
    match_mean, match_std : float or None
        Then shift and stretch to these moments, for margin losses.
    """

    names: list[str] | None = None
    normalise: bool = True
    scale: Positive = 30.0
    match_mean: float | None = None
    match_std: Positive | None = None

    @model_validator(mode="after")
    def _both_moments(self) -> Self:
        if (self.match_mean is None) != (self.match_std is None):
            raise ValueError("match_mean and match_std go together; give both or neither")
        return self


class Objective(Section):
    """Weighted sum of losses; at least one."""

    infonce: Infonce | None = None
    margin_mse: MarginMse | None = None
    kl: Kl | None = None

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not (self.infonce or self.margin_mse or self.kl):
            raise ValueError("no loss; give at least one of infonce, margin_mse, kl")
        return self

    @property
    def needs_scores(self) -> bool:
        """Whether a teacher's scores are needed."""
        return self.margin_mse is not None or self.kl is not None


class Penalty(Section):
    """Sparsity of one side.

    Attributes
    ----------
    kind : {"flops", "l1", "l0", "df_flops"}
        See `lsr_training.regularisers`. With an IDF table for queries, ``flops`` is IDF-aware.
    weight : float
        Reached after `warmup_steps`, growing as `growth` says.
    threshold : int
        l0: documents with at most so many non-zeros are not penalised.
    alpha, beta : float
        df_flops: share of documents at which a term's weight is 1/2, and the steepness there.
    refresh_steps : int
        df_flops: document frequencies are counted over this many steps, then renewed.
    """

    kind: Literal["flops", "l1", "l0", "df_flops"] = "flops"
    weight: NonNegative
    warmup_steps: CountOrZero = 0
    growth: Growth = "quadratic"
    threshold: CountOrZero = 150
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    beta: Positive = 10.0
    refresh_steps: Count = 100


class Penalties(Section):
    """Sparsity penalties of documents and queries, and the anti-collapse term."""

    document: Penalty | None = None
    query: Penalty | None = None
    anti_collapse: NonNegative = 0.0


class Optimiser(Section):
    """AdamW.

    Attributes
    ----------
    table_lr : float or None
        Learning rate of a trained token table; by default `lr`.
    max_grad_norm : float or None
        Gradients are scaled down to this norm.
    """

    lr: Positive = 2e-5
    table_lr: Positive | None = None
    weight_decay: NonNegative = 0.01
    warmup_steps: CountOrZero = 0
    decay: Decay = "linear"
    max_grad_norm: Positive | None = None


class Batch(Section):
    """Batch sizes and memory.

    Attributes
    ----------
    queries : int
        Per batch, over all devices.
    accumulate : int
        Batches for each update.
    chunk : int
        Texts that go through the network at once. Vectors of a chunk are always exact, whatever
        its size.
    grad_cache : bool
        Keep the graph of one chunk only and run each a second time for its gradient: memory of one
        chunk at 4/3 of the time (Gao et al., arXiv 2101.06983).
    """

    queries: Count = 32
    accumulate: Count = 1
    chunk: Count = 32
    grad_cache: bool = False


class Evaluation(Section):
    """Evaluation during training.

    Attributes
    ----------
    collections : sequence of str
        BEIR folders. Never ones that are reported as unseen.
    max_queries : int or None
        Measure the first so many queries only.
    max_flops : float or None
        The best checkpoint is the one with the highest nDCG@10 among those with no more FLOPS.
    target_ndcg : float or None
        Stop when nDCG@10 reaches this within `max_flops`.
    patience : int or None
        Stop after so many evaluations without a better one.
    """

    collections: tuple[str, ...] = ()
    split: str = "test"
    every_steps: Count = 500
    max_queries: Count | None = None
    max_flops: Positive | None = None
    target_ndcg: Positive | None = None
    patience: Count | None = None


class Recipe(Section):
    """A training run.

    Attributes
    ----------
    output : str
        Folder of the run: checkpoints, log, the exported model.
    steps : int
        Updates of the weights.
    seed : int
        Of every random choice.
    precision : {"fp32", "bf16"}
    device : str or None
        A torch device; by default a GPU when there is one.
    checkpoint_steps, log_steps : int
        Steps between two checkpoints, and between two lines of the log.
    tensorboard : bool
        Write the log for TensorBoard as well.
    """

    output: str
    model: ModelSection
    data: Data
    loss: Objective
    teachers: Teachers = Teachers()
    penalties: Penalties = Penalties()
    optimiser: Optimiser = Optimiser()
    batch: Batch = Batch()
    evaluation: Evaluation = Evaluation()
    steps: Count
    seed: int = 42
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str | None = None
    checkpoint_steps: Count = 500
    log_steps: Count = 10
    tensorboard: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.loss.needs_scores and self.data.negatives == 0:
            raise ValueError("distillation compares documents of a query; set data.negatives")
        table = self.model.query.head == "tokens" and self.model.query.table in ("binary", "idf")
        if self.penalties.query is not None and table:
            raise ValueError("penalties.query: the query side is a fixed table; leave it out")
        return self
