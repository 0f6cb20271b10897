"""Two processes give the weights and the log of one; bfloat16 gives nearly those of float32."""

import json
import os
import socket
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

import numpy as np  # noqa: E402
import yaml  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from lsr.encoders import load_encoder  # noqa: E402
from lsr_training.trainer import train  # noqa: E402
from tests.lsr.tiny_models import edit_json, save_model  # noqa: E402
from tests.training.small_models import TEXTS, recipe, write_pairs  # noqa: E402


@pytest.fixture
def still(tmp_path):
    """Return a backbone without dropout, whose random numbers differ from process to process."""
    folder = save_model(tmp_path / "still")
    edit_json(folder / "config.json", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return folder


MORE = {
    "loss": {"infonce": {}, "kl": {"weight": 0.5}},
    # Seven queries: shares of different size.
    "batch": {"queries": 7, "chunk": 3, "accumulate": 2},
    "penalties": {
        "document": {"kind": "df_flops", "weight": 0.05, "refresh_steps": 2},
        "query": {"kind": "l1", "weight": 0.01},
    },
    "optimiser": {"lr": 1e-3, "max_grad_norm": 1.0},
    "steps": 4,
}


def launch(recipe_file, port, rank, count):
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "lsr", "train", str(recipe_file)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_two_processes_give_what_one_gives(still, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl", n=40, scores=True)
    one = train(recipe(tmp_path / "one", still, pairs, **MORE))
    two = recipe(tmp_path / "two", still, pairs, **MORE)
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(two.model_dump(mode="json")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [launch(tmp_path / "two.yaml", port, rank, 2) for rank in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    # Vectors, not weights: the gradient of the keys' bias is all rounding, which AdamW scales up.
    mine, theirs = (
        load_encoder(folder, device="cpu").encode_documents(TEXTS).vectors.to_scipy(80).toarray()
        for folder in (one.model, tmp_path / "two" / "model")
    )
    assert mine.any()
    np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(logs[0]) == len(logs[1]) == MORE["steps"]
    for step, other in zip(*logs, strict=True):
        assert step["parts"] == pytest.approx(other["parts"], rel=1e-4)
        assert step["nnz_documents"] == other["nnz_documents"]


def test_bfloat16_is_close_to_float32(still, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl", n=40)
    losses = {}
    for precision in ("fp32", "bf16"):
        wanted = recipe(
            tmp_path / precision, still, pairs, precision=precision, steps=12,
            batch={"queries": 8, "chunk": 8, "grad_cache": precision == "bf16"},
        )  # fmt: skip
        result = train(wanted)
        lines = (tmp_path / precision / "log.jsonl").read_text().splitlines()
        losses[precision] = [json.loads(line)["loss"] for line in lines]
        weights = load_file(result.model / "model.safetensors")
        assert all(tensor.dtype == torch.float32 for tensor in weights.values())
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)
    assert losses["bf16"] != losses["fp32"]
