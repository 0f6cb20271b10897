"""The loop: gradients independent of chunks and caches, resuming bit for bit, and bad runs."""

import json
import os
import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

import numpy as np  # noqa: E402

from lsr.encoders import load_encoder  # noqa: E402
from lsr.errors import UsageError  # noqa: E402
from lsr_training.data import collate, load_examples  # noqa: E402
from lsr_training.failures import (  # noqa: E402
    CollapsedError,
    DivergedError,
    OutOfMemoryError,
    TrainingError,
)
from lsr_training.models import build_model  # noqa: E402
from lsr_training.trainer import train  # noqa: E402
from lsr_training.trainer.checkpoint import read_checkpoint  # noqa: E402
from lsr_training.trainer.devices import Devices  # noqa: E402
from lsr_training.trainer.evaluation import Measurement, evaluate, open_evaluation_set  # noqa: E402
from lsr_training.trainer.gradients import BatchGradient  # noqa: E402
from lsr_training.trainer.objective import Objective  # noqa: E402
from lsr_training.trainer.run import Run  # noqa: E402
from lsr_training.trainer.selection import Selection  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from tests.training.small_models import Stop, recipe, write_pairs  # noqa: E402

RESUMABLE = {
    "loss": {"infonce": {}, "kl": {"weight": 0.5}},
    "penalties": {
        "document": {"kind": "df_flops", "weight": 0.05, "warmup_steps": 3, "refresh_steps": 2},
        "query": {"kind": "l1", "weight": 0.001},
    },
    "batch": {"queries": 5, "chunk": 3, "accumulate": 2},
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl", scores=True)


@pytest.fixture
def beir(tmp_path, pairs):
    folder = tmp_path / "collection"
    (folder / "qrels").mkdir(parents=True)
    records = [json.loads(line) for line in pairs.read_text().splitlines()]
    for name, key in (("corpus", "positive"), ("queries", "query")):
        lines = [json.dumps({"_id": f"x{i}", "text": r[key]}) for i, r in enumerate(records)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    judged = [f"x{i}\tx{i}\t1" for i in range(len(records))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    return folder


def weights(result):
    from safetensors.torch import load_file

    return load_file(result.model / "model.safetensors")


def log(output):
    records = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("seconds", None)
    return records


def gradients(backbone, pairs, tmp_path, **batch):
    wanted = recipe(tmp_path / "run", backbone, pairs, batch={"queries": 6, **batch},
                    loss={"infonce": {}, "margin_mse": {}})  # fmt: skip
    torch.manual_seed(1)
    model = build_model(wanted.model, lambda pieces: None).train()
    sources = [load_examples(wanted.data.sources[0]).items]
    run = Run(wanted, model, [load_examples(wanted.data.sources[0])], Devices("cpu"))
    picked = collate(run._drawing.batch(0), sources, None)
    gradient = BatchGradient(model, Objective(wanted, model.n_terms), wanted, Devices("cpu"))
    torch.manual_seed(2)
    parts, _, _ = gradient.add(picked, 3, 1.0)
    return parts, {name: p.grad for name, p in model.named_parameters()}, torch.rand(1).item()


def test_the_cached_gradient_is_the_gradient_dropout_included(backbone, pairs, tmp_path):
    plain, plain_gradients, after = gradients(backbone, pairs, tmp_path, chunk=4)
    cached, cached_gradients, cached_after = gradients(
        backbone, pairs, tmp_path, chunk=4, grad_cache=True
    )
    assert plain == cached
    assert after == cached_after
    for name, gradient in plain_gradients.items():
        torch.testing.assert_close(gradient, cached_gradients[name], rtol=1e-5, atol=1e-7)


def test_the_gradient_does_not_depend_on_the_chunks(tmp_path, pairs):
    import transformers

    folder = save_model(tmp_path / "still")
    config = transformers.AutoConfig.from_pretrained(folder)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config.save_pretrained(folder)
    one, one_gradients, _ = gradients(folder, pairs, tmp_path, chunk=64)
    other, other_gradients, _ = gradients(folder, pairs, tmp_path, chunk=1)
    assert one == pytest.approx(other, rel=1e-4)
    for name, gradient in one_gradients.items():
        torch.testing.assert_close(gradient, other_gradients[name], rtol=1e-3, atol=1e-5)


def test_resumed_equals_uninterrupted_bit_for_bit(backbone, pairs, beir, tmp_path):
    more = {**RESUMABLE, "evaluation": {"collections": [str(beir)], "every_steps": 2}}
    whole = train(recipe(tmp_path / "whole", backbone, pairs, **more))
    resumed = recipe(tmp_path / "resumed", backbone, pairs, **more)
    # One stop beside a checkpoint's step, one right after one.
    for step in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(resumed, on_step=Stop(step))
    result = train(resumed)
    assert result.steps_done == whole.steps_done == 6
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(result)[name]), name
    assert log(tmp_path / "whole") == log(tmp_path / "resumed")
    one, other = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.pt")
        for name in ("whole", "resumed")
    )
    for i, state in one["optimiser"]["state"].items():
        assert torch.equal(state["exp_avg_sq"], other["optimiser"]["state"][i]["exp_avg_sq"])
    assert torch.equal(one["random_cpu"], other["random_cpu"])


def test_an_interrupt_within_a_step_changes_nothing(backbone, pairs, tmp_path, monkeypatch):
    whole = train(recipe(tmp_path / "whole", backbone, pairs))
    wanted = recipe(tmp_path / "run", backbone, pairs)
    usual = BatchGradient._backward
    calls = []

    def interrupted(self, *arguments):
        usual(self, *arguments)
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(BatchGradient, "_backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(wanted)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 2
    for name, tensor in weights(train(wanted)).items():
        assert torch.equal(tensor, weights(whole)[name]), name


def test_another_recipe_or_other_data_is_not_gone_on_with(backbone, pairs, tmp_path):
    output = tmp_path / "run"
    train(recipe(output, backbone, pairs))
    with pytest.raises(UsageError, match=r"recipe\.optimiser\.lr: 0\.001 there, 0\.1 now"):
        train(recipe(output, backbone, pairs, optimiser={"lr": 0.1, "warmup_steps": 2}))
    data = {"sources": [{"path": str(pairs), "limit": 20}], "negatives": 1}
    with pytest.raises(UsageError, match=r"data"):
        train(recipe(output, backbone, pairs, data=data))
    assert train(recipe(output, backbone, pairs, data=data), restart=True).steps_done == 6


def test_a_damaged_checkpoint_is_named(backbone, pairs, tmp_path):
    wanted = recipe(tmp_path / "run", backbone, pairs)
    train(wanted)
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"last\.pt: the checkpoint cannot be read"):
        train(wanted)


def test_a_diverging_run_stops_and_keeps_the_last_good_weights(backbone, pairs, tmp_path):
    wanted = recipe(tmp_path / "run", backbone, pairs, optimiser={"lr": 1e30}, checkpoint_steps=100)
    with pytest.raises(DivergedError, match=r"step \d+: .* is (nan|inf|-inf).*last\.pt") as caught:
        train(wanted)
    assert "optimiser.lr" in str(caught.value)
    if (tmp_path / "run" / "checkpoints" / "last.pt").exists():
        kept = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
        assert all(torch.isfinite(t).all() for t in kept["model"].values())


def test_a_collapsed_model_is_detected(tmp_path, pairs):
    import transformers

    folder = save_model(tmp_path / "dead")
    model = transformers.BertForMaskedLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_output_embeddings().bias.fill_(-1e4)
    model.save_pretrained(folder)
    with pytest.raises(CollapsedError, match="all documents have had empty vectors for 3 steps"):
        train(recipe(tmp_path / "run", folder, pairs))


@pytest.mark.parametrize(
    ("error", "batch", "advice"),
    [
        (torch.OutOfMemoryError("x"), {}, "set batch.grad_cache to true"),
        (MemoryError(), {"grad_cache": True}, r"lower batch.chunk \(now 4\)"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            {"grad_cache": True, "chunk": 1},
            r"lower batch.queries \(now 6\)",
        ),
    ],
)
def test_out_of_memory_says_which_setting(
    backbone, pairs, tmp_path, monkeypatch, error, batch, advice
):
    def fails(self, chunk):
        raise error

    monkeypatch.setattr(BatchGradient, "_forward", fails)
    wanted = recipe(tmp_path / "run", backbone, pairs, batch={"queries": 6, "chunk": 4, **batch})
    with pytest.raises(OutOfMemoryError, match=advice):
        train(wanted)


def test_evaluation_by_loops(backbone, beir):
    model = build_model(recipe("x", backbone, "y").model, lambda pieces: None)
    data = open_evaluation_set(beir, "test", max_queries=7)
    measured = evaluate(model, data)
    documents = model.encode(list(data.documents.values()), queries=False).to_scipy(model.n_terms)
    queries = model.encode(list(data.queries.values()), queries=True).to_scipy(model.n_terms)
    documents, queries = documents.toarray(), queries.toarray()
    gains = []
    for i, qid in enumerate(data.queries):
        scores = documents @ queries[i]
        order = sorted(range(len(scores)), key=lambda d: -scores[d])[:10]
        rank = (
            [list(data.documents)[d] for d in order].index(qid)
            if qid in [list(data.documents)[d] for d in order]
            else None
        )
        gains.append(0.0 if rank is None else 1 / np.log2(rank + 2))
    assert len(data.queries) == 7
    assert measured.ndcg_10 == pytest.approx(np.mean(gains), abs=1e-6)
    shares = ((queries > 0).mean(0) * (documents > 0).mean(0)).sum()
    assert measured.flops == pytest.approx(shares)
    touched = [((documents > 0).sum(0)[query > 0]).sum() for query in queries]
    assert measured.postings_mean == pytest.approx(np.mean(touched))
    assert measured.postings_p50 == pytest.approx(np.median(touched))


def measurement(ndcg, flops):
    return Measurement(ndcg, flops, 1, 1, 1, 1)


def test_the_best_is_the_best_within_the_limit():
    from lsr_training.recipe.schema import Evaluation

    selection = Selection(Evaluation(max_flops=1.0, target_ndcg=0.6, patience=2))
    assert not selection.add(0, measurement(0.99, 0.1))
    assert selection.add(1, measurement(0.9, 5))
    assert selection.add(2, measurement(0.4, 0.9))
    assert not selection.add(3, measurement(0.95, 1.1))
    assert selection.stop() is None
    assert selection.add(4, measurement(0.5, 0.2))
    again = Selection(Evaluation(max_flops=1.0, target_ndcg=0.6, patience=2))
    again.load_state(selection.state())
    assert not again.add(5, measurement(0.3, 0.2))
    assert not again.add(6, measurement(0.3, 0.2))
    assert again.stop() == "no better evaluation in 2"
    assert again.add(7, measurement(0.61, 0.2))
    assert "reached the target" in again.stop()
    assert again.best_step == 7


def test_early_stopping_ends_the_run_and_exports_the_best(backbone, pairs, beir, tmp_path):
    settings = {"collections": [str(beir)], "every_steps": 1, "target_ndcg": 0.001}
    result = train(recipe(tmp_path / "run", backbone, pairs, evaluation=settings))
    assert result.steps_done == 1
    assert "reached the target" in result.stopped
    card = (result.model / "README.md").read_text()
    assert f"{result.measured.ndcg_10:.4f}" in card
    assert [r["step"] for r in log(tmp_path / "run") if r["kind"] == "evaluation"] == [0, 1]


def test_the_exported_model_gives_the_vectors_of_the_trained_one(backbone, pairs, tmp_path):
    wanted = recipe(tmp_path / "run", backbone, pairs)
    result = train(wanted)
    encoder = load_encoder(result.model, device="cpu", max_length=16)
    trained = build_model(
        wanted.model.model_copy(update={"backbone": str(result.model)}), lambda pieces: None
    )
    texts = ["the man and the time", "new"]
    np.testing.assert_allclose(
        encoder.encode_documents(texts).vectors.to_scipy(80).toarray(),
        trained.encode(texts, queries=False).to_scipy(80).toarray(),
        rtol=1e-4,
        atol=1e-5,
    )
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    assert result.curves is not None
    assert result.curves.stat().st_size > 1000


def test_tensorboard_gets_the_numbers_of_the_log_and_goes_on(backbone, pairs, tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    wanted = recipe(tmp_path / "run", backbone, pairs, steps=6, log_steps=1, tensorboard=True)
    with pytest.raises(KeyboardInterrupt):
        train(wanted, on_step=Stop(3))
    train(wanted)
    events = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    logged = [record for record in log(tmp_path / "run") if record["kind"] == "step"]
    assert [record["step"] for record in logged] == [1, 2, 3, 4, 5, 6]
    scalars = events.Scalars("step/loss")
    assert [event.step for event in scalars] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in scalars] == pytest.approx([r["loss"] for r in logged])


def test_ctrl_c_in_a_backward_pass_takes_effect_after_the_step(backbone, pairs, tmp_path):
    """Raised inside of autograd, an interrupt would reach the caller as an error of torch."""
    wanted = recipe(tmp_path / "run", backbone, pairs)
    model = build_model(wanted.model, lambda pieces: None)
    run = Run(wanted, model, [load_examples(wanted.data.sources[0])], Devices("cpu"))
    (weight, *_) = [p for p in run.model.parameters() if p.requires_grad]

    def press_once(gradient):
        hook.remove()
        os.kill(os.getpid(), signal.SIGINT)

    hook = weight.register_hook(press_once)
    with pytest.raises(KeyboardInterrupt):
        run.advance()
    assert run.step == 1
    assert run.advance().step == 2
