"""The documents name only what exists: paths, make targets, modules, commands and their options."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from lsr_service.cli.main import app
from tests.shared import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = ("lsr/", "index/", "service/", "training/", "eval/", "tests/", "docs/", ".ci/")
SOURCE_ROOTS = ("lsr", *(f"{name}/lsr_{name}" for name in ("index", "eval", "training", "service")))
NOT_IN_THE_TREE = ("../shared", "eval/lsr_eval/results/")


def code_spans(text: str) -> list[str]:
    """Return inline code and the lines of fenced blocks."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    without = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [
        *re.findall(r"`([^`\n]+)`", without),
        *(line for block in fenced for line in block.replace("\\\n", " ").splitlines()),
    ]


def paths_named(text: str) -> set[str]:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    spans = [span.strip().rstrip(".,;:") for span in code_spans(text)]
    inline = [
        s
        for s in spans
        if re.fullmatch(r"[\w./*{},-]+", s)
        and (s.startswith(FOLDERS) or re.fullmatch(r"[a-z_/]+/[a-z_]+\.py", s))
    ]
    return {p for p in (*links, *inline) if not p.startswith(NOT_IN_THE_TREE)}


def commands_named(text: str, program: str) -> list[list[str]]:
    found = []
    for span in code_spans(text):
        line = re.sub(r"^\s*(\$ |\.venv/bin/)+", "", span.split(" # ")[0]).strip()
        if line == program or line.startswith(program + " "):
            try:
                found.append(shlex.split(re.split(r"\s[|>&]", line)[0]))
            except ValueError:
                pytest.fail(f"not a command line: {span}")
    return found


def verbs() -> dict[str, Any]:
    """Return the commands of ``lsr`` by name."""
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    return commands


def expand(path: str) -> list[str]:
    """Expand one level of ``{a,b}``, as a shell would."""
    match = re.search(r"\{([^}]*)\}", path)
    if match is None:
        return [path]
    return [path[: match.start()] + part + path[match.end() :] for part in match[1].split(",")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
class TestDocument:
    def test_paths_exist(self, document: Path) -> None:
        for named in paths_named(document.read_text(encoding="utf-8")):
            for path in expand(named):
                bases = {ROOT, document.parent, *(ROOT / root for root in SOURCE_ROOTS)}
                there = any(any(base.glob(path)) for base in bases)
                assert there, f"{document.name} names {path}, which does not exist"

    def test_make_targets_exist(self, document: Path) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        for words in commands_named(document.read_text(encoding="utf-8"), "make"):
            named = [w for w in words[1:] if "=" not in w and not w.startswith("-")]
            assert set(named) <= targets, f"{document.name}: {shlex.join(words)}"

    def test_modules_exist(self, document: Path) -> None:
        for words in commands_named(document.read_text(encoding="utf-8"), "python"):
            if words[1:2] == ["-m"]:
                assert importlib.util.find_spec(words[2]), f"{document.name}: {shlex.join(words)}"

    def test_commands_and_options_exist(self, document: Path) -> None:
        known_verbs = verbs()
        for words in commands_named(document.read_text(encoding="utf-8"), "lsr"):
            for verb in words[1].split("|") if len(words) > 1 else []:
                if verb.startswith(("-", "[", "…")):
                    continue
                command = known_verbs.get(verb)
                assert command, f"{document.name}: no such command: {shlex.join(words)}"
                known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
                used = {w.split("=")[0] for w in words[2:] if re.match(r"--?[a-z]", w)}
                missing = used - known - {"--help"}
                assert not missing, f"{document.name}: {shlex.join(words)}: no option {missing}"


def test_command_reference_is_what_the_commands_say(tmp_path: Path) -> None:
    written = tmp_path / "cli.md"
    options = ["--name", "lsr", "--title", "Command line", "--output", str(written)]
    subprocess.run(
        [sys.executable, "-m", "typer", "lsr_service.cli.main", "utils", "docs", *options],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    expected = written.read_text(encoding="utf-8")
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == expected, "run: make docs"


def test_every_command_and_option_has_help() -> None:
    for name, command in verbs().items():
        assert command.help, f"lsr {name} has no help text"
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert parameter.help, f"lsr {name} {parameter.opts[0]} has no help text"
