"""SPLADE encoders against a reference written with plain transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lsr.encoders import restore_encoder
from lsr.encoders.base import Encoder
from lsr.encoders.neural.model_files import ARCHITECTURES
from lsr.encoders.neural.splade import SpladeEncoder, load_splade
from lsr.errors import EncoderMismatchError, ModelError, UsageError
from tests.lsr.tiny_models import (
    SPECIALS,
    TEXTS,
    edit_json,
    save_model,
    save_router,
    save_sentence_transformers,
    save_tokenizer,
    write_json,
)
from tests.shared import shared_path


def reference(
    folder: Path, texts: list[str], *, pooling: str = "max", logs: int = 1, max_length: int = 32
) -> np.ndarray:
    """The definition of SPLADE, text by text, with every logit written down."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            weights = torch.relu(model(**inputs).logits[0])
        for _ in range(logs):
            weights = torch.log1p(weights)
        row = weights.amax(0) if pooling == "max" else weights.sum(0)
        rows.append(row if text.strip() else torch.zeros_like(row))
    return torch.stack(rows).numpy()


def documents(encoder: Encoder, texts: list[str]) -> np.ndarray:
    return encoder.encode_documents(texts).vectors.to_scipy(encoder.n_terms).toarray()


def queries(encoder: Encoder, texts: list[str]) -> np.ndarray:
    return encoder.encode_queries(texts).to_scipy(encoder.n_terms).toarray()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_equals_its_own_forward_pass(architecture: str, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", architecture)
    expected = reference(folder, TEXTS)
    found = documents(load_splade(folder), TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert 0.05 < (expected[0] > 0).mean() < 0.95


@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_batches_change_nothing_but_the_last_bits(bert: Path, batch_size: int) -> None:
    found = documents(load_splade(bert, batch_size=batch_size), TEXTS * 3)
    np.testing.assert_allclose(found, reference(bert, TEXTS * 3), atol=1e-5)


def test_documents_and_queries_of_one_network_are_alike(bert: Path) -> None:
    encoder = load_splade(bert)
    np.testing.assert_array_equal(documents(encoder, TEXTS), queries(encoder, TEXTS))


def test_encoding_twice_gives_the_same_bytes(bert: Path) -> None:
    first, second = (load_splade(bert).encode_documents(TEXTS).vectors for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()
    assert first.indices.tobytes() == second.indices.tobytes()


def test_no_texts_give_no_rows(bert: Path) -> None:
    encoded = load_splade(bert).encode_documents([])
    assert (len(encoded.vectors), encoded.statistics.n_docs) == (0, 0)


def test_max_length_cuts_texts(bert: Path) -> None:
    long = ["time " + "the man said " * 40 + "time"]
    found = documents(load_splade(bert, max_length=6), long)
    np.testing.assert_allclose(found, reference(bert, long, max_length=6), atol=1e-5)
    assert documents(load_splade(bert), long).shape == found.shape
    for wrong in (2, 33):
        with pytest.raises(UsageError, match="expected 3 to 32"):
            load_splade(bert, max_length=wrong)


def test_counts_the_word_pieces_of_the_texts_as_encoded(bert: Path) -> None:
    encoder = load_splade(bert, max_length=6)
    texts = ["the man the man", "the times new", "", "strange the", "? ! the ? the"]
    statistics = encoder.encode_documents(texts).statistics
    frequency = {
        encoder.term(i): n for i, n in enumerate(statistics.document_frequency.tolist()) if n
    }
    # Two pieces of six are special, so the last "the" is cut off; unknown pieces do not count.
    assert frequency == {"the": 4, "man": 1, "times": 1, "new": 1}
    assert (statistics.n_docs, statistics.total_length) == (5, 9)


def test_unknown_characters_are_encoded_like_any_other(bert: Path) -> None:
    np.testing.assert_allclose(documents(load_splade(bert), ["?!"]), reference(bert, ["?!"]), 1e-4)


def test_pruning_keeps_the_largest_weights(bert: Path) -> None:
    whole = documents(load_splade(bert), TEXTS)
    top = documents(load_splade(bert, top_k=5), TEXTS)
    assert (np.count_nonzero(top, axis=1) == [5, 5, 0, 5, 5, 5, 0, 5]).all()
    assert (np.sort(top)[:, -5:] == np.sort(whole)[:, -5:]).all()
    encoder = load_splade(bert, mass=0.5)
    half = documents(encoder, TEXTS)
    for row, full in zip(half, whole, strict=True):
        kept = row[row > 0]
        assert kept.sum() >= 0.5 * full.sum() - 1e-6
        assert len(kept) == 0 or kept.sum() - kept.min() < 0.5 * full.sum()
        assert len(kept) == 0 or kept.min() >= full[row == 0].max()
    np.testing.assert_array_equal(queries(encoder, TEXTS), whole)


@pytest.mark.parametrize(
    "options", [{"top_k": 0}, {"mass": 0}, {"mass": 1.5}, {"batch_size": 0}, {"device": "nowhere"},
                {"pooling": "mean"}, {"activation": "gelu"}, {"query_encoder": "magic"}]
)  # fmt: skip
def test_options_out_of_range(bert: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        load_splade(bert, **options)


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_reads_pooling_and_prompts_of_sentence_transformers(
    pooling: str, activation: str, tmp_path: Path
) -> None:
    folder = save_sentence_transformers(tmp_path, pooling=pooling, activation=activation)
    prompts = {"query": "which ", "document": "the new "}
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts})
    encoder = load_splade(folder)
    logs = 1 if activation == "relu" else 2
    texts = [text for text in TEXTS if text.strip()]
    for encode, prompt in ((documents, "the new "), (queries, "which ")):
        expected = reference(folder, [prompt + t for t in texts], pooling=pooling, logs=logs)
        np.testing.assert_allclose(encode(encoder, texts), expected, atol=1e-4)
    statistics = encoder.encode_documents(["man", "the man"]).statistics
    the, new = encoder.term_id("the"), encoder.term_id("new")
    assert the is not None
    assert new is not None
    assert statistics.document_frequency[the] == 1  # the prompt is no text
    assert statistics.document_frequency[new] == 0


def test_reads_limits_of_sentence_transformers(tmp_path: Path) -> None:
    folder = save_sentence_transformers(tmp_path, max_seq_length=5, do_lower_case=True)
    save_tokenizer(folder, lowercase=False)
    text = "THE Man saId now TIME and more"
    expected = reference(folder, [text.lower()], max_length=5)
    np.testing.assert_allclose(documents(load_splade(folder), [text]), expected, atol=1e-5)


def test_the_layout_can_be_overruled(bert: Path) -> None:
    encoder = load_splade(bert, pooling="sum", activation="log1p_relu", special_tokens="drop")
    expected = reference(bert, TEXTS, pooling="sum", logs=2)
    expected[:, : len(SPECIALS)] = 0
    np.testing.assert_allclose(documents(encoder, TEXTS), expected, atol=1e-4)


def test_opensearch_layout_drops_special_tokens_and_weighs_queries(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    write_json(folder / "idf.json", {"the": 0.5, "man": 4.0, "time": 3.0})
    encoder = load_splade(folder)
    expected = reference(folder, TEXTS)
    expected[:, : len(SPECIALS)] = 0
    np.testing.assert_allclose(documents(encoder, TEXTS), expected, atol=1e-4)
    vector = encoder.encode_queries(["The man, the man"])
    assert {encoder.term(t): w for t, w in zip(*vector.row(0), strict=True)} == {
        "the": 0.5,
        "man": 4.0,
    }
    with_network = load_splade(folder, query_encoder="model")
    assert isinstance(with_network, SpladeEncoder)
    np.testing.assert_allclose(queries(with_network, TEXTS), expected, atol=1e-4)


def test_router_with_static_queries(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = save_router(tmp_path)
    static = folder / "query_0_SparseStaticEmbedding"
    write_json(static / "config.json", {"frozen": True})
    encoder_alone = load_splade(folder / "document_0_MLMTransformer")
    weight = np.linspace(0, 3, encoder_alone.n_terms, dtype=np.float32)
    save_file({"weight": weight}, static / "model.safetensors")
    encoder = load_splade(folder)
    np.testing.assert_array_equal(documents(encoder, TEXTS), documents(encoder_alone, TEXTS))
    man = encoder.term_id("man")
    assert man is not None
    assert queries(encoder, ["man man"])[0].nonzero()[0].tolist() == [man]
    assert queries(encoder, ["man"])[0, man] == weight[man]


def test_router_with_two_networks(tmp_path: Path) -> None:
    folder = save_router(tmp_path, query=("query_0_Transformer", "query_1_SpladePooling"))
    save_model(folder / "query_0_Transformer", seed=5)
    write_json(folder / "query_1_SpladePooling" / "config.json", {"pooling_strategy": "sum"})
    encoder = load_splade(folder)
    expected = reference(folder / "document_0_MLMTransformer", TEXTS)
    np.testing.assert_allclose(documents(encoder, TEXTS), expected, atol=1e-4)
    expected = reference(folder / "query_0_Transformer", TEXTS, pooling="sum")
    np.testing.assert_allclose(queries(encoder, TEXTS), expected, atol=1e-4)


def test_fingerprint_knows_the_content_and_not_the_place(bert: Path, tmp_path: Path) -> None:
    digest = load_splade(bert).fingerprint.digest
    same = save_model(tmp_path / "elsewhere")
    assert load_splade(same).fingerprint.digest == digest
    changed = [load_splade(bert, **options).fingerprint.digest for options in (
        {"max_length": 8}, {"top_k": 9}, {"mass": 0.9}, {"pooling": "sum"},
        {"activation": "log1p_relu"}, {"special_tokens": "drop"})]  # fmt: skip
    changed.append(load_splade(save_model(tmp_path / "weights", seed=1)).fingerprint.digest)
    edit_json(same / "config.json", num_attention_heads=4)
    changed.append(load_splade(same).fingerprint.digest)
    assert len({digest, *changed}) == 9


def test_an_index_gets_the_same_query_encoder_again(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    encoder = load_splade(folder, max_length=8, top_k=9)
    again = restore_encoder(encoder.assets())
    assert again.fingerprint.digest == encoder.fingerprint.digest
    np.testing.assert_array_equal(
        again.encode_queries(TEXTS).values, encoder.encode_queries(TEXTS).values
    )
    save_model(folder, seed=1)
    with pytest.raises(EncoderMismatchError, match="changed"):
        restore_encoder(encoder.assets())
    folder.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="no such folder"):
        restore_encoder(encoder.assets())


def test_loading_says_nothing(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_splade(bert)
    assert tuple(capfd.readouterr()) == ("", "")


def test_splade_tiny_equals_the_reference() -> None:
    folder = shared_path("models/splade-tiny")
    texts = [
        "Sparse retrieval expands documents with terms they do not hold.",
        "0-dimensional biomaterials lack inductive properties. " * 30,
        "café naïve 東京 \U0001f600",
        "x",
    ]
    found = documents(load_splade(folder, max_length=256), texts)
    np.testing.assert_allclose(found, reference(folder, texts, max_length=256), atol=1e-4)


def test_splade_tiny_equals_sentence_transformers() -> None:
    library = pytest.importorskip("sentence_transformers", reason="needs the extra [peers]")
    folder = shared_path("models/splade-tiny")
    texts = ["Sparse retrieval expands documents.", "a query", "longer than the others " * 40]
    peer = library.SparseEncoder(str(folder), device="cpu")
    expected = peer.encode_document(texts).to_dense().numpy()
    np.testing.assert_allclose(documents(load_splade(folder), texts), expected, atol=1e-4)
