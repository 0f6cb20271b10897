"""Sections of reStructuredText: headings, paragraphs and directive bodies, not rendered.

Targets, comments, directive names, roles and most options are removed. Heading levels follow the
order in which adornments appear, as in Docutils.
"""

from __future__ import annotations

import re

from lsr.corpus.passages import Section

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_DIRECTIVE = re.compile(r"\s*\.\. [\w.:+-]+::(?:\s+(.*))?$")
_OPTION = re.compile(r"\s*:([\w-]+):(?:\s+(.*))?$")
_SHOWN_OPTIONS = {"alt", "caption", "header", "title"}
_NOTE = re.compile(r"\s*\.\. (?:\[([^\]]+)\]|\|[^|]+\| [\w-]+::)(?:\s+(.*))?$")
_EXPLICIT = re.compile(r"\s*\.\.(\s|$)")
_ROLE_WITH_TARGET = re.compile(r"(?::[\w:+.-]+:)?`([^`<]+?)\s*<[^`>]+>`_{0,2}")
_ROLE = re.compile(r":[\w:+.-]+:`[~!]?([^`]+)`")
_LITERAL = re.compile(r"``(.+?)``")
_STRONG = re.compile(r"(?<![\w*])\*\*?([^\s*](?:[^*]*[^\s*])?)\*\*?(?![\w*])")


def restructured_sections(text: str) -> tuple[str, list[Section]]:
    """Return an empty title, as the title is a heading, and the sections."""
    lines = text.split("\n")
    levels: list[tuple[str, bool]] = []
    blocks: list[tuple[tuple[str, ...], list[str]]] = [((), [])]
    at = 0
    while at < len(lines):
        heading = _heading(lines, at)
        if heading is None:
            blocks[-1][1].append(lines[at])
            at += 1
            continue
        title, style, n_lines = heading
        if style not in levels:
            levels.append(style)
        trail = (*blocks[-1][0][: levels.index(style)], _inline(title))
        blocks.append((trail, []))
        at += n_lines
    return "", [Section(trail, _paragraphs(block)) for trail, block in blocks]


def _heading(lines: list[str], at: int) -> tuple[str, tuple[str, bool], int] | None:
    """Return title, (adornment, overlined) and number of lines of a heading at a line, if any."""
    if at + 2 < len(lines) and _ADORNMENT.match(lines[at]):
        title = lines[at + 1].strip()
        if title and lines[at + 2].rstrip() == lines[at].rstrip() and not _ADORNMENT.match(title):
            return title, (lines[at][0], True), 3
    if at + 1 < len(lines) and _ADORNMENT.match(lines[at + 1]):
        title = lines[at].rstrip()
        starts_block = at == 0 or not lines[at - 1].strip()
        wide_enough = len(lines[at + 1].rstrip()) >= len(title)
        if title and not title[0].isspace() and starts_block and wide_enough:
            return title, (lines[at + 1][0], False), 2
    return None


def _paragraphs(lines: list[str]) -> list[str]:
    paragraphs: list[list[str]] = [[]]
    in_directive = False
    comment_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if comment_indent is not None and line.strip():
            if indent > comment_indent:
                continue
            comment_indent = None
        if not line.strip() or _ADORNMENT.match(line):
            in_directive = False
            paragraphs.append([])
        elif directive := _DIRECTIVE.match(line):
            in_directive = True
            paragraphs.append([directive[1]] if directive[1] else [])
        elif note := _NOTE.match(line):  # a footnote, a citation, or what a substitution shows
            paragraphs.append([" ".join(filter(None, note.groups()))])
        elif in_directive and (option := _OPTION.match(line)):
            if option[1] in _SHOWN_OPTIONS and option[2]:
                paragraphs[-1].append(option[2])
        elif _EXPLICIT.match(line):
            comment_indent = indent
        else:
            paragraphs[-1].append(line.rstrip())
    return [_inline("\n".join(block)) for block in paragraphs if block]


def _inline(text: str) -> str:
    for pattern in (_ROLE_WITH_TARGET, _ROLE, _LITERAL, _STRONG):
        text = pattern.sub(r"\1", text)
    return text
