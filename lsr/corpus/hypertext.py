"""Sections of HTML, and of Markdown by way of HTML.

Headings start sections; block elements and table rows are paragraphs. Scripts, styles, navigation
and form controls are removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser

from lsr.corpus.passages import Section

_LEFT_OUT = {
    *("script", "style", "noscript", "template", "svg", "nav", "iframe", "object"),
    *("canvas", "button", "select", "textarea", "head", "title"),
}
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font"),
    *("i", "img", "input", "ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span"),
    *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "td", "th"),
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"\s+")
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)^(?:---|\.\.\.)\s*$\n?", re.DOTALL | re.MULTILINE)
_FRONT_TITLE = re.compile(r"^title:\s*(.+?)\s*$", re.MULTILINE)


def html_sections(text: str) -> tuple[str, list[Section]]:
    """Return the ``<title>`` of HTML, empty without one, and the sections."""
    tree = LexborHTMLParser(text)
    title = tree.css_first("title")
    walk = _Walk()
    if tree.body is not None:
        for event, tag, content in _events(tree.body):
            walk.step(event, tag, content)
    walk.end_paragraph()
    return _SPACE.sub(" ", title.text()).strip() if title else "", walk.sections


def markdown_sections(text: str) -> tuple[str, list[Section]]:
    """Return the ``title:`` of YAML front matter, and the sections of CommonMark with tables."""
    title = ""
    front = _FRONT_MATTER.match(text)
    if front:
        text = text[front.end() :]
        named = _FRONT_TITLE.search(front[1])
        title = named[1].strip("\"'") if named else ""
    html_title, sections = html_sections(MarkdownIt("commonmark").enable("table").render(text))
    return title or html_title, sections


def _events(root: Any) -> Iterator[tuple[str, str, str]]:
    """Yield (event, tag, text) without recursion: nesting may exceed Python's stack."""
    stack = [(root.tag, root.iter(include_text=True))]
    while stack:
        tag, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            yield "close", tag, ""
        elif child.tag == "-text":
            yield "text", "", child.text_content or ""
        elif child.tag[0] not in "-!_" and child.tag not in _LEFT_OUT:
            yield "open", child.tag, ""
            stack.append((child.tag, child.iter(include_text=True)))


class _Walk:
    """Builds sections from the events of a tree."""

    def __init__(self) -> None:
        self.sections = [Section((), [])]
        self._trail: list[tuple[int, str]] = []
        self._parts: list[str] = []
        self._verbatim = 0

    def step(self, event: str, tag: str, content: str) -> None:
        if event == "text":
            self._parts.append(content if self._verbatim else _SPACE.sub(" ", content))
        elif tag == "br":
            self._parts.append("\n" if event == "open" else "")
        elif tag in ("td", "th"):
            self._parts.append(" ")
        elif tag not in _INLINE:
            if event == "close" and tag in _HEADINGS:
                self._heading(_HEADINGS[tag])
            self.end_paragraph()
            if tag == "pre":
                self._verbatim += 1 if event == "open" else -1

    def end_paragraph(self) -> None:
        text = self._text()
        if text:
            self.sections[-1].paragraphs.append(text)

    def _heading(self, level: int) -> None:
        title = _SPACE.sub(" ", self._text()).strip("¶ ")
        if title:
            self._trail = [*(item for item in self._trail if item[0] < level), (level, title)]
            self.sections.append(Section(tuple(name for _, name in self._trail), []))

    def _text(self) -> str:
        text = "".join(self._parts)
        self._parts = []
        if self._verbatim:
            return text.strip("\n")
        return re.sub(r" *\n *", "\n", re.sub(" {2,}", " ", text)).strip()
