"""Training on a part of the vocabulary: what is exact in it, and what is right on average."""

import gzip
import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [torch]")

import numpy as np  # noqa: E402

from lsr.errors import CorpusError  # noqa: E402
from tests.lsr.tiny_models import save_model  # noqa: E402
from training.default_model.groups import draw_groups  # noqa: E402
from training.default_model.learning import _scale  # noqa: E402
from training.default_model.pool import Pool, Source, read_pool  # noqa: E402
from training.default_model.student import (  # noqa: E402
    Columns,
    Student,
    choose_columns,
    sampled_flops,
    sampled_nnz,
)
from training.models.backbone import load_backbone  # noqa: E402
from training.regularisers import flops  # noqa: E402

ROWS = [np.array([2, 7, 9, 3]), np.array([2, 8, 3]), np.array([2, 11, 12, 13, 9, 3])]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = save_model(tmp_path_factory.mktemp("model") / "tiny")
    return Student(load_backbone(str(folder))[0]).eval()


def all_columns(student):
    return Columns(torch.arange(student.backbone.n_terms), 0, 1.0)


def gradients(student, columns, chosen):
    student.zero_grad()
    vectors = student(ROWS, columns)
    (vectors[:, chosen] * torch.arange(1.0, 1 + len(chosen))).sum().backward()
    return vectors[:, chosen], {n: p.grad.clone() for n, p in student.named_parameters()}


def test_scores_and_gradients_of_some_terms_are_those_of_the_whole_vocabulary(student):
    with torch.no_grad():
        active = student(ROWS, all_columns(student)).amax(dim=0).topk(3).indices
    wanted = np.sort(active.numpy())
    columns = choose_columns(
        wanted, np.arange(student.backbone.n_terms), 6, np.random.default_rng(0)
    )
    assert (columns.n_exact, len(columns.ids)) == (3, 9)
    some, of_some = gradients(student, columns, [0, 1, 2])
    whole, of_whole = gradients(student, all_columns(student), wanted.tolist())
    assert some.max() > 0
    torch.testing.assert_close(some, whole)
    for name, gradient in of_whole.items():
        torch.testing.assert_close(of_some[name], gradient, rtol=1e-4, atol=1e-6)


def test_sampled_penalty_is_right_on_average_and_rests_below_the_threshold(student):
    with torch.no_grad():
        whole = student(ROWS, all_columns(student))
        allowed = np.arange(student.backbone.n_terms)
        rng = np.random.default_rng(1)
        drawn = [choose_columns(np.array([5, 9]), allowed, 8, rng) for _ in range(400)]
        found = [float(sampled_flops(whole[:, c.ids], c, 0)) for c in drawn]
        counted = [float(sampled_nnz(whole[:, c.ids], c).mean()) for c in drawn]
    assert np.mean(found) == pytest.approx(float(flops(whole)), rel=0.1)
    assert np.mean(counted) == pytest.approx(float((whole > 0).float().sum(1).mean()), rel=0.1)
    assert float(sampled_flops(whole, all_columns(student), 10_000)) == 0


def test_only_the_shape_of_scores_counts_and_equal_ones_have_a_gradient():
    target = torch.tensor([[0.0, 5.0, 10.0], [1.0, 2.0, 3.0]])
    scores = torch.tensor([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]], requires_grad=True)
    valid = torch.ones(2, 3, dtype=torch.bool)
    scaled = scores * _scale(scores, target, valid)
    torch.testing.assert_close(scaled[0].std(), target[0].std(), rtol=1e-3, atol=1e-3)
    scaled[:, 0].sum().backward()
    assert torch.isfinite(scores.grad).all()


def test_a_sentence_is_not_trained_against_the_document_it_came_from():
    pool = Pool(
        documents=[f"document {i}" for i in range(8)],
        queries=[f"query {i}" for i in range(6)],
        positives=[0, 1, 2, None, None, None],
        origins=[None, None, None, 3, 4, 5],
        sources=[0, 0, 0, 1, 1, 1],
    )
    ranked = [np.tile(np.arange(8, dtype=np.int32), (6, 1))]
    groups = list(
        draw_groups(
            pool,
            ranked,
            np.array(pool.sources),
            queries=3,
            documents=3,
            rng=np.random.default_rng(0),
        )
    )
    assert len(groups) == 2
    for group in groups:
        kind = {pool.sources[q] for q in group.queries}
        assert len(kind) == 1
        for row, query in enumerate(group.queries):
            origin, positive = pool.origins[query], pool.positives[query]
            assert group.barred[row].tolist() == [d == origin for d in group.documents]
            place = group.positive[row]
            assert (place == -1) == (positive is None)
            assert positive is None or group.documents[place] == positive


def test_pool_holds_out_the_first_records_and_says_what_is_missing(tmp_path):
    lines = [
        json.dumps({"query": f"q{i}", "positive": f"Some words {i}. " + "More words here now " * 3})
        for i in range(20)
    ]
    with gzip.open(tmp_path / "one.jsonl.gz", "wt") as file:
        file.write("\n".join(lines))
    first = read_pool(tmp_path, [Source("one", held_out=0, used=5)])
    rest = read_pool(tmp_path, [Source("one", held_out=5, used=15, sentences=4)])
    assert not set(first.queries) & set(rest.queries)
    assert len(rest.queries) == 19
    assert [p is None for p in rest.positives] == [False] * 15 + [True] * 4
    with pytest.raises(CorpusError, match="holds 15 records to use, expected 30"):
        read_pool(tmp_path, [Source("one", held_out=5, used=30)])
    with gzip.open(tmp_path / "blank.jsonl.gz", "wt") as file:
        file.write(json.dumps({"query": "q", "positive": " "}))
    with pytest.raises(CorpusError, match="both with text"):
        read_pool(tmp_path, [Source("blank", held_out=0, used=1)])
    with pytest.raises(CorpusError, match="cannot be read"):
        read_pool(tmp_path, [Source("two", held_out=0, used=1)])
