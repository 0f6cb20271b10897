"""Lines of qrels and run files: strict, since one unreadable line makes every figure doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsr.corpus.lines import decode, encoding_problem, read_lines
from lsr.errors import CorpusError


def read_text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line numbers, from 1, and lines of a UTF-8 file, plain or gzip; blank ones left out.

    Raises
    ------
    CorpusError
        When the file cannot be read, or at the first line that is no UTF-8 text.
    """
    for line in read_lines(path):
        if line.problem is not None:
            raise CorpusError(line.problem, path, line.number)
        try:
            yield line.number, decode(line.data)
        except UnicodeDecodeError as error:
            raise CorpusError(encoding_problem(error), path, line.number) from None
