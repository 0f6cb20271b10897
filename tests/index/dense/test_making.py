"""Dense vectors on their way into an index: encoded, resumed, added, replaced, attached."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoding import encode_corpus
from lsr.errors import (
    DataError,
    EncoderMismatchError,
    IndexStateError,
    MissingDependencyError,
    UsageError,
    VectorError,
)
from lsr.records import Document
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.build.index_corpus import index_corpus
from lsr_index.build.reencode import reindex
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.dense_vectors import attach_vectors, encode_dense, set_dense
from lsr_index.update.snapshot import restore, snapshot
from lsr_index.update.text_writer import IndexUpdater
from lsr_index.update.verify import verify
from tests.index.collections import numbered
from tests.index.dense.collections import DIMENSION, HashedWords, clustered, dense_batch, rounded

WORDS = ["tea", "green", "bitter", "water", "boil", "egg", "minute", "pan", "heat", "cool"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = random.Random(3)
    path = tmp_path / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(50):
            text = " ".join(rng.choices(WORDS, k=rng.randint(1, 9))) if i != 7 else ""
            file.write(json.dumps({"_id": f"d{i}", "text": text}) + "\n")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def vectors_of(index: Index) -> dict[str, list[float]]:
    ordinals = index.select({})
    rows = index.require_dense().vectors(ordinals).tolist()
    return dict(zip(index.doc_ids(ordinals), rows, strict=True))


def test_a_corpus_is_encoded_and_found(source: Path, tmp_path: Path) -> None:
    encoder = HashedWords()
    made = index_corpus(
        open_corpus(str(source)), load_encoder("bm25"), tmp_path / "x", dense=encoder
    )
    with made as index:
        dense = index.require_dense()
        assert (dense.n_vectors, dense.dimension, dense.similarity) == (49, DIMENSION, "cosine")
        assert dense.fingerprint == encoder.fingerprint
        dense.require_encoder(encoder)
        documents = index.documents(index.select({}))
        texts = [document.contents for document in documents if document.text]
        expected = rounded(encoder.encode_documents(texts), "cosine")
        found = np.array([row for row in vectors_of(index).values() if any(row)])
        np.testing.assert_allclose(found, expected, atol=1e-3)
        hits = dense.search(encoder.encode_queries(["bitter tea"])[0], 49)
        assert len(hits) == 49
        assert "d7" not in hits.ids


def test_an_interrupted_job_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    class Failing(HashedWords):
        def encode_documents(self, texts: list[str]) -> NDArray[np.float32]:  # type: ignore[override]
            if self.n_encoded >= 30:
                raise KeyboardInterrupt
            return super().encode_documents(texts)

    def run(encoder: HashedWords, name: str) -> None:
        index_corpus(
            open_corpus(str(source)), load_encoder("bm25"), tmp_path / name, dense=encoder,
            shard_docs=10,
        ).close()  # fmt: skip

    run(HashedWords(), "once")
    with pytest.raises(KeyboardInterrupt):
        run(Failing(), "twice")
    resumed = HashedWords()
    run(resumed, "twice")
    assert resumed.n_encoded == 20
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")


def test_a_job_of_another_dense_model_is_not_continued(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x.building"
    corpus, sparse = open_corpus(str(source)), load_encoder("bm25")
    index_corpus(corpus, sparse, tmp_path / "y", dense=HashedWords(), shard_docs=10).close()
    encode_corpus(corpus, sparse, folder, dense=HashedWords(), shard_docs=10)
    with pytest.raises(UsageError, match="dense salt: then 0, now 1"):
        encode_corpus(corpus, sparse, folder, dense=HashedWords(salt=1), shard_docs=10)
    (folder / "shard-00002.npy").unlink()
    with pytest.raises(DataError, match=r"shard-00002\.npy"):
        encode_corpus(corpus, sparse, folder, dense=HashedWords(), shard_docs=10)


def test_added_documents_get_vectors(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lsr_index.search.dense_index.restore_dense_encoder", lambda assets: HashedWords()
    )
    path = tmp_path / "x"
    index_corpus(open_corpus(str(source)), load_encoder("bm25"), path, dense=HashedWords()).close()
    with IndexUpdater(path) as updater:
        updater.add(
            [Document("new", "bitter green tea"), Document("d1", "egg egg"), Document("e", "")]
        )
        updater.delete(["d2"])
        updater.commit()
        updater.compact()
    with open_index(path, verify="structure") as index:
        found = vectors_of(index)
        wanted = HashedWords().encode_documents(["bitter green tea", "egg egg"])
        np.testing.assert_allclose(
            [found["new"], found["d1"]], rounded(wanted, "cosine"), atol=1e-3
        )
        assert not any(found["e"])
        assert "d2" not in found
    assert verify(path, 3).ok


def test_other_sparse_vectors_leave_the_dense_ones_alone(source: Path, tmp_path: Path) -> None:
    path, encoder = tmp_path / "x", HashedWords()
    index_corpus(open_corpus(str(source)), load_encoder("bm25"), path, dense=encoder).close()
    with IndexWriter(path) as writer:
        writer.delete(["d3", "d11"])
        writer.commit()
    with open_index(path) as before, reindex(path, load_encoder("bm25", k1=2.0)) as after:
        assert vectors_of(before) == vectors_of(after)
        assert after.require_dense().fingerprint == encoder.fingerprint
        assert before.fingerprint != after.fingerprint


def test_dense_vectors_for_an_index_that_has_none(source: Path, tmp_path: Path) -> None:
    path, encoder = tmp_path / "x", HashedWords()
    index_corpus(open_corpus(str(source)), load_encoder("bm25"), path).close()
    with IndexWriter(path) as writer:
        writer.delete(["d3"])
        writer.commit()
    with open_index(path) as before, encode_dense(path, encoder) as after:
        assert before.dense is None
        assert after.require_dense().n_vectors == 48
        assert before.select({}).tolist() != after.select({}).tolist(), "deleted ones are dropped"
        assert before.fingerprint == after.fingerprint
        assert not (tmp_path / "x.building").exists()
    with encode_dense(path, HashedWords(5)) as other:
        assert other.require_dense().dimension == 5
    assert verify(path, 3).ok


def test_rows_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    vectors = clustered(np.random.default_rng(0), 6)
    path = tmp_path / "x"
    build_index(path, [dense_batch(numbered(6), vectors)._replace(dense=None)]).close()
    before = contents(path)
    spec = DenseSpec(DIMENSION)
    with pytest.raises(DataError, match="there are 4 dense vectors, fewer"):
        set_dense(path, spec, [vectors[:4]])
    with pytest.raises(DataError, match="more dense vectors than the 6 documents"):
        set_dense(path, spec, [vectors, vectors])
    with pytest.raises(VectorError, match="have 12 numbers, those of the index 9"):
        set_dense(path, DenseSpec(9), [vectors])
    with pytest.raises(IndexStateError, match="changed meanwhile"):
        set_dense(path, spec, [vectors], generation=7)
    assert contents(path) == before


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    encoder = HashedWords()
    batch = dense_batch(numbered(3), clustered(np.random.default_rng(0), 3))
    with build_index(tmp_path / "x", [batch], dense=DenseSpec.of(encoder)) as index:
        dense = index.require_dense()
        with pytest.raises(EncoderMismatchError, match="salt: index 0, given 1"):
            dense.require_encoder(HashedWords(salt=1))
        with pytest.raises(EncoderMismatchError, match="12 numbers, those of the given encoder 7"):
            dense.require_encoder(HashedWords(7))
    with build_index(tmp_path / "y", [batch], dense=DenseSpec(DIMENSION)) as index:
        dense = index.require_dense()
        with pytest.raises(UsageError, match="no model is stored"):
            dense.restore_encoder()


def test_snapshot_and_restore_bring_all_of_it(tmp_path: Path) -> None:
    encoder = HashedWords()
    batch = dense_batch(numbered(9), clustered(np.random.default_rng(0), 9))
    build_index(tmp_path / "x", [batch], dense=DenseSpec.of(encoder)).close()
    snapshot(tmp_path / "x", tmp_path / "copy")
    shutil.rmtree(tmp_path / "x")
    restore(tmp_path / "copy", tmp_path / "x")
    with open_index(tmp_path / "x") as index:
        assert index.require_dense().n_vectors == 9
        assert index.require_dense().encoder_assets == encoder.assets()
    assert verify(tmp_path / "x", 3).ok


def test_an_index_without_dense_vectors_says_nothing_of_them(tmp_path: Path) -> None:
    batch = dense_batch(numbered(3), clustered(np.random.default_rng(0), 3))
    build_index(tmp_path / "x", [batch._replace(dense=None)]).close()
    (manifest,) = (tmp_path / "x").glob("MANIFEST-*")
    assert manifest.read_bytes().startswith(b"lsr-manifest 1\n")
    assert b"dense" not in manifest.read_bytes().replace(b"dense_fraction", b"")
    (segment,) = (tmp_path / "x").glob("segment-*")
    assert b'"dense' not in segment.read_bytes()


def test_clusters_are_made_in_a_bounded_memory(tmp_path: Path) -> None:
    """Written in several passes and through a scratch folder, byte for byte what one pass gives."""
    pytest.importorskip("faiss")
    n = 20_000
    vectors = clustered(np.random.default_rng(1), n)
    spec = DenseSpec(DIMENSION, flat_below=100, n_lists=20)
    for name, memory in (("wide", 1 << 30), ("narrow", 1 << 20)):
        batches = [
            dense_batch(numbered(n)[i : i + 500], vectors[i : i + 500]) for i in range(0, n, 500)
        ]
        build_index(tmp_path / name, batches, dense=spec, memory_bytes=memory).close()
    wide, narrow = (open_index(tmp_path / name, verify="structure") for name in ("wide", "narrow"))
    for index in (wide, narrow):
        dense = index.require_dense()
        rng = np.random.default_rng(2)
        queries = clustered(rng, 30)
        exact = dense.search_batch(queries, 10, exact=True)
        probed = dense.search_batch(queries, 10, probes=6)
        shared = [len(set(a.ids) & set(b.ids)) for a, b in zip(exact, probed, strict=True)]
        assert np.mean(shared) > 9
        assert max(hits.counters["vectors_compared"] for hits in probed) < n * 0.7
    assert vectors_of(wide) == vectors_of(narrow)


def test_without_faiss_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    batch = dense_batch(numbered(30), clustered(np.random.default_rng(0), 30))
    with pytest.raises(MissingDependencyError, match=r"clustering.*'\.\[dense\]'"):
        build_index(tmp_path / "x", [batch], dense=DenseSpec(DIMENSION, flat_below=10))
    assert not (tmp_path / "x").exists()


class TestAttach:
    """Vectors from a file, with the id of each."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        batch = dense_batch(numbered(40), clustered(np.random.default_rng(0), 40))
        build_index(tmp_path / "x", [batch._replace(dense=None)]).close()
        return tmp_path / "x"

    @pytest.fixture
    def vectors(self) -> NDArray[np.float32]:
        """Of 50 documents, 10 of which are not in the index; of length 1."""
        rows = clustered(np.random.default_rng(9), 50)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def ids(self, path: Path, doc_ids: list[str]) -> Path:
        file = path.with_name("ids.txt")
        file.write_text("".join(f"{doc_id}\n" for doc_id in doc_ids), encoding="utf-8")
        return file

    @pytest.mark.parametrize(
        "kind", ["npy", "Flat", "IVF4,Flat", "HNSW8", "SQfp16", "IVF4,SQfp16", "HNSW8,SQfp16"]
    )
    def test_kinds_of_files(self, path: Path, vectors: NDArray[np.float32], kind: str) -> None:
        file = path.with_name("vectors")
        if kind == "npy":
            with file.open("wb") as out:
                np.save(out, vectors)
        else:
            faiss = pytest.importorskip("faiss")
            made = faiss.index_factory(DIMENSION, kind, faiss.METRIC_INNER_PRODUCT)
            made.train(vectors)
            made.add(vectors)
            faiss.write_index(made, str(file))
        doc_ids = numbered(50)[::-1]
        index, n_left = attach_vectors(path, file, self.ids(path, doc_ids), encoder=HashedWords())
        with index:
            dense = index.require_dense()
            assert (dense.similarity, dense.n_vectors, n_left) == ("cosine", 40, 10)
            assert dense.fingerprint == HashedWords().fingerprint
            found = vectors_of(index)
            expected = rounded(np.stack([vectors[doc_ids.index(d)] for d in found]), "cosine")
            np.testing.assert_allclose(np.array(list(found.values())), expected, atol=2e-3)
        assert verify(path, 3).ok

    @pytest.mark.parametrize("kind", ["IVF4,Flat", "IVF4,SQfp16"])
    @pytest.mark.parametrize(
        "ids",
        [
            np.random.default_rng(0).permutation(50),
            np.arange(50) + 1,
            np.arange(50) * 2,
            np.arange(50) - 1,
            np.zeros(50),
            np.minimum(np.arange(50), 48),
            np.arange(50) + 2**40,
            np.arange(50)[::-1],
        ],
        ids=["permuted", "from 1", "gaps", "from -1", "all the same", "twice", "huge", "reversed"],
    )
    def test_vectors_with_ids_of_their_own_are_refused(
        self, path: Path, vectors: NDArray[np.float32], kind: str, ids: NDArray[np.int64]
    ) -> None:
        """Which vector was added first is not in the file, so no list of ids says whose it is."""
        faiss = pytest.importorskip("faiss")
        made = faiss.index_factory(DIMENSION, kind, faiss.METRIC_INNER_PRODUCT)
        made.train(vectors)
        made.add_with_ids(vectors, ids.astype(np.int64))
        faiss.write_index(made, str(path.with_name("v.faiss")))
        with pytest.raises(VectorError, match="ids of their own"):
            attach_vectors(path, path.with_name("v.faiss"), self.ids(path, numbered(50)))

    @pytest.mark.parametrize(
        ("doc_ids", "says"),
        [
            (numbered(49), "49 ids for 50 vectors"),
            ([*numbered(49), "d3"], "ids.txt:50: id 'd3' is there twice"),
            (numbered(50, "e"), "40 of 40 documents of the index have no vector, the first .*'d0'"),
        ],
    )
    def test_ids_that_do_not_match(
        self, path: Path, vectors: NDArray[np.float32], doc_ids: list[str], says: str
    ) -> None:
        file = path.with_name("v.npy")
        np.save(file, vectors)
        before = contents(path)
        with pytest.raises(DataError, match=says):
            attach_vectors(path, file, self.ids(path, doc_ids))
        assert contents(path) == before

    def test_vectors_of_another_model(self, path: Path, vectors: NDArray[np.float32]) -> None:
        file = path.with_name("v.npy")
        np.save(file, vectors)
        with pytest.raises(EncoderMismatchError, match="12 numbers, the encoder given makes 5"):
            attach_vectors(path, file, self.ids(path, numbered(50)), encoder=HashedWords(5))

    def test_distances_of_other_lengths(self, path: Path, vectors: NDArray[np.float32]) -> None:
        faiss = pytest.importorskip("faiss")
        made = faiss.IndexFlatL2(DIMENSION)
        made.add(vectors * 3)
        faiss.write_index(made, str(path.with_name("v.faiss")))
        ids = self.ids(path, numbered(50))
        with pytest.raises(VectorError, match="compares by distance"):
            attach_vectors(path, path.with_name("v.faiss"), ids)
        index, _ = attach_vectors(path, path.with_name("v.faiss"), ids, similarity="dot")
        assert index.require_dense().similarity == "dot"

    @pytest.mark.parametrize("kind", ["Flat", "IVF4,Flat", "HNSW8"])
    def test_damaged_files_of_faiss(
        self, path: Path, vectors: NDArray[np.float32], kind: str
    ) -> None:
        """Every number of the head, and every length: refused before faiss can be misled."""
        faiss = pytest.importorskip("faiss")
        made = faiss.index_factory(DIMENSION, kind, faiss.METRIC_INNER_PRODUCT)
        made.train(vectors)
        made.add(vectors)
        content = faiss.serialize_index(made).tobytes()
        file, ids = path.with_name("v.faiss"), self.ids(path, numbered(50))
        before = contents(path)
        rng = random.Random(1)
        damaged = [content[:length] for length in rng.sample(range(len(content)), 40)]
        for at in range(4, 37):
            for value in (0, 127, 255):
                if content[at] != value:
                    damaged.append(content[:at] + bytes([value]) + content[at + 1 :])
        n_refused = 0
        for wrong in damaged:
            file.write_bytes(wrong)
            try:
                attach_vectors(path, file, ids)[0].close()
            except (VectorError, DataError):
                n_refused += 1
                continue
            break
        assert n_refused == len(damaged)
        assert contents(path) == before

    def test_what_is_no_file_of_vectors(self, path: Path) -> None:
        ids = self.ids(path, numbered(50))
        with pytest.raises(VectorError, match=r"neither a \.npy file nor a faiss index"):
            attach_vectors(path, ids, ids)
        np.save(path.with_name("v.npy"), np.arange(50))
        with pytest.raises(VectorError, match="expected a matrix of floats"):
            attach_vectors(path, path.with_name("v.npy"), ids)
