"""Messages, help and documents name only options, commands, pages, routes and settings there are.

`tests/test_docs.py` checks the command lines in documents; this walks every string of the code.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from lsr_service.cli.command import RENAMED_OPTIONS
from lsr_service.cli.main import app
from lsr_service.http.app import create_app
from lsr_service.settings import DELIMITER, PREFIX, ServerSettings
from tests.shared import ROOT

FOLDERS = ("lsr", "index", "eval", "training", "service")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OF_OTHER_PROGRAMS = {"--local-dir", "--remove-query"}  # of hf and Pyserini
MADE_IN_A_LOOP = {"--dev", "--test", "--documents"}  # lsr_training.held_out
NAMES_OF_OPTIONS = r"(?<![\w`/-])`{0,2}(--[a-z][a-z0-9-]+[a-z0-9])"
FORMER_COMMANDS_ARE_NAMED_IN = ("CHANGELOG.md", "export_model.py")


class Text(NamedTuple):
    """A string and where it stands."""

    path: Path
    line: int
    value: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.value.strip()[:100]!r}"


@cache
def strings() -> list[Text]:
    """Return every string of the code, the parts of f-strings each."""
    return [
        Text(path, node.lineno, node.value)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@cache
def documents() -> list[Text]:
    """Return every line of the documents."""
    return [
        Text(path, number, line)
        for path in DOCUMENTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]


def commands() -> dict[str, Any]:
    found: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    return found


def options() -> set[str]:
    """Return the options of ``lsr`` and of the modules that are run with ``python -m``."""
    declared = re.compile(r"(--[a-z][\w-]*)(/--[a-z][\w-]*)?")
    found = {"--help", "--version", *OF_OTHER_PROGRAMS, *MADE_IN_A_LOOP}
    for text in strings():
        match = declared.fullmatch(text.value)
        if match:
            found.update(part for part in text.value.split("/"))
    for command in commands().values():
        found.update(o for p in command.params for o in (*p.opts, *p.secondary_opts))
    return found


def named(pattern: str, texts: list[Text]) -> Iterator[tuple[Text, str]]:
    for text in texts:
        for match in re.finditer(pattern, text.value):
            yield text, match[1]


def test_options_exist() -> None:
    known = options()
    wrong = [
        f"{name} in {text}"
        for text, name in named(NAMES_OF_OPTIONS, strings())
        if name not in known
    ]
    assert not wrong, "\n".join(wrong)


def test_former_options_are_not_named() -> None:
    own = ("lsr", "index", "service")
    former = {f"--{name}" for names in RENAMED_OPTIONS.values() for name in names}
    wrong = [
        f"{name} in {text}"
        for text, name in named(NAMES_OF_OPTIONS, strings())
        if name in former
        and text.path.relative_to(ROOT).parts[0] in own
        and text.path.name != "command.py"
    ]
    assert not wrong, "\n".join(wrong)


def test_commands_exist() -> None:
    shown = {name for name, command in commands().items() if not command.hidden}
    quoted = r"`lsr ([a-z][a-z-]*)"
    wrong = [
        f"lsr {name} in {text}"
        for text, name in [
            *named(quoted, [*strings(), *documents()]),
            *named(r"(?:^|: |with |by |of |see |run |than |then )lsr ([a-z][a-z-]+) ", strings()),
        ]
        if name not in shown and text.path.name not in FORMER_COMMANDS_ARE_NAMED_IN
    ]
    assert not wrong, "\n".join(wrong)


def test_pages_exist() -> None:
    pattern = r"((?:docs/[\w/-]+|ARCHITECTURE|README|CONTRIBUTING|CHANGELOG)\.md)"
    pages = list(named(pattern, strings()))
    assert pages
    wrong = [f"{name} in {text}" for text, name in pages if not (ROOT / name).is_file()]
    assert not wrong, "\n".join(wrong)


@cache
def routes() -> list[re.Pattern[str]]:
    served = create_app(ServerSettings())
    mounted = {getattr(route, "path", "") or "/" for route in served.routes}
    return [
        re.compile(re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(path)))
        for path in {*served.openapi()["paths"], *mounted}
    ]


def test_routes_exist() -> None:
    pattern = r"(?:(?:GET|POST|PUT|DELETE|HEAD) |localhost:\d+|127\.0\.0\.1:\d+)(/[\w/{}…-]*)"
    found = list(named(pattern, [*strings(), *documents()]))
    assert len(found) > 10
    wrong = [
        f"{path} in {text}"
        for text, path in found
        if not any(route.fullmatch(path) for route in routes())
    ]
    assert not wrong, "\n".join(wrong)


def settings(model: Any = ServerSettings, prefix: str = PREFIX) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name.upper()
        if hasattr(field.annotation, "model_fields"):
            yield from settings(field.annotation, prefix + name.upper() + DELIMITER)


def test_settings_exist() -> None:
    read = {text.value for text in strings() if re.fullmatch(r"LSR_[A-Z_]+", text.value)}
    for path in (ROOT / "tests").rglob("*.py"):
        read.update(re.findall(r'"(LSR_[A-Z_]+)"', path.read_text(encoding="utf-8")))
    known = {*read, *settings(), PREFIX, PREFIX + "*"}
    wrong = [
        f"{name} in {text}"
        for text, name in named(r"\b(LSR_[A-Z][A-Z0-9_]*[A-Z0-9])\b", [*strings(), *documents()])
        if name not in known and name != PREFIX.rstrip("_")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (NAMES_OF_OPTIONS, "use ``--no-such-option`` for it"),
        (r"`lsr ([a-z][a-z-]*)", "see `lsr nothing`"),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: str, text: str) -> None:
    assert list(named(pattern, [Text(ROOT, 1, text)]))
