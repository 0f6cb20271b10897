"""What mkdocs does to a page before it renders it.

ARCHITECTURE.md lies at the root of the repository, where a code host shows it; the site takes it
from there. Its links start at the root, those of the site in docs/.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_ROOT = Path(__file__).resolve().parent.parent


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Fill in the architecture, and point links at pages of the site or at nothing."""
    if page.file.src_uri == "architecture.md":
        markdown = (_ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    return _LINK.sub(_relink, markdown)


def _relink(match: re.Match[str]) -> str:
    inside = match[1].removeprefix("docs/")
    if (_ROOT / "docs" / inside).exists():
        return f"]({inside}{match[2] or ''})"
    return "]"
