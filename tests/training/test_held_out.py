"""Held-out queries: nothing of them is trained on."""

import json
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra [torch]")

from lsr.errors import UsageError
from lsr_training import held_out
from lsr_training.data import load_examples
from lsr_training.recipe.schema import Source
from lsr_training.trainer.evaluation import open_evaluation_set


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    # Some documents answer two queries, every fifth query has two documents.
    lines = [
        {
            "query": f"query {i - (i % 5 == 0)}",
            "positive": f"document {i - (i % 3 == 0 and i % 5 > 0)}",
        }
        for i in range(1, 41)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_queries_and_documents_of_the_splits_are_unseen(pairs, tmp_path):
    out = tmp_path / "out"
    held = held_out.hold_out(Source(path=str(pairs)), out, dev=6, test=8, documents=20)
    train = load_examples(Source(path=str(out / "train.jsonl"))).items
    assert held.train + held.dev + held.test == 40
    assert (held.dev, held.test, held.documents) == (6, 8, 20)
    seen = {e.query for e in train} | {e.documents[0] for e in train}
    everything = {(e.query, e.documents[0]) for e in train}
    for split in ("dev", "test"):
        data = open_evaluation_set(out, split)
        assert len(data.documents) == 20
        judged = {
            (data.queries[q], data.documents[d]) for q, ds in data.judgments.items() for d in ds
        }
        assert len(judged) == getattr(held, split)
        assert not seen & {text for pair in judged for text in pair}
        everything |= judged
    assert everything == {
        (e.query, e.documents[0]) for e in load_examples(Source(path=str(pairs))).items
    }


def test_from_the_command_line(pairs, tmp_path, monkeypatch, capsys):
    arguments = [
        "held_out",
        str(pairs),
        "--out",
        str(tmp_path / "out"),
        "--dev",
        "4",
        "--test",
        "4",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    assert held_out.main() == 0
    assert "32 pairs to train on" in capsys.readouterr().out
    assert held_out.main() == 1
    assert "exists already" in capsys.readouterr().err


def test_something_must_be_left(pairs, tmp_path):
    with pytest.raises(UsageError, match="nothing is left to train on"):
        held_out.hold_out(Source(path=str(pairs)), tmp_path / "out", dev=20, test=20)
