"""Exported folders give the trained model's vectors in every program that loads them."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

import numpy as np  # noqa: E402

from lsr.encoders import load_encoder  # noqa: E402
from lsr_training.export import export_model, load_heads  # noqa: E402
from lsr_training.models import build_model  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from tests.training.small_models import LENGTHS, TEXTS, recipe, section  # noqa: E402

QUERIES = ["the man", "time of the new men", "which which which of the which the man the time"]
SAME = {"query": 16, "document": 16}
KINDS = {
    "shared": {"max_length": SAME},
    "sum": {"max_length": SAME, "document": {"pooling": "sum", "activation": "log1p_relu"}},
    "binary": {"query": {"head": "tokens", "table": "binary"}},
    "idf": {
        "query": {"head": "tokens", "table": "idf"},
        "document": {"activation": "log1p_relu"},
    },
    "learned": {"query": {"head": "tokens", "table": "learned"}},
    "projected": {"query": {"head": "tokens", "table": "projected"}},
    "separate": {"query": {"head": "mlm", "pooling": "sum"}},
    "lengths": {"max_length": LENGTHS},
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


def exported(backbone, folder, **more):
    torch.manual_seed(4)
    model = build_model(section(backbone, **more), lambda p: p.count(TEXTS, p.encode(TEXTS)))
    with torch.no_grad():
        # As if trained: no two sides share their values any more.
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    described = recipe("x", backbone, "pairs.jsonl", model=model.section)
    facts = {
        "recipe": described.model_dump(mode="json", exclude_none=True),
        "step": 3,
        "sources": [{"path": "pairs.jsonl", "n_examples": 5}],
        "measured": {},
    }
    return model, export_model(model, folder, facts)


def dense(batch, n_terms):
    return batch.to_scipy(n_terms).toarray()


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "lengths"])
def test_the_encoder_loads_it(backbone, tmp_path, kind):
    model, known = exported(backbone, tmp_path / "model", **KINDS[kind])
    assert known
    encoder = load_encoder(tmp_path / "model", device="cpu")
    n = model.n_terms
    np.testing.assert_allclose(
        dense(encoder.encode_documents(TEXTS).vectors, n),
        dense(model.encode(TEXTS, queries=False), n),
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        dense(encoder.encode_queries(QUERIES), n)[:2],
        dense(model.encode(QUERIES, queries=True), n)[:2],
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.filterwarnings("ignore")  # of other libraries' own making
@pytest.mark.parametrize("kind", ["shared", "sum", "idf", "separate"])
def test_sentence_transformers_loads_it(backbone, tmp_path, kind):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model, _ = exported(backbone, tmp_path / "model", **KINDS[kind])
    theirs = sentence_transformers.SparseEncoder(str(tmp_path / "model"), device="cpu")
    for texts, queries in ((TEXTS, False), (QUERIES[:2], True)):
        encode = theirs.encode_query if queries else theirs.encode_document
        vectors = encode(texts, convert_to_sparse_tensor=False).numpy()
        ours = dense(model.encode(texts, queries=queries), model.n_terms)
        np.testing.assert_allclose(ours, vectors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["shared", "idf"])
def test_transformers_loads_it(backbone, tmp_path, kind):
    import transformers

    model, _ = exported(backbone, tmp_path / "model", **KINDS[kind])
    loaded = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "model")
    with model.documents.backbone.whole() as whole:
        for name, tensor in whole.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_two_lengths_keep_their_networks(backbone, tmp_path):
    model, known = exported(backbone, tmp_path / "model", **KINDS["lengths"])
    assert known
    encoder = load_encoder(tmp_path / "model", device="cpu")
    np.testing.assert_allclose(
        dense(encoder.encode_queries(QUERIES), model.n_terms),
        dense(model.encode(QUERIES, queries=True), model.n_terms),
        rtol=1e-4,
        atol=1e-5,
    )


HEADED = {
    "mlp": {"document": {"head": "mlp", "layers": 2}},
    "lexical": {"query": {"head": "shared", "lexical": True}},
    "mlp-documents": {"document": {"head": "mlp"}, "query": {"head": "tokens"}},
    "mlp-queries": {"query": {"head": "mlp", "occurrence": "first"}},
}


@pytest.mark.parametrize("kind", HEADED)
def test_heads_that_no_other_program_knows_load_here(backbone, tmp_path, kind):
    model, known = exported(backbone, tmp_path / "model", **HEADED[kind])
    assert not known
    assert "known to no other program" in (tmp_path / "model" / "README.md").read_text()
    loaded = load_heads(tmp_path / "model")
    for queries in (False, True):
        ours = dense(model.encode(TEXTS, queries=queries), model.n_terms)
        theirs = dense(loaded.encode(TEXTS, queries=queries), model.n_terms)
        assert ours.any()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_an_older_export_is_replaced(backbone, tmp_path):
    exported(backbone, tmp_path / "model", **KINDS["idf"])
    exported(backbone, tmp_path / "model", **KINDS["shared"])
    assert not (tmp_path / "model" / "router_config.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
