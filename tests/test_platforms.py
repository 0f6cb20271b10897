"""The modules that only some systems have are not needed: as on Windows and on macOS."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.shared import run_python

HIDE = """
import os, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN:
            raise ImportError(f"{name} is hidden by a test")

HIDDEN = set(sys.argv[2].split(","))
for name in HIDDEN:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
for name in sys.argv[3].split(","):
    if hasattr(os, name):
        delattr(os, name)
"""

WORK = """
import contextlib
from pathlib import Path
from lsr_service.cli import main  # the whole program
import lsr_service.http.server
import lsr_eval.bench.machine
from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.records import Document
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever
from lsr_index.update.snapshot import snapshot
from lsr_index.update.text_writer import IndexUpdater
folder = Path(sys.argv[1])
(folder / "c.jsonl").write_text('{"_id": "1", "text": "tea"}\\n{"_id": "2", "text": "milk"}\\n')
path = folder / "x"
index_corpus(open_corpus(folder / "c.jsonl"), load_encoder(sys.argv[4]), path,
             memory_bytes=1 << 20).close()
with IndexUpdater(path) as updater:
    updater.add([Document("3", "tea and milk", "", {})])
    updater.commit()
    updater.compact()
snapshot(path, folder / "copy")
with Retriever.open(folder / "copy") as retriever:
    print(sorted(hit.id for hit in retriever.search("tea").hits[:2]))
"""

POSIX_MODULES = "fcntl,resource,pwd,grp,termios"
POSIX_NAMES = (
    "statvfs,preadv,pwrite,fork,register_at_fork,geteuid,getuid,"
    "O_NOFOLLOW,O_NONBLOCK,O_DIRECTORY,O_CLOEXEC"
)


@pytest.mark.parametrize("encoder", ["bm25", "lsr-tiny-en"])
def test_without_what_windows_lacks(tmp_path: Path, encoder: str) -> None:
    found = run_python(HIDE + WORK, tmp_path, POSIX_MODULES, POSIX_NAMES, encoder)
    assert found.strip() == "['1', '3']"


MACOS = """
import fcntl, os, sys
sys.platform = "darwin"
fcntl.F_FULLFSYNC = 51
asked = []
fcntl.fcntl = lambda handle, command: asked.append(command) or 0
from pathlib import Path
from lsr.own_files import sync_file
with open(Path(sys.argv[1]) / "x", "wb") as file:
    sync_file(file.fileno())
def unsupported(handle, command): raise OSError(45, "not supported")
fcntl.fcntl = unsupported
synced = []
os.fsync = synced.append
with open(Path(sys.argv[1]) / "x", "wb") as file:
    sync_file(file.fileno())
print(asked, len(synced))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fcntl to ask")
def test_macos_is_asked_to_empty_the_cache_of_the_drive(tmp_path: Path) -> None:
    assert run_python(MACOS, tmp_path).strip() == "[51] 1"
