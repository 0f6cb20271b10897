"""Passages of long texts, split between paragraphs, else sentences, else words.

A passage never crosses a heading. A last passage below a quarter of the size joins the previous
one: passages have at most 1.25 times the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise, zip_longest
from typing import NamedTuple

import regex

from lsr.records import Document

DEFAULT_PASSAGE_WORDS = 200
TRAIL_SEPARATOR = " > "

# Words are characters in scripts without spaces, else runs of letters and digits.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# A repeated class takes constant memory; a repeated group takes a frame per character.
_WORD = regex.compile(rf"[{_UNSPACED}]|[[\w'’]--[{_UNSPACED}]]+", regex.V1)
_SENTENCE_END = regex.compile(
    r"(?:(?<=[.!?…][\"'’”)\]]?)\s+(?=[\p{Lu}\p{N}\"'“‘(\[])|(?<=[。！？।]))"
)


class Section(NamedTuple):
    """Paragraphs under the headings `trail`, outermost first; empty before the first heading."""

    trail: tuple[str, ...]
    paragraphs: list[str]


class Passage(NamedTuple):
    """Text of a passage and the headings above it, outermost first."""

    trail: tuple[str, ...]
    text: str

    def title(self, of_file: str) -> str:
        """Return the title of the file, unless a heading repeats it, and the headings above."""
        outer = () if not of_file or of_file in self.trail else (of_file,)
        return TRAIL_SEPARATOR.join((*outer, *self.trail))


def passage_id(source: str, number: int) -> str:
    """Return the id of a passage of a source; numbers count from 1."""
    return f"{source}#{number}"


def with_shrunk_sources(
    documents: Iterable[Document], delete: Callable[[str], bool]
) -> Iterator[Document]:
    """Yield passages, deleting former passages with higher numbers than a source has now.

    Ids are those of `passage_id`, the passages of a source consecutive. `delete` deletes a document
    by its id and returns whether it existed.
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
    """Yield passages of about `max_words` words, or whole sections if None.

    A section without text yields an empty passage, unless a section below it has its heading.
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
    """Join paragraphs, or parts of long ones, to passages of about `max_words` words."""
    packed: list[str] = []
    sizes: list[int] = []
    for text, separator in chain.from_iterable(_parts(each, max_words) for each in paragraphs):
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
    """Return the number of words; in scripts without spaces, of characters."""
    return len(_WORD.findall(text))


def _parts(paragraph: str, max_words: int) -> Iterator[tuple[str, str]]:
    """Yield parts of at most `max_words` words, with the separator before each."""
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
    for start, end in pairwise([0, *starts[1:], len(sentence)]):
        piece = sentence[start:end].strip()
        if piece:
            yield piece
