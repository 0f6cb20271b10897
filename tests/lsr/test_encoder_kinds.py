"""The registry of kinds, options and their values, and what importing encoders costs."""

from __future__ import annotations

import inspect
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from lsr.encoders import ENCODERS, Encoder, EncoderAssets, Option, load_encoder, register_encoder
from lsr.encoders.dense import DENSE_ENCODERS, DenseEncoder
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.encoders.precomputed import PrecomputedEncoder
from lsr.errors import UsageError
from tests.shared import ROOT, run_python


def test_every_kind_is_a_class_of_its_name() -> None:
    for registry, base in ((ENCODERS, Encoder), (DENSE_ENCODERS, DenseEncoder)):
        for kind in registry.kinds():
            module = inspect.getmodule(kind.cls)
            assert issubclass(kind.cls, base)
            assert getattr(module, "KIND", kind.name) == kind.name
            assert not inspect.isabstract(kind.cls)


def test_the_page_lists_kinds_and_options() -> None:
    page = (ROOT / "docs/encoders.md").read_text(encoding="utf-8")
    rows = [tuple(cell.strip(" `") for cell in line.split("|")[1:-1])
            for line in page.splitlines() if line.startswith("| `")]  # fmt: skip
    kinds = {row[0]: row[2] for row in rows if row[0] in {k.name for k in ENCODERS.kinds()}}
    assert kinds == {kind.name: kind.help for kind in ENCODERS.kinds()}
    options = {(row[0], row[1], row[2]) for row in rows if row[0] not in kinds}
    assert options == {
        (option.name, kind.name, option.expected)
        for kind in ENCODERS.kinds()
        if isinstance(kind.options, tuple)
        for option in kind.options
    }


def test_load_encoder_names_the_options_of_all_kinds() -> None:
    named = inspect.signature(load_encoder).parameters.keys() - {"name", "options"}
    static = (kind.options for kind in ENCODERS.kinds() if isinstance(kind.options, tuple))
    assert named == {option.name for options in static for option in options}


def test_a_registered_kind_is_found_until_it_is_removed() -> None:
    @register_encoder("plain", options=(Option("size", int, "Of nothing.", minimum=1),))
    class Plain(PrecomputedEncoder):
        def __init__(self, size: int = 1) -> None:
            super().__init__()
            self.size = size

        @classmethod
        def load(cls, name: str, folder: Path | None, **options: Any) -> Plain:
            return cls(**options)

    try:
        made = load_encoder("plain", options={"size": 3})
        assert isinstance(made, Plain)
        assert made.size == 3
        with pytest.raises(UsageError, match="size = 0: expected a whole number from 1 up"):
            load_encoder("plain", options={"size": 0})
        with pytest.raises(UsageError, match="k1: not an option of the encoder plain, which takes"):
            load_encoder("plain", k1=1.0)
    finally:
        ENCODERS.unregister("plain")
    assert ENCODERS.get("plain") is None
    with pytest.raises(UsageError, match="'bm25' is a kind of encoder already"):
        register_encoder("bm25")(BM25Encoder)


def test_a_folder_that_a_registered_kind_detects(tmp_path: Path) -> None:
    @register_encoder("listed", detects=lambda folder: (folder / "words.txt").is_file())
    class Listed(PrecomputedEncoder):
        @classmethod
        def load(cls, name: str, folder: Path | None, **options: Any) -> Listed:
            assert folder is not None
            made = super().load(name, None, vocabulary=folder / "words.txt")
            return cls(made._vocabulary)

    (tmp_path / "words.txt").write_text("wing\nheat\n")
    try:
        assert load_encoder(tmp_path).term_id("heat") == 1
    finally:
        ENCODERS.unregister("listed")


class TestDefaults:
    def test_a_state_of_another_encoder_is_refused(self) -> None:
        encoder = PrecomputedEncoder()
        assert encoder.state() is None
        with pytest.raises(UsageError, match="keeps no state"):
            encoder.load_state(b"wing\n")

    def test_nothing_depends_on_the_collection(self) -> None:
        encoder = PrecomputedEncoder()
        assert encoder.with_statistics(None) is encoder  # type: ignore[arg-type]
        assert PrecomputedEncoder.stored_statistics(EncoderAssets({"kind": "x"})) is None


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        (Option("n", int, "", minimum=1), [(1, 1), ("7", 7)], [0, 1.5, True, "1.5", "x", None]),
        (Option("x", float, "", minimum=0, maximum=1), [(1, 1.0), ("0.5", 0.5)],
         [-0.1, 2, float("nan"), float("inf"), "nan", "much", False]),
        (Option("t", str, ""), [("a", "a")], [1, None, ["a"]]),
        (Option("c", str, "", choices=("a", "b")), [("b", "b")], ["c", "", 1]),
        (Option("f", bool, ""), [(True, True), ("false", False)], [1, "maybe", None]),
        (Option("p", Path, ""), [("a/b", Path("a/b"))], [1, None]),
        (Option("w", list, ""), [(["a"], ["a"]), ("a, b", ["a", "b"])], [1, [1], None]),
    ],
    ids=lambda value: value.name if isinstance(value, Option) else "",
)  # fmt: skip
def test_values(option: Option, good: list[tuple[Any, Any]], bad: list[Any]) -> None:
    for given, expected in good:
        read = option.parse if isinstance(given, str) else option.check
        assert read(given) == expected
    for given in bad:
        read = option.parse if isinstance(given, str) else option.check
        with pytest.raises(UsageError, match=rf"^{option.name} = .*: expected {option.expected}"):
            read(given)


def test_no_module_of_encoders_loads_torch_and_none_is_in_a_circle() -> None:
    paths = [p for p in (ROOT / "lsr/encoders").rglob("*.py") if p.name != "convert_worker.py"]
    names = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in paths
    }
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "assert not {'torch', 'transformers', 'onnxruntime'} & set(sys.modules)\n"
    )
    run_python(code, *sorted(names))
    imports = re.compile(r"^\s*from (lsr\.encoders[\w.]*) import", re.MULTILINE)
    graph = {
        name: set(imports.findall(path.read_text(encoding="utf-8"))) & names.keys()
        for name, path in names.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(names)
