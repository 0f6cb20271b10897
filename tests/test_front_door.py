"""`import lsr`: the lines of the README, and what a person meets who gets one wrong."""

from __future__ import annotations

import asyncio
import doctest
import hashlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import lsr
from lsr_index.api import create as create_module_function
from lsr_index.build.builder import build_index
from lsr_index.hybrid import Retriever
from lsr_index.search.execute import Cancel

DOCS: list[dict[str, Any]] = [
    {
        "id": "tea",
        "title": "Brewing",
        "text": "Green tea gets bitter in boiling water",
        "year": 2001,
    },
    {"id": "coffee", "title": "<b>", "text": "Coffee is bitter by nature", "year": 1999},
    {"id": "milk", "title": "", "text": "Milk takes the edge off black tea", "year": 2010},
]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[lsr.SearchIndex]:
    with lsr.create(tmp_path / "notes.index", DOCS, encoder="bm25") as opened:
        yield opened


def bytes_of(folder: Path) -> dict[str, str]:
    """Return the digest of every file of an index."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "LOCK"
    }


class TestImport:
    def test_loads_nothing_heavy(self) -> None:
        code = (
            "import sys, lsr; heavy = {'numpy', 'numba', 'pyarrow', 'torch', 'pydantic', 'scipy'};"
            "print(sorted(heavy & set(sys.modules)))"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert out.stdout == "[]\n", out.stderr

    def test_takes_less_than_a_tenth_of_a_second(self) -> None:
        code = "import time; t = time.process_time(); import lsr; print(time.process_time() - t)"
        runs = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
            for _ in range(3)
        ]
        assert min(map(float, runs)) < 0.1

    def test_every_name_is_there(self) -> None:
        for name in lsr.__all__:
            found = getattr(lsr, name)
            assert name in dir(lsr)
            assert name == "__version__" or found.__name__ == name
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            lsr.nothing  # type: ignore[attr-defined]  # noqa: B018

    def test_public_functions_name_their_arguments(self) -> None:
        """No **modes: a wrong keyword is found by type checkers, editors and Python."""
        functions: list[Callable[..., Any]] = [lsr.create, lsr.open, lsr.encoder, lsr.evaluate]
        functions += [lsr.train, lsr.SearchIndex.search, lsr.SearchIndex.search_batch]
        functions += [lsr.SearchIndex.asearch, lsr.SearchIndex.asearch_batch]
        functions += [Retriever.search, Retriever.search_batch]
        for function in functions:
            for parameter in inspect.signature(function).parameters.values():
                assert parameter.kind is not parameter.VAR_KEYWORD, function
                assert parameter.annotation is not parameter.empty or parameter.name == "self"


class TestSearch:
    def test_the_lines_of_the_readme(self, tmp_path: Path) -> None:
        folder = tmp_path / "notes"
        folder.mkdir()
        (folder / "tea.md").write_text("# Brewing\n\nGreen tea gets bitter in boiling water.\n")
        lsr.create(tmp_path / "notes.index", folder, encoder="bm25")
        index = lsr.open(tmp_path / "notes.index")
        hits = index.search("bitter tea", k=10, explain=True)
        assert [(hit.rank, hit.id, hit.title) for hit in hits] == [(1, "tea.md#1", "Brewing")]
        assert hits[0].score == pytest.approx(sum(value for _, value in hits[0].explanation or ()))

    def test_results_are_a_sequence(self, index: lsr.SearchIndex) -> None:
        results = index.search("bitter tea", filter={"year": {"$gte": 2000}})
        assert len(results) == 2 == len(results.hits)
        assert results[0] is results.hits[0]
        assert results[:1] == results.hits[:1]
        assert list(results) == results.hits
        assert results.rank_safe
        assert results.bound_gap == 0
        assert results.took_ms > 0
        assert "2 hits" in repr(results)
        assert "tea" in repr(results)
        assert "'tea'" in repr(results[0])

    def test_a_notebook_shows_text_not_markup(self, index: lsr.SearchIndex) -> None:
        page = index.search("coffee")._repr_html_()
        assert "&lt;b&gt;" in page
        assert "<b>" not in page

    def test_data_frames(self, index: lsr.SearchIndex) -> None:
        pytest.importorskip("pandas")
        frame = index.search("bitter").to_pandas()
        assert list(frame.columns) == ["rank", "id", "score", "title", "text", "year"]
        assert set(frame["id"]) == {"tea", "coffee"}
        none = index.search("zebra").to_pandas()
        assert list(none.columns) == ["rank", "id", "score", "title", "text"]
        runs = index.search_batch({"q1": "bitter", "q2": "zebra"}).to_pandas()
        assert list(runs.columns) == ["query_id", "rank", "doc_id", "score"]
        assert set(runs["query_id"]) == {"q1"}

    def test_runs(self, index: lsr.SearchIndex, tmp_path: Path) -> None:
        from lsr.trec.runs import read_run

        runs = index.search_batch({"q1": "bitter tea", "q2": "milk"}, k=2, threads=2)
        assert list(runs) == ["q1", "q2"]
        text = runs.to_trec(tmp_path / "run.trec", tag="mine")
        assert (tmp_path / "run.trec").read_text() == text
        read = read_run(tmp_path / "run.trec")
        assert read.name == "mine"
        for qid, scores in runs.to_dict().items():
            alone = index.search({"q1": "bitter tea", "q2": "milk"}[qid], k=2)
            assert list(scores.items()) == [(hit.id, hit.score) for hit in alone]
            assert set(read[qid].doc_ids) == scores.keys()
        assert "2 queries" in repr(runs)
        named = index.search_batch([lsr.Query("a", "tea"), lsr.Query("b", "milk")])
        assert list(named) == ["a", "b"]
        assert list(index.search_batch(["tea", "milk"])) == ["0", "1"]
        assert index.search("tea").to_trec(qid="7").startswith("7 Q0 ")

    def test_fusion_feedback_and_reranking_by_name(self, tmp_path: Path) -> None:
        dense = np.random.default_rng(1).random((30, 4), np.float32)
        matrix = sp.random_array((30, 9), density=0.4, rng=np.random.default_rng(2), format="csr")
        with lsr.create(tmp_path / "x", matrix, dense=dense) as index:
            from lsr_index.fusion import parse_fusion
            from lsr_index.hybrid import QueryParts, parse_feedback

            query = QueryParts("any", {1: 1.0, 3: 2.0}, dense[0])
            by_name = index.search(query, mode="hybrid", fusion="rrf:k=5", feedback="average")
            given = index.search(
                query,
                mode="hybrid",
                fusion=parse_fusion("rrf:k=5"),
                feedback=parse_feedback("average"),
            )
            assert by_name.hits == given.hits
            assert by_name.fusion is not None
            backwards = index.search(
                query, mode="hybrid", rerank=lambda _, texts: np.arange(len(texts)), rerank_depth=5
            )
            first = index.search(query, mode="hybrid", k=5)
            assert [hit.id for hit in backwards] == [hit.id for hit in first][::-1]

    def test_async(self, index: lsr.SearchIndex) -> None:
        texts = ["bitter tea", "milk", "coffee", "water"] * 16

        async def many() -> list[Any]:
            return await asyncio.gather(*(index.asearch(text, k=2) for text in texts))

        found = asyncio.run(many())
        for text, results in zip(texts, found, strict=True):
            assert results.hits == index.search(text, k=2).hits
        runs = asyncio.run(index.asearch_batch({"a": "milk"}))
        assert runs.to_dict() == index.search_batch({"a": "milk"}).to_dict()

    def test_a_cancelled_task_ends_its_search(self, index: lsr.SearchIndex) -> None:
        cancel = Cancel()

        async def cancelled() -> None:
            task = asyncio.create_task(index.asearch("tea", cancel=cancel))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        assert cancel.flag[0] == 1


class TestSources:
    def test_records_of_every_kind_give_the_same_bytes(self, tmp_path: Path) -> None:
        pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
        made = [lsr.Document(d["id"], d["text"], d["title"], {"year": d["year"]}) for d in DOCS]
        labelled = pandas.DataFrame(DOCS).set_index("id")
        (tmp_path / "x.jsonl").write_text(
            "".join(f'{{"id": "{d["id"]}", "title": "{d["title"]}", "text": "{d["text"]}", '
                    f'"year": {d["year"]}}}\n' for d in DOCS)
        )  # fmt: skip
        sources = [
            DOCS, iter(DOCS), made, pandas.DataFrame(DOCS), labelled, polars.DataFrame(DOCS),
            tmp_path / "x.jsonl", str(tmp_path / "x.jsonl"),
        ]  # fmt: skip
        found = []
        for at, source in enumerate(sources):
            lsr.create(tmp_path / f"{at}.index", source, encoder="bm25").close()
            found.append(bytes_of(tmp_path / f"{at}.index"))
        assert all(each == found[0] for each in found)

    def test_missing_values_of_a_frame_are_left_out(self, tmp_path: Path) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(
            {"id": [1, 2], "text": ["a b", "c"], "n": [1.5, None], "t": pandas.to_datetime(
                ["2020-01-02", None])}
        )  # fmt: skip
        with lsr.create(tmp_path / "x", frame, encoder="bm25") as index:
            first, second = index.get("1"), index.get("2")
            assert first is not None
            assert first.metadata == {"n": 1.5, "t": "2020-01-02T00:00:00"}
            assert second is not None
            assert second.metadata == {}

    def test_vectors_can_be_searched_in_every_form(self, tmp_path: Path) -> None:
        matrix = sp.csr_array(np.array([[0, 2.0, 1], [3, 0, 0], [0, 1, 0]]))
        with lsr.create(
            tmp_path / "x", matrix, ids=["a", "b", "c"], vocabulary=["x", "y", "z"]
        ) as index:
            queries: list[Any] = [
                {1: 1.0, 2: 2.0},
                {"y": 1.0, "z": 2.0},
                ([1, 2], [1.0, 2.0]),
                (np.array([2, 1]), np.array([2.0, 1.0])),
                sp.csr_array(np.array([[0, 1.0, 2.0]])),
                lsr.SparseBatch.from_rows([{1: 1.0, 2: 2.0}]),
            ]
            found = [index.search(query).hits for query in queries]
            assert [hit.id for hit in found[0]] == ["a", "c"]
            assert all(each == found[0] for each in found)
            rows = index.search_batch(matrix)
            assert [rows[str(at)].ids[0] for at in range(3)] == ["a", "b", "a"]


class TestWriter:
    def test_a_clean_exit_commits(self, index: lsr.SearchIndex) -> None:
        with index.writer() as writer:
            assert writer.add({"id": "new", "text": "iced tea"}) == 1
            assert writer.delete(["milk", "nowhere"]) == 1
            assert writer.delete(filter={"year": {"$lt": 2000}}) == 1
            assert len(index) == 3, "searches see the last commit"
        assert {hit.id for hit in index.search("tea bitter milk")} == {"tea", "new"}
        assert "new" in index
        assert "milk" not in index

    def test_an_exception_leaves_everything_as_it_was(self, index: lsr.SearchIndex) -> None:
        before, hits = bytes_of(index.path), index.search("bitter tea").hits

        def fail_after_changes() -> None:
            with index.writer() as writer:
                writer.add([{"id": "x", "text": "unheard of"}, {"id": "tea", "text": "gone"}])
                writer.delete(["coffee"])
                raise KeyError("user code")

        with pytest.raises(KeyError, match="user code"):
            fail_after_changes()
        assert bytes_of(index.path) == before
        assert not index.refresh()
        assert index.search("bitter tea").hits == hits
        with lsr.open(index.path) as again:
            assert again.search("bitter tea").hits == hits
        with index.writer() as writer:  # the lock is free, and nothing of it comes back
            writer.add({"id": "y", "text": "other"})
        assert "x" not in index
        assert "coffee" in index

    def test_vectors(self, tmp_path: Path) -> None:
        with lsr.create(tmp_path / "x", sp.csr_array(np.eye(2))) as index:
            with index.writer() as writer:
                writer.add(sp.csr_array(np.eye(1, 9, 8)), ids=["far"])
            assert index.search({8: 1.0})[0].id == "far"

    def test_another_object_sees_it_after_refresh(self, index: lsr.SearchIndex) -> None:
        with lsr.open(index.path) as other:
            with index.writer() as writer:
                writer.add({"id": "new", "text": "quokka"})
            assert len(other.search("quokka")) == 0
            assert other.refresh()
            assert [hit.id for hit in other.search("quokka")] == ["new"]


def misuse(index: lsr.SearchIndex, path: Path) -> dict[str, tuple[Callable[[], Any], str]]:
    """What people get wrong, and the words they need to read."""
    torch = pytest.importorskip("torch")
    eye, used = sp.csr_array(np.eye(3)), index.writer()
    with used:
        pass
    calls: dict[str, tuple[Callable[[], Any], str]] = {
        "dense matrix": (lambda: lsr.create(path, np.eye(3)), "dense matrix of shape .*dense="),
        "dense tensor": (lambda: lsr.create(path, torch.eye(3)), "dense torch tensor .*dense="),
        "sparse tensor": (lambda: lsr.create(path, torch.eye(3).to_sparse()), "torch sparse"),
        "built of dense": (lambda: build_index(path, np.eye(3)), "dense matrix of shape"),
        "built of a tensor": (lambda: build_index(path, torch.eye(3)), "dense torch tensor"),
        "built of lists": (lambda: build_index(path, [[1, 2]]), "batch 0 is of type list"),
        "texts alone": (lambda: lsr.create(path, ["a"]), "expected a Document or a mapping"),
        "no text": (lambda: lsr.create(path, [{"id": "1"}]), "no text: .*text_field="),
        "repeated id": (lambda: lsr.create(path, DOCS * 2, encoder="bm25"), "'tea' is taken"),
        "repeated row id": (lambda: lsr.create(path, eye, ids=["a", "b", "a"]), "stands twice"),
        "few ids": (lambda: lsr.create(path, eye, ids=["a"]), "1 entries for 3 vectors"),
        "ids as text": (lambda: lsr.create(path, eye, ids="abc"), "must be a list of strings"),
        "float ids": (lambda: lsr.create(path, eye, ids=[1.0, 2.0, 3.0]), "string or an integer"),
        "dense by name": (lambda: lsr.create(path, eye, dense="minilm"), "no texts to encode"),
        "no encoder": (lambda: lsr.create(path, DOCS, encoder=3), "must be a name"),  # type: ignore[arg-type]
        "there already": (lambda: lsr.create(index.path, DOCS), "overwrite=True"),
        "a number": (lambda: lsr.create(path, 5), "cannot read documents of int"),
        "k as text": (lambda: index.search("a", k="10"), "k must be a whole"),  # type: ignore[arg-type]
        "k of zero": (lambda: index.search("a", k=0), "k must be a whole number"),
        "k as float": (lambda: index.search("a", k=1.5), "k must be a whole"),  # type: ignore[arg-type]
        "offset": (lambda: index.search("a", offset=-1), "offset must be a whole"),
        "mode": (lambda: index.search("a", mode="both"), "sparse, dense, hybrid"),  # type: ignore[arg-type]
        "fusion alone": (lambda: index.search("a", fusion="rrf"), 'mode="hybrid"'),
        "alpha": (lambda: index.search("a", alpha="high"), "alpha must be"),  # type: ignore[arg-type]
        "float term": (lambda: index.search({1.7: 1.0}), "term id from 0 to .* got 1.7"),
        "float terms": (lambda: index.search(([1.5], [1.0])), "must be integers"),
        "huge term": (lambda: index.search({2**64: 1.0}), "term id from 0"),
        "word as weight": (lambda: index.search({"tea": "x"}), "a number as its weight"),
        "negative": (lambda: index.search({"tea": -1.0}), "finite weight"),
        "text and ids": (lambda: index.search({"tea": 1.0, 3: 1.0}), "not some of both"),
        "many at once": (lambda: index.search(["a", "b"]), "search_batch takes many"),
        "a matrix": (lambda: index.search(np.eye(3)), r"array of shape \(3, 3\)"),
        "one as many": (lambda: index.search_batch("tea"), "expected a list of queries"),
        "threads": (lambda: index.search_batch(["a"], threads=0), "threads must be"),
        "filter": (lambda: index.search("a", filter=3), "filter"),  # type: ignore[arg-type]
        "writer used after": (lambda: used.add(DOCS), "writer is closed"),
        "writer bare": (lambda: index.writer().add(DOCS), "in a with statement"),
        "path": (lambda: lsr.open(3), "path must be"),  # type: ignore[arg-type]
        "text by number": (lambda: lsr.encoder("bm25").encode_query([3]), "text 0 must be"),  # type: ignore[list-item]
        "one system": (lambda: lsr.evaluate("x", index), "systems must be a list"),  # type: ignore[arg-type]
    }  # fmt: skip
    return calls


class TestMisuse:
    def test_is_told_in_terms_of_python(self, index: lsr.SearchIndex, tmp_path: Path) -> None:
        for what, (call, says) in misuse(index, tmp_path / "new").items():
            with pytest.raises(lsr.LsrError, match=says) as caught:
                call()
            assert "--" not in str(caught.value), what
            assert not (tmp_path / "new").exists(), what
            assert not (tmp_path / "new.building").exists(), what

    def test_deletes(self, index: lsr.SearchIndex) -> None:
        with index.writer() as writer:
            wrong: list[Callable[[], Any]] = [
                lambda: writer.delete("tea"),
                lambda: writer.delete([3]),  # type: ignore[list-item]
                lambda: writer.delete(),
                lambda: writer.delete(["tea"], filter={"year": 1}),
                lambda: writer.delete(filter={}),
            ]
            for call in wrong:
                with pytest.raises(lsr.LsrError):
                    call()
        assert len(index) == 3

    def test_an_unknown_keyword_is_a_type_error(self, index: lsr.SearchIndex) -> None:
        with pytest.raises(TypeError, match="'kk'"):
            index.search("a", kk=3)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="'pasages'"):
            lsr.create("x", "y", pasages=3)  # type: ignore[call-arg]

    def test_a_closed_index(self, index: lsr.SearchIndex) -> None:
        index.close()
        index.close()
        calls: list[Callable[[], Any]] = [
            lambda: index.search("tea"),
            lambda: index.search_batch(["tea"]),
            lambda: len(index),
            index.writer,
            index.refresh,
        ]
        for call in calls:
            with pytest.raises(lsr.LsrError, match="closed; open it again"):
                call()
        assert "closed" in repr(index)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_front_door_answers_as_the_retriever_and_a_plain_scan(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Vectors of whole numbers up to 255 are stored as they are: scores can be added up by hand."""
    n_docs, n_terms = data.draw(st.integers(1, 30)), 12
    row = st.dictionaries(st.integers(0, n_terms - 1), st.integers(1, 255), max_size=6)
    rows = [data.draw(row) for _ in range(n_docs)]
    rows[0][0] = 255  # the scale of the index is 1
    query = {t: float(w) for t, w in data.draw(row.filter(bool)).items()}
    k, offset = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 5))
    path = tmp_path_factory.mktemp("front") / "x.index"
    batch = lsr.SparseBatch.from_rows([{t: float(w) for t, w in each.items()} for each in rows])
    with lsr.create(path, batch) as index, Retriever.open(path) as retriever:
        found = index.search(query, k=k, offset=offset)
        assert found.hits == retriever.search(query, k, offset=offset).hits
        every = index.search_batch([query], k=k + offset)["0"]
        assert every.ids[offset:] == [hit.id for hit in found]
        scores = {
            str(at): sum(query[t] * w for t, w in each.items() if t in query)
            for at, each in enumerate(rows)
        }
        matched = {doc_id: score for doc_id, score in scores.items() if score > 0}
        largest = max(query.values())
        for hit in found:  # query weights are quantised: within a step of each term
            assert hit.score == pytest.approx(matched[hit.id], abs=largest * len(query), rel=0.02)
        assert len(found) == max(0, min(k, len(matched) - offset))
        assert [hit.rank for hit in found] == list(range(offset + 1, offset + 1 + len(found)))


def test_evaluate(tmp_path: Path) -> None:
    folder = beir(tmp_path / "beir")
    with lsr.create(tmp_path / "x.index", folder, encoder="bm25") as index:
        report = lsr.evaluate(folder, [index, "bm25"], measures=["nDCG@10"])
    names = [system.name for system in report.systems]
    assert names == ["x.index", "bm25"]
    assert {system.measured.overall["nDCG@10"] for system in report.systems} == {1.0}


def test_train_reads_its_recipe(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(lsr.LsrError, match="recipe"):
        lsr.train(tmp_path / "recipe.yaml")


def beir(folder: Path) -> Path:
    """Write a collection of one query."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        '{"_id": "1", "title": "", "text": "bitter tea"}\n{"_id": "2", "text": "milk"}\n'
    )
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "tea"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    return folder


@pytest.mark.parametrize(
    "module", ["lsr.text_encoder", "lsr_index.api.create", "lsr_index.api.runs",
               "lsr_index.api.search_index", "lsr_index.api.writer", "lsr_eval.front"]
)  # fmt: skip
def test_examples_of_docstrings(module: str, tmp_path: Path) -> None:
    found = doctest.DocTestFinder().find(import_module(module))
    examples = [test for test in found if test.examples]
    assert examples
    beir(tmp_path / "beir")
    docs = [{"id": "1", "text": "bitter tea"}]
    index = lsr.create(tmp_path / "given.index", docs, encoder="bm25")
    for number, test in enumerate(examples):
        here = tmp_path / str(number)
        here.mkdir()
        beir(here / "beir")
        create_module_function(here / "tea.index", docs, encoder="bm25").close()
        if module.endswith("create"):
            here = tmp_path
        test.globs |= {"tmp": here, "index": index}
        assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda index: index.search("tea\ud800"),
        lambda index: index.search_batch({"a": "tea", "b": "tea\udfff"}),
        lambda index: asyncio.run(index.asearch("tea\ud800")),
        lambda index: lsr.encoder("bm25").encode_query(["tea\ud800"]),
    ],
)
def test_a_lone_surrogate_is_named(
    index: lsr.SearchIndex, ask: Callable[[lsr.SearchIndex], Any]
) -> None:
    with pytest.raises(lsr.LsrError, match=r"lone surrogate \(character 4\)"):
        ask(index)
    assert index.get("\ud800") is None


@pytest.mark.parametrize(
    "scores", [[1.0], ["a", "b"], [[1.0], [2.0]], [float("nan"), 1.0], None, [None, 1.0]]
)
def test_scores_of_reranking_are_one_number_for_each_text(
    index: lsr.SearchIndex, scores: Any
) -> None:
    assert len(index.search("bitter", rerank=lambda query, texts: [1, 2])) == 2
    with pytest.raises(lsr.LsrError, match="rerank returned"):
        index.search("bitter", rerank=lambda query, texts: scores)


def test_wrong_types_at_the_front_door_are_named(tmp_path: Path, index: lsr.SearchIndex) -> None:
    with pytest.raises(lsr.LsrError, match="an id is a string, got 7"):
        index.get(7)  # type: ignore[arg-type]
    with pytest.raises(lsr.LsrError, match=r"encoder must be what lsr.encoder returns, got 'bm25'"):
        lsr.open(tmp_path / "notes.index", encoder="bm25")  # type: ignore[arg-type]
    with index.writer() as writer, pytest.raises(lsr.LsrError, match="not a path"):
        writer.add("notes/")
