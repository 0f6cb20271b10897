"""Examples from files, what is refused and where; batches that depend on seed and number only."""

import gzip
import json
import uuid

import numpy as np
import pytest

from lsr.errors import CorpusError, DataError, UsageError
from lsr_training.data import BatchSampler, Example, collate, load_examples
from lsr_training.recipe.schema import Source


def source(path, **more):
    return Source(path=str(path), **more)


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_pairs_triples_and_mined_negatives(tmp_path):
    path = write_jsonl(
        tmp_path / "x.jsonl",
        [
            {"query": "q", "positive": "p"},
            {"query": "q", "positive": "p", "negative": "n"},
            {"query": "q", "positive": "p", "negatives": ["n", "m"], "source": "ignored"},
        ],
    )
    assert load_examples(source(path)).items == [
        Example("q", ("p",)),
        Example("q", ("p", "n")),
        Example("q", ("p", "n", "m")),
    ]


def test_scored_lists_of_one_and_of_several_teachers(tmp_path):
    path = write_jsonl(
        tmp_path / "x.jsonl",
        [
            {"query": "q", "positive": "p", "negatives": ["n"], "scores": [2, 1.5]},
            {
                "query": "q",
                "documents": ["a", "b"],
                "scores": {"bm25": [1, 9], "dense": [0.1, 0.2]},
            },
        ],
    )
    assert load_examples(source(path), needs_scores=True).items == [
        Example("q", ("p", "n"), {"teacher": (2.0, 1.5)}),
        Example("q", ("b", "a"), {"bm25": (9.0, 1.0), "dense": (0.2, 0.1)}),
    ]


def test_other_files_hold_the_same(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "x.tsv").write_text("q\tp\tn\nr\to\n")
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.write('{"query": "q", "positive": "p", "negatives": ["n"]}\n')
        file.write('{"query": "r", "positive": "o"}\n')
    rows = [
        {"query": "q", "positive": "p", "negatives": ["n"]},
        {"query": "r", "positive": "o", "negatives": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    wanted = [Example("q", ("p", "n")), Example("r", ("o",))]
    for name in ("x.tsv", "x.jsonl.gz", "x.parquet"):
        assert load_examples(source(tmp_path / name)).items == wanted


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "q"}, 'no field "positive"'),
        ({"positive": "p"}, 'no field "query"'),
        ({"query": " ", "positive": "p"}, '"query" is empty'),
        ({"query": "q", "positive": ""}, '"positive" is empty'),
        ({"query": "q", "positive": 3}, "expected a text"),
        ({"query": "q", "positive": "a b", "negatives": ["c", " a  b"]}, "negative 2 equals"),
        ({"query": "q", "positive": "p", "negatives": "n"}, "expected a list"),
        ({"query": "q", "positive": "p", "negatives": [""]}, "number 1 is empty"),
        ({"query": "q", "positive": "p", "scores": [1, 2]}, "2 for 1 documents"),
        ({"query": "q", "positive": "p", "scores": ["high"]}, "no finite number"),
        ({"query": "q", "documents": ["a", "b"]}, 'without "scores"'),
        ({"query": "q", "documents": [], "scores": []}, '"documents" is empty'),
        (["q", "p"], "expected a JSON object"),
    ],
)
def test_bad_records_are_refused_with_file_and_line(tmp_path, record, message):
    path = write_jsonl(tmp_path / "x.jsonl", [{"query": "q", "positive": "p"}, record])
    with pytest.raises(CorpusError, match=r"x\.jsonl:2: ") as caught:
        load_examples(source(path))
    assert message in str(caught.value)
    skipping = load_examples(source(path, on_error="skip"))
    assert len(skipping.items) == len(skipping.skipped) == 1


def test_missing_scores_are_refused_when_distilling(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", [{"query": "q", "positive": "p"}])
    with pytest.raises(CorpusError, match=r"x\.jsonl:1: no scores"):
        load_examples(source(path), needs_scores=True)


@pytest.mark.parametrize("content", ["", '{"query": ""}\n'])
def test_nothing_to_train_on(tmp_path, content):
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(CorpusError, match="not one example"):
        load_examples(source(tmp_path / "x.jsonl", on_error="skip"))


def test_unreadable_files(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    (tmp_path / "x.doc").write_bytes(b"")
    for name in ("none.jsonl", "x.parquet", "x.doc"):
        with pytest.raises(CorpusError, match=name):
            load_examples(source(tmp_path / name))


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(
        folder / "corpus.jsonl",
        [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"}],
    )
    write_jsonl(folder / "queries.jsonl", [{"_id": "1", "text": "q"}, {"_id": "2", "text": "r"}])
    (folder / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t0\n2\td2\t2\n"
    )
    return folder


def test_beir_folders_give_a_pair_for_each_relevant_document(beir):
    assert load_examples(source(beir)).items == [Example("q", ("T one",)), Example("r", ("two",))]
    with pytest.raises(UsageError, match="no split 'dev'; there are: train"):
        load_examples(source(beir, split="dev"))


def test_judged_documents_that_are_not_there(beir):
    with (beir / "qrels" / "train.tsv").open("a") as file:
        file.write("2\td9\t1\n")
    with pytest.raises(CorpusError, match="'d9' is not in the corpus"):
        load_examples(source(beir))


def test_ir_datasets(tmp_path):
    import ir_datasets

    (tmp_path / "docs.tsv").write_text("d1\tone\nd2\ttwo\n")
    (tmp_path / "queries.tsv").write_text("1\tq\n2\tr\n")
    (tmp_path / "qrels").write_text("1 0 d1 1\n2 0 d2 1\n2 0 d1 0\n")
    dataset = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels"),
    )
    name = f"test-{uuid.uuid4().hex}"
    ir_datasets.registry.register(name, dataset)
    found = load_examples(source(f"ir-datasets:{name}")).items
    assert found == [Example("q", ("one",)), Example("r", ("two",))]


def examples(n, n_negatives=6):
    return [Example(f"q{i}", tuple(f"d{i}.{j}" for j in range(n_negatives + 1))) for i in range(n)]


def drawing(sources, **more):
    options = {"repeats": [1.0] * len(sources), "batch_size": 4, "negatives": 2, "seed": 3}
    return BatchSampler(sources, **{**options, **more})


def test_a_batch_depends_on_seed_and_number_only():
    sources = [examples(10), examples(9)]
    one, other = drawing(sources), drawing(sources)
    forwards = [one.batch(i) for i in range(12)]
    backwards = [other.batch(i) for i in reversed(range(12))][::-1]
    assert forwards == backwards
    assert forwards != [drawing(sources, seed=4).batch(i) for i in range(12)]
    assert len({str(batch) for batch in forwards}) == 12


def test_an_epoch_sees_every_example_once():
    drawn = drawing([examples(12)])
    seen = [pick.example for i in range(3) for pick in drawn.batch(i)]
    assert sorted(seen) == list(range(12))


def test_repeats_weigh_sources():
    drawn = drawing([examples(8), examples(8)], repeats=[2.0, 0.5])
    assert drawn.batches_per_epoch == 5
    picks = [(p.source, p.example) for i in range(5) for p in drawn.batch(i)]
    assert sum(s == 0 for s, _ in picks) == 16
    assert len({e for s, e in picks if s == 1}) == 4


def test_batches_of_one_source():
    drawn = drawing([examples(9), examples(9)], one_source=True)
    kinds = [{pick.source for pick in drawn.batch(i)} for i in range(drawn.batches_per_epoch)]
    assert all(len(kind) == 1 for kind in kinds)
    assert len(set().union(*kinds)) == 2


def test_stratified_negatives_come_one_from_each_part():
    drawn = drawing([examples(8)], negatives=3, draw="stratified")
    for i in range(6):
        for pick in drawn.batch(i):
            zero, a, b, c = pick.documents
            assert zero == 0
            assert 1 <= a <= 2 < b <= 4 < c <= 6


def test_negatives_as_far_as_there_are():
    drawn = drawing([examples(4, n_negatives=1)], negatives=5)
    assert {len(pick.documents) for pick in drawn.batch(0)} == {2}


def test_too_few_examples_for_a_batch():
    with pytest.raises(UsageError, match="only 3 examples"):
        drawing([examples(3)])


def test_collate():
    sources = [
        [
            Example("q", ("p", "n"), {"a": (3.0, 1.0), "b": (1.0, 0.0)}),
            Example("r", ("n",), {"b": (5.0,), "a": (7.0,)}),
        ]
    ]
    drawn = drawing(sources, batch_size=2)
    batch = collate(sorted(drawn.batch(0)), sources, None)
    assert batch.queries == ["q", "r"]
    assert batch.documents == ["p", "n", "n"]
    assert batch.groups.tolist() == [[0, 1], [2, -1]]
    assert batch.texts.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(batch.scores, [[[3, 1], [7, 0]], [[1, 0], [5, 0]]])
    with pytest.raises(DataError, match="no scores of the teacher 'c'"):
        collate(drawn.batch(0), sources, ["c"])


def test_real_pairs_load():
    from tests.shared import shared_path

    path = shared_path("data/pairs/wikiqa-train.jsonl.gz")
    found = load_examples(source(path, limit=100))
    assert len(found.items) == 100
    assert max(len(example.documents) for example in found.items) > 1
    assert found.fingerprint == load_examples(source(path, limit=100)).fingerprint
