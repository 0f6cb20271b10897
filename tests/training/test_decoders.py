"""Decoder-only backbones: cut where they should be, echoed, adapted, trained and exported."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

import numpy as np  # noqa: E402
import transformers  # noqa: E402

from lsr.errors import UsageError  # noqa: E402
from lsr_training.activations import log1p_relu  # noqa: E402
from lsr_training.export import load_heads  # noqa: E402
from lsr_training.models import build_model  # noqa: E402
from lsr_training.models.backbone import DECODERS, load_backbone  # noqa: E402
from lsr_training.models.low_rank import LowRankLinear  # noqa: E402
from lsr_training.models.tokens import TokenBatch, echoed, pad  # noqa: E402
from lsr_training.trainer import train  # noqa: E402
from tests.lsr.tiny_models import n_words, save_model, save_tokenizer  # noqa: E402
from tests.training.small_models import TEXTS, recipe, section, write_pairs  # noqa: E402


def save_decoder(folder, architecture="LlamaForCausalLM"):
    torch.manual_seed(0)
    cls = getattr(transformers, architecture)
    config = cls.config_class(
        vocab_size=n_words(),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=12,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    model = cls(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return save_decoder(tmp_path_factory.mktemp("model") / "decoder")


@pytest.mark.parametrize("architecture", DECODERS)
def test_states_times_output_layer_are_the_logits(tmp_path, architecture):
    folder = save_decoder(tmp_path / "model", architecture)
    backbone, _ = load_backbone(str(folder))
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([[2, 7, 9, 3], [2, 6, 3, 0]])
    mask = ids != 0
    with torch.no_grad():
        states = backbone.eval()(TokenBatch(ids, mask))
        logits = whole(input_ids=ids, attention_mask=mask.long()).logits
    torch.testing.assert_close((states @ backbone.decoder.weight.T)[mask], logits[mask])


def test_echoed_texts_stand_twice_and_the_second_copy_is_pooled():
    tokens = TokenBatch(
        torch.tensor([[5, 6, 7], [8, 0, 0]]), torch.tensor([[True] * 3, [True, False, False]])
    )
    doubled, pooled = echoed(tokens)
    assert doubled.ids.tolist() == [[5, 6, 7, 5, 6, 7], [8, 8, 0, 0, 0, 0]]
    assert doubled.mask.tolist() == [[True] * 6, [True] * 2 + [False] * 4]
    assert pooled.tolist() == [[False] * 3 + [True] * 3, [False, True] + [False] * 4]


def test_echo_lets_the_first_word_see_the_last(decoder):
    rows = [np.array([2, 7, 9, 3]), np.array([2, 7, 11, 3])]
    model = build_model(section(decoder, document={"echo": True}), lambda pieces: None).eval()
    whole = transformers.AutoModelForCausalLM.from_pretrained(decoder).eval()
    with torch.no_grad():
        vectors = model(pad(rows), queries=False)
        for row, vector in zip(rows, vectors, strict=True):
            twice = torch.from_numpy(np.concatenate([row, row]))[None]
            second = whole(input_ids=twice).logits[0, len(row) :]
            expected = log1p_relu(second.amax(dim=0))
            torch.testing.assert_close(vector, expected, rtol=1e-4, atol=1e-5)


def test_twice_the_text_must_fit(decoder):
    with pytest.raises(UsageError, match=r"max_length\.document = 17: .* at most 16"):
        build_model(
            section(decoder, document={"echo": True}, max_length={"query": 8, "document": 17}),
            lambda pieces: None,
        )


@pytest.mark.parametrize("kind", ["decoder", "masked"])
def test_low_rank_matrices_learn_alone_and_are_merged_in_the_export(tmp_path, kind):
    make = save_decoder if kind == "decoder" else save_model
    folder = make(tmp_path / "backbone")
    wanted = recipe(
        tmp_path / "run",
        folder,
        write_pairs(tmp_path / "pairs.jsonl"),
        model={
            "backbone": str(folder),
            "max_length": {"query": 8, "document": 16},
            "lora": {"rank": 2, "alpha": 4, "dropout": 0.0},
            "document": {"echo": kind == "decoder"},
        },
        optimiser={"lr": 1e-2},
    )
    start = build_model(wanted.model, lambda pieces: None)
    trained = {name for name, p in start.named_parameters() if p.requires_grad}
    assert trained
    assert all(".up." in name or ".down." in name for name in trained)
    before = start.encode(TEXTS, queries=False).to_scipy(start.n_terms).toarray()
    plain = wanted.model.model_copy(update={"lora": None})
    unadapted = build_model(plain, lambda pieces: None).encode(TEXTS, queries=False)
    np.testing.assert_allclose(before, unadapted.to_scipy(start.n_terms).toarray(), rtol=1e-5)

    result = train(wanted)
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["model"]
    start.load_state_dict(state, strict=False)
    adapted = start.encode(TEXTS, queries=False).to_scipy(start.n_terms).toarray()
    assert not np.allclose(adapted, before, rtol=1e-2)
    exported = (
        load_heads(result.model)
        if kind == "decoder"
        else build_model(
            plain.model_copy(update={"backbone": str(result.model)}), lambda pieces: None
        )
    )
    assert not any(isinstance(module, LowRankLinear) for module in exported.modules())
    after = exported.encode(TEXTS, queries=False).to_scipy(start.n_terms).toarray()
    np.testing.assert_allclose(after, adapted, rtol=1e-3, atol=1e-4)
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    loaded = getattr(transformers, name).from_pretrained(result.model)
    assert set(loaded.state_dict()) == set(
        getattr(transformers, name).from_pretrained(folder).state_dict()
    )


def test_layers_that_are_not_there(decoder):
    with pytest.raises(UsageError, match=r"no linear layer is called query; .*q_proj"):
        build_model(section(decoder, lora={"targets": ["query"]}), lambda pieces: None)
