"""Hard negatives through our own index: what is kept, how it is scored, and going on."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

from lsr.errors import UsageError  # noqa: E402
from lsr_training.mining import MiningOptions, mine  # noqa: E402
from lsr_training.mining import miner as miner_module  # noqa: E402
from lsr_training.mining.collection import MiningCollection  # noqa: E402
from lsr_training.recipe.schema import Source  # noqa: E402

PAIRS = [
    ("how do cats sleep", "Cats sleep curled up for most of the day."),
    ("how do cats sleep", "A cat sleeps twelve hours."),
    ("what do dogs eat", "Dogs eat meat and much else."),
    ("where do birds nest", "Birds nest in trees and hedges."),
    ("do cats eat birds", "Cats eat birds and mice."),
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"query": q, "positive": p}) + "\n" for q, p in PAIRS))
    return Source(path=str(path))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_negatives_rank_high_and_are_no_positive_of_the_query(source, tmp_path):
    result = mine(source, tmp_path / "out.jsonl", MiningOptions(negatives=2, teachers=["bm25"]))
    records = read(result.path)
    assert [(r["query"], r["positive"]) for r in records] == PAIRS
    positives = {q: {p for query, p in PAIRS if query == q} for q, _ in PAIRS}
    for record in records:
        assert not positives[record["query"]] & set(record["negatives"])
        positive, *negatives = record["scores"]["bm25"]
        assert negatives == sorted(negatives, reverse=True)
        assert positive > 0
    assert records[0]["negatives"][0] == "Cats eat birds and mice."
    assert result.n_negatives == sum(len(r["negatives"]) for r in records)


def test_scores_are_those_of_the_search(source, tmp_path):
    result = mine(source, tmp_path / "out.jsonl", MiningOptions(negatives=3, teachers=["bm25"]))
    (index,) = (tmp_path / "out.jsonl.mining").glob("*.index")
    from lsr_index.hybrid import Retriever

    with Retriever.open(index) as retriever:
        for record in read(result.path):
            found = {hit.text: hit.score for hit in retriever.search(record["query"], k=10).hits}
            texts = [record["positive"], *record["negatives"]]
            assert record["scores"]["bm25"] == pytest.approx([found[text] for text in texts])


def test_a_corpus_of_its_own_and_positives_it_lacks(source, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(
            json.dumps({"_id": f"d{i}", "text": text}) + "\n"
            for i, text in enumerate(
                ["Cats  eat birds and mice.", "Fish sleep too.", "Birds sing."]
            )
        )
    )
    out = tmp_path / "out.jsonl"
    mine(source, out, MiningOptions(negatives=9, teachers=["bm25"]), corpus=str(corpus))
    by_query = {r["query"]: r for r in read(out)}
    # The same text but for white space is the positive, not a negative.
    assert all("Cats" not in text or "mice" not in text
               for text in by_query["do cats eat birds"]["negatives"])  # fmt: skip
    assert "Fish sleep too." in by_query["how do cats sleep"]["negatives"]


def test_ratio_and_skipped_ranks_leave_out_the_best(source, tmp_path):
    usual = read(mine(source, tmp_path / "a.jsonl", MiningOptions()).path)
    skipping = read(mine(source, tmp_path / "b.jsonl", MiningOptions(skip_top=1)).path)
    for one, other in zip(usual, skipping, strict=True):
        assert other["negatives"] == one["negatives"][1:]
    strict = mine(
        source, tmp_path / "c.jsonl", MiningOptions(max_score_ratio=0.3, teachers=["bm25"])
    )
    for record in read(strict.path):
        positive, *negatives = record["scores"]["bm25"]
        assert all(score <= 0.3 * positive + 1e-6 for score in negatives)
    assert strict.n_negatives < sum(len(r["negatives"]) for r in usual)


def test_random_choice_is_the_same_every_time(source, tmp_path):
    options = MiningOptions(negatives=1, choice="random")
    runs = [read(mine(source, tmp_path / f"{i}.jsonl", options).path) for i in range(2)]
    assert runs[0] == runs[1]


def test_an_interrupted_job_goes_on(source, tmp_path, monkeypatch):
    monkeypatch.setattr(miner_module, "CHUNK", 2)
    options = MiningOptions(negatives=2, teachers=["bm25"])
    whole = mine(source, tmp_path / "whole.jsonl", options, work=tmp_path / "work")
    out = tmp_path / "out.jsonl"

    def stop(stage, done, total):
        if stage == "mining" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine(source, out, options, work=tmp_path / "work", progress=stop)
    assert not out.exists()
    with (tmp_path / "out.jsonl.part").open("ab") as file:
        file.write(b'{"half a rec')
    with pytest.raises(UsageError, match="other options"):
        mine(source, out, MiningOptions(negatives=1), work=tmp_path / "work")
    done = []
    mine(source, out, options, work=tmp_path / "work",
         progress=lambda stage, n, total: done.append((stage, n)))  # fmt: skip
    assert ("mining", 2) not in done
    assert out.read_bytes() == whole.path.read_bytes()
    assert sorted(p.name for p in tmp_path.glob("out.jsonl*")) == ["out.jsonl"]


def test_other_documents_are_indexed_anew(source, tmp_path):
    from lsr_training.data import Example

    silent = lambda stage, done, total: None  # noqa: E731
    first = MiningCollection(tmp_path / "work", [Example("q", ("cats sleep",))], None, silent)
    assert first.retriever("bm25").index.n_docs == 1
    first.close()
    examples = [Example("q", ("cats sleep",)), Example("r", ("dogs eat",))]
    second = MiningCollection(tmp_path / "work", examples, None, silent)
    assert second.retriever("bm25").index.n_docs == 2
    second.close()


@pytest.mark.parametrize(
    "options", [{"negatives": 0}, {"depth": 5, "skip_top": 5}, {"choice": "x"}]
)
def test_options_out_of_range(options):
    with pytest.raises(UsageError):
        MiningOptions(**options)


def test_output_that_cannot_be_written(source, tmp_path):
    (tmp_path / "there.jsonl").write_text("")
    for name in ("there.jsonl", "out.json", "none/out.jsonl"):
        with pytest.raises(UsageError):
            mine(source, tmp_path / name)
