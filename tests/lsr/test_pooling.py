"""The tiled projection against the formula written down as it reads."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lsr.encoders.neural import pooling as module
from lsr.encoders.neural.pooling import Projection


def projection(n_terms: int = 300, n_hidden: int = 16, **changes: object) -> Projection:
    torch.manual_seed(1)
    fields: dict[str, object] = {
        "weight": torch.randn(n_terms, n_hidden),
        "bias": torch.randn(n_terms) - 2,
        "pooling": "max",
        "activation": "relu",
        "dropped": torch.tensor([], dtype=torch.int64),
    }
    return Projection(**{**fields, **changes})  # type: ignore[arg-type]


def as_written(p: Projection, states: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    rows = []
    for text in states.split(lengths):
        weights = torch.log1p(torch.relu(text @ p.weight.T + p.bias))
        if p.activation == "log1p_relu":
            weights = torch.log1p(weights)
        rows.append(weights.amax(0) if p.pooling == "max" else weights.sum(0))
    dense = torch.stack(rows)
    dense[:, p.dropped] = 0
    return dense


def dense(p: Projection, states: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    vectors = p.vectors(states, lengths)
    return torch.from_numpy(vectors.to_scipy(p.n_terms).toarray())


LENGTHS = {
    "one text": [7],
    "one token": [1],
    "uneven": [40, 33, 33, 9, 2, 1],
    "longer than a tile": [900, 520, 512, 3],
    "many short": [3] * 400,
}


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
def test_equals_the_formula(
    pooling: str, activation: str, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TILE_BYTES", 1 << 14)  # several blocks of terms, the last cut
    p = projection(pooling=pooling, activation=activation)
    states = torch.randn(sum(lengths), 16)
    expected = as_written(p, states, lengths)
    torch.testing.assert_close(dense(p, states, lengths), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_the_way_of_a_gpu_gives_the_same(pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GPU_TILE_BYTES", 1 << 16)
    monkeypatch.setattr(module, "_pool_flat", module._pool_padded)
    p = projection(pooling=pooling)
    lengths = LENGTHS["uneven"]
    states = torch.randn(sum(lengths), 16)
    expected = as_written(p, states, lengths)
    torch.testing.assert_close(dense(p, states, lengths), expected, atol=1e-4, rtol=1e-5)


def test_dropped_terms_have_no_weight() -> None:
    p = projection(bias=torch.ones(300), dropped=torch.tensor([0, 7, 299]))
    vectors = p.vectors(torch.randn(9, 16), [4, 5])
    assert not {0, 7, 299} & set(vectors.indices.tolist())
    assert vectors.nnz > 0


def test_nothing_active_gives_empty_vectors() -> None:
    p = projection(bias=torch.full((300,), -1e6))
    vectors = p.vectors(torch.randn(9, 16), [4, 5])
    assert (len(vectors), vectors.nnz) == (2, 0)


class LargestTensor(TorchDispatchMode):
    """Record the largest tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_never_writes_all_logits_down(pooling: str) -> None:
    p = projection(n_terms=30_000, pooling=pooling)
    lengths = [256] * 8
    with LargestTensor() as largest:
        p.vectors(torch.randn(sum(lengths), 16), lengths)
    assert 8 * 30_000 <= largest.elements < 2 * module.TILE_BYTES // 4 < sum(lengths) * 30_000 // 50
