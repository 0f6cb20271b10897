"""Which model folders are loaded, and what is said of those that are not."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lsr.encoders.neural.model_files import find_model, weight_files, weights_sha256
from lsr.encoders.neural.splade import load_splade
from lsr.encoders.neural.splade_layout import read_layout
from lsr.errors import MissingDependencyError, ModelError, PickleWeightsError
from tests.lsr.tiny_models import (
    edit_json,
    save_model,
    save_router,
    save_sentence_transformers,
    write_json,
)
from tests.shared import run_python


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


def to_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def without_head(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    kept = {name: t for name, t in tensors.items() if "predictions.transform" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def truncated(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", **changes)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def writing(name: str, content: object) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / name, content)


BROKEN = {
    "no config": (without("config.json"), "no config.json"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "cannot be read as JSON"),
    "config is a list": (writing("config.json", []), "expected a JSON object"),
    "no weights": (without("model.safetensors"), "no weights; expected model.safetensors"),
    "weights cut off": (truncated, "cannot be loaded"),
    "no head": (without_head, "the weights lack"),
    "other sizes": (config(hidden_size=48), "cannot be loaded"),
    "own code": (config(auto_map={"AutoModel": "a/b--x.Y"}), "auto_map"),
    "own tokenizer code": (writing("tokenizer_config.json", {"auto_map": {"x": 1}}), "auto_map"),
    "kernels": (config(_attn_implementation="someone/kernel"), "code from elsewhere"),
    "kernels by part": (config(_attn_implementation_internal={"": "a/b"}), "code from elsewhere"),
    "a classifier": (config(architectures=["BertModel"]), "supported: BertForMaskedLM"),
    "no architecture": (config(architectures=None), "architecture missing"),
    "two kinds": (config(model_type="roberta"), "model_type 'roberta'"),
    "quantised": (config(quantization_config={"bits": 4}), "merge them first"),
    "an adapter": (writing("adapter_config.json", {}), "merge them first"),
    "no tokenizer": (without("tokenizer.json"), "no usable tokenizer"),
    "tokenizer is no JSON": (writing("tokenizer.json", []), "no usable tokenizer"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_folders_are_refused_in_one_line(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_splade(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_folder_and_no_hub_id(tmp_path: Path) -> None:
    for name in (tmp_path / "nothing", "./nothing/there", "word", "a/b/c"):
        with pytest.raises(ModelError, match="no such folder, and not a hub id"):
            find_model(name)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file"):
        find_model(tmp_path / "file")


def test_unknown_hub_id_without_network_is_one_line_at_once(tmp_path: Path) -> None:
    code = (
        "from lsr.encoders.neural.model_files import find_model\n"
        "from lsr.errors import ModelError\n"
        "try: find_model('nobody/no-such-model')\n"
        "except ModelError as error: raise SystemExit(str(error))\n"
    )
    # Nothing listens on the discard port: the connection is refused, as without a network.
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("nobody/no-such-model: no such local folder")
    assert "hf download nobody/no-such-model" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert time.monotonic() - started < 60


def test_weights_in_parts(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    half = len(names) // 2
    parts = {"model-1.safetensors": names[:half], "model-2.safetensors": names[half:]}
    (folder / "model.safetensors").unlink()
    for part, held in parts.items():
        save_file({n: tensors[n] for n in held}, folder / part, metadata={"format": "pt"})
    weight_map = {name: part for part, held in parts.items() for name in held}
    index = folder / "model.safetensors.index.json"
    write_json(index, {"metadata": {}, "weight_map": weight_map})
    assert [path.name for path in weight_files(folder)] == list(parts)
    assert load_splade(folder).encode_queries(["the man"]).nnz > 0
    digest = weights_sha256(folder)
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"names model-2\.safetensors, which is not in the folder"):
        load_splade(folder)
    write_json(index, {"weight_map": {"x": "../model-1.safetensors"}})
    with pytest.raises(ModelError, match="not in the folder"):
        weight_files(folder)
    assert len(digest) == 64


def test_digest_of_one_file_is_its_sha256(folder: Path) -> None:
    import hashlib

    content = (folder / "model.safetensors").read_bytes()
    assert weights_sha256(folder) == hashlib.sha256(content).hexdigest()


def test_pickled_weights_name_the_command_that_converts_them(folder: Path) -> None:
    expected = load_splade(folder).encode_queries(["the man"])
    to_pickle(folder)
    with pytest.raises(PickleWeightsError) as caught:
        load_splade(folder)
    command = f"python -m lsr.encoders.neural.convert {folder}"
    assert command in str(caught.value)
    done = subprocess.run(
        [sys.executable, *command.split()[1:]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(folder / "model.safetensors")
    assert load_splade(folder).encode_queries(["the man"]).values == pytest.approx(
        expected.values, abs=1e-6
    )


def test_without_torch_the_extra_is_named(model: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        "from lsr.encoders.neural.splade import load_splade\n"
        "from lsr.errors import MissingDependencyError\n"
        f"try: load_splade({str(model)!r})\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    assert "[torch]" in run_python(code)
    assert issubclass(MissingDependencyError, ImportError)


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / name)


BROKEN_LAYOUTS = {
    "no list": (writing("modules.json", {}), "expected a list of modules"),
    "outside": (
        writing("modules.json", [{"type": "x.Router", "path": "../elsewhere"}]),
        "outside of the model's folder",
    ),
    "dense": (
        writing("modules.json", [{"type": "x.Transformer"}, {"type": "x.Pooling"}]),
        "modules Transformer, Pooling are not supported",
    ),
    "pooling": (
        writing("1_SpladePooling/config.json", {"pooling_strategy": "mean"}),
        "pooling_strategy = 'mean', expected one of max, sum",
    ),
    "activation": (
        writing("1_SpladePooling/config.json", {"activation_function": "gelu"}),
        "activation_function = 'gelu'",
    ),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN_LAYOUTS.values(), ids=BROKEN_LAYOUTS.keys())
def test_broken_sentence_transformers_repositories(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = save_sentence_transformers(tmp_path / "model")
    damage(folder)
    with pytest.raises(ModelError, match=message):
        read_layout(folder)


def test_broken_routers(tmp_path: Path) -> None:
    folder = save_router(tmp_path / "model")
    with pytest.raises(ModelError, match="no weights of the query side"):
        read_layout(folder)
    edit_json(folder / "router_config.json", structure={"query": []})
    with pytest.raises(ModelError, match="no route for document"):
        read_layout(folder)
    edit_json(folder / "router_config.json", types=None)
    with pytest.raises(ModelError, match="expected the keys types and structure"):
        read_layout(folder)


def test_older_names_of_modules_are_known(tmp_path: Path) -> None:
    folder = save_router(tmp_path / "model")
    write_json(folder / "modules.json", [{"type": "sentence_transformers.models.Asym", "path": ""}])
    write_json(folder / "query_0_SparseStaticEmbedding" / "config.json", {"path": "idf.json"})
    write_json(folder / "idf.json", {"the": 1.0})
    layout = read_layout(folder)
    assert layout.document.folder.name == "document_0_MLMTransformer"
    assert layout.query.table == folder / "idf.json"  # type: ignore[union-attr]
