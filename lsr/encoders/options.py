"""`Option`: one setting of an encoder, for Python, the command line and description files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsr.errors import UsageError

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NOUNS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false",
          Path: "a path", list: "a list of words"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of an encoder.

    Attributes
    ----------
    name : str
        The keyword argument of `load_encoder`; on the command line with ``-`` for ``_``.
    type : type
        int, float, str, bool, Path or list (of str).
    choices : tuple of str
        All values there are; empty: any value of the type.
    minimum, maximum : float or None
        Range of a number, both ends included.
    shapes_vectors : bool
        False for a setting of the machine (device, batch size): not part of a composite's
        description.
    flag : bool
        Whether the command line has a flag of this name, beside ``--encoder-option NAME=VALUE``.
    """

    name: str
    type: type
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    shapes_vectors: bool = True
    flag: bool = False

    def __post_init__(self) -> None:
        if self.type not in _NOUNS or not self.name.isidentifier():
            raise TypeError(
                f"option {self.name!r} of type {self.type}: expected an identifier, and one of "
                f"{', '.join(each.__name__ for each in _NOUNS)}"
            )

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        if self.choices:
            *first, last = self.choices
            return f"{', '.join(first)} or {last}" if first else last
        if self.minimum is not None and self.maximum is not None:
            return f"{_NOUNS[self.type]} from {self.minimum:g} to {self.maximum:g}"
        return _NOUNS[self.type] + ("" if self.minimum is None else f" from {self.minimum:g} up")

    def check(self, value: Any) -> Any:
        """Return a value as the encoder takes it; raises UsageError."""
        checked = self._converted(value)
        is_number = self.type in (int, float) and checked is not None
        outside = is_number and not (
            (self.minimum is None or checked >= self.minimum)
            and (self.maximum is None or checked <= self.maximum)
            and math.isfinite(checked)
        )
        if checked is None or outside or (self.choices and checked not in self.choices):
            raise UsageError(f"{self.name} = {value!r}: expected {self.expected}")
        return checked

    def parse(self, text: str) -> Any:
        """Read a value from text, as on the command line; raises like `check`."""
        value: Any = text
        if self.type is list:
            value = [word for word in text.replace(",", " ").split() if word]
        elif self.type is bool:
            value = _BOOLEANS.get(text.lower())
        elif self.type in (int, float):
            try:
                value = self.type(text)
            except ValueError:
                value = None
        if value is None:
            raise UsageError(f"{self.name} = {text!r}: expected {self.expected}")
        return self.check(value)

    def _converted(self, value: Any) -> Any:
        """Return a value as the option's type, or None where it is of another type."""
        if self.type is float:
            real = isinstance(value, int | float) and not isinstance(value, bool)
            return float(value) if real else None
        if self.type is int:
            return value if isinstance(value, int) and not isinstance(value, bool) else None
        if self.type is Path:
            return Path(value) if isinstance(value, str | Path) else None
        if self.type is list:
            is_list = isinstance(value, Iterable) and not isinstance(value, str)
            words = list(value) if is_list else [None]
            return words if all(isinstance(word, str) for word in words) else None
        return value if isinstance(value, self.type) else None


def parse_assignments(
    assignments: Iterable[str], options: Callable[[], Iterable[Option]]
) -> dict[str, Any]:
    """Read options written as ``NAME=VALUE``; raises UsageError.

    `options` returns the known ones; it is called only when something is assigned.
    """
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        name = name.strip().replace("-", "_")
        known = {option.name: option for option in options()}
        if not equals or name in found:
            raise UsageError(
                f"encoder option {assignment!r}: expected NAME=VALUE, and each name once"
            )
        if name not in known:
            raise UsageError(
                f"encoder option {name!r} is not known; the encoder takes "
                f"{', '.join(sorted(known)) or 'none'}"
            )
        found[name] = known[name].parse(value.strip())
    return found
