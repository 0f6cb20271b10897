"""The path of a query: from `index.search("…")` to the kernel, in few files and never back up.

ARCHITECTURE.md draws it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import lsr
from lsr_index.search import execute
from tests.shared import ROOT

ROOMS = ["api", "hybrid", "search", "segment", "dense", "storage", "kernels"]
"""Of `lsr_index`, from the top down; what is in `lsr` (encoders, records) is below all of them."""

PATH = [
    "index/lsr_index/api/search_index.py",
    "index/lsr_index/hybrid/retriever.py",
    "index/lsr_index/hybrid/steps.py",
    "index/lsr_index/hybrid/run_branches.py",
    "index/lsr_index/hybrid/sparse_branch.py",
    "index/lsr_index/search/index.py",
    "index/lsr_index/search/execute.py",
    "index/lsr_index/kernels/score/search.py",
]


def file_of(frame: FrameType | None) -> str | None:
    """Return the file of a frame, where it is one of the product."""
    if frame is None:
        return None
    path = Path(frame.f_code.co_filename)
    inside = path.is_relative_to(ROOT) and ".venv" not in path.parts
    name = path.relative_to(ROOT).as_posix() if inside else ""
    return name if name.startswith(("index/lsr_index/", "lsr/")) else None


def room(name: str) -> int:
    """Return how far down a file is."""
    parts = name.split("/")
    return ROOMS.index(parts[2]) if parts[0] == "index" else len(ROOMS)


@contextmanager
def watched(calls: list[tuple[str, str]]) -> Iterator[None]:
    """Note the calls from one file of the product to another."""

    def note(frame: FrameType, event: str, argument: object) -> None:
        caller, callee = file_of(frame.f_back), file_of(frame)
        if event == "call" and caller and callee and caller != callee:
            calls.append((caller, callee))

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[lsr.SearchIndex]:
    docs = [{"id": str(at), "text": f"tea number {at}"} for at in range(50)]
    with lsr.create(tmp_path / "x.index", docs, encoder="bm25") as opened:
        opened.search("tea")  # loads what is loaded once
        yield opened


def test_the_kernel_is_eight_files_below_the_front_door(
    index: lsr.SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, chain = execute.search_batch_kernel, list[str]()

    def entered(*arguments: Any) -> Any:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            name = file_of(frame)
            if name is not None and (not chain or chain[-1] != name):
                chain.append(name)
            frame = frame.f_back
        return kernel(*arguments)

    monkeypatch.setattr(execute, "search_batch_kernel", entered)
    assert len(index.search("tea number")) == 10
    top_down = [*chain[::-1], "index/lsr_index/kernels/score/search.py"]
    assert top_down == PATH
    assert len(set(top_down)) == len(top_down) <= 8, "no file is entered twice"
    assert [room(name) for name in top_down] == sorted(map(room, top_down))


def test_no_call_of_a_search_goes_up(index: lsr.SearchIndex) -> None:
    calls: list[tuple[str, str]] = []
    with watched(calls):
        index.search("tea number", explain=True, filter={"$lenient": True, "n": 1})
        index.search("tea number", explain=True)
    assert len(calls) > 20
    up = {(caller, callee) for caller, callee in calls if room(callee) < room(caller)}
    assert up == set()


def test_the_architecture_draws_it() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("## The path of a query")[1].split("\n## ")[0]
    places = [section.find(name.removeprefix("index/lsr_index/")) for name in PATH]
    assert -1 not in places
    assert places == sorted(places)
