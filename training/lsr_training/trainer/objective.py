"""Loss of a recipe: computed from the vectors of a batch, with its parts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lsr.errors import DataError
from lsr_training.data import Batch
from lsr_training.losses import combine_teachers, infonce, kl_divergence, margin_mse, match_moments
from lsr_training.recipe.schema import Penalty, Recipe
from lsr_training.regularisers import anti_collapse, df_flops, df_weights, flops, l0_flops, l1
from lsr_training.schedules import penalty_weight
from lsr_training.scoring import excluded_documents, score_all, score_groups


class DocumentFrequencies:
    """Document frequencies of terms in the training batches, updated every `refresh_steps`.

    Until the first update every term weighs 1: plain FLOPS.
    """

    def __init__(self, penalty: Penalty, n_terms: int) -> None:
        self._penalty = penalty
        self._counts = torch.zeros(n_terms, dtype=torch.int64)
        self._n_texts = self._n_steps = 0
        self.weights = torch.ones(n_terms)

    def count(self, vectors: Tensor) -> None:
        """Count the vectors of a step, (n, n_terms), and update the weights if they are due."""
        penalty = self._penalty
        self._counts += (vectors > 0).sum(dim=0).cpu()
        self._n_texts += len(vectors)
        self._n_steps += 1
        if self._n_steps == penalty.refresh_steps:
            frequency = self._counts / max(1, self._n_texts)
            self.weights = df_weights(frequency, alpha=penalty.alpha, beta=penalty.beta)
            self._counts.zero_()
            self._n_texts = self._n_steps = 0

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "counts": self._counts.clone(),
            "weights": self.weights,
            "n_texts": self._n_texts,
            "n_steps": self._n_steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load the state of a checkpoint."""
        self._counts, self.weights = state["counts"].clone(), state["weights"]
        self._n_texts, self._n_steps = state["n_texts"], state["n_steps"]


class Objective:
    """Losses and penalties of a recipe."""

    def __init__(self, recipe: Recipe, n_terms: int) -> None:
        self._recipe = recipe
        self.frequencies = {
            side: DocumentFrequencies(penalty, n_terms)
            for side in ("document", "query")
            if (penalty := getattr(recipe.penalties, side)) and penalty.kind == "df_flops"
        }

    def __call__(
        self, queries: Tensor, documents: Tensor, batch: Batch, step: int
    ) -> dict[str, Tensor]:
        """Return the weighted parts; their sum is the loss.

        Parameters
        ----------
        queries, documents : (n, n_terms), (m, n_terms) tensor
            Vectors of the batch.
        batch : Batch
        step : int
            From 0; the weights of the penalties depend on it.
        """
        losses = self._losses(score_all(queries, documents), batch)
        return {**losses, **self._penalties(queries, documents, step)}

    def _losses(self, scores: Tensor, batch: Batch) -> dict[str, Tensor]:
        objective = self._recipe.loss
        groups = torch.from_numpy(batch.groups).to(scores.device)
        parts: dict[str, Tensor] = {}
        if objective.infonce is not None:
            texts = torch.from_numpy(batch.texts).to(scores.device)
            positive = groups[:, 0]
            excluded = excluded_documents(
                positive, groups, texts, in_batch=objective.infonce.in_batch
            )
            parts["infonce"] = objective.infonce.weight * infonce(
                scores, positive, excluded=excluded, temperature=objective.infonce.temperature
            )
        if objective.needs_scores:
            student, valid = score_groups(scores, groups), groups >= 0
            teacher = self._teacher(batch, valid)
            if objective.margin_mse is not None:
                parts["margin_mse"] = objective.margin_mse.weight * margin_mse(
                    student, teacher, valid=valid, all_pairs=objective.margin_mse.all_pairs
                )
            if objective.kl is not None:
                parts["kl"] = objective.kl.weight * kl_divergence(
                    student, teacher, valid=valid, temperature=objective.kl.temperature
                )
        return parts

    def _teacher(self, batch: Batch, valid: Tensor) -> Tensor:
        settings = self._recipe.teachers
        scores = torch.from_numpy(batch.scores).to(valid.device)
        if settings.normalise:
            bounds = torch.from_numpy(batch.bounds).to(valid.device)
            combined = combine_teachers(scores, valid=valid, bounds=bounds, scale=settings.scale)
        elif len(scores) == 1:
            combined = scores[0]
        else:
            raise DataError(
                f"teachers.normalise is off, but the data has {len(scores)} teachers on scales of "
                "their own; name one in teachers.names"
            )
        if settings.match_mean is None or settings.match_std is None:
            return combined
        return match_moments(
            combined, mean=settings.match_mean, std=settings.match_std, valid=valid
        )

    def _penalties(self, queries: Tensor, documents: Tensor, step: int) -> dict[str, Tensor]:
        settings = self._recipe.penalties
        parts = {}
        for side, p, vectors in (
            ("document", settings.document, documents),
            ("query", settings.query, queries),
        ):
            if p is not None:
                weight = penalty_weight(p.weight, step, p.warmup_steps, p.growth)
                parts[f"{p.kind}_{side}"] = weight * self._penalty(side, p, vectors)
        if settings.anti_collapse:
            both = anti_collapse(queries) + anti_collapse(documents)
            parts["anti_collapse"] = settings.anti_collapse * both
        return parts

    def _penalty(self, side: str, penalty: Penalty, vectors: Tensor) -> Tensor:
        if penalty.kind == "flops":
            return flops(vectors)
        if penalty.kind == "l1":
            return l1(vectors)
        if penalty.kind == "l0":
            return l0_flops(vectors, penalty.threshold)
        return df_flops(vectors, self.frequencies[side].weights.to(vectors.device))
