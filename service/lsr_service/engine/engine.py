"""`Engine`: the indexes of a server, by name.

A name in a request is looked up here and never becomes part of a path. A damaged index is not
served; the others are.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lsr.errors import EncoderMismatchError, IndexFormatError, LsrError, UsageError
from lsr_service.engine.warm_up import warm_up

if TYPE_CHECKING:
    from lsr.encoders.neural.cross_encoder import CrossEncoder
    from lsr_index.fusion import Fusion
    from lsr_index.hybrid import Retriever
    from lsr_index.search.cluster_selection import Selection
    from lsr_service.settings import ServerSettings

CHECKED_BYTES = 4 << 30
"""Up to this size every byte of an index is checked before it is served: some two seconds."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_logger = logging.getLogger("lsr.engine")


class UnknownIndexError(LsrError, LookupError):
    """No index of this name is served."""


class UnavailableIndexError(LsrError, RuntimeError):
    """The index is known but cannot answer."""


@dataclass(frozen=True)
class ServedIndex:
    """One index of a server, with the defaults of its searches.

    A damaged index has no retriever, and `problem` says why; else that is empty.
    """

    name: str
    path: Path
    retriever: Retriever | None
    problem: str = ""
    fusion: Fusion | None = None
    selection: Selection | None = None


class Engine:
    """A registry of open indexes, and the cross-encoder that requests can use."""

    def __init__(
        self, indexes: Mapping[str, ServedIndex], reranker: CrossEncoder | None = None
    ) -> None:
        self._indexes = dict(indexes)
        self._showing = threading.Lock()
        self.reranker = reranker

    @classmethod
    def of(cls, settings: ServerSettings) -> Engine:
        """Open the indexes of settings; raises as `open`."""
        return cls.open(
            settings.indexes,
            fusions=settings.fusions,
            selections=settings.selections,
            rerank=settings.rerank,
        )

    @classmethod
    def open(
        cls,
        paths: Mapping[str, Path],
        *,
        fusions: Sequence[str] = (),
        selections: Sequence[Path] = (),
        rerank: str | None = None,
    ) -> Engine:
        """Open indexes by name.

        Parameters
        ----------
        paths : mapping of name to path
        fusions : sequence of str
            As `lsr_index.fusion.fusion_of` reads them; each is used for the indexes it fits.
        selections : sequence of Path
            Files of ``lsr fit-selection``; each is used for the indexes it fits.
        rerank : str, optional
            Name of a cross-encoder.

        Raises
        ------
        LsrError
            A path without an index, no index that can be read, or a fusion or selection that fits
            none of them.
        """
        from lsr_index.hybrid import Retriever

        opened: dict[str, ServedIndex] = {}
        damaged: list[IndexFormatError] = []
        with ExitStack() as undo:
            for name, path in paths.items():
                try:
                    retriever = undo.enter_context(Retriever.open(path))
                    if retriever.index.stats().n_bytes <= CHECKED_BYTES:
                        retriever.index.check_checksums()
                    opened[name] = ServedIndex(name, path, retriever)
                except IndexFormatError as error:
                    _logger.error("index %s is not served: %s", name, error)
                    damaged.append(error)
                    opened[name] = ServedIndex(name, path, None, "its files are damaged")
            if damaged and len(damaged) == len(paths):
                raise damaged[0]
            for named in fusions:
                opened = _with_fusion(opened, named)
            for path in selections:
                opened = _with_selection(opened, path)
            reranker = None
            if rerank is not None:
                from lsr.encoders.neural.cross_encoder import CrossEncoder

                reranker = CrossEncoder(rerank)
            undo.pop_all()
        return cls(opened, reranker)

    def __iter__(self) -> Iterator[ServedIndex]:
        return iter(self._indexes.values())

    def get(self, name: str) -> ServedIndex:
        """Return an index, damaged or not; raises UnknownIndexError."""
        if NAME.fullmatch(name) is None or name not in self._indexes:
            raise UnknownIndexError("no index of this name is served; GET /v1/indexes lists them")
        return self._indexes[name]

    def retriever(self, name: str) -> Retriever:
        """Return the retriever of an index; raises UnknownIndexError, UnavailableIndexError."""
        served = self.get(name)
        if served.retriever is None:
            raise UnavailableIndexError(f"index {name} cannot answer: {served.problem}")
        return served.retriever

    def show(self, name: str, retriever: Retriever, *, instead_of: Retriever | None = None) -> bool:
        """Use `retriever` for searches that begin from now on, and return True.

        Searches that run keep the former one, whose files are closed with the last of them. Does
        nothing, and returns False, where the former one is not `instead_of`.
        """
        with self._showing:
            shown = self._indexes[name]
            if instead_of is not None and shown.retriever is not instead_of:
                return False
            self._indexes[name] = replace(shown, retriever=retriever)
            return True

    def warm_up(self) -> None:
        """Search every index once, so that compiled code and tables are in memory."""
        for served in self:
            if served.retriever is not None:
                warm_up(served.retriever)

    def close(self) -> None:
        """Release the files of every index."""
        for served in self:
            if served.retriever is not None:
                served.retriever.close()


def _with_fusion(opened: Mapping[str, ServedIndex], named: str) -> dict[str, ServedIndex]:
    """Set a fusion for the indexes whose branches it fits; raise where it fits none."""
    from lsr_index.fusion import fusion_of
    from lsr_index.hybrid import identities

    def fitted(served: ServedIndex, retriever: Retriever) -> ServedIndex:
        branches = identities(retriever.branches)
        fusion = fusion_of(named, branches)
        if len(branches) < 2:
            raise UsageError("it has no dense vectors, so there is nothing to fuse")
        return replace(served, fusion=fusion)

    return _where_it_fits(opened, f"--fusion {named}", fitted)


def _with_selection(opened: Mapping[str, ServedIndex], path: Path) -> dict[str, ServedIndex]:
    """Set a selection for the indexes it was fitted to; raise where it fits none."""
    from lsr_index.hybrid import read_selection

    artefact = read_selection(path)

    def fitted(served: ServedIndex, retriever: Retriever) -> ServedIndex:
        artefact.check(retriever.index, path)
        return replace(served, selection=artefact.selection)

    return _where_it_fits(opened, f"--selective {path}", fitted)


def _where_it_fits(
    opened: Mapping[str, ServedIndex],
    option: str,
    fitted: Callable[[ServedIndex, Retriever], ServedIndex],
) -> dict[str, ServedIndex]:
    found, reasons = dict(opened), []
    for name, served in opened.items():
        if served.retriever is None:
            continue
        try:
            found[name] = fitted(served, served.retriever)
        except (UsageError, EncoderMismatchError) as error:
            reasons.append(f"{name}: {error}")
    if len(reasons) == len(opened):
        raise UsageError(f"{option} fits none of the indexes: {'; '.join(reasons)}")
    return found


def named_paths(arguments: list[str]) -> dict[str, Path]:
    """Read ``PATH`` and ``NAME=PATH`` arguments into names and paths.

    The default name is made of the last part of the path: ``My Notes.index`` is ``my-notes``.
    Raises UsageError for a name that is not allowed, or that two indexes have.
    """
    paths: dict[str, Path] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or "/" in name or Path(argument).exists():
            name, path = _name_from(Path(argument)), argument
        if NAME.fullmatch(name) is None:
            raise UsageError(
                f"{name!r} cannot name an index: a name has up to 64 of a-z 0-9 _ - and does not "
                "start with a sign; give one as NAME=PATH"
            )
        if name in paths:
            raise UsageError(f"two indexes are named {name!r}; tell them apart with NAME=PATH")
        paths[name] = Path(path)
    return paths


def _name_from(path: Path) -> str:
    stem = path.resolve().name
    stem = stem.removesuffix(".index").removesuffix(".lsr").lower()
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:64]
