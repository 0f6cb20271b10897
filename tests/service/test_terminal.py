"""What reaches a terminal: safe text, progress lines, snippets, lines to copy."""

import sys
from pathlib import Path

import pytest

from lsr_service.cli import terminal
from lsr_service.cli.hits import shortened
from lsr_service.cli.options import bytes_of, size
from lsr_service.cli.terminal import ProgressLines, counted, one_line, program, quoted, safe


def test_control_characters_of_documents_do_not_reach_the_terminal() -> None:
    hostile = "a\x1b[31mred\x07\x9b2J\u202eevil\rline\nnext\ttab"
    assert safe(hostile) == "a [31mred  2J evil line\nnext\ttab"
    assert one_line(hostile) == "a [31mred 2J evil line next tab"


def test_progress_lines_are_few_and_tell_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    show = ProgressLines()
    for done in range(200, 1001):  # resumed at 200, 16 documents a second
        show("encode", done, 1000)
        now += 1 / 16
    show("build", 0, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "encode …"
    assert lines[1] == "encode: 360 of 1,000, 16/s, 40 s left"
    assert lines[-2:] == ["encode: 1,000 of 1,000, 16/s", "build …"]
    assert len(lines) == 7


def test_a_total_that_was_too_small_an_estimate_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    show = ProgressLines()
    show("encode", 0, 900)
    now = 100.0
    show("encode", 1000, 900)
    assert capsys.readouterr().err.splitlines() == ["encode …", "encode: 1,000, 10/s"]


def test_snippet_is_where_most_terms_are() -> None:
    text = "filler words " * 60 + "here a LAMBDA expression is evaluated in order " + "tail " * 99
    found = shortened(text, ["lambda", "express", "evalu", "filler"]).plain
    assert "LAMBDA expression is evaluated" in found
    assert found.startswith("… ")
    assert found.endswith(" …")
    assert len(found) <= 244


@pytest.mark.parametrize("text", ["", "short", "x" * 5000, "no\nmatch " * 100])
def test_snippet_of_any_text_is_short(text: str) -> None:
    assert len(shortened(text, ["zzz"])) <= 244


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1), ("512M", 512 << 20), ("2GB", 2 << 30), ("1.5 gib", 3 << 29)]
)
def test_sizes(text: str, expected: int) -> None:
    assert bytes_of(text) == expected


def test_sizes_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1536, 5 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]


def test_lines_to_copy_work_in_the_same_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my env" / "bin" / "lsr"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "'my env/bin/lsr'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "lsr"
    monkeypatch.setattr(sys, "argv", ["/x/lsr/__main__.py"])
    assert program() == f"{quoted(sys.executable)} -m lsr"


@pytest.mark.parametrize(
    ("n", "said"), [(0, "0 documents"), (1, "1 document"), (2000, "2,000 documents")]
)
def test_a_noun_has_the_number_of_its_figure(n: int, said: str) -> None:
    assert counted(n, "document") == said
