"""Names of indexes."""

from pathlib import Path

import pytest

from lsr.errors import UsageError
from lsr_service.engine.engine import Engine, UnknownIndexError, named_paths


def test_names_come_from_paths_or_are_given(tmp_path: Path) -> None:
    named = named_paths([str(tmp_path / "My Notes.index"), f"docs={tmp_path}/x", "a-b_c"])
    assert named == {
        "my-notes": tmp_path / "My Notes.index",
        "docs": tmp_path / "x",
        "a-b_c": Path("a-b_c"),
    }


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "k1=0.9.index"
    folder.mkdir()
    assert named_paths([str(folder)]) == {"k1-0-9": folder}


@pytest.mark.parametrize("argument", ["A=x", "=x", "a b=x", f"{'a' * 65}=x", "-a=x", "...", "ü=x"])
def test_refuses_names_that_are_not_allowed(argument: str) -> None:
    with pytest.raises(UsageError, match="cannot name an index"):
        named_paths([argument])


def test_refuses_the_same_name_twice() -> None:
    with pytest.raises(UsageError, match="two indexes are named 'a'"):
        named_paths(["x/a.index", "y/a"])


@pytest.mark.parametrize("name", ["", "..", "a/../b", "A", "a\x00", "a" * 65, "con ", "á", "a\n"])
def test_unknown_names_are_not_found(name: str) -> None:
    with pytest.raises(UnknownIndexError):
        Engine({}).get(name)
