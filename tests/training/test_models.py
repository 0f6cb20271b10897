"""Every architecture: pooling against its definition, heads against slow versions of themselves."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

import numpy as np  # noqa: E402

from lsr.encoders import load_encoder  # noqa: E402
from lsr.encoders.neural.idf import inverse_document_frequency  # noqa: E402
from lsr.errors import UsageError  # noqa: E402
from lsr_training.activations import log1p_relu  # noqa: E402
from lsr_training.models import build_model  # noqa: E402
from lsr_training.models import pooling as pooling_module  # noqa: E402
from lsr_training.models.pooling import max_pool, sum_pool  # noqa: E402
from lsr_training.models.sides import TokenTableSide  # noqa: E402
from lsr_training.models.tokens import TokenBatch, pad  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from tests.training.small_models import TEXTS, section  # noqa: E402


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


def count(pieces):
    return pieces.count(TEXTS, pieces.encode(TEXTS))


def dense(batch, n_terms):
    return batch.to_scipy(n_terms).toarray()


def pooling_inputs(n_terms=70):
    generator = torch.Generator().manual_seed(5)
    states = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(n_terms, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(n_terms, generator=generator, dtype=torch.float64, requires_grad=True)
    # The last row as in an echoed text, whose first copy is not pooled.
    mask = torch.tensor([[True] * 4, [True, True, False, False], [False, False, True, False]])
    return states, mask, weight, bias


def definition_max(states, mask, weight, bias):
    logits = states @ weight.T + bias
    return logits.masked_fill(~mask[:, :, None], -torch.inf).amax(dim=1)


def definition_sum(states, mask, weight, bias):
    return (log1p_relu(states @ weight.T + bias) * mask[:, :, None]).sum(dim=1)


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_pooling_and_its_gradients_equal_the_definition(kind, monkeypatch):
    # Blocks of 64 terms, so that there are two.
    monkeypatch.setitem(pooling_module.BLOCK_BYTES, "cpu", 1)
    states, mask, weight, bias = pooling_inputs()
    if kind == "max":
        ours = log1p_relu(max_pool(states, mask, weight, bias))
        theirs = log1p_relu(definition_max(states, mask, weight, bias))
    else:
        ours = sum_pool(states, mask, weight, bias, log1p_relu)
        theirs = definition_sum(states, mask, weight, bias)
    torch.testing.assert_close(ours, theirs)
    probe = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=ours.dtype)
    inputs = (states, weight, bias)
    for mine, other in zip(
        torch.autograd.grad((ours * probe).sum(), inputs),
        torch.autograd.grad((theirs * probe).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_max_pooling_gradient_against_finite_differences():
    states, mask, weight, bias = pooling_inputs(n_terms=6)
    assert torch.autograd.gradcheck(lambda s, w, b: max_pool(s, mask, w, b), (states, weight, bias))


def test_bfloat16_pooling_is_close():
    states, mask, weight, bias = (
        t.float() if t.is_floating_point() else t for t in pooling_inputs()
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = max_pool(states, mask, weight, bias)
    torch.testing.assert_close(
        pooled, definition_max(states, mask, weight, bias), atol=0.1, rtol=0.05
    )


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_vectors_are_those_of_the_encoder(backbone, pooling, activation):
    head = {"pooling": pooling, "activation": activation}
    model = build_model(section(backbone, document=head), count)
    encoder = load_encoder(backbone, max_length=16, device="cpu", **head)
    texts = [*TEXTS, "", "new"]
    ours = model.encode(texts, queries=False, batch_size=2)
    theirs = encoder.encode_documents(texts).vectors
    n_terms = encoder.n_terms
    np.testing.assert_allclose(dense(ours, n_terms), dense(theirs, n_terms), rtol=1e-4, atol=1e-5)


def test_lexical_queries_keep_own_pieces_only(backbone):
    plain = build_model(section(backbone), count)
    lexical = build_model(section(backbone, query={"lexical": True}), count)
    rows = plain.tokenize(TEXTS, queries=True)
    everything = dense(plain.encode(TEXTS, queries=True), plain.n_terms)
    own = dense(lexical.encode(TEXTS, queries=True), plain.n_terms)
    for i, row in enumerate(rows):
        expected = np.zeros(plain.n_terms, np.float32)
        pieces = np.setdiff1d(row, plain.query_pieces.special_ids)
        expected[pieces] = everything[i, pieces]
        np.testing.assert_array_equal(own[i], expected)
    documents = lexical.encode(TEXTS, queries=False)
    assert documents.nnz > lexical.encode(TEXTS, queries=True).nnz


def test_separate_encoders_share_a_start_and_no_weight(backbone):
    model = build_model(section(backbone, query={"head": "mlm"}), count)
    mine = {p.data_ptr() for p in model.queries.parameters()}
    theirs = {p.data_ptr() for p in model.documents.parameters()}
    assert not mine & theirs
    short = ["which of these"]
    np.testing.assert_array_equal(
        dense(model.encode(short, queries=True), 200),
        dense(model.encode(short, queries=False), 200),
    )


def test_another_vocabulary_is_refused(backbone, tmp_path):
    import json

    other = save_model(tmp_path / "other")
    path = other / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["hello"] = vocabulary.pop("the")
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="vocabulary"):
        build_model(section(backbone, query={"head": "mlm", "backbone": str(other)}), count)


@pytest.mark.parametrize("occurrence", ["max", "first"])
@pytest.mark.parametrize("layers", [1, 2])
def test_term_weights_by_loops(backbone, layers, occurrence):
    head = {"head": "mlp", "layers": layers, "occurrence": occurrence}
    model = build_model(section(backbone, document=head), count).eval()
    tokens = pad(model.tokenize(TEXTS, queries=False))
    with torch.no_grad():
        weights = model.documents.weigh(model.documents.backbone(tokens)).squeeze(2)
        vectors = model(tokens, queries=False)
    specials = set(model.document_pieces.special_ids.tolist())
    for i in range(len(TEXTS)):
        expected: dict[int, float] = {}
        for place, term in enumerate(tokens.ids[i].tolist()):
            if not tokens.mask[i, place] or term in specials:
                continue
            weight = weights[i, place].item()
            if term not in expected:
                expected[term] = weight
            elif occurrence == "max":
                expected[term] = max(expected[term], weight)
        found = {int(t): vectors[i, t].item() for t in vectors[i].nonzero().squeeze(1)}
        assert found == pytest.approx({t: w for t, w in expected.items() if w > 0})


def test_inference_free_queries_are_sets_of_pieces_times_idf(backbone):
    model = build_model(section(backbone, query={"head": "tokens"}), count)
    pieces = model.query_pieces
    idf = inverse_document_frequency(count(model.document_pieces), model.n_terms)
    (terms, weights) = model.encode(["man man the"], queries=True).row(0)
    wanted = {pieces.term_id(word): idf[pieces.term_id(word)] for word in ("man", "the")}
    assert dict(zip(terms.tolist(), weights.tolist(), strict=True)) == pytest.approx(wanted)
    assert not any(p.requires_grad for p in model.queries.parameters())


def test_binary_queries_weigh_every_piece_one(backbone):
    model = build_model(section(backbone, query={"head": "tokens", "table": "binary"}), count)
    assert (
        model.encode(TEXTS, queries=True).values.tolist()
        == [1.0] * model.encode(TEXTS, queries=True).nnz
    )


@pytest.mark.parametrize("table", ["learned", "projected"])
def test_trained_tables_get_gradients_and_spare_the_embeddings(backbone, table):
    model = build_model(section(backbone, query={"head": "tokens", "table": table}), count)
    tokens = pad(model.tokenize(TEXTS, queries=True))
    model(tokens, queries=True).sum().backward()
    trained = list(model.queries.parameters())
    assert trained
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)
    assert all(p.grad is None for p in model.documents.parameters())
    assert (model.queries.table()[model.queries.special_ids] == 0).all()


def test_a_learned_table_never_goes_below_zero():
    side = TokenTableSide(torch.tensor([0.0, -1, 2]), torch.tensor([0]), learned=True)
    tokens = TokenBatch(torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool))
    assert side(tokens).tolist() == [[0, 0, 2]]


def test_idf_of_a_corpus_and_of_a_file(backbone, tmp_path):
    import json

    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps({"_id": str(i), "text": t}) + "\n" for i, t in enumerate(TEXTS))
    )
    table = tmp_path / "idf.json"
    table.write_text(json.dumps({"the": 0.5, "time": 3.0}))

    def never(pieces):
        raise AssertionError("the training data must not be counted")

    counted = build_model(section(backbone, query={"head": "tokens", "idf": str(corpus)}), never)
    wanted = inverse_document_frequency(count(counted.query_pieces), counted.n_terms)
    the = counted.query_pieces.term_id("the")
    assert counted.queries.table()[the].item() == pytest.approx(float(wanted[the]))
    read = build_model(section(backbone, query={"head": "tokens", "idf": str(table)}), never)
    assert read.queries.table()[the].item() == 0.5


def test_lengths_beyond_the_backbone_are_refused(backbone):
    with pytest.raises(UsageError, match=r"max_length\.document = 99"):
        build_model(section(backbone, max_length={"query": 8, "document": 99}), count)
