"""`python-docs`: real passages, the same on every pass, and nothing of the library runs for it."""

import hashlib
import json
import subprocess
import sys

import pytest

from lsr.corpus import open_corpus


@pytest.fixture(scope="module")
def documents():
    return list(open_corpus("python-docs"))


def test_thousands_of_passages(documents):
    assert len(documents) > 4000
    assert all(document.text.strip() and document.title for document in documents)
    kinds = {document.metadata["kind"] for document in documents}
    assert kinds == {"module", "class", "function", "method", "topic"}


@pytest.mark.parametrize(
    ("doc_id", "phrase"),
    [
        ("json.dumps#1", "JSON formatted"),
        ("str.split#1", "separator"),
        ("collections.deque.append", "right"),
        ("os.path", None),
        ("math.sqrt", "square root"),
        ("topics/assert", "debugging assertions"),
        ("pathlib.Path.exists", "exists"),
        ("subprocess.Popen.communicate#1", None),
    ],
)
def test_well_known_documentation_is_there(documents, doc_id, phrase):
    texts = {document.id: document.text for document in documents}
    found = texts.get(doc_id) or texts.get(doc_id.removesuffix("#1"))
    if phrase is None:
        assert any(document.id.startswith(doc_id.split("#")[0]) for document in documents)
    else:
        assert found is not None
        assert phrase in found


def digest_of(documents):
    return hashlib.sha256(
        json.dumps([list(document) for document in documents]).encode()
    ).hexdigest()


def test_nothing_that_acts_is_imported_and_another_process_reads_the_same(documents):
    code = """
import hashlib, json, sys
from lsr.corpus import open_corpus
documents = [list(document) for document in open_corpus("python-docs")]
names = ["antigravity", "this", "idlelib", "turtledemo", "test", "webbrowser", "tkinter", "torch"]
acting = [name for name in names if name in sys.modules]
print(json.dumps([hashlib.sha256(json.dumps(documents).encode()).hexdigest(), acting]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [digest_of(documents), []]
    assert done.stderr == ""


def test_the_fingerprint_is_stable_and_follows_the_passage_size():
    corpus = open_corpus("python-docs")
    assert corpus.fingerprint() == open_corpus("python-docs").fingerprint()
    assert corpus.fingerprint() != open_corpus("python-docs", passage_words=50).fingerprint()


def test_a_folder_of_that_name_is_reached_with_a_dot(tmp_path, monkeypatch):
    (tmp_path / "python-docs").mkdir()
    (tmp_path / "python-docs" / "a.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert [document.text for document in open_corpus("./python-docs")] == ["mine"]
