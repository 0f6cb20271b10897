"""Options of encoders on the command line, made from the registry of kinds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from lsr.encoders.options import Option, parse_assignments
from lsr.encoders.registry import ENCODERS
from lsr.errors import UsageError
from lsr.models import DEFAULT

if TYPE_CHECKING:
    from lsr.encoders import Encoder
    from lsr.encoders.dense import DenseEncoder

Command = TypeVar("Command", bound=Callable[..., None])

_BY_NAME = ", ".join(kind.name for kind in ENCODERS.kinds() if kind.by_name)
NAMES = f"{_BY_NAME}, a model folder or a hub id"
"""What an encoder is named by, for help texts."""

EncoderName = Annotated[
    str, typer.Option("--encoder", metavar="NAME", help=f"{DEFAULT} (comes with lsr), {NAMES}.")
]
DenseModel = Annotated[
    str | None,
    typer.Option(
        "--dense",
        metavar="MODEL",
        help="Dense vectors beside the sparse ones: minilm, a model folder or a hub id.",
    ),
]


def _flags() -> dict[str, Option]:
    static = (kind.options for kind in ENCODERS.kinds() if isinstance(kind.options, tuple))
    return {option.name: option for options in static for option in options if option.flag}


FLAGS = _flags()
"""Options that the command line has a flag for, by name."""


@dataclass(frozen=True)
class EncoderOptions:
    """Options of encoders that were given: values by flag, and ``NAME=VALUE`` assignments."""

    given: Mapping[str, Any] = field(default_factory=dict)
    assignments: Sequence[str] = ()

    def values(self, encoders: Iterable[str | Path]) -> dict[str, Any]:
        """Return all values, for one encoder or several.

        Raises UsageError for an option that no encoder takes, that is out of range or given twice,
        and ModelError for an unknown encoder.
        """
        names = list(encoders)
        assigned = parse_assignments(
            self.assignments, lambda: (o for name in names for o in ENCODERS.options_of(name))
        )
        twice = sorted(assigned.keys() & self.given.keys())
        if twice:
            raise UsageError(f"encoder option {twice[0]} is given twice; give it once")
        return {**self.given, **assigned}

    def encoder(self, name: str, *, beside: str | None = None) -> Encoder:
        """Load an encoder by name.

        With a dense encoder `beside` it, an option of the machine (device, batch size) that the
        encoder does not take is the dense one's.
        """
        from lsr.encoders import load_encoder

        values = self.values([name])
        shared = {key for key in values if key in FLAGS and not FLAGS[key].shapes_vectors}
        if beside is not None and shared:
            taken = {option.name for option in ENCODERS.options_of(name)}
            values = {key: values[key] for key in values if key in taken or key not in shared}
        return load_encoder(name, options=values)

    def dense_encoder(self, name: str | None) -> DenseEncoder | None:
        """Load a dense encoder by name, with the options of the machine; None for None."""
        from lsr.encoders.dense import load_dense_encoder

        if name is None:
            return None
        shared = {k: v for k, v in self.given.items() if not FLAGS[k].shapes_vectors}
        return load_dense_encoder(name, **shared)

    @property
    def names(self) -> list[str]:
        """The names of all options that were given."""
        return [*self.given, *(assigned.partition("=")[0] for assigned in self.assignments)]

    def require_encoder(self) -> None:
        """Raise UsageError where options of a sparse encoder were given."""
        machine = {name for name in self.given if not FLAGS[name].shapes_vectors}
        own = [name for name in self.names if name not in machine]
        if own:
            raise UsageError(f"{', '.join(sorted(own))}: goes with --encoder, which is not given")


NO_OPTIONS = EncoderOptions()


def takes_encoder_options(command: Command) -> Command:
    """Put the options of encoders in place of a command's parameter `encoder_options`."""
    signature = inspect.signature(command, eval_str=True)
    annotations = {name: _annotation(option) for name, option in FLAGS.items()}
    annotations["encoder_option"] = _Assignments
    keyword: Any = inspect.Parameter.KEYWORD_ONLY
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name == "encoder_options":
            parameters += [
                inspect.Parameter(name, keyword, default=None, annotation=annotation)
                for name, annotation in annotations.items()
            ]
        else:
            parameters.append(parameter.replace(kind=keyword))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        named = {name: values.pop(name) for name in FLAGS}
        given = {name: value for name, value in named.items() if value is not None}
        assignments = values.pop("encoder_option") or ()
        command(**values, encoder_options=EncoderOptions(given, assignments))

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


_Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-option",
        metavar="NAME=VALUE",
        help="Any other option of the encoder, as in mass=0.9; can be repeated.",
    ),
]


def _annotation(option: Option) -> Any:
    flag = f"--{option.name.replace('_', '-')}"
    given: Any = option.type
    if option.choices:
        literal: Any = Literal
        given = literal[option.choices]
        return Annotated[given | None, typer.Option(flag, help=option.help)]
    limits: dict[str, Any] = {"min": option.minimum, "max": option.maximum}
    if given is int:
        limits = {key: None if limit is None else int(limit) for key, limit in limits.items()}
    metavar = {int: "N", float: "X", str: "NAME"}.get(given)
    return Annotated[given | None, typer.Option(flag, metavar=metavar, help=option.help, **limits)]
