"""A folder of text, Markdown, reStructuredText and HTML files, cut into passages."""

from __future__ import annotations

import codecs
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lsr.corpus.base import Corpus, ReadRules, Row, file_identity
from lsr.corpus.hypertext import html_sections, markdown_sections
from lsr.corpus.lines import decode, unreadable
from lsr.corpus.passages import TRAIL_SEPARATOR, Passage, Section, passage_id, split_sections
from lsr.corpus.restructured import restructured_sections
from lsr.errors import CorpusError
from lsr.records import Document

MAX_FILE_BYTES = 64 * 2**20
"""Maximum file size; files are read as a whole."""


def _plain(text: str) -> tuple[str, list[Section]]:
    return "", [Section((), re.split(r"\n[ \t\r]*\n", text))]


PARSERS: dict[str, Callable[[str], tuple[str, list[Section]]]] = {
    ".txt": _plain,
    ".text": _plain,
    ".md": markdown_sections,
    ".markdown": markdown_sections,
    ".rst": restructured_sections,
    ".html": html_sections,
    ".htm": html_sections,
}


class FolderCorpus(Corpus):
    """Passages of the files in a folder and its subfolders, in path order, or of one file.

    Ids are ``relative/path.md#3``, from 1 in each file; titles are the title of the file and the
    headings above, ``Guide > Install > From source``, else the file name; metadata are ``path`` and
    ``heading``. A heading without text is a passage without text, an empty file one empty document.
    Hidden files and folders, other suffixes and links to folders are skipped.
    """

    kind = "folder"
    part = "file"

    def __init__(self, path: Path, rules: ReadRules, passage_words: int | None) -> None:
        super().__init__(path.resolve().name, rules)
        self.path = path
        self.passage_words = passage_words
        if next(self._files(), None) is None:
            raise CorpusError(
                f"no document in this folder: expected {', '.join(PARSERS)} files "
                f"or a corpus.jsonl, found {self._other_kinds()}",
                path,
            )

    def _files(self) -> Iterator[tuple[str, Path]]:
        if self.path.is_file():
            yield self.path.name, self.path
            return
        found = (
            (path.relative_to(self.path).as_posix(), path)
            for path in _walk(self.path)
            if path.suffix.lower() in PARSERS
        )
        yield from sorted(found)

    def _other_kinds(self) -> str:
        kinds = Counter(path.suffix.lower() or path.name for path in _walk(self.path))
        return ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(8)) or "nothing"

    def _rows(self) -> Iterator[Row]:
        for name, path in self._files():
            try:
                text = _read_text(path)
            except CorpusError as error:
                yield Row(path, None, str(error))
            else:
                for document in self._documents(name, path, text):
                    yield Row(path, None, document)

    def _documents(self, name: str, path: Path, text: str) -> Iterator[Document]:
        file_title, sections = PARSERS[path.suffix.lower()](text)
        passages = list(split_sections(sections, self.passage_words)) or [Passage((), "")]
        for number, passage in enumerate(passages, 1):
            title = passage.title(file_title) or path.stem
            metadata = {"path": name}
            if passage.trail:
                metadata["heading"] = TRAIL_SEPARATOR.join(passage.trail)
            yield Document(passage_id(name, number), passage.text, title, metadata)

    def _identity(self) -> list[Any]:
        files = [file_identity(path, _printable(name)) for name, path in self._files()]
        return [self.passage_words, files]


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _read_text(path: Path) -> str:
    """Return the text of a file; raise CorpusError, without a place, if it has none."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CorpusError(f"larger than {MAX_FILE_BYTES:,} bytes, the most a document file may")
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(error) from error
    if b"\0" in data:
        raise CorpusError(
            "holds a NUL byte: the file is binary or not UTF-8; convert it, or move it elsewhere"
        )
    return decode(data.removeprefix(codecs.BOM_UTF8)).replace("\r\n", "\n")


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
