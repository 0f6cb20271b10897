"""After the warm-up no search compiles or loads a kernel any more."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lsr
from lsr_index.update.dense_vectors import attach_vectors

SCRIPT = """
import json, sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from lsr_index.hybrid import QueryParts, Retriever
from lsr_service.engine.warm_up import warm_up

def n_compiled():
    return {
        f"{module_name}.{name}": len(value.signatures)
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("lsr")
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher)
    }

with Retriever.open(sys.argv[1]) as retriever:
    warm_up(retriever)
    before = n_compiled()
    dense = retriever.index.dense
    vector = None if dense is None else np.ones(dense.dimension, np.float32)
    for mode in ("sparse",) if dense is None else ("sparse", "dense", "hybrid"):
        for condition in (None, {"lang": "en"}, {"year": {"$gte": 2000}}):
            for k in (1, 1000):
                query = QueryParts("lamp", None, vector)
                hits = retriever.search(query, k, mode=mode, filter=condition, explain=True)
                assert len(hits)
    late = {name: n for name, n in n_compiled().items() if n != before.get(name)}
print(json.dumps([sum(before.values()), late]))
"""


@pytest.mark.parametrize("dense", [False, True])
def test_no_kernel_is_loaded_after_the_warm_up(tmp_path: Path, dense: bool) -> None:
    documents = [
        {"id": "1", "text": "red lamp", "lang": "en", "year": 2001},
        {"id": "2", "text": "blue lamp", "lang": "de", "year": 1999},
    ]
    path = tmp_path / "index"
    lsr.create(path, documents, encoder="bm25").close()
    if dense:
        np.save(tmp_path / "vectors.npy", np.eye(2, 8, dtype=np.float32))
        (tmp_path / "ids").write_text("1\n2\n")
        attach_vectors(path, tmp_path / "vectors.npy", tmp_path / "ids")[0].close()
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    n_before, late = json.loads(ran.stdout)
    assert n_before > 0
    assert late == {}
