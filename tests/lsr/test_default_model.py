"""The model that comes with the package: torch-free, as torch computes it, better than BM25."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsr.encoders import load_encoder
from lsr.encoders.neural.int8_files import export_floats
from lsr.encoders.neural.splade import load_splade
from lsr.errors import UsageError
from lsr.models import DEFAULT, packaged_model
from lsr_eval.experiment import evaluate
from tests.shared import ROOT, run_python, shared_path

TEXTS = [
    "Green tea tastes bitter when the water boils.",
    "The aeroplane's wing stalls at a high angle of attack.",
    "",
    "Python deletes a temporary file when it is closed.",
]


def test_folder_is_small_and_complete() -> None:
    folder = packaged_model(DEFAULT)
    assert folder is not None
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert {"README.md", "model.safetensors", "encoder-int8.onnx", "tokenizer.json"} <= set(files)
    assert sum(path.stat().st_size for path in files.values()) <= 25_000_000
    assert packaged_model("no-such-model") is None


def test_indexes_and_searches_without_torch(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "notes" / f"{number}.txt").write_text(text or "-")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from lsr_service.cli.main import app\n"
        "from lsr_index.build.index_corpus import index_corpus\n"
        "from lsr_index.hybrid import Retriever\n"
        "from lsr.corpus import open_corpus\n"
        "from lsr.encoders import load_encoder\n"
        f"index_corpus(open_corpus('notes'), load_encoder('{DEFAULT}'), 'n.index').close()\n"
        "with Retriever.open('n.index') as r:\n"
        "    hit = r.search('why is my tea bitter', k=1, explain=True).hits[0]\n"
        "    print(hit.id, *(c.term for c in hit.explanation))\n"
    )
    printed = run_python(code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    document, *terms = printed.split()
    assert document.startswith("0.txt")
    assert {"tea", "bitter", "~tea", "~bitter"} <= set(terms)


def test_vectors_are_bounded_and_hold_both_halves() -> None:
    encoder = load_encoder(DEFAULT)
    vectors, _ = encoder.encode_documents([" ".join(TEXTS * 20)])
    terms = [encoder.term(int(term)) for term in vectors.row(0)[0]]
    learned = [term for term in terms if term.startswith("~")]
    assert 20 < len(learned) <= 100
    assert "~the" not in learned
    assert "tea" in terms
    with pytest.raises(UsageError, match="english"):
        load_encoder(DEFAULT, language="german")


def test_graph_computes_what_torch_computes(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra [torch]")
    folder = packaged_model(DEFAULT)
    assert folder is not None
    export_floats(folder, tmp_path / "floats")
    graph = load_splade(DEFAULT, query_encoder="model")
    torch_side = load_splade(tmp_path / "floats", query_encoder="model", device="cpu")
    ours = graph.encode_documents(TEXTS).vectors.to_scipy(graph.n_terms).toarray()
    theirs = torch_side.encode_documents(TEXTS).vectors.to_scipy(graph.n_terms).toarray()
    for row in (0, 1, 3):
        lengths = np.linalg.norm(ours[row]) * np.linalg.norm(theirs[row])
        assert ours[row] @ theirs[row] / lengths > 0.97
    assert not ours[2].any()


def test_better_than_bm25_on_questions_it_never_saw() -> None:
    folder = shared_path("data/collections/hotpotqa-train100")
    report = evaluate(folder, encoder=["bm25", DEFAULT], measures=["nDCG@10"])
    lexical, default = (system.measured.overall["nDCG@10"] for system in report.systems)
    assert default > lexical + 0.01
