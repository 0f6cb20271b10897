"""Dense and cross-encoder teachers: real models made on the spot, scores by their own library."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs [peers]")

import transformers  # noqa: E402

from lsr.errors import ModelError  # noqa: E402
from lsr_training.mining import MiningOptions, mine  # noqa: E402
from lsr_training.recipe.schema import Source  # noqa: E402
from tests.lsr.tiny_models import n_words, save_tokenizer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of other libraries' own making

PAIRS = [("the man", "the man said"), ("new times", "new time for them"), ("which", "which of")]
SIZES = {
    "vocab_size": n_words(),
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


def save(folder, cls, **more):
    torch.manual_seed(3)
    model = cls(transformers.BertConfig(**SIZES, **more))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture
def dense(tmp_path):
    from sentence_transformers.models import Pooling, Transformer

    body = Transformer(str(save(tmp_path / "body", transformers.BertModel)), max_seq_length=16)
    pooling = Pooling(body.get_word_embedding_dimension(), pooling_mode="mean")
    model = sentence_transformers.SentenceTransformer(modules=[body, pooling], device="cpu")
    model.save(str(tmp_path / "dense"))
    return tmp_path / "dense"


@pytest.fixture
def cross(tmp_path):
    return save(tmp_path / "cross", transformers.BertForSequenceClassification, num_labels=1)


def test_scores_are_those_of_the_models_own_library(dense, cross, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"query": q, "positive": p}) + "\n" for q, p in PAIRS))
    names = [f"dense:{dense}", f"cross-encoder:{cross}"]
    options = MiningOptions(negatives=2, teachers=["bm25", *names])
    result = mine(Source(path=str(pairs)), tmp_path / "out.jsonl", options)
    embedding = sentence_transformers.SentenceTransformer(str(dense), device="cpu")
    reader = sentence_transformers.CrossEncoder(str(cross), device="cpu")
    records = [json.loads(line) for line in result.path.read_text().splitlines()]
    assert [r["query"] for r in records] == [q for q, _ in PAIRS]
    for record in records:
        texts = [record["positive"], *record["negatives"]]
        expected = embedding.similarity(
            embedding.encode([record["query"]]), embedding.encode(texts)
        )[0].tolist()
        assert record["scores"][names[0]] == pytest.approx(expected, abs=1e-5)
        pairs_of_record = [(record["query"], text) for text in texts]
        expected = reader.predict(pairs_of_record, activation_fn=torch.nn.Identity()).tolist()
        assert record["scores"][names[1]] == pytest.approx(expected, abs=1e-5)
        assert set(record["scores"]) == {"bm25", *names}


@pytest.mark.parametrize("kind", ["dense", "cross-encoder"])
def test_what_is_no_model_is_named(tmp_path, kind):
    (tmp_path / "pairs.jsonl").write_text('{"query": "the man", "positive": "the man said"}\n')
    (tmp_path / "empty").mkdir()
    name = f"{kind}:{tmp_path / 'empty'}"
    with pytest.raises(ModelError, match="cannot be loaded as a teacher"):
        mine(
            Source(path=str(tmp_path / "pairs.jsonl")),
            tmp_path / "out.jsonl",
            MiningOptions(teachers=[name]),
        )
