"""The index of version 1 that is kept in the repository opens for ever.

``python -m tests.index.test_golden`` writes it anew: only together with a new format version.
"""

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.records import Document
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.update.verify import verify
from tests.index.collections import N_TERMS, batch_of, numbered, query_of, random_rows
from tests.shared import ROOT

GOLDEN = ROOT / "tests/data/index-v1"
ROWS = random_rows(1, numbered(150))
LATER = random_rows(2, ["d4", "é", "new"])
DELETED = "d7"


def document(doc_id: str, number: int) -> Document:
    metadata = {
        "n": number,
        "day": f"2024-{number % 12 + 1:02}-01",
        "tags": ["a", "b"][: number % 3],
    }
    return Document(doc_id, f"Text of {doc_id}, number {number}. " * 3, f"Title {doc_id}", metadata)


def documents(doc_ids: list[str]) -> dict[str, Document]:
    return {doc_id: document(doc_id, i) for i, doc_id in enumerate(doc_ids)}


def write(path: Path) -> None:
    build_index(
        path,
        [batch_of(ROWS, documents(list(ROWS)))],
        n_terms=N_TERMS,
        max_weight=3.0,
        block_size=16,
        range_size=64,
        dense_fraction=0.05,
        encoder=EncoderAssets({"kind": "golden"}, {"idf": np.arange(5, dtype=np.float32)}),
        fingerprint=Fingerprint({"kind": "golden"}, {"idf": "none"}),
    ).close()
    with IndexWriter(path) as writer:
        writer.add(batch_of(LATER, documents(list(LATER))))
        writer.delete([DELETED])
        writer.commit()


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "index-v1"))


def test_it_opens_and_answers(golden: Path) -> None:
    assert verify(golden, 3).ok
    index = open_index(golden)
    wanted = {d: document(d, i) for i, d in enumerate(ROWS) if d not in LATER and d != DELETED}
    wanted |= documents(list(LATER))
    assert index.documents(index.select({})) == list(wanted.values())
    assert index.document(DELETED) is None
    assert index.fingerprint == Fingerprint({"kind": "golden"}, {"idf": "none"})
    assert index.encoder_assets is not None
    assert index.encoder_assets.arrays["idf"].tolist() == [0, 1, 2, 3, 4]
    assert index.doc_ids(index.select({"day": {"$lt": "2024-02-01"}})) == [
        *(f"d{i}" for i in range(0, 150, 12)),
        "d4",
    ]
    hits = index.search(query_of({3: 1.0, 17: 2.0, 30: 0.5}), 5)
    expected = json.loads((GOLDEN.with_name("index-v1.json")).read_text(encoding="utf-8"))
    assert hits.ids == expected["ids"]
    assert hits.scores.tolist() == pytest.approx(expected["scores"], rel=1e-6)


def test_it_can_be_written_to(golden: Path) -> None:
    with IndexWriter(golden) as writer:
        writer.add(batch_of({"more": {1: 1.0}}))
        writer.commit()
        writer.compact()
    assert verify(golden, 3).ok
    assert open_index(golden).n_docs == 152


def test_the_same_is_written_today(tmp_path: Path) -> None:
    """Everything but compressed blocks, which depend on the Zstandard release, is byte-equal."""
    write(tmp_path / "index-v1")
    for old, new in ((open_index(path).segments for path in (GOLDEN, tmp_path / "index-v1")),):
        for a, b in zip(old, new, strict=True):
            assert list(a.container.entries) == list(b.container.entries)
            for name in a.container.entries:
                if not name.startswith("documents/"):
                    left, right = a.container.array(name), b.container.array(name)
                    np.testing.assert_array_equal(left, right, err_msg=name)


def test_a_reader_of_forty_lines_finds_the_same() -> None:
    """docs/index-format.md, followed by the letter and without any code of the package."""
    newest = max(GOLDEN.glob("MANIFEST-*"))
    head, body, last = newest.read_bytes().splitlines(keepends=True)
    assert head == b"lsr-manifest 1\n"
    assert last == b"crc32 %08x\n" % zlib.crc32(head + body)
    manifest = json.loads(body)
    found = {}
    for segment in manifest["segments"]:
        params, arrays = read_container(GOLDEN, segment["file"])
        assert params["n_docs"] == segment["n_docs"]
        deleted = np.zeros(params["n_docs"], bool)
        if segment["deletes"]:
            words = read_container(GOLDEN, segment["deletes"])[1]["deleted"]
            for i in range(len(deleted)):
                deleted[i] = int(words[i // 64]) >> i % 64 & 1
        offsets, ids = arrays["docnos/offsets"], arrays["docnos/data"].tobytes()
        vectors = read_vectors(params["postings"], arrays, manifest["scale"])
        for i, text in enumerate(read_texts(arrays)):
            if not deleted[i]:
                found[ids[offsets[i] : offsets[i + 1]].decode()] = (text, vectors.get(i, {}))
    index = open_index(GOLDEN)
    for ordinal in index.select({}).tolist():
        stored = index.documents([ordinal])[0]
        terms, impacts = index.vector(ordinal)
        weights = impacts * index.manifest.scale
        assert found[stored.id] == (stored.text, dict(zip(terms.tolist(), weights, strict=True)))
    assert len(found) == index.n_docs


def read_container(folder: Path, file: dict) -> tuple[dict, dict]:  # type: ignore[type-arg]
    data = (folder / f"{file['kind']}-{file['uuid']}.lsr").read_bytes()
    at, size, crc, _, length, uuid, magic = struct.unpack("<QQIIQ16s8x8s", data[-64:])
    assert (magic, data[:8]) == (b"\x89LSRIDX\n",) * 2
    assert (length, uuid.hex(), zlib.crc32(data[at : at + size])) == (len(data), file["uuid"], crc)
    directory = json.loads(data[at : at + size])
    arrays = {}
    for a in directory["arrays"]:
        raw = data[a["offset"] : a["offset"] + a["nbytes"]]
        assert zlib.crc32(raw) == a["crc32"]
        arrays[a["name"]] = np.frombuffer(raw, a["dtype"]).reshape(a["shape"])
    return directory["params"], arrays


def read_texts(arrays: dict) -> list[str]:  # type: ignore[type-arg]
    texts = []
    data, starts = arrays["documents/data"].tobytes(), arrays["documents/starts"]
    for j, m in enumerate(np.diff(arrays["documents/first_docs"])):
        raw = zstandard.ZstdDecompressor().decompress(data[starts[j] : starts[j + 1]])
        at = 12 * m
        for title, text, metadata in np.frombuffer(raw, "<u4", 3 * m).reshape(m, 3).tolist():
            texts.append(raw[at + title : at + title + text].decode())
            at += title + text + metadata
    return texts


def read_vectors(params: dict, a: dict, scale: float) -> dict[int, dict[int, float]]:  # type: ignore[type-arg]
    found: dict[int, dict[int, float]] = {}
    n_ranges, size = params["n_ranges"], params["n_blocks"] * params["block_size"]
    offsets = a["postings/offsets"].astype(int)
    n_dense = int((a["postings/row_of_term"] >= 0).sum())
    rows = a["postings/rows"].reshape(n_ranges, n_dense, size)
    slot_docs = a["postings/slot_docs"]
    slot_docs = slot_docs if slot_docs.size else np.arange(n_ranges * size)
    for t, term in enumerate(a["postings/terms"].tolist()):
        for r in range(n_ranges):
            row = int(a["postings/row_of_term"][t])
            for slot in np.flatnonzero(rows[r, row]).tolist() if row >= 0 else []:
                doc = int(slot_docs[r * size + slot])
                found.setdefault(doc, {})[term] = rows[r, row, slot] * scale
            base = int(a["postings/range_base"][r])
            for i in range(
                base + offsets[t * n_ranges + r], base + offsets[(t + 1) * n_ranges + r]
            ):
                doc = int(slot_docs[r * size + int(a["postings/slots"][i])])
                found.setdefault(doc, {})[term] = a["postings/impacts"][i] * scale
    return found


if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    write(GOLDEN)
    best = open_index(GOLDEN).search(query_of({3: 1.0, 17: 2.0, 30: 0.5}), 5)
    content = json.dumps({"ids": best.ids, "scores": best.scores.tolist()}, ensure_ascii=False)
    GOLDEN.with_name("index-v1.json").write_text(content + "\n", encoding="utf-8")
