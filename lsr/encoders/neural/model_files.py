"""Model files: finding them, and deciding whether they may be loaded. No torch here.

A name is a local folder or, when no such path exists, a hub id ``owner/model`` or
``owner/model@revision``. Weights are read from safetensors only, configurations must name an
architecture of the allow-list, and nothing that would run code from the folder or fetch from
another repository is accepted (CVE-2026-4372 ran code through one field of ``config.json``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lsr.encoders.stored_model import remember_folder, require_named
from lsr.errors import MissingDependencyError, ModelError, PickleWeightsError, first_line
from lsr.models import packaged_model

FAMILIES = {
    "Bert": "bert",
    "Camembert": "camembert",
    "DistilBert": "distilbert",
    "Electra": "electra",
    "ModernBert": "modernbert",
    "MPNet": "mpnet",
    "Roberta": "roberta",
    "XLMRoberta": "xlm-roberta",
}
"""Stem of the class names to ``model_type``: encoders whose code is part of transformers."""
ARCHITECTURES = {f"{stem}ForMaskedLM": model_type for stem, model_type in FAMILIES.items()}
"""Architecture to ``model_type``: the masked language models whose output layer is known to be the
last operation (a test compares each with its own forward pass)."""

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)
_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_HUB_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")
_ATTENTION = {None, True, False, "eager", "sdpa", "flash_attention_2"}
# Fields that change with every save and never change a vector.
_VOLATILE = {"transformers_version", "_name_or_path", "torch_dtype", "dtype", "use_cache"}


def find_model(name: str | Path) -> Path:
    """Return the folder of a model: packaged, local, or fetched from the hub; raises ModelError."""
    packaged = packaged_model(str(name))
    if packaged is not None:
        return packaged
    path = Path(name).expanduser()
    if path.is_dir():
        folder = path.resolve()
        remember_folder(folder)
        return folder
    if path.exists():
        raise ModelError(f"{path}: is a file, expected the folder of a model")
    match = _HUB_ID.fullmatch(str(name))
    if match is None or str(name).startswith("."):
        raise ModelError(
            f"{name}: no such folder, and not a hub id (owner/model) either; "
            "name a folder with config.json and model.safetensors"
        )
    return _from_hub(match["id"], match["revision"])


def find_stored_model(name: str) -> Path:
    """Return the folder of the model that an index names, without network access.

    A stranger may have made the index: see `lsr.encoders.stored_model`. Raises ModelError when the
    model is not here, or nobody on this machine chose it.
    """
    packaged = packaged_model(name)
    if packaged is not None:
        return packaged
    match = _HUB_ID.fullmatch(name)
    if match is None or name.startswith("."):
        return require_named(name)
    return _from_hub(match["id"], match["revision"], fetch=False)


def lasting_name(name: str | Path, folder: Path) -> str:
    """Return a model's name for any working folder: `folder` where the name is its path."""
    return str(folder) if Path(name).expanduser().resolve() == folder else str(name)


def _from_hub(hub_id: str, revision: str | None, *, fetch: bool = True) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise MissingDependencyError(f"fetching {hub_id} from the hub", "torch") from error
    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=list(_HUB_PATTERNS),
                tqdm_class=None,
                local_files_only=not fetch,
                token=None if fetch else False,
            )
        )
    except RepositoryNotFoundError:
        reason = "the hub has no such model, or it needs a token (hf auth login)"
    except RevisionNotFoundError:
        reason = f"the model has no revision {revision!r}"
    except LocalEntryNotFoundError:
        if not fetch:
            raise ModelError(
                f"the index names the model {hub_id} of the hub, which is not in the local cache; "
                "an index does not make this program fetch a model: if you trust it, fetch it "
                f"once (hf download {hub_id}), or give it as the encoder"
            ) from None
        reason = "no such local folder, not in the local cache, and the hub cannot be reached"
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = f"cannot be fetched from the hub ({first_line(error)})"
    raise ModelError(
        f"{hub_id}: {reason}; name a local folder, or fetch the model on a machine with network: "
        f"hf download {hub_id} --local-dir FOLDER"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent file is an empty one. Raises ModelError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def check_architecture(folder: Path, allowed: Mapping[str, str] = ARCHITECTURES) -> str:
    """Return the architecture that a folder's configuration names, if `allowed` has it.

    Raises ModelError without a configuration, for another architecture, and when the configuration
    asks for code or files from elsewhere.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder}: no config.json, so this is not the folder of a model")
    config = read_json(path)
    tokenizer = folder / "tokenizer_config.json"
    for file, content in ((path, config), (tokenizer, read_json(tokenizer))):
        if content.get("auto_map"):
            raise ModelError(
                f"{file}: the model brings its own code (auto_map), which is never run; "
                "use a model whose architecture is built into transformers"
            )
    for key, value in config.items():
        if "attn_implementation" in key and (
            isinstance(value, dict | list) or value not in _ATTENTION
        ):
            raise ModelError(f"{path}: {key} = {value!r} names code from elsewhere; remove the key")
    adapter = folder / "adapter_config.json"
    if "quantization_config" in config or adapter.exists():
        where = adapter if adapter.exists() else path
        raise ModelError(f"{where}: quantised weights and adapters are not read; merge them first")
    named = config.get("architectures") or []
    for architecture in named:
        if allowed.get(architecture) == config.get("model_type"):
            return str(architecture)
    raise ModelError(
        f"{path}: architecture {', '.join(map(str, named)) or 'missing'} "
        f"(model_type {config.get('model_type')!r}) cannot be an encoder; "
        f"supported: {', '.join(sorted(allowed))}"
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the sorted safetensors files of a folder's weights.

    Raises PickleWeightsError for pickled weights only, ModelError for none or a missing part.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if index.is_file():
        names = sorted(set(dict(read_json(index).get("weight_map") or {}).values()))
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise ModelError(f"{index}: names {name}, which is not in the folder")
        if names:
            return [folder / name for name in names]
    for pickle in PICKLES:
        if (folder / pickle).is_file():
            raise PickleWeightsError(
                f"{folder}: holds pickled weights only ({pickle}), which are not loaded because a "
                "pickle can run code; convert them once: "
                f"python -m lsr.encoders.neural.convert {folder}"
            )
    raise ModelError(f"{folder}: no weights; expected {WEIGHTS} beside config.json")


def sha256_of(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of one file, or of the names and SHA-256 of several, in hexadecimal."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    if len(digests) == 1:
        return digests[0][1]
    return _sha256_json(digests)


def weights_sha256(folder: Path) -> str:
    """Return the digest of the weights: for a single file, what ``sha256sum`` prints."""
    return sha256_of(weight_files(folder))


def tokenizer_sha256(folder: Path) -> str:
    """Return the digest of the tokenizer's files; raises ModelError."""
    present = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not any(path.name != "tokenizer_config.json" for path in present):
        raise ModelError(f"{folder}: no tokenizer; expected tokenizer.json beside config.json")
    return sha256_of(present)


def model_digests(folder: Path) -> dict[str, str]:
    """Return what identifies the model of a folder in a fingerprint; hashes the weights."""
    return {
        "model": weights_sha256(folder),
        "architecture": config_sha256(folder),
        "tokenizer": tokenizer_sha256(folder),
    }


def config_sha256(folder: Path) -> str:
    """Return the digest of what a configuration says about the model's shape."""
    config = read_json(folder / "config.json")
    return _sha256_json({key: value for key, value in config.items() if key not in _VOLATILE})


def _sha256_json(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
