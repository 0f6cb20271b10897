"""`Registry`: the kinds of encoders there are, how each is found, loaded and restored.

A kind that comes with the package is named by its module, which is imported when the kind is used:
to list kinds and their options costs no import of a tokenizer or a network. A kind of another
package is registered when its class is imported, or found as an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from lsr.encoders.base import EncoderAssets
from lsr.encoders.options import Option
from lsr.errors import IndexFormatError, LsrError, ModelError, UsageError

C = TypeVar("C")
"""The base class of the encoders of a registry, as a type."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[C]):
    """A kind of encoder.

    Attributes
    ----------
    name : str
        Stored in indexes as the ``kind`` of the encoder, and, where `by_name`, what a user names.
    implementation : type or str
        The class, with the class methods ``load`` and ``restore`` of its base; or ``module:Class``,
        imported when it is needed.
    help : str
        What it is, in a few words.
    options : tuple of Option, or str
        Settings; or ``module:function``, which returns those of a model's folder.
    by_name : bool
        The name of the kind loads it.
    detects : callable, optional
        Tells whether the folder of a model holds this kind. Kinds registered later are asked first.
    """

    name: str
    implementation: C | str
    help: str = ""
    options: tuple[Option, ...] | str = ()
    by_name: bool = False
    detects: Callable[[Path], bool] | None = None

    @property
    def cls(self) -> C:
        """The class; imports its module."""
        found: C = _resolve(self.implementation)
        return found

    def options_of(self, folder: Path | None) -> tuple[Option, ...]:
        """Return the settings that this kind takes, with the model of a folder."""
        if not isinstance(self.options, str):
            return self.options
        found: tuple[Option, ...] = _resolve(self.options)(folder)
        return found


class Registry(Generic[C]):
    """The kinds of encoders there are.

    Parameters
    ----------
    noun : str
        What messages call them: ``encoder``.
    group : str
        Group of entry points that name classes of other packages.
    kinds : iterable of Kind
        Those of this package.
    locate : callable
        Returns the folder of a model by its name; raises ModelError.
    """

    def __init__(
        self, noun: str, group: str, kinds: Iterable[Kind[C]], locate: Callable[[str], Path]
    ) -> None:
        self.noun = noun
        self._group = group
        self._kinds = {kind.name: kind for kind in kinds}
        self._built_in = frozenset(self._kinds)
        self._locate = locate

    def register(self, kind: Kind[C]) -> None:
        """Add a kind; one registered before under its name is replaced.

        Raises
        ------
        UsageError
            The name is that of a kind of this package, or the kind cannot be loaded in any way.
        """
        if kind.name in self._built_in:
            raise UsageError(f"{kind.name!r} is a kind of {self.noun} already; choose another name")
        self._kinds[kind.name] = kind

    def unregister(self, name: str) -> None:
        """Remove a kind that `register` added."""
        if name not in self._built_in:
            self._kinds.pop(name, None)

    def kinds(self) -> list[Kind[C]]:
        """Return the kinds of this package and those registered, without a search for others."""
        return list(self._kinds.values())

    def get(self, name: str) -> Kind[C] | None:
        """Return a kind by its name, an installed one of another package too, or None."""
        if name not in self._kinds:
            for entry in entry_points(group=self._group, name=name):
                self._import(entry)
        return self._kinds.get(name)

    def find(self, name: str | Path) -> tuple[Kind[C], Path | None]:
        """Return the kind of what a user named, and the model's folder where it has one.

        Raises
        ------
        ModelError
            There is nothing of this name, or the hub cannot be reached.
        """
        kind = self.get(str(name)) if "/" not in str(name) else None
        if kind is not None and kind.by_name:
            return kind, None
        try:
            folder = self._locate(str(name))
        except ModelError as error:
            named = [kind.name for kind in self.kinds() if kind.by_name]
            if "/" in str(name) or not named:
                raise
            raise ModelError(f"{error}, or one of {', '.join(named)}") from error
        return self.kind_of_folder(folder), folder

    def kind_of_folder(self, folder: Path, *, but: str = "") -> Kind[C]:
        """Return the kind of the model in a folder, never the kind `but`; raises ModelError."""
        for entry in entry_points(group=self._group):
            if entry.name not in self._kinds:
                self._import(entry)
        for kind in reversed(self._kinds.values()):
            if kind.detects is not None and kind.name != but and kind.detects(folder):
                return kind
        raise ModelError(f"{folder}: holds no {self.noun} of a known kind")

    def options_of(self, name: str | Path) -> tuple[Option, ...]:
        """Return the settings that the encoder of a name takes; raises like `find`."""
        kind, folder = self.find(name)
        return kind.options_of(folder)

    def load(self, name: str | Path, options: dict[str, Any]) -> Any:
        """Load what a user named; raises ModelError, and UsageError on an option."""
        kind, folder = self.find(name)
        cls: Any = kind.cls
        return cls.load(str(name), folder, **self.checked(kind, name, folder, options))

    def checked(
        self, kind: Kind[C], name: str | Path, folder: Path | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the options that are not None, checked.

        Raises
        ------
        UsageError
            The encoder has no such option, or the option no such value.
        """
        given = {key: value for key, value in options.items() if value is not None}
        known = {option.name: option for option in kind.options_of(folder)} if given else {}
        foreign = sorted(given.keys() - known.keys())
        if foreign:
            raise UsageError(
                f"{', '.join(foreign)}: not an option of the {self.noun} {name}, which takes "
                f"{', '.join(sorted(known)) or 'none'}; leave it out"
            )
        return {key: known[key].check(value) for key, value in given.items()}

    def of_assets(self, assets: EncoderAssets) -> C:
        """Return the class that restores what an index stores.

        Raises
        ------
        IndexFormatError
            The kind is not known here.
        """
        name = assets.config.get("kind")
        kind = self.get(name) if isinstance(name, str) else None
        if kind is None:
            raise IndexFormatError(
                f"the {self.noun} stored in the index is of an unknown kind, {name!r}: its package "
                "is not installed, a newer version made the index, or it is damaged"
            )
        return kind.cls

    def _import(self, entry: EntryPoint) -> None:
        try:
            entry.load()
        except LsrError:
            raise
        except Exception as error:  # code of another package can fail in any way; say whose
            raise ModelError(
                f"the {self.noun} {entry.name} of another package ({entry.value}) cannot be "
                f"imported: {error}"
            ) from error
        if entry.name not in self._kinds:
            raise ModelError(
                f"{entry.value} registers no {self.noun} of the name {entry.name!r}, which its "
                "entry point has"
            )


def _resolve(reference: Any) -> Any:
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)
