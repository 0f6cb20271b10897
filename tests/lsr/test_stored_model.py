"""A model that an index names is loaded only when this user chose it, and never fetched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lsr.encoders import stored_model
from lsr.encoders.base import EncoderAssets
from lsr.encoders.neural.model_files import find_model, find_stored_model
from lsr.errors import ModelError
from tests.shared import ROOT

HUB = "nobody/no-such-model"
MODEL = {"kind": "splade", "name": HUB, "settings": {}, "digest": "0" * 64}
STORED = {
    "sparse": MODEL,
    "revision": MODEL | {"name": f"{HUB}@main"},
    "dense": {"kind": "dense", "name": HUB, "settings": {}, "digest": "0" * 64},
}

RESTORE = """
import json, sys
from lsr.encoders import restore_encoder
from lsr.encoders.base import EncoderAssets
from lsr.encoders.dense import restore_dense_encoder
from lsr.errors import ModelError
config = json.loads(sys.argv[1])
restore = restore_dense_encoder if config["kind"] != "splade" else restore_encoder
try: restore(EncoderAssets(config))
except ModelError as error: raise SystemExit(str(error))
"""


def restored(config: dict[str, object], **environment: str) -> str:
    """Restore an encoder in a process of its own; return what it was refused with."""
    done = subprocess.run(
        [sys.executable, "-c", RESTORE, json.dumps(config)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", STORED)
def test_a_stored_hub_id_contacts_nobody(kind: str, tmp_path: Path) -> None:
    config = dict(STORED[kind])
    if kind == "dense":
        from lsr.encoders.dense.encoder import KIND

        config["kind"] = KIND
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(0.1)
        told = restored(
            config,
            HF_ENDPOINT=f"http://127.0.0.1:{hub.getsockname()[1]}",
            HF_HOME=str(tmp_path),
            HF_TOKEN="hf_secret",
        )
        with pytest.raises(TimeoutError):
            hub.accept()
    assert f"hf download {HUB}" in told
    assert "give it as the encoder" in told


def test_a_folder_is_read_when_this_user_named_it_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(stored_model, "_named", set())
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir(), other.mkdir()
    with pytest.raises(ModelError, match="was not used on this machine"):
        find_stored_model(str(mine))
    find_model(mine)
    monkeypatch.setattr(stored_model, "_named", set())  # as in another process
    assert find_stored_model(str(mine)) == mine
    for name in (str(other), str(mine / ".." / "other"), "./mine", "//host/share", "mine"):
        with pytest.raises(ModelError, match="was not used on this machine"):
            find_stored_model(name)
    mine.rmdir()
    with pytest.raises(ModelError, match="no such folder"):
        find_stored_model(str(mine))


def test_a_variable_names_folders_that_indexes_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_model, "_named", set())
    allowed, model = tmp_path / "models", tmp_path / "models" / "a"
    model.mkdir(parents=True)
    monkeypatch.setenv(stored_model.FOLDERS_VARIABLE, f"/nowhere{os.pathsep}{allowed}")
    assert find_stored_model(str(model)) == model
    for name in (str(tmp_path), f"{allowed}/../state", f"{allowed}x"):
        with pytest.raises(ModelError):
            find_stored_model(name)


def test_a_home_that_cannot_be_written_to_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(stored_model, "_named", set())
    (tmp_path / "model").mkdir()
    find_model(tmp_path / "model")
    assert find_stored_model(str(tmp_path / "model")) == tmp_path / "model"


def test_settings_of_a_stranger_do_not_choose_where_a_model_lies(tmp_path: Path) -> None:
    from lsr.encoders import restore_encoder
    from lsr.errors import IndexFormatError

    named = tmp_path / "model"
    named.mkdir()
    find_model(named)
    settings = {"folder": str(tmp_path), "name": "bert"}
    with pytest.raises(IndexFormatError):
        restore_encoder(EncoderAssets(MODEL | {"name": str(named), "settings": settings}))
