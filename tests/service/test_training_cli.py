"""``lsr mine`` and ``lsr train`` as a new user calls them, mistakes and Ctrl-C included."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra [torch]")
yaml = pytest.importorskip("yaml", reason="needs PyYAML")

from lsr_service.cli.main import run  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from tests.training.small_models import LENGTHS, write_pairs  # noqa: E402


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a tiny model, pairs, a collection and a recipe."""
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "backbone")
    pairs = write_pairs(tmp_path / "pairs.jsonl", n=40)
    (tmp_path / "dev" / "qrels").mkdir(parents=True)
    judged = ["query-id\tcorpus-id\tscore"]
    for i, line in enumerate(pairs.read_text().splitlines()[:10]):
        record = json.loads(line)
        for name, key in (("corpus", "positive"), ("queries", "query")):
            with (tmp_path / "dev" / f"{name}.jsonl").open("a") as file:
                file.write(json.dumps({"_id": f"x{i}", "text": record[key]}) + "\n")
        judged.append(f"x{i}\tx{i}\t1")
    (tmp_path / "dev" / "qrels" / "test.tsv").write_text("\n".join(judged))
    recipe = {
        "output": "run",
        "model": {"backbone": "backbone", "max_length": LENGTHS},
        "data": {"sources": [{"path": "train.jsonl"}], "negatives": 2},
        "loss": {"infonce": {}, "kl": {"temperature": 5}},
        "batch": {"queries": 6},
        "optimiser": {"lr": 1e-3},
        "evaluation": {"collections": ["dev"]},
        "steps": 4,
        "checkpoint_steps": 2,
        "device": "cpu",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def test_from_pairs_to_hits(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = ["mine", "pairs.jsonl", "--output", "train.jsonl", "--negatives", "3"]
    assert run([*mine, "--teacher", "bm25", "--teacher", "backbone"]) == 0
    assert "train.jsonl: 40 examples" in capsys.readouterr().out
    record = json.loads((place / "train.jsonl").read_text().splitlines()[0])
    assert set(record["scores"]) == {"bm25", "backbone"}
    assert run(["train", "recipe.yaml"]) == 0
    out = capsys.readouterr().out
    assert "run/model: trained for 4 steps" in out
    assert "before training: nDCG@10" in out
    assert "exported: nDCG@10" in out
    assert run(["train", "recipe.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps_done"] == 4
    assert run(["index", "dev", "--encoder", "run/model", "--output", "my.index"]) == 0
    assert run(["search", "my.index", "the man", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))["hits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.yaml"], "none.yaml: the recipe cannot be read"),
        (["train", "pairs.jsonl"], "pairs.jsonl: "),
        (["train", "recipe.yaml"], "train.jsonl: cannot be read"),
        (["train", "recipe.yaml", "--set", "optimizer.lr=1"], "did you mean optimiser?"),
        (["train", "recipe.yaml", "--set", "model.backbone=none"], "none: no such folder"),
        (["train", "recipe.yaml", "--set", "device=nonsense"], "device 'nonsense' cannot be used"),
        (["train", "recipe.yaml", "--set", "output=pairs.jsonl"], "pairs.jsonl: is a file"),
        (["train", "recipe.yaml", "--set", "loss={kl: {}}"], "no scores, which distillation needs"),
        (["mine", "none.jsonl", "--output", "x.jsonl"], "none.jsonl: cannot be read"),
        (["mine", "binary.jsonl", "--output", "x.jsonl"], "binary.jsonl:1: "),
        (["mine", "pairs.jsonl", "--output", "pairs.jsonl"], "exists already"),
        (["mine", "pairs.jsonl", "--output", "x.txt"], "ends in .jsonl"),
        (
            ["mine", "pairs.jsonl", "--output", "x.jsonl", "--teacher", "none"],
            "none: no such folder",
        ),
        (
            ["mine", "pairs.jsonl", "--output", "x.jsonl", "--depth", "3", "--skip-top", "3"],
            "depth 3",
        ),
    ],
)
def test_mistakes_are_named(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (place / "binary.jsonl").write_bytes(bytes(range(256)))
    if "recipe.yaml" in arguments and len(arguments) > 2:
        (place / "train.jsonl").write_bytes((place / "pairs.jsonl").read_bytes())
        if "no scores" not in message:
            arguments = [*arguments, "--set", "loss={infonce: {}}"]
    assert run(arguments) in (1, 2)
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_a_run_stopped_with_ctrl_c_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = ["--set", "steps=3000", "--set", "loss={infonce: {}}", "--set", "log_steps=1"]
    sources = ["--set", "data.sources.0.path=pairs.jsonl", "--set", "evaluation.collections=[]"]
    command = ["train", "recipe.yaml", *many, *sources]
    process = subprocess.Popen(
        [sys.executable, "-m", "lsr", *command], cwd=place, stderr=subprocess.PIPE, text=True
    )
    log = place / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same command again and it goes on from here" in err
    done = json.loads(log.read_text().splitlines()[-1])["step"]
    assert 3 <= done < 3000
    # Steps are part of a recipe: another number is another run.
    assert run(["train", "recipe.yaml", "--set", f"steps={done + 2}", *many[2:], *sources]) == 2
    assert "recipe.steps: 3000 there" in capsys.readouterr().err
