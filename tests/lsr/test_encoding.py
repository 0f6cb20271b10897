"""The encode job: interrupted anywhere, run again, the same bytes; and what stands in its way."""

import itertools
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import orjson
import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.encoding import encode_corpus, plan
from lsr.encoding.plan import JOB_FILES
from lsr.errors import CorpusError, DataError, IndexLockedError, UsageError
from lsr.files import locked
from lsr.records import Document
from tests.shared import ROOT, shared_path

N_DOCS = 23
SHARD_DOCS = 5


@pytest.fixture
def corpus(tmp_path):
    """Real abstracts, few enough to interrupt a job at every one of them."""
    source = shared_path("data/collections/cranfield/corpus.jsonl")
    with source.open(encoding="utf-8") as lines:
        return corpus_of(tmp_path / "corpus.jsonl", itertools.islice(lines, N_DOCS))


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(plan, "BATCH_DOCS", 2)


def corpus_of(path, lines):
    path.write_text("".join(lines), encoding="utf-8")
    return open_corpus(path)


def encode(corpus, folder, encoder=None, **options):
    options = {"shard_docs": SHARD_DOCS, **options}
    return encode_corpus(corpus, encoder or load_encoder("bm25"), folder, **options)


def contents_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Interrupted:
    """An encoder that stops after so many calls, like Ctrl-C or an error would."""

    def __init__(self, calls, error):
        self.encoder = load_encoder("bm25")
        self.calls = calls
        self.error = error

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode_documents(self, texts):
        if self.calls == 0:
            raise self.error
        self.calls -= 1
        return self.encoder.encode_documents(texts)


def test_batches_hold_the_corpus_with_finished_vectors(corpus, tmp_path, small_batches):
    collection = encode(corpus, tmp_path / "job")
    documents = list(corpus)
    whole = BM25Encoder()
    raw, statistics = whole.encode_documents([document.contents for document in documents])
    finished = whole.finish_documents(raw, statistics)

    read = [document for batch in collection.batches() for document in batch.documents()]
    assert read == documents
    again = [batch.vectors for batch in collection]  # a second time, by iterating
    np.testing.assert_array_equal(np.concatenate([v.indices for v in again]), finished.indices)
    np.testing.assert_array_equal(np.concatenate([v.values for v in again]), finished.values)
    assert collection.n_docs == N_DOCS
    assert collection.statistics.total_length == statistics.total_length
    np.testing.assert_array_equal(
        collection.statistics.document_frequency, statistics.document_frequency
    )
    queries = whole.with_statistics(statistics).encode_queries(["boundary layer"])
    np.testing.assert_array_equal(
        collection.encoder.encode_queries(["boundary layer"]).values, queries.values
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")])
def test_stopped_at_any_batch_and_run_again_the_bytes_are_the_same(
    corpus, tmp_path, small_batches, error
):
    encode(corpus, tmp_path / "straight")
    expected = contents_of(tmp_path / "straight")
    for calls in range(16):
        folder = tmp_path / f"stopped-{calls}"
        for allowed in (calls, 2):  # stopped twice
            try:
                encode(corpus, folder, Interrupted(allowed, error))
            except type(error):
                assert not list(folder.glob(".*"))
        collection = encode(corpus, folder)
        assert contents_of(folder) == expected
        assert collection.n_docs == N_DOCS


def test_the_same_encoder_can_go_on_after_an_error(corpus, tmp_path, small_batches):
    encode(corpus, tmp_path / "straight")
    encoder = Interrupted(7, RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        encode(corpus, tmp_path / "job", encoder)
    encoder.calls = -1
    encode(corpus, tmp_path / "job", encoder)
    assert contents_of(tmp_path / "job") == contents_of(tmp_path / "straight")


def test_a_finished_job_is_opened_without_reading_the_corpus(corpus, tmp_path, monkeypatch):
    first = encode(corpus, tmp_path / "job")
    before = contents_of(tmp_path / "job")
    monkeypatch.setattr(type(corpus), "__iter__", lambda self: pytest.fail("read again"))
    second = encode(corpus, tmp_path / "job")
    assert second.n_docs == first.n_docs
    assert second.encoder.assets().config == first.encoder.assets().config
    assert contents_of(tmp_path / "job") == before


def test_progress_counts_on_where_the_job_was(corpus, tmp_path, small_batches):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        encode(corpus, tmp_path / "job", Interrupted(7, KeyboardInterrupt()))
    encode(corpus, tmp_path / "job", progress=lambda *report: seen.append(report))
    assert {stage for stage, _, _ in seen} == {"encode"}
    done = [n for _, n, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (2 * SHARD_DOCS, N_DOCS)


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ({"k1": 0.9}, {}, r"encoder k1: then 1\.2, now 0\.9"),
        ({"language": "german"}, {}, "encoder analyzer language: then 'english', now 'german'"),
        ({}, {"shard_docs": 6}, "shard_docs: then 5, now 6"),
    ],
)
def test_a_job_of_something_else_is_refused(corpus, tmp_path, encoder, options, message):
    encode(corpus, tmp_path / "job")
    before = contents_of(tmp_path / "job")
    with pytest.raises(UsageError, match=message) as caught:
        encode(corpus, tmp_path / "job", load_encoder("bm25", **encoder), **options)
    assert f"start over with --overwrite, or by removing {tmp_path / 'job'}" in str(caught.value)
    assert contents_of(tmp_path / "job") == before
    encode(corpus, tmp_path / "job", load_encoder("bm25", **encoder), restart=True, **options)
    encode(corpus, tmp_path / "new", load_encoder("bm25", **encoder), **options)
    assert contents_of(tmp_path / "job") == contents_of(tmp_path / "new")


def test_a_corpus_that_changed_is_refused(corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encode(corpus, tmp_path / "job", Interrupted(2, KeyboardInterrupt()))
    with (tmp_path / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "new", "text": "more"}\n')
    changed = open_corpus(tmp_path / "corpus.jsonl")
    with pytest.raises(UsageError, match=r"began before its source changed \(corpus.jsonl\)"):
        encode(changed, tmp_path / "job")
    encode(changed, tmp_path / "job", restart=True)
    encode(changed, tmp_path / "new")
    assert contents_of(tmp_path / "job") == contents_of(tmp_path / "new")


@pytest.mark.parametrize("shards", [0, 1, 2])
@pytest.mark.parametrize("restart", [False, True])
def test_a_corrected_file(tmp_path, shards, restart):
    """A job without a shard is dropped; one that fits goes on; others wait for a word."""
    lines = [f'{{"_id": "{i}", "text": "wing"}}\n' for i in range(SHARD_DOCS * 3)]
    broken = [*lines]
    broken[shards * SHARD_DOCS + 1] = '{"_id": "x", "text":\n'
    corpus = corpus_of(tmp_path / "corpus.jsonl", broken)
    for _ in range(2):  # the file as it was goes on, to the same line
        with pytest.raises(CorpusError, match=rf"corpus\.jsonl:{shards * SHARD_DOCS + 2}: "):
            encode(corpus, tmp_path / "job")
    corrected = corpus_of(tmp_path / "corpus.jsonl", lines)
    if shards and not restart:
        with pytest.raises(UsageError, match="began before its source changed"):
            encode(corrected, tmp_path / "job")
        return
    assert encode(corrected, tmp_path / "job", restart=restart).n_docs == SHARD_DOCS * 3
    encode(corrected, tmp_path / "new")
    assert contents_of(tmp_path / "job") == contents_of(tmp_path / "new")


def test_a_corpus_that_changes_while_it_is_read_is_noticed(corpus, tmp_path):
    def change(stage, done, total):
        if done == SHARD_DOCS:
            with (tmp_path / "corpus.jsonl").open("a", encoding="utf-8") as file:
                file.write('{"_id": "new", "text": "more"}\n')

    with pytest.raises(CorpusError, match="changed while it was being encoded"):
        encode(corpus, tmp_path / "job", progress=change)


def test_a_malformed_line_stops_the_job_and_names_it(tmp_path):
    lines = [f'{{"_id": "{i}", "text": "wing"}}\n' for i in range(12)]
    lines[8] = '{"_id": "8", "text":\n'
    with pytest.raises(CorpusError, match=r"corpus\.jsonl:9: "):
        encode(corpus_of(tmp_path / "corpus.jsonl", lines), tmp_path / "job")


def test_damage_is_named(corpus, tmp_path):
    encode(corpus, tmp_path / "job")
    shard = tmp_path / "job/shard-00001.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"has {len(whole) - 1} bytes, expected {len(whole)}"):
        encode(corpus, tmp_path / "job")
    shard.unlink()
    with pytest.raises(DataError, match=r"shard-00001\.parquet: is missing"):
        encode(corpus, tmp_path / "job")
    shard.write_bytes(whole)
    (tmp_path / "job/shard-00002.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"shard-00002\.npz: cannot be read"):
        encode(corpus, tmp_path / "job")
    for content in (b"", b"[]", b'{"n_shards": 1}', b'{"n_shards": "x", "complete": 1, "plan": 2}'):
        (tmp_path / "job/job.json").write_bytes(content)
        with pytest.raises(DataError, match="not the state of an encode job"):
            encode(corpus, tmp_path / "job")


def test_a_second_process_is_locked_out(corpus, tmp_path):
    with (
        locked(tmp_path / "job", "encoding into", JOB_FILES),
        pytest.raises(IndexLockedError, match="another process is encoding"),
    ):
        encode(corpus, tmp_path / "job")
    encode(corpus, tmp_path / "job")


def test_a_shard_needs_a_document(corpus, tmp_path):
    with pytest.raises(UsageError, match="shard_docs 0"):
        encode(corpus, tmp_path / "job", shard_docs=0)


def test_long_documents_make_small_batches(tmp_path, monkeypatch):
    sizes = []

    class Watching(BM25Encoder):
        def encode_documents(self, texts):
            sizes.append(len(texts))
            return super().encode_documents(texts)

    monkeypatch.setattr(plan, "BATCH_CHARS", 1000)
    lines = [
        orjson.dumps({"_id": str(i), "text": "wing " * (100 if i < 10 else 1)}).decode() + "\n"
        for i in range(20)
    ]
    encode(corpus_of(tmp_path / "c.jsonl", lines), tmp_path / "job", Watching(), shard_docs=50)
    assert sizes == [2, 2, 2, 2, 2, 10]


def test_a_document_knows_nothing_of_its_shard(corpus, tmp_path):
    """Vectors of a document are those of its title and text, whatever is around it."""
    collection = encode(corpus, tmp_path / "job", shard_docs=7)
    by_id = {}
    for batch in collection.batches():
        for row, doc_id in enumerate(batch.ids):
            by_id[doc_id] = len(batch.vectors.row(row)[0])
    for document in corpus:
        assert isinstance(document, Document)
        terms = set(collection.encoder.analyzer.terms(document.contents))
        assert by_id[document.id] == len(terms)


JOB = """
import resource, sys
from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoding import encode_corpus
from lsr.errors import StorageFullError
source, folder, shard_docs, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    encode_corpus(open_corpus(source), load_encoder("bm25"), folder, shard_docs=shard_docs)
except StorageFullError as error:
    print(error)
    sys.exit(3)
status = open("/proc/self/status").read() if sys.platform == "linux" else ""
print(*[line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")])
"""


def start_job(source, folder, shard_docs, limit=0):
    arguments = [str(source), str(folder), str(shard_docs), str(limit)]
    return subprocess.Popen(
        [sys.executable, "-c", JOB, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def run_job(*arguments, **options):
    process = start_job(*arguments, **options)
    out, err = process.communicate()
    return process.returncode, out, err


def test_killed_at_random_and_run_again_the_bytes_are_the_same(tmp_path):
    source = shared_path("data/collections/scifact")
    code, _, err = run_job(source, tmp_path / "straight", 256)
    assert code == 0, err
    expected = contents_of(tmp_path / "straight")

    rng = random.Random(20)
    killed_at = []
    for _ in range(3):
        process = start_job(source, tmp_path / "killed", 256)
        while not (tmp_path / "killed/job.json").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.2, 0.7))
        process.kill()
        process.communicate()
        killed_at.append(orjson.loads((tmp_path / "killed/job.json").read_bytes())["n_shards"])
        if process.returncode != -signal.SIGKILL:
            break
    assert killed_at[0] < len(list((tmp_path / "straight").glob("*.parquet")))
    assert killed_at == sorted(killed_at)
    code, _, err = run_job(source, tmp_path / "killed", 256)
    assert code == 0, err
    assert contents_of(tmp_path / "killed") == expected


def test_a_full_disk_stops_the_job_and_it_goes_on_with_room(tmp_path):
    source = shared_path("data/collections/cranfield")
    code, out, err = run_job(source, tmp_path / "job", 256, limit=100_000)
    assert (code, err) == (3, "")
    assert "no room left on the device" in out
    assert not list((tmp_path / "job").glob(".*"))
    code, _, err = run_job(source, tmp_path / "job", 256)
    assert code == 0, err
    run_job(source, tmp_path / "straight", 256)
    assert contents_of(tmp_path / "job") == contents_of(tmp_path / "straight")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    source = shared_path("data/collections/wikiqa/corpus.jsonl")
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)[::2]
    peaks = []
    for n_copies in (1, 2):
        path = tmp_path / f"{n_copies}.jsonl"
        corpus_of(
            path,
            (
                line.replace('"_id": "', f'"_id": "{copy}-', 1)
                for copy in range(n_copies)
                for line in lines
            ),
        )
        code, out, err = run_job(path, tmp_path / f"job-{n_copies}", 4096)
        assert code == 0, err
        peaks.append(int(out) / 1024)
        shutil.rmtree(tmp_path / f"job-{n_copies}")
    assert peaks[1] < peaks[0] + 25, peaks
