"""Pickled weights to safetensors: what is converted, and what is refused."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lsr.encoders.neural.convert import convert_weights, main
from lsr.errors import ModelError, UsageError
from tests.lsr.tiny_models import write_json


def test_shared_and_strided_tensors_keep_name_and_value(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"a": base, "tied": base, "view": base[1:], "turned": base.T, "ids": torch.arange(3)}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert convert_weights(tmp_path) == [tmp_path / "model.safetensors"]
    written = load_file(tmp_path / "model.safetensors")
    assert set(written) == set(tensors)
    assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())
    mode = (tmp_path / "pytorch_model.bin").stat().st_mode
    assert (tmp_path / "model.safetensors").stat().st_mode == mode
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.safetensors",
        "pytorch_model.bin",
    ]


def test_parts_get_an_index(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model-1.bin")
    torch.save({"b": torch.ones(3)}, tmp_path / "pytorch_model-2.bin")
    weight_map = {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}
    index = tmp_path / "pytorch_model.bin.index.json"
    write_json(index, {"weight_map": weight_map})
    *parts, made = convert_weights(tmp_path)
    assert made.name == "model.safetensors.index.json"
    assert [set(load_file(part)) for part in parts] == [{"a"}, {"b"}]
    assert parts[1].name in made.read_text()


class Payload:
    """What an attacker would store: a call, made while unpickling."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"w": x}], ids=["bare", "as a tensor"])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, wrap: object) -> None:
    marker = tmp_path / "ran"
    torch.save(wrap(Payload(marker)), tmp_path / "pytorch_model.bin")  # type: ignore[operator]
    with pytest.raises(ModelError, match="cannot be converted") as caught:
        convert_weights(tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    "content", [{"w": 3}, {"w": torch.tensor([1.0, float("nan")])}, {}],
    ids=["a number", "not finite", "empty"],
)  # fmt: skip
def test_anything_but_finite_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError):
        convert_weights(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"]


def test_a_damaged_file_and_a_missing_part(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle")
    with pytest.raises(ModelError, match="cannot be converted"):
        convert_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "part.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    write_json(index, {"weight_map": {"a": "other.bin"}})
    with pytest.raises(ModelError, match=r"names other\.bin"):
        convert_weights(tmp_path)
    write_json(index, {})
    with pytest.raises(ModelError, match="expected a weight_map"):
        convert_weights(tmp_path)


def test_nothing_to_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="nothing to convert"):
        convert_weights(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UsageError, match="safetensors weights already"):
        convert_weights(tmp_path)
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "nothing")]) == 1
    assert main([]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
