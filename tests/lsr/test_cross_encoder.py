"""A cross-encoder, made on the spot and compared with transformers used by hand."""

from pathlib import Path

import numpy as np
import pytest

from lsr.errors import ModelError, UsageError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from lsr.encoders.neural.cross_encoder import CrossEncoder  # noqa: E402
from tests.lsr.tiny_models import TEXTS, n_words, save_tokenizer  # noqa: E402


def save(folder: Path, n_labels: int) -> Path:
    torch.manual_seed(n_labels)
    config = transformers.BertConfig(
        vocab_size=n_words(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=n_labels,
        initializer_range=0.5,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def by_hand(folder: Path, query: str, text: str) -> np.ndarray:
    model = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer([query], [text], truncation=True, max_length=32, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits.numpy()[0]


@pytest.mark.parametrize("n_labels", [1, 2])
def test_scores_are_those_of_the_network(tmp_path: Path, n_labels: int) -> None:
    folder = save(tmp_path, n_labels)
    scores = CrossEncoder(folder, batch_size=3, device="cpu").score("new times", TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        logits = by_hand(folder, "new times", text)
        expected = logits[0] if n_labels == 1 else logits[1] - logits[0]
        assert score == pytest.approx(float(expected), abs=1e-4)
    assert len(np.unique(scores.round(6))) > 3
    assert CrossEncoder(folder, device="cpu").score("new", []).shape == (0,)


def test_models_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        CrossEncoder("/nowhere/at all")
    with pytest.raises(ModelError, match="has 3 outputs"):
        CrossEncoder(save(tmp_path / "three", 3))
    other = save(tmp_path / "other", 1)
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config.replace("BertForSequenceClassification", "BertModel"))
    with pytest.raises(ModelError, match="is a BertModel; a cross-encoder"):
        CrossEncoder(other)
    with pytest.raises(UsageError, match="at least 1"):
        CrossEncoder(other, batch_size=0)
