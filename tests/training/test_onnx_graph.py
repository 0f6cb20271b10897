"""The exported int8 graph gives the vectors that torch gives, up to the steps of int8."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")
pytest.importorskip("onnxscript", reason="needs the extra [torch]")

import numpy as np  # noqa: E402

from lsr.encoders import load_encoder, restore_document_encoder  # noqa: E402
from lsr.encoders.neural.onnx_vectors import GRAPH, OnnxVectors  # noqa: E402
from lsr.errors import ModelError, UsageError  # noqa: E402
from lsr_training.models.backbone import load_backbone  # noqa: E402
from lsr_training.onnx_graph import export_graph  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from tests.training.small_models import TEXTS  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = save_model(tmp_path_factory.mktemp("model") / "tiny")
    backbone, _ = load_backbone(str(folder))
    kept = np.arange(5, backbone.n_terms - 1)
    export_graph(backbone, kept, folder / GRAPH)
    return folder


def dense(encoder, texts):
    return encoder.encode_documents(texts).vectors.to_scipy(encoder.n_terms).toarray()


def test_graph_equals_torch_up_to_int8(folder):
    torch_side = load_encoder(folder, device="cpu")
    graph_side = load_encoder(folder, backend="onnx")
    texts = [*TEXTS, "", "time"]
    ours, theirs = dense(graph_side, texts), dense(torch_side, texts)
    kept = slice(5, torch_side.n_terms - 1)
    assert not ours[:, :5].any()
    assert not ours[:, -1:].any()
    assert theirs[:, kept].max() > 0
    assert np.abs(ours[:, kept] - theirs[:, kept]).max() < 0.05 * theirs.max()
    assert not ours[4].any()


def test_vector_does_not_depend_on_what_stands_beside_it(folder):
    encoder = load_encoder(folder, backend="onnx")
    together = dense(encoder, [*TEXTS, *TEXTS[::-1]])
    alone = np.vstack([dense(encoder, [text]) for text in [*TEXTS, *TEXTS[::-1]]])
    np.testing.assert_array_equal(together, alone)


def test_an_index_restores_the_graph_not_torch(folder):
    encoder = load_encoder(folder, backend="onnx", query_encoder="idf", top_k=3)
    again = restore_document_encoder(encoder.assets())
    assert again.fingerprint.digest == encoder.fingerprint.digest
    np.testing.assert_array_equal(dense(again, TEXTS), dense(encoder, TEXTS))
    other = load_encoder(folder, query_encoder="idf", top_k=3, device="cpu")
    assert other.fingerprint.digest != encoder.fingerprint.digest


def test_what_a_graph_cannot_do_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="batch_size, pooling"):
        load_encoder(folder, backend="onnx", batch_size=4, pooling="sum")
    with pytest.raises(UsageError, match="max_length = 2"):
        load_encoder(folder, backend="onnx", max_length=2)
    bare = save_model(tmp_path / "bare")
    with pytest.raises(ModelError, match="export the model again"):
        load_encoder(bare, backend="onnx")
    (bare / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxVectors(bare, max_length=None)
