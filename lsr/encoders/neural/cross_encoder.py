"""`CrossEncoder`: a network that reads query and document together and scores the pair.

It needs one pass of the network for each pair: for the first hits of a search only (Nogueira & Cho,
arXiv 1901.04085, section 3). Importing loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import find_model, read_json, weight_files
from lsr.errors import MissingDependencyError, ModelError, UsageError, first_line

_SUFFIX = "ForSequenceClassification"
_LONGEST = 512


class CrossEncoder:
    """Scores pairs of a query and a text.

    Parameters
    ----------
    name : str or Path
        Folder or hub id of a transformer with one output, or with two (the second one then means
        relevant), in safetensors.
    max_length : int, optional
        Word pieces of a pair; by default what the model takes, at most 512.
    batch_size : int
        Pairs at a time.
    device : str, optional
        A torch device; by default a GPU when there is one.

    Raises
    ------
    MissingDependencyError, ModelError, UsageError
        Without torch; no such model, or no cross-encoder; a limit below 1.
    """

    def __init__(
        self,
        name: str | Path,
        *,
        max_length: int | None = None,
        batch_size: int = 16,
        device: str | None = None,
    ) -> None:
        if batch_size < 1 or (max_length is not None and max_length < 1):
            raise UsageError("batch_size and max_length of a cross-encoder are at least 1")
        folder = find_model(name)
        config = read_json(folder / "config.json")
        self._n_outputs = _outputs(folder, config)
        weight_files(folder)
        try:
            import transformers
        except ImportError as error:
            raise MissingDependencyError("a cross-encoder", "torch") from error
        from lsr.encoders.neural.transformer_body import choose_device, quiet

        self._device = choose_device(device)
        self._batch_size = batch_size
        with quiet():
            self._model, self._tokenizer = _load(transformers, folder)
        self._model.eval().requires_grad_(False).to(self._device)
        longest = min(_LONGEST, int(config.get("max_position_embeddings") or _LONGEST))
        self._max_length = min(max_length or longest, longest)

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the scores of texts for a query, (n,) float64; see `score_pairs`."""
        return self.score_pairs([(query, text) for text in texts])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Score pairs of a query and a text; raises ModelError when a score is not finite.

        Returns
        -------
        (n,) float64
            Logits, of any sign: the only output, or the second one less the first.
        """
        import torch

        order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
        scores = np.zeros(len(pairs))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            inputs = self._tokenizer(
                [pairs[at][0] for at in rows],
                [pairs[at][1] for at in rows],
                truncation="longest_first",
                max_length=self._max_length,
                padding=True,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                logits = self._model(**inputs).logits.float().cpu().numpy()
            scores[rows] = logits[:, 0] if self._n_outputs == 1 else logits[:, 1] - logits[:, 0]
        if not np.isfinite(scores).all():
            raise ModelError("the cross-encoder gave a score that is not finite; it is damaged")
        return scores


def _outputs(folder: Path, config: dict[str, Any]) -> int:
    architectures = config.get("architectures") or [""]
    if not str(architectures[0]).endswith(_SUFFIX):
        raise ModelError(
            f"{folder}: is a {architectures[0] or 'model of no known kind'}; a cross-encoder is a "
            f"transformer whose name ends in {_SUFFIX}"
        )
    labels = config.get("id2label")
    n_outputs = len(labels) if isinstance(labels, dict) else 2
    if n_outputs not in (1, 2):
        raise ModelError(f"{folder}: has {n_outputs} outputs; a cross-encoder has one, or two")
    return n_outputs


def _load(transformers: Any, folder: Path) -> tuple[Any, Any]:
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # a foreign folder can fail in any way; say which
        raise ModelError(f"{folder}: cannot be loaded ({first_line(error)})") from error
    return model, tokenizer
