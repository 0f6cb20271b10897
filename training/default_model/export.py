"""The folder that ships: weights, int8 graph, tables, tokenizer, and how the parts go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from lsr.encoders.composite_files import DESCRIPTION
from lsr.encoders.onnx_vectors import GRAPH
from training.default_model.student import Student
from training.export import export_model
from training.models import SparseModel
from training.models.sides import MaskedLanguageSide, TokenTableSide
from training.onnx_graph import export_graph
from training.recipe.sections import MaskedLanguageHead, ModelSection, TokenTableHead

NEVER = -1e4
"""Bias of terms that are left out: no logit gets above it, in float16 either."""
MARK = "~"
LENGTH = 256


def export_default(
    student: Student,
    tokenizer: str,
    table: NDArray[np.float32],
    terms: NDArray[np.int64],
    facts: dict[str, Any],
    folder: Path,
    *,
    learned: float,
    top_k: int,
) -> None:
    """Write the folder.

    Parameters
    ----------
    student : Student
        Its bias is changed: terms that are left out can never become active.
    tokenizer : str
    table : (n_terms,) float32
        Query weights for programs that count no collection: inverse document frequencies of the
        documents of training.
    terms : (n,) int64
        Terms that may be active.
    facts : dict
        What `training.card.model_card` says.
    folder : Path
        Replaced when it exists; its card stays.
    learned : float
        Weight of the learned half.
    top_k : int
        Terms kept of a document.
    """
    card = folder / "README.md"
    kept = card.read_text(encoding="utf-8") if card.is_file() else None
    backbone = student.backbone.eval()
    left_out = torch.ones(backbone.n_terms, dtype=torch.bool)
    left_out[torch.from_numpy(terms)] = False
    with torch.no_grad():
        backbone.bias[left_out] = NEVER
    section = ModelSection(
        backbone=str(backbone.folder), query=TokenTableHead(head="tokens", table="idf")
    )
    specials = torch.zeros(0, dtype=torch.int64)
    documents = MaskedLanguageSide(backbone, specials, MaskedLanguageHead())
    queries = TokenTableSide(torch.from_numpy(table), specials, learned=False)
    model = SparseModel(documents, queries, tokenizer, section, backbone.n_terms)
    export_model(model, folder, facts)
    _halve(folder / "model.safetensors")
    export_graph(backbone, terms, folder / GRAPH, int8_body=False)
    parts = [
        {
            "encoder": ".",
            "weight": learned,
            "mark": MARK,
            "options": {"backend": "onnx", "query_encoder": "idf", "top_k": top_k},
        },
        {"encoder": "bm25"},
    ]
    (folder / DESCRIPTION).write_text(
        json.dumps({"languages": ["english"], "parts": parts}, indent=2) + "\n"
    )
    if kept is not None:
        card.write_text(kept, encoding="utf-8")


def _halve(path: Path) -> None:
    """Store weights in float16; the configuration still asks for float32 when they are loaded."""
    weights = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
