"""Passages of long texts: cut between paragraphs, else between sentences, else between words.

A passage never crosses a heading. Paragraphs are packed as long as they fit; a last piece of less
than a quarter of the size joins the one before it, so passages hold at most five quarters of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise, zip_longest
from typing import NamedTuple

import regex

from lsr.records import Document

DEFAULT_PASSAGE_WORDS = 200
TRAIL_SEPARATOR = " > "

# Scripts written without spaces count by character, all others by runs of letters and digits.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# A class that is repeated takes constant memory, a group that is repeated a frame per character.
_WORD = regex.compile(rf"[{_UNSPACED}]|[[\w'’]--[{_UNSPACED}]]+", regex.V1)
_SENTENCE_END = regex.compile(
    r"(?:(?<=[.!?…][\"'’”)\]]?)\s+(?=[\p{Lu}\p{N}\"'“‘(\[])|(?<=[。！？।]))"
)


class Section(NamedTuple):
    """Paragraphs under one heading; `trail` holds it and those above, outermost first."""

    trail: tuple[str, ...]
    paragraphs: list[str]


class Passage(NamedTuple):
    """A piece of a text and the headings it stands under."""

    trail: tuple[str, ...]
    text: str

    def title(self, of_file: str) -> str:
        """Return all headings above, after the title of the file where no heading repeats it."""
        outer = () if not of_file or of_file in self.trail else (of_file,)
        return TRAIL_SEPARATOR.join((*outer, *self.trail))


def passage_id(source: str, number: int) -> str:
    """Return the id of a passage, from 1, of a file or another source."""
    return f"{source}#{number}"


def with_shrunk_sources(
    documents: Iterable[Document], delete: Callable[[str], bool]
) -> Iterator[Document]:
    """Yield the passages of sources; delete those that a source had once and has no more.

    All passages of a source stand together, with ids of `passage_id`. `delete` deletes a document
    by its id and returns whether there was one.
    """
    source, last = "", 0
    for document in chain(documents, [None]):
        name, _, number = ("", "", "") if document is None else document.id.rpartition("#")
        if name != source:
            while last and delete(passage_id(source, last + 1)):
                last += 1
            source, last = name, 0
        if document is not None:
            last = int(number)
            yield document


def split_sections(sections: Sequence[Section], max_words: int | None) -> Iterator[Passage]:
    """Yield the passages of a text, of about `max_words`; None keeps every section whole.

    A section without text gives a passage without text, unless a section below it has the heading
    in its trail, so that no heading is lost.
    """
    for section, after in zip_longest(sections, sections[1:]):
        paragraphs = [text for text in map(str.strip, section.paragraphs) if text]
        if max_words is None:
            pieces = ["\n\n".join(paragraphs)] if paragraphs else []
        else:
            pieces = pack(paragraphs, max_words)
        if not pieces and section.trail:
            is_parent = after is not None and after.trail[: len(section.trail)] == section.trail
            pieces = [] if is_parent else [""]
        for piece in pieces:
            yield Passage(section.trail, piece)


def pack(paragraphs: Sequence[str], max_words: int) -> list[str]:
    """Join paragraphs to pieces of at most `max_words` words, splitting those that are longer."""
    pieces = [
        (part, separator)
        for paragraph in paragraphs
        for part, separator in _parts(paragraph, max_words)
    ]
    packed: list[str] = []
    sizes: list[int] = []
    for text, separator in pieces:
        size = count_words(text)
        if packed and sizes[-1] + size <= max_words:
            packed[-1] += separator + text
            sizes[-1] += size
        else:
            packed.append(text)
            sizes.append(size)
            last_separator = separator
    if len(packed) > 1 and 4 * sizes[-1] < max_words:
        packed[-2:] = [packed[-2] + last_separator + packed[-1]]
    return packed


def count_words(text: str) -> int:
    """Count words; in scripts without spaces, characters."""
    return len(_WORD.findall(text))


def _parts(paragraph: str, max_words: int) -> Iterator[tuple[str, str]]:
    """Yield pieces that fit, each with what separates it from the piece before."""
    if count_words(paragraph) <= max_words:
        yield paragraph, "\n\n"
        return
    separator = "\n\n"
    start = 0
    ends = [match.span() for match in _SENTENCE_END.finditer(paragraph)]
    for end, after in [*ends, (len(paragraph), len(paragraph))]:
        for piece in _words_apart(paragraph[start:end], max_words):
            yield piece, separator
            separator = " "
        start = after


def _words_apart(sentence: str, max_words: int) -> Iterator[str]:
    starts = [match.start() for match in _WORD.finditer(sentence)][::max_words]
    bounds = [0, *starts[1:], len(sentence)]
    for start, end in pairwise(bounds):
        piece = sentence[start:end].strip()
        if piece:
            yield piece
