"""``python-docs``: the documentation that a Python installation contains.

Docstrings of the standard library, parsed from its source, and the topics of the interactive help.
Only modules written in C are imported, those without side effects.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import sysconfig
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lsr.corpus.base import Corpus, ReadRules, Row
from lsr.corpus.passages import Section, split_sections
from lsr.corpus.restructured import restructured_sections
from lsr.records import Document

_LEFT_OUT = {"antigravity", "encodings", "ensurepip", "idlelib", "lib2to3", "test", "this"}
_LEFT_OUT |= {"pydoc_data", "turtledemo", "msilib"}
_IN_C = (
    *("builtins", "_collections", "_functools", "_io", "_operator", "_random", "_socket"),
    *("_sqlite3", "_struct", "_thread", "array", "atexit", "binascii", "cmath", "gc"),
    *("itertools", "math", "nt", "posix", "select", "sys", "time", "unicodedata", "zlib"),
)
# Others are documented under their own names, without an underscore.
_DOCUMENTED_AS = {"builtins": "", "_thread": "threading", "nt": "os", "posix": "os"}
_DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_MIN_WORDS = 4


class _Entry(NamedTuple):
    name: str
    kind: str
    module: str
    text: str


class PythonDocsCorpus(Corpus):
    """Passages of the documentation of the running interpreter."""

    kind = "python-docs"

    def __init__(self, rules: ReadRules, passage_words: int | None) -> None:
        super().__init__("python-docs", rules)
        self.passage_words = passage_words

    def _rows(self) -> Iterator[Row]:
        taken: set[str] = set()
        for entry in _entries():
            # Platform variants define a name several times; the first definition counts.
            if entry.name in taken or len(entry.text.split()) < _MIN_WORDS:
                continue
            taken.add(entry.name)
            section = Section((entry.name,), entry.text.split("\n\n"))
            yield from self._documents(entry, [section])
        for entry in _topics():
            yield from self._documents(entry, restructured_sections(entry.text)[1])

    def _documents(self, entry: _Entry, sections: list[Section]) -> Iterator[Row]:
        passages = list(split_sections(sections, self.passage_words))
        for number, passage in enumerate(passages, 1):
            doc_id = entry.name if len(passages) == 1 else f"{entry.name}#{number}"
            title = passage.title("") or entry.name
            metadata = {"kind": entry.kind, "module": entry.module}
            yield Row(self.name, None, Document(doc_id, passage.text, title, metadata))

    def _identity(self) -> list[Any]:
        return [sys.version, sys.platform, self.passage_words]


def _entries() -> Iterator[_Entry]:
    for module, path in _sources(Path(sysconfig.get_path("stdlib"))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # a damaged installation: read the rest
        text = ast.get_docstring(tree)
        if text:
            yield _Entry(module, "module", module, text)
        yield from _definitions(module, module, tree)
    for name in _IN_C:
        try:
            module_object = importlib.import_module(name)
        except ImportError:
            continue  # not built on this platform
        yield from _c_entries(module_object, _DOCUMENTED_AS.get(name, name.removeprefix("_")))


def _sources(root: Path) -> Iterator[tuple[str, Path]]:
    for name in sorted(sys.stdlib_module_names):
        if name.startswith("_") or name in _LEFT_OUT:
            continue
        if (root / f"{name}.py").is_file():
            yield name, root / f"{name}.py"
        for path in sorted((root / name).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            if not any(part.startswith("_") or part in ("test", "tests") for part in parts):
                yield ".".join(parts), path


def _definitions(module: str, prefix: str, parent: ast.AST) -> Iterator[_Entry]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.If | ast.Try | ast.ExceptHandler):
            yield from _definitions(module, prefix, node)
        if not isinstance(node, _DEFINITIONS) or node.name.startswith("_"):
            continue
        name = f"{prefix}.{node.name}"
        text = ast.get_docstring(node)
        if isinstance(node, ast.ClassDef):
            if text:
                yield _Entry(name, "class", module, text)
            yield from _definitions(module, name, node)
        elif text:
            signature = f"{node.name}({ast.unparse(node.args)})"
            kind = "function" if prefix == module else "method"
            yield _Entry(name, kind, module, f"{signature}\n\n{text}")


def _c_entries(module: types.ModuleType, documented_as: str) -> Iterator[_Entry]:
    prefix = f"{documented_as}." if documented_as else ""
    owner = documented_as or "builtins"
    foreign = sys.stdlib_module_names - {owner, module.__name__}
    if module.__name__ == owner and module.__doc__:
        yield _Entry(owner, "module", owner, inspect.cleandoc(module.__doc__))
    for name, value in sorted(vars(module).items()):
        if name.startswith("_"):
            continue
        # Hooks of `sys` may have been replaced; their originals stand beside them.
        value = vars(module).get(f"__{name}__", value)
        if isinstance(value, types.BuiltinFunctionType):
            yield from _c_entry(f"{prefix}{name}", "function", owner, value)
        elif isinstance(value, type) and value.__module__ not in foreign:
            yield from _c_entry(f"{prefix}{name}", "class", owner, value)
            for method, definition in sorted(vars(value).items()):
                if not method.startswith("_"):
                    yield from _c_entry(f"{prefix}{name}.{method}", "method", owner, definition)


def _c_entry(name: str, kind: str, module: str, value: Any) -> Iterator[_Entry]:
    text = value.__doc__
    if not isinstance(text, str):
        return
    signature = getattr(value, "__text_signature__", None)
    if signature:
        shown = re.sub(r"\$(self|module)(, )?", "", signature)
        text = f"{name.rpartition('.')[2]}{shown}\n\n{text}"
    yield _Entry(name, kind, module, inspect.cleandoc(text))


def _topics() -> Iterator[_Entry]:
    try:
        from pydoc_data import topics
    except ImportError:
        return  # some distributions package the topics apart
    for name, text in sorted(topics.topics.items()):
        yield _Entry(f"topics/{name}", "topic", "", text)
