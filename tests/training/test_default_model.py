"""How the default model is made: texts, regression, quantisation, and the command as a whole."""

import gzip
import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")
pytest.importorskip("onnx", reason="needs the extra [torch]")

import numpy as np  # noqa: E402
import transformers  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402
from scipy import sparse  # noqa: E402

from lsr.encoders import load_encoder  # noqa: E402
from lsr.encoders.neural.int8_files import _unpack_int4, export_floats, is_int8  # noqa: E402
from lsr.encoders.neural.onnx_vectors import OnnxVectors  # noqa: E402
from lsr.encoders.neural.splade import load_splade  # noqa: E402
from lsr.errors import CorpusError, ModelError, UsageError  # noqa: E402
from lsr_training.default_model import __main__ as command  # noqa: E402
from lsr_training.default_model.int8_graph import (  # noqa: E402
    EMBEDDING_BLOCK,
    pack_int4,
    quantise_columns,
    write_graph,
)
from lsr_training.default_model.pool import Passages, Source, read_pool  # noqa: E402
from lsr_training.default_model.regression import (  # noqa: E402
    SPREAD,
    bag_of_pieces,
    fit_table,
    reduce_rank,
    unexplained,
)
from lsr_training.default_model.smoothing import measure_smoothing  # noqa: E402
from lsr_training.default_model.thresholds import SHARE, fit_thresholds  # noqa: E402
from tests.lsr.tiny_models import n_words, save_tokenizer  # noqa: E402

TEXTS = ["the man said that it was the first time", "new", "", "manly times which newre thes"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    config = transformers.BertConfig(
        vocab_size=n_words(),
        hidden_size=2 * EMBEDDING_BLOCK,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=160,
        max_position_embeddings=32,
    )
    torch.manual_seed(3)
    network = transformers.BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(1.0 if "LayerNorm.weight" in name else 0.0, 0.1)
        # Some dimensions are far larger than the others, as in real models.
        network.encoder.layer[0].attention.output.LayerNorm.weight[:3] = 20.0
    network.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def write_lines(path, records):
    with gzip.open(path, "wt") as file:
        file.write("\n".join(map(json.dumps, records)))


def write_sources(folder):
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("the", "man", "time", "new", "which") for b in ("", "s", "ly")]

    def text(n):
        return " ".join(rng.choice(words, n)).capitalize() + "."

    write_lines(folder / "one.jsonl.gz", [{"query": text(4), "positive": f"{text(7)} {text(9)}"}
                                          for _ in range(120)])  # fmt: skip
    write_lines(folder / "more.jsonl.gz", [{"title": text(2), "text": text(8)} for _ in range(60)])
    return [Source("one", held_out=10, used=100)], [Passages("more", titles=20, sentences=30)]


def test_pool_holds_out_the_first_records_and_repeats_nothing(tmp_path):
    sources, passages = write_sources(tmp_path)
    pool = read_pool(tmp_path, tmp_path, sources, passages)
    held = read_pool(tmp_path, tmp_path, [Source("one", held_out=0, used=10)], [])
    assert len(pool.queries) == len(set(pool.queries)) > 140
    assert len(pool.documents) == len(set(pool.documents)) == 100
    assert not set(held.documents) & set(pool.documents)
    assert pool == read_pool(tmp_path, tmp_path, sources, passages)


def test_pool_says_what_is_missing(tmp_path):
    write_sources(tmp_path)
    with pytest.raises(CorpusError, match="holds 115 records to use, expected 200"):
        read_pool(tmp_path, tmp_path, [Source("one", held_out=5, used=200)], [])
    with pytest.raises(CorpusError, match="cannot be read"):
        read_pool(tmp_path, tmp_path, [Source("absent", held_out=0, used=1)], [])
    with pytest.raises(CorpusError, match="the fields query and positive"):
        read_pool(tmp_path, tmp_path, [Source("more", held_out=0, used=1)], [])
    write_lines(tmp_path / "blank.jsonl.gz", [{"query": "q", "positive": " "}])
    with pytest.raises(CorpusError, match="both with text"):
        read_pool(tmp_path, tmp_path, [Source("blank", held_out=0, used=1)], [])


def test_regression_solves_what_the_normal_equations_solve():
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.choice(30, rng.integers(1, 6), replace=False)) for _ in range(200)]
    idf = rng.uniform(1, 5, 30).astype(np.float32)
    bag = bag_of_pieces(rows, idf)
    np.testing.assert_allclose(np.asarray(bag.sum(axis=1)).ravel(), SPREAD, rtol=1e-5)
    pieces, targets = (rng.normal(size=(n, 8)).astype(np.float32) for n in (30, 200))
    found = fit_table(bag, targets, pieces, ridge=2.0, steps=200)
    # The same in one dense solve: the prior first, then what is left.
    dense, centred = bag.toarray(), pieces - pieces.mean(axis=0)
    known = np.hstack([dense @ centred, np.ones((200, 1))])
    linear = np.linalg.solve(known.T @ known + np.eye(9), known.T @ targets)
    rest = targets - known @ linear
    correction = np.linalg.solve(dense.T @ dense + 2 * np.eye(30), dense.T @ rest)
    np.testing.assert_allclose(found, centred @ linear[:-1] + correction, atol=1e-4)


def test_regression_finds_a_table_that_made_the_targets():
    rng = np.random.default_rng(1)
    rows = [np.sort(rng.choice(20, 4, replace=False)) for _ in range(400)]
    bag = bag_of_pieces(rows, np.ones(20, np.float32))
    table = rng.normal(size=(20, 6)).astype(np.float32)
    targets, documents = (bag @ table).astype(np.float32), rng.normal(size=(50, 6))
    nothing = np.zeros_like(table)
    found = fit_table(bag, targets, rng.normal(size=(20, 6)).astype(np.float32), ridge=1e-3)
    assert unexplained(bag, targets, found, documents) < 1e-4
    assert unexplained(bag, targets, nothing, documents) == pytest.approx(1)


def test_a_reduced_table_changes_scores_of_documents_least():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(40, 12)).astype(np.float32)
    documents = rng.normal(size=(300, 12)) * np.geomspace(5, 0.1, 12)
    whole, back, kept = reduce_rank(table, documents, 12)
    assert kept == pytest.approx(1)
    np.testing.assert_allclose(whole @ back, table, atol=1e-3)
    centred = documents - documents.mean(axis=0)
    errors = []
    for rank in (2, 5, 8):
        terms, reduced, kept = reduce_rank(table, documents, rank)
        error = ((terms @ reduced - table) @ centred.T) ** 2
        errors.append(error.sum() / ((table @ centred.T) ** 2).sum())
        assert errors[-1] == pytest.approx(1 - kept, abs=0.02)
    assert errors[0] > errors[1] > errors[2]


def test_quantised_numbers_are_half_a_step_off_at_most():
    rng = np.random.default_rng(3)
    table = (rng.normal(size=(9, 4 * EMBEDDING_BLOCK)) * rng.uniform(0, 3, (9, 1))).astype("f4")
    table[4] = 0
    packed, scale = pack_int4(table)
    assert packed.shape == (9, 2 * EMBEDDING_BLOCK)
    back = _unpack_int4(packed, scale[:, :, None])
    steps = np.repeat(scale, EMBEDDING_BLOCK, axis=1)
    assert (np.abs(back - table) <= steps * 0.5001).all()
    quantised, column = quantise_columns(table)
    assert (np.abs(quantised * column - table) <= column * 0.5001).all()


def embeddings(teacher, texts):
    model = transformers.AutoModel.from_pretrained(teacher).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(teacher)
    rows = [np.array(tokenizer(text)["input_ids"]) for text in texts]
    with torch.inference_mode():
        states = [model(input_ids=torch.from_numpy(row)[None]).last_hidden_state for row in rows]
    made = torch.stack([torch.nn.functional.normalize(s[0].mean(0), dim=0) for s in states])
    return model, rows, made.numpy()


def test_graph_makes_the_embeddings_of_torch_and_smoothing_helps(teacher, tmp_path):
    texts = [text for text in TEXTS if text]
    model, rows, expected = embeddings(teacher, texts)
    weights = {name: values.numpy() for name, values in model.state_dict().items()}
    config = json.loads((teacher / "config.json").read_text())
    smoothing = measure_smoothing(model, rows)
    distances = {}
    for name, factors in (
        ("smooth", smoothing),
        ("plain", {key: np.ones_like(values) for key, values in smoothing.items()}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (folder / file).write_text((teacher / file).read_text())
        write_graph(weights, config, factors, None, folder)
        found = OnnxVectors(folder, max_length=32).run(rows)
        assert found.shape == expected.shape
        distances[name] = np.linalg.norm(found - expected, axis=1).mean()
    assert distances["smooth"] < 0.15
    assert distances["smooth"] < distances["plain"]


@pytest.fixture(scope="module")
def made(teacher, tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    sources, passages = write_sources(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "read_pool", lambda a, b: read_pool(a, b, sources, passages))
        patch.setattr(command, "RANK", 20)
        patch.setattr(command, "TOP_K", 9)
        patch.setattr(command, "HELD_OUT", 20)
        patch.setattr(command, "FEWEST", 1)
        patch.setattr(command, "TRAINING_LENGTH", 32)
        patch.setattr("lsr_training.default_model.export.LENGTH", 32)
        given = ["--pairs", str(root), "--passages", str(root), "--teacher", str(teacher)]
        arguments = [*given, "--work", str(root / "work"), "--out", str(root / "model")]
        assert command.main(arguments) == 0
        first = (root / "model" / "model.safetensors").read_bytes()
        # Once more: what was embedded is not embedded again, and the model is the same.
        patch.setattr("lsr_training.default_model.teacher._embed_chunk", None)
        assert command.main(arguments) == 0
    assert (root / "model" / "model.safetensors").read_bytes() == first
    return root / "model"


def dense(encoder, texts):
    return encoder.encode_documents(texts).vectors.to_scipy(encoder.n_terms).toarray()


def test_the_command_makes_an_encoder(made):
    encoder = load_encoder(made)
    vectors = encoder.encode_documents(TEXTS).vectors
    learned = [sum(encoder.term(int(t)).startswith("~") for t in vectors.row(i)[0])
               for i in range(len(TEXTS))]  # fmt: skip
    assert max(learned) <= 9
    assert learned[2] == 0
    assert min(learned[:2]) > 0
    recipe = json.loads((made / "recipe.json").read_text())
    assert 0 < recipe["unexplained_in_queries_left_out"] < 1
    assert recipe["queries"] > 140


def test_its_floats_are_the_same_model(made, tmp_path):
    floats = tmp_path / "floats"
    export_floats(made, floats)
    assert is_int8(made)
    assert not is_int8(floats)
    graph, ours = load_splade(made), load_encoder(floats, device="cpu")
    int8_vectors, float_vectors = dense(graph, TEXTS), dense(ours, TEXTS)
    assert float_vectors.max() > 0
    assert np.abs(int8_vectors - float_vectors).max() < 0.15 * float_vectors.max()
    assert not float_vectors[2].any()
    queries = ours.encode_queries(["the man"])
    assert [ours.term(int(term)) for term in queries.row(0)[0]] == ["the", "man"]
    np.testing.assert_array_equal(dense(ours, TEXTS[:1]), float_vectors[:1])
    with pytest.raises(UsageError, match="exists"):
        export_floats(made, floats)
    with pytest.raises(ModelError, match="stores floats already"):
        export_floats(floats, tmp_path / "again")


def test_its_floats_load_in_sentence_transformers(made, tmp_path):
    peer = pytest.importorskip("sentence_transformers", reason="needs the extra [peers]")
    export_floats(made, tmp_path / "floats")
    texts = [text for text in TEXTS if text]
    theirs = peer.SparseEncoder(str(tmp_path / "floats"), device="cpu", local_files_only=True)
    ours = load_encoder(tmp_path / "floats", device="cpu")
    found = theirs.encode_document(texts, show_progress_bar=False).to_dense().numpy()
    np.testing.assert_allclose(found, dense(ours, texts), atol=1e-5)
    network = theirs[0].sub_modules["document"][0].auto_model
    assert network.pooler is None  # one would be random, and reported as missing
    queries = theirs.encode_query(["the man"]).to_dense().numpy()
    expected = ours.encode_queries(["the man"]).to_scipy(ours.n_terms).toarray()
    np.testing.assert_allclose(queries, expected, rtol=1e-6)


def test_what_an_int8_model_cannot_do_is_refused(made, tmp_path):
    with pytest.raises(ModelError, match="lsr export-model"):
        load_splade(made, backend="torch")
    with pytest.raises(UsageError, match="one text at a time"):
        load_splade(made, batch_size=3)
    export_floats(made, tmp_path / "floats")
    with pytest.raises(UsageError, match="linear layer"):
        load_splade(tmp_path / "floats", pooling="max")
    weights = made.parent / "damaged"
    weights.mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (weights / file).write_text((made / file).read_text())
    (weights / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be read as int8"):
        export_floats(weights, tmp_path / "out")


def test_sparse_products_of_the_regression_are_sparse():
    bag = bag_of_pieces([np.array([1, 3]), np.zeros(0, np.int64)], np.ones(5, np.float32))
    assert sparse.issparse(bag)
    assert bag.nnz == 2


def test_thresholds_are_lower_for_terms_that_queries_hold():
    terms = np.array([[1, 0], [0, 1], [2, 0]], np.float32)
    documents = np.array([[3, 2], [-3, 2], [3, 0], [-3, 0]], np.float32)
    held = np.array([27, 27, 238], np.int64)
    found = fit_thresholds(terms, np.eye(2, dtype=np.float32), documents, held, 2)
    # Favours are 32 ** .2 = 2 and 243 ** .2 = 3; about their mean (0, 1) the documents score
    # (6, 2, 18), (-6, 2, -18), (6, -2, 18), (-6, -2, -18); the second largest are 6, -6, 6, -6.
    level = SHARE * (6 + 0 + 6 + 0) / 4
    np.testing.assert_allclose(found, [level / 2, level / 2, level / 3], rtol=1e-6)
    many = fit_thresholds(terms, np.eye(2, dtype=np.float32), documents, held, 1)
    assert (many > found).all()


def test_what_stays_below_its_threshold_is_no_term(made):
    weights, floats = dense(load_splade(made), TEXTS), made.parent / "floats of thresholds"
    export_floats(made, floats)
    head = load_file(floats / "document_3_SparseAutoEncoder" / "model.safetensors")
    assert (head["latent_bias"] <= 0).all()
    assert (head["latent_bias"] < 0).any()
    encoder = load_encoder(floats, device="cpu")
    found = dense(encoder, TEXTS)
    assert 0 < (found > 0).sum(axis=1).max() <= 9
    assert np.abs(found - weights).max() < 0.15 * found.max()
