"""Command-line parsing and help, the same for every command of ``lsr``.

An option that takes one value can be given once: of two values one would be lost. Former names of
options and commands stay valid, and are not shown. Help is plain text for 80 columns, without a
column of types, and with examples at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

RENAMED_OPTIONS: dict[str, dict[str, str]] = {
    "index": {"out": "output", "format": "input-format"},
    "add": {"format": "input-format"},
    "encode": {"out": "output", "format": "input-format"},
    "search": {"format": "output-format"},
    "delete": {"where": "filter"},
    "fit-fusion": {"out": "output"},
    "fit-selection": {"out": "output"},
    "mine": {"out": "output"},
    "export-model": {"out": "output"},
    "export": {"out": "output"},
}
"""Former and present names of options by command, without the leading dashes."""

_COMMANDS_WHOSE_JSON_TOOK_A_FILE = ("bench",)

UsageFault: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]
"""What typer raises when a command line is wrong; it has ``show()`` and ``exit_code``."""


def settings_of(command: str) -> dict[str, Any]:
    """Return the context settings of a command, which make former option names valid."""
    renamed = RENAMED_OPTIONS.get(command)
    if renamed is None:
        return {}
    present: Callable[[str], str] = lambda name: renamed.get(name, name)  # noqa: E731
    return {"token_normalize_func": present}


class Command(TyperCommand):
    """A command whose options cannot be given twice where the second would replace the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line; raises UsageFault for a second value of an option of one."""
        if self.name in _COMMANDS_WHOSE_JSON_TOOK_A_FILE:
            args = _json_file_as_output(args)
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for parameter in set(given):
                if given.count(parameter) > 1 and _takes_one_value(parameter):
                    ctx.fail(f"Option {parameter.opts[0]} is given twice; it takes one value.")
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; required arguments stand without braces."""
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"^\{(.*)\}(\.*)$", r"\1\2", piece) for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, without their types."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                shown = re.sub(r" <[^>|]*>(\.\.\.)?$", "", record[0])
                rows[parameter.param_type_name].append((shown, record[1]))
        for title, name in (("Arguments", "argument"), ("Options", "option")):
            if rows[name]:
                with formatter.section(title):
                    formatter.write_dl(rows[name])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


class Group(TyperGroup):
    """The commands under headings; those without a heading are former names and not listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands that are shown, in the order of their headings."""
        return [name for name, command in self.commands.items() if not command.hidden]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, a section for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.commands[name]
            row = (name, command.get_short_help_str(limit=200))
            sections.setdefault(str(command.rich_help_panel), []).append(row)
        width = max(len(name) for name in self.commands)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in rows])


def _takes_one_value(parameter: Any) -> bool:
    """Return whether a second value would replace the first; a plain flag has none."""
    if parameter.param_type_name != "option" or parameter.multiple:
        return False
    return bool(parameter.secondary_opts) or not parameter.is_flag


def _json_file_as_output(args: list[str]) -> list[str]:
    """Read the former ``--json FILE`` as ``--output FILE``, and ``--json -`` as ``--json``."""
    read: list[str] = []
    rest = iter(args)
    for argument in rest:
        name, _, file = argument.partition("=")
        if name != "--json":
            read.append(argument)
            continue
        following = file or next(rest, None)
        if following is None or following == "-":
            read.append("--json")
        elif following.startswith("-"):
            read += ["--json", following]
        else:
            read += ["--output", following]
    return read
