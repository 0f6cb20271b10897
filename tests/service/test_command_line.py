"""What holds for every command: names, former names, values given twice, and help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import lsr
from lsr_service.cli.command import RENAMED_OPTIONS
from lsr_service.cli.main import app, run
from tests.shared import ROOT, run_python

COMMANDS: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
SHOWN = sorted(name for name, command in COMMANDS.items() if not command.hidden)
FORMER_COMMANDS = {"export": "export-model"}
LISTS = {
    ("serve", "--allow-host"), ("serve", "--fusion"), ("serve", "--selective"),
    ("search", "--with"), ("eval", "--encoder"), ("eval", "--dense"), ("eval", "--index"),
    ("eval", "--run"), ("eval", "--fusion"), ("eval", "--measures"), ("bench", "--k"),
    ("bench", "--peers"), ("train", "--set"), ("mine", "--teacher"), ("fit-fusion", "--run"),
    ("fit-fusion", "--with"), ("delete", "--ids-from"), ("index", "--encoder-option"),
    ("encode", "--encoder-option"), ("eval", "--encoder-option"), ("reindex", "--encoder-option"),
}  # fmt: skip


def options_of(name: str) -> list[Any]:
    return [p for p in COMMANDS[name].params if p.param_type_name == "option"]


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(arguments) == 2
    return capsys.readouterr().err


class TestNames:
    def test_one_name_for_one_thing(self) -> None:
        for name in SHOWN:
            opts = {opt for option in options_of(name) for opt in option.opts}
            assert not opts & {"--out", "--where", "--format", "--json-file"}, name
            for option in options_of(name):
                if "--json" in option.opts:
                    assert option.is_flag, name
                if "--output" in option.opts:
                    assert "-o" in option.opts, name

    def test_every_command_that_answers_has_json(self) -> None:
        assert {
            n for n in SHOWN if "--json" not in {o for p in options_of(n) for o in p.opts}
        } == set()

    def test_renamed_options_lead_to_options_that_exist(self) -> None:
        for command, names in RENAMED_OPTIONS.items():
            opts = {opt for option in options_of(command) for opt in option.opts}
            for former, present in names.items():
                assert f"--{present}" in opts, command
                assert f"--{former}" not in opts, command


class TestFormerSpellings:
    """Each runs, and does what the present spelling does."""

    @pytest.fixture
    def index(self, corpus_path: Path, tmp_path: Path) -> Path:
        path = tmp_path / "made.index"
        assert run(["index", str(corpus_path), "-o", str(path), "--encoder", "bm25"]) == 0
        return path

    def test_index(self, corpus_path: Path, tmp_path: Path) -> None:
        for out in (["--out", str(tmp_path / "a")], [f"--out={tmp_path / 'b'}"]):
            arguments = [str(corpus_path), *out, "--format", "jsonl", "--encoder", "bm25"]
            assert run(["index", *arguments]) == 0
        assert (tmp_path / "a").is_dir()
        assert (tmp_path / "b").is_dir()

    def test_add_encode_search_delete(
        self, index: Path, corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["add", str(index), str(corpus_path), "--format", "jsonl"]) == 0
        vectors = str(tmp_path / "v.parquet")
        about = ["--format", "jsonl", "--encoder", "bm25"]
        assert run(["encode", str(corpus_path), "--out", vectors, *about]) == 0
        assert Path(vectors).is_file()
        capsys.readouterr()
        found = {}
        for option in ("--format", "--output-format", "-f"):
            assert run(["search", str(index), "storm", option, "json"]) == 0
            found[option] = json.loads(capsys.readouterr().out)["hits"]
        assert found["--format"] == found["--output-format"] == found["-f"] != []
        for option in ("--where", "--filter"):
            filter = '{"year": {"$lt": 1904}}'
            assert run(["delete", str(index), option, filter, "--dry-run", "--json"]) == 0
            found[option] = json.loads(capsys.readouterr().out)["matched"]
        assert found["--where"] == found["--filter"] > 0

    @pytest.mark.parametrize("command", ["export", "export-model"])
    def test_export(self, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run([command, "lsr-tiny-en", "--out", str(tmp_path / "floats")]) == 0
        assert (tmp_path / "floats").is_dir()
        assert ("now lsr export-model" in capsys.readouterr().err) == (command == "export")

    @pytest.mark.parametrize("command", ["fit-fusion", "fit-selection", "mine"])
    def test_out_of_the_others(
        self, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        needed = {
            "fit-fusion": ["none.index", "--qrels", "none"],
            "fit-selection": ["none.index", "--queries", "none"],
            "mine": ["none.jsonl"],
        }[command]
        out = str(tmp_path / "x.json")
        assert run([command, *needed, "--out", out]) == run([command, *needed, "-o", out])
        first, second = capsys.readouterr().err.strip().splitlines()[-2:]
        assert first == second
        assert "No such option" not in first

    @pytest.mark.parametrize(
        ("former", "present"),
        [
            (["--json", "F"], ["--output", "F"]),
            (["--json=F"], ["--output", "F"]),
            (["--json", "-"], ["--json"]),
            (["--json"], ["--json"]),
            (["--json", "--ablation"], ["--json", "--ablation"]),
        ],
    )
    def test_json_of_bench_took_a_file(self, former: list[str], present: list[str]) -> None:
        def parsed(arguments: list[str]) -> dict[str, Any]:
            context = COMMANDS["bench"].make_context(
                "bench", ["--docs", "d", "--queries", "q", *arguments]
            )
            return dict(context.params)

        assert parsed(former) == parsed(present)

    def test_former_commands_are_hidden(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert {n for n, command in COMMANDS.items() if command.hidden} == set(FORMER_COMMANDS)
        assert run(["--help"]) == 0
        assert not re.search(r"^  export ", capsys.readouterr().out, re.MULTILINE)


def choices_of(option: Any) -> list[str]:
    """Return what an option can be, where that is a list; typer keeps it in two places."""
    kind = getattr(option, "type_descriptor", None) or option.type
    choices = getattr(kind, "choices", None) or ()
    return [str(getattr(choice, "value", choice)) for choice in choices]


def _value_of(option: Any) -> list[str]:
    return [] if option.is_flag else [*choices_of(option), "1"][:1]


class TestRepeated:
    @pytest.mark.parametrize("name", SHOWN)
    def test_a_second_value_is_refused_or_added(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lists = {option.opts[0] for option in options_of(name) if option.multiple}
        assert lists == {option for command, option in LISTS if command == name}
        for option in options_of(name):
            flag_only = option.is_flag and not option.secondary_opts
            if option.multiple or flag_only:
                continue
            for spelled in option.opts:
                twice = [spelled, *_value_of(option)] * 2
                error = usage_error(capsys, name, *twice)
                assert f"{option.opts[0]} is given twice" in error, twice

    def test_of_two_contradicting_flags_none_wins(self, capsys: pytest.CaptureFixture[str]) -> None:
        error = usage_error(capsys, "compact", "x", "--reorder", "--no-reorder")
        assert "--reorder is given twice" in error

    def test_former_and_present_names_are_one_option(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = usage_error(capsys, "index", "x", "--out", "a", "-o", "b")
        assert "--output is given twice" in error

    def test_measures_add(
        self, eval_arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        both = ["--measures", "RR@10", "--measures", "R@5 P@1", "--json"]
        assert run([*eval_arguments, *both]) == 0
        system = json.loads(capsys.readouterr().out)["systems"][0]
        assert {"RR@10", "R@5", "P@1"} <= set(system["measures"])

    @pytest.fixture
    def eval_arguments(self, tmp_path: Path) -> list[str]:
        folder = tmp_path / "tiny"
        (folder / "qrels").mkdir(parents=True)
        (folder / "corpus.jsonl").write_text('{"_id": "a", "text": "storm"}\n')
        (folder / "queries.jsonl").write_text('{"_id": "q", "text": "storm"}\n')
        (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
        return ["eval", str(folder), "--encoder", "bm25"]


class TestHelp:
    @pytest.mark.parametrize("name", ["", *SHOWN])
    def test_fits_80_columns_and_shows_no_types(self, name: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        done = subprocess.run(
            [sys.executable, "-m", "lsr", *name.split(), "--help"],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        lines = done.stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert not re.search(r"<(str|int|float|path|bool|list)\b", done.stdout)
        assert "{" not in lines[0]

    def test_commands_stand_under_headings(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["--help"]) == 0
        text = capsys.readouterr().out
        sections = re.findall(r"^(Use|Maintain|Measure|Train):$", text, re.MULTILINE)
        assert sections == ["Use", "Maintain", "Measure", "Train"]
        assert all(f"\n  {name} " in text for name in SHOWN)

    def test_every_option_that_takes_a_value_names_it(self) -> None:
        for name in SHOWN:
            for option in options_of(name):
                named = option.is_flag or option.metavar or choices_of(option)
                assert named, (name, option.opts)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"lsr {lsr.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"), [("lsr sea", "search"), ("lsr index --enc", "--encoder")]
)
def test_completion(typed: str, offered: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lsr"],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={
            "_LSR_COMPLETE": "complete_bash", "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
    )  # fmt: skip
    assert offered in done.stdout.split()


def test_no_private_module_of_typer_is_named() -> None:
    for path in sorted((ROOT / "service").rglob("*.py")):
        assert not re.search(r"typer\._|import click|from click", path.read_text()), path


def test_interrupt_ends_with_130() -> None:
    code = (
        "import lsr_service.cli.commands.stats as s\n"
        "import lsr_index.search.index as i\n"
        "def stop(*a, **k): raise KeyboardInterrupt\n"
        "i.open_index = stop\n"
        "from lsr_service.cli.main import run\n"
        "print('code', run(['stats', 'x']))"
    )
    assert run_python(code).rstrip().endswith("code 130")
