"""Folders of documents: which files, which passages, which titles; Markdown, rst and HTML."""

import itertools
import os
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import open_corpus
from lsr.errors import LsrError
from lsr.records import Document
from tests.lsr.refusals import message_of

MARKDOWN = """---
title: "The guide"
tags: [a]
---
Before any heading.

# Install

Run `pip`, see [the *site*](http://example.org/x).
Second line.

```sh
# not a heading
pip install x
```

## Linux

- first
- second

Setext heading
--------------

| a | b |
|---|---|
| 1 | 2 |

<script>alert(1)</script>
<!-- hidden -->

# Use #
"""

RESTRUCTURED = """\
=====
Title
=====

.. _target:

Some **bold** text with :func:`~os.path.join`, ``code`` and a `link <http://x>`_.

.. note:: A note
   :class: x

   Its body.

.. This is a comment
   of two lines

Section
-------

Text::

    literal

----

Deep
~~~~
More.

Other
-----
End"""

HTML = """<!DOCTYPE html><html><head><title> Page
 title </title><style>p{}</style></head>
<body><nav>Menu</nav><p>Lead &amp; <b>bold</b>text.<p>Second<br>line
<h1>One <a href="#x">¶</a></h1><div>Para<p>inner</p>tail</div>
<h3>Deep</h3><pre>  keep
    this</pre><h2>Two</h2><table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>
<script>no()</script><footer>foot</footer></body></html>"""


def passages(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return [
        (document.title, document.metadata.get("heading"), document.text)
        for document in open_corpus(path)
    ]


def test_markdown(tmp_path):
    assert passages(tmp_path, "guide.md", MARKDOWN) == [
        ("The guide", None, "Before any heading."),
        (
            "The guide > Install",
            "Install",
            "Run pip, see the site. Second line.\n\n# not a heading\npip install x",
        ),
        ("The guide > Install > Linux", "Install > Linux", "first\n\nsecond"),
        ("The guide > Install > Setext heading", "Install > Setext heading", "a b\n\n1 2"),
        ("The guide > Use", "Use", ""),
    ]


def test_restructured_text(tmp_path):
    assert passages(tmp_path, "guide.rst", RESTRUCTURED) == [
        (
            "Title",
            "Title",
            "Some bold text with os.path.join, code and a link.\n\nA note\n\nIts body.",
        ),
        ("Title > Section", "Title > Section", "Text::\n\nliteral"),
        ("Title > Section > Deep", "Title > Section > Deep", "More."),
        ("Title > Other", "Title > Other", "End"),
    ]


def test_html(tmp_path):
    assert passages(tmp_path, "page.html", HTML) == [
        ("Page title", None, "Lead & boldtext.\n\nSecond\nline"),
        ("Page title > One", "One", "Para\n\ninner\n\ntail"),
        ("Page title > One > Deep", "One > Deep", "keep\n    this"),
        ("Page title > One > Two", "One > Two", "a b\n\nc\n\nfoot"),
    ]


def test_plain_text_and_titles_of_last_resort(tmp_path):
    assert passages(tmp_path, "my notes.txt", "# no heading\n\n \t\nnext") == [
        ("my notes", None, "# no heading\n\nnext")
    ]


def test_html_nested_deeper_than_the_stack(tmp_path):
    depth = 20 * sys.getrecursionlimit()
    [(_, _, text)] = passages(tmp_path, "deep.html", "<div>" * depth + "bottom")
    assert text == "bottom"


def test_files_ids_and_order(tmp_path):
    for name in ("b.txt", "a/z.md", "a/B.TXT", "a.rst", "skip.pdf", ".hidden.txt", ".git/x.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("word " * 450 if name == "b.txt" else f"text of {name}")
    corpus = open_corpus(tmp_path)
    assert [document.id for document in corpus] == [
        "a.rst#1",
        "a/B.TXT#1",
        "a/z.md#1",
        "b.txt#1",
        "b.txt#2",
        "b.txt#3",
    ]
    assert corpus.name == tmp_path.name
    assert next(iter(corpus)) == Document("a.rst#1", "text of a.rst", "a", {"path": "a.rst"})
    whole = list(open_corpus(tmp_path, passage_words=None))
    assert [document.id for document in whole][-1] == "b.txt#1"


def test_files_without_text_are_empty_documents(tmp_path):
    (tmp_path / "empty.md").touch()
    (tmp_path / "heading.md").write_text("# Only this\n")
    assert [(d.id, d.title, d.text) for d in open_corpus(tmp_path)] == [
        ("empty.md#1", "empty", ""),
        ("heading.md#1", "Only this", ""),
    ]


BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(["heading", "heading", "words", "list", "table", "code", "note", "quote"]),
        st.integers(1, 4),
    ),
    max_size=12,
)


def rendered(blocks, kind, title):
    """Write blocks in one of the formats; also returns all words that a reader sees."""
    numbers = itertools.count()
    seen, lines = [], []

    def word():
        seen.append(f"w{next(numbers)}x")
        return seen[-1]

    if title:
        shown = word()
        lines += {
            "md": ["---", f"title: {shown}", "---"],
            "html": [f"<title>{shown}</title>"],
            "rst": ["=======", shown, "======="],
        }[kind]
    for block, level in blocks:
        a, b = word(), word()
        text = {
            "md": {
                "heading": f"{'#' * level} {a} *{b}*",
                "words": f"{a} **{b}**\n",
                "list": f"- {a}\n  1. {b}\n",
                "table": f"| {a} |\n|---|\n| {b} |\n",
                "code": f"```\n# {a}\n\n{b}\n```",
                "note": f"<details><summary>{a}</summary>\n\n{b}\n\n</details>\n",
                "quote": f"> {a}\n> # {b}\n",
            },
            "html": {
                "heading": f"<h{level}>{a} <b>{b}</b></h{level}>",
                "words": f"<p>{a} <a href='#'>{b}</a>",
                "list": f"<dl><dt>{a}</dt><dd>{b}</dd></dl>",
                "table": f"<table><caption>{a}</caption><tr><th>{b}</th></tr></table>",
                "code": f"<pre>{a}\n\n{b}</pre>",
                "note": f"<figure><figcaption>{a}</figcaption></figure><aside>{b}</aside>",
                "quote": f"<blockquote><h2>{a}</h2></blockquote><footer>{b}</footer>",
            },
            "rst": {
                "heading": f"{a} {b}\n{'=-~^'[level - 1] * 12}\n",
                "words": f"{a} **{b}**\n",
                "list": f"- {a}\n\n  #. {b}\n",
                "table": f"=====  =====\n{a}  {b}\n=====  =====\n",
                "code": f".. code-block:: python\n   :caption: {a}\n\n   {b}\n",
                "note": f".. note:: {a}\n\n   {b}\n",
                "quote": f".. [1] {a}\n\n.. |sub| replace:: {b}\n",
            },
        }[kind][block]
        lines += [text, ""]
    return "\n".join(lines), seen


@given(BLOCKS, st.booleans(), st.sampled_from(["md", "html", "rst"]), st.sampled_from([1, 7, None]))
def test_every_word_that_a_reader_sees_can_be_found(
    tmp_path_factory, blocks, title, kind, passage_words
):
    text, seen = rendered(blocks, kind, title)
    path = tmp_path_factory.mktemp("words") / f"page.{kind}"
    path.write_text(text)
    documents = list(open_corpus(path, passage_words=passage_words)) if text else []
    found = set(re.findall(r"w\d+x", " ".join(document.contents for document in documents)))
    assert set(seen) <= found, text
    assert all(document.text or document.title for document in documents)


def test_bad_files_are_named_and_can_be_skipped(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_bytes(b"a\0b")
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfgood\r\n\r\nfile")
    assert message_of(tmp_path).startswith(f"{tmp_path / 'a.txt'}: not valid UTF-8 (byte 0xe9")
    corpus = open_corpus(tmp_path, on_error="skip")
    assert [(d.id, d.text) for d in corpus] == [("c.txt#1", "good\n\nfile")]
    assert ["NUL" in str(error) for error in corpus.skipped] == [False, True]


def test_a_name_that_is_no_unicode_is_a_bad_document(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert "the id holds a lone surrogate" in message_of(tmp_path)
    assert len(open_corpus(tmp_path).fingerprint()) == 64


def test_links_to_folders_and_broken_links_are_passed_over(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.txt").symlink_to(tmp_path / "gone")
    assert [document.id for document in open_corpus(tmp_path)] == ["a.txt#1"]


def test_a_file_above_the_cap_is_refused_unread(tmp_path):
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    assert "larger than 67,108,864 bytes" in message_of(tmp_path)


def test_a_folder_without_documents_says_what_is_there(tmp_path):
    assert "found nothing" in message_of(tmp_path)
    (tmp_path / "a.pdf").touch()
    (tmp_path / "b.pdf").touch()
    (tmp_path / "data.jsonl").touch()
    message = message_of(tmp_path)
    assert message.startswith(f"{tmp_path}: no document in this folder: expected .txt")
    assert "found 2 .pdf, 1 .jsonl" in message


def test_fingerprint_follows_files_and_passage_size(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    first = open_corpus(tmp_path).fingerprint()
    assert first == open_corpus(tmp_path).fingerprint()
    assert first != open_corpus(tmp_path, passage_words=50).fingerprint()
    (tmp_path / "b.txt").write_text("b")
    second = open_corpus(tmp_path).fingerprint()
    (tmp_path / "b.txt").rename(tmp_path / "c.txt")
    assert len({first, second, open_corpus(tmp_path).fingerprint()}) == 3


def test_a_binary_file_is_skipped_as_a_file(tmp_path):
    (tmp_path / "a.md").write_bytes(b"\0\1\2")
    assert "binary" in message_of(tmp_path)
    corpus = open_corpus(tmp_path, on_error="skip")
    with pytest.raises(LsrError, match="all 1 files were skipped"):
        list(corpus)
    (tmp_path / "b.md").write_text("tea")
    assert [document.id for document in corpus] == ["b.md#1"]
    assert (corpus.n_skipped, corpus.part) == (1, "file")


@pytest.mark.parametrize("words", [0, -1, 1.5, "x", True])
def test_words_of_a_passage_are_a_whole_number_from_1(tmp_path, words):
    (tmp_path / "a.md").write_text("tea")
    with pytest.raises(LsrError, match="words of a passage"):
        open_corpus(tmp_path, passage_words=words)
