"""The index with dense vectors that is kept in the repository opens for ever.

``python -m tests.index.dense.test_golden`` writes it anew: only together with a new format version.
"""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.segment.metadata_columns import COLUMN_RULES
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.verify import verify
from tests.index.collections import numbered
from tests.index.dense.collections import DIMENSION, clustered, dense_batch
from tests.index.test_golden import read_container
from tests.shared import ROOT

GOLDEN = ROOT / "tests/data/index-v2"
VECTORS = clustered(np.random.default_rng(11), 70)
FINGERPRINT = Fingerprint({"kind": "golden", "dimension": DIMENSION}, {"prompt": ""})
QUERY = np.linspace(-1, 1, DIMENSION, dtype=np.float32)


def write(path: Path) -> None:
    spec = DenseSpec(
        DIMENSION, "cosine", EncoderAssets({"kind": "golden"}), FINGERPRINT, 40, n_lists=4
    )
    doc_ids = numbered(70)
    build_index(
        path, [dense_batch(doc_ids[:60], VECTORS[:60])], n_terms=5, max_weight=1.0, dense=spec
    ).close()
    with IndexWriter(path) as writer:
        writer.add(dense_batch(doc_ids[58:], VECTORS[58:]))
        writer.delete(["d7"])
        writer.commit()


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "index-v2"))


def test_it_opens_and_answers(golden: Path) -> None:
    assert verify(golden, 3).ok
    index = open_index(golden)
    assert index.dense is not None
    assert [arrays.n_lists for arrays in index.dense.segments] == [4, 1]
    assert index.dense.fingerprint == FINGERPRINT
    assert index.dense.encoder_assets == EncoderAssets({"kind": "golden"})
    expected = json.loads(GOLDEN.with_name("index-v2.json").read_text(encoding="utf-8"))
    for options, wanted in (({"exact": True}, "exact"), ({"probes": 1}, "probed")):
        hits = index.dense.search(QUERY, 8, **options)  # type: ignore[arg-type]
        assert hits.ids == expected[wanted]["ids"]
        assert hits.scores.tolist() == pytest.approx(expected[wanted]["scores"], abs=1e-5)


def test_it_can_be_written_to(golden: Path) -> None:
    with IndexWriter(golden) as writer:
        writer.add(dense_batch(["d900"], QUERY[None]))
        writer.commit()
    index = open_index(golden)
    assert index.dense is not None
    assert index.dense.search(QUERY, 1).ids == ["d900"]
    assert verify(golden, 3).ok


def test_the_same_is_written_today(tmp_path: Path) -> None:
    """Centres come from faiss and may move with its releases; what is stored of vectors may not."""
    pytest.importorskip("faiss")
    write(tmp_path / "x")
    old, new = open_index(GOLDEN), open_index(tmp_path / "x")
    assert old.dense is not None
    assert new.dense is not None
    np.testing.assert_array_equal(
        old.dense.vectors(old.select({})), new.dense.vectors(new.select({}))
    )
    for a, b in zip(old.segments, new.segments, strict=True):
        assert list(a.container.entries) == list(b.container.entries)
        # Written before columns had rules of a number; see `lsr_index.segment.metadata_columns`.
        assert {"column_rules": COLUMN_RULES, **a.container.params} == b.container.params


def test_a_reader_made_from_the_format_page_finds_the_same() -> None:
    """docs/index-format.md, followed by the letter and without any code of the package."""
    newest = max(GOLDEN.glob("MANIFEST-*"))
    head, body, last = newest.read_bytes().splitlines(keepends=True)
    assert head == b"lsr-manifest 2\n"
    assert last == b"crc32 %08x\n" % zlib.crc32(head + body)
    manifest = json.loads(body)
    dimension = manifest["dense"]["dimension"]
    index, base = open_index(GOLDEN), 0
    assert index.dense is not None
    for segment in manifest["segments"]:
        params, a = read_container(GOLDEN, segment["file"])
        lists = params["dense"]["n_lists"]
        assert a["dense/vectors"].shape == (params["dense"]["n_vectors"], dimension)
        halves = a["dense/vectors"].view("<f2").astype(np.float64)
        numbers = np.arange(base, base + params["n_docs"])
        own = index.dense.vectors(numbers)
        for document, row in enumerate(a["dense/rows"].tolist()):
            assert a["dense/documents"][row] == document
            np.testing.assert_array_equal(halves[row], own[document])
        for j in range(lists):
            rows = slice(int(a["dense/starts"][j]), int(a["dense/starts"][j + 1]))
            away = np.linalg.norm(halves[rows] - a["dense/centroids"][j], axis=1)
            assert (away <= a["dense/radii"][j]).all()
        base += params["n_docs"]


if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    write(GOLDEN)
    with open_index(GOLDEN) as made:
        part = made.require_dense()
        found = {
            "exact": part.search(QUERY, 8, exact=True),
            "probed": part.search(QUERY, 8, probes=1),
        }
        content = {
            name: {"ids": hits.ids, "scores": hits.scores.tolist()} for name, hits in found.items()
        }
    GOLDEN.with_name("index-v2.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
