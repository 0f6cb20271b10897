"""`Registry`: the kinds of encoders, and how each is found, loaded and restored.

A kind of this package is named by its module, which is imported when the kind is used: to list
kinds and options costs no import of a tokenizer or a network. A kind of another package is
registered when its class is imported, or found as an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lsr.encoders.base import EncoderAssets
from lsr.encoders.options import Option
from lsr.errors import EncoderMismatchError, IndexFormatError, LsrError, ModelError, UsageError

if TYPE_CHECKING:
    from lsr.encoders.base import Encoder
    from lsr.encoders.dense.base import DenseEncoder

C = TypeVar("C")
"""The base class of the encoders of a registry, as a type."""
E = TypeVar("E", bound=type)
M = TypeVar("M", "Encoder", "DenseEncoder")


@dataclass(frozen=True, slots=True)
class Kind(Generic[C]):
    """A kind of encoder.

    Attributes
    ----------
    name : str
        Stored in indexes as the ``kind`` of the encoder, and, where `by_name`, what a user names.
    implementation : type or str
        The class, with the class methods ``load`` and ``restore`` of its base; or ``module:Class``.
    options : tuple of Option, or str
        Settings; or ``module:function``, which returns those of a model's folder.
    detects : callable, optional
        Whether a model folder holds this kind. Kinds registered later are tried first.
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
    """The kinds of encoders.

    `noun` is what messages call them, `group` the entry points that name classes of other packages;
    `locate` returns the folder of a model by its name, or raises ModelError.
    """

    def __init__(
        self, noun: str, group: str, kinds: Iterable[Kind[C]], locate: Callable[[str], Path]
    ) -> None:
        self.noun = noun
        self._group = group
        self._kinds = {kind.name: kind for kind in kinds}
        self._built_in = frozenset(self._kinds)
        self._locate = locate

    def register(
        self,
        name: str,
        *,
        options: tuple[Option, ...] = (),
        detects: Callable[[Path], bool] | None = None,
        by_name: bool | None = None,
        help: str = "",
    ) -> Callable[[E], E]:
        """Register a class of encoders: ``@register_encoder("my-kind")``.

        It can then be named wherever an encoder is named (`load_encoder`, ``lsr index --encoder``,
        composite files), and its indexes are searched through its ``restore``. An entry point of
        the group ``lsr.encoders`` or ``lsr.dense_encoders`` with the name of the kind makes it
        known without an import.

        Parameters
        ----------
        name : str
            Of the kind; the class stores it as ``kind`` in its `EncoderAssets`. UsageError where
            this package has a kind of that name.
        options : tuple of Option
            Keyword arguments of the ``load`` of the class (by default, of the class).
        detects : callable, optional
            Whether a model folder is one for this class.
        by_name : bool, optional
            Whether the name alone loads it. Default: where there is no `detects`.
        help : str
            What it is, in a few words.
        """

        def add(cls: E) -> E:
            if name in self._built_in:
                raise UsageError(f"{name!r} is a kind of {self.noun} already; choose another name")
            named = detects is None if by_name is None else by_name
            implementation: Any = cls
            self._kinds[name] = Kind(name, implementation, help, options, named, detects)
            return cls

        return add

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
        """Return the kind of what a user named and its model's folder, if any; or ModelError."""
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
        """Load what a user named; raises ModelError, and UsageError on an unknown or bad option."""
        kind, folder = self.find(name)
        cls: Any = kind.cls
        given = {key: value for key, value in options.items() if value is not None}
        known = {option.name: option for option in kind.options_of(folder)} if given else {}
        foreign = sorted(given.keys() - known.keys())
        if foreign:
            raise UsageError(
                f"{', '.join(foreign)}: not an option of the {self.noun} {name}, which takes "
                f"{', '.join(sorted(known)) or 'none'}; leave it out"
            )
        checked = {key: known[key].check(value) for key, value in given.items()}
        return cls.load(str(name), folder, **checked)

    def of_assets(self, assets: EncoderAssets) -> C:
        """Return the class that restores an index's encoder; raises IndexFormatError if unknown."""
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


def restore_model(
    config: Mapping[str, Any], load: Callable[[], M], *, noun: str, moved: str, changed: str
) -> M:
    """Load the model that an index was made with, and check that it is the same.

    `noun`, `moved` and `changed` go into the messages: what it is called, and what to do when it is
    not where it was, or is another one. Raises ModelError, IndexFormatError for an unknown setting,
    EncoderMismatchError for another model.
    """
    try:
        encoder = load()
    except ModelError as error:
        raise ModelError(
            f"the index needs the {noun} it was made with: {error}; bring it back, or {moved}"
        ) from error
    except TypeError as error:
        raise IndexFormatError(
            f"the stored encoder has a setting of an unknown name or type ({error}); it was made "
            "by a newer version of this package, or is damaged"
        ) from error
    if encoder.fingerprint.digest != config.get("digest", encoder.fingerprint.digest):
        raise EncoderMismatchError(
            f"{config.get('name', config['kind'])}: the {noun} has changed since the index was "
            f"made with it; bring the old one back, or {changed}"
        )
    return encoder


def _resolve(reference: Any) -> Any:
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)
