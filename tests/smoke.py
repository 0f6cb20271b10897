"""Uses an installed lsr as a person would, from a folder whose modules have names of their own.

Needs nothing but the standard library, so that it runs in an environment without the tests' own
requirements: ``python tests/smoke.py`` checks the environment of that interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

USER_MODULES = ("eval/__init__.py", "index.py", "service/__init__.py", "training/__init__.py")
NOTES = {
    "tea.md": "# Brewing green tea\n\nGreen tea tastes bitter when the water boils.\n",
    "bread.md": "# Bread\n\nDough that rises slowly in the cold tastes of more.\n",
}
README = Path(__file__).parent.parent / "README.md"
_TIMED_IMPORT = "import time; t = time.process_time(); import lsr; print(time.process_time() - t)"


class Installed:
    """An environment with lsr in it, used from a folder of a project that has other modules.

    Parameters
    ----------
    python : Path
        The interpreter of the environment.
    folder : Path
        Empty; becomes the project.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self._python = python
        self._folder = folder
        for module in USER_MODULES:
            path = folder / module
            path.parent.mkdir(exist_ok=True)
            path.write_text("raise ImportError('a module of the user was imported')\n")
        (folder / "notes").mkdir()
        for name, text in NOTES.items():
            (folder / "notes" / name).write_text(text)

    def python(self, code: str) -> str:
        """Run a program that lies in the folder, so that its modules come first."""
        (self._folder / "program.py").write_text(code)
        return self._run(str(self._python), "program.py")

    def lsr(self, *arguments: str) -> str:
        """Run the command ``lsr`` and return what it printed."""
        return self._run(str(self._python.with_name("lsr")), *arguments)

    def five_lines(self) -> None:
        """The first example of the README."""
        _, _, rest = README.read_text(encoding="utf-8").partition("```python\n")
        printed = self.python(rest.partition("```")[0])
        assert printed.split()[0] == "1", printed
        assert "tea.md" in printed.splitlines()[0], printed

    def commands(self) -> None:
        """``lsr index``, ``search``, ``serve``, ``eval`` and ``train --help``."""
        self.lsr("index", "notes", "--output", "cli.index", "--encoder", "bm25")
        assert "tea.md" in self.lsr("search", "cli.index", "bitter tea")
        self._serve()
        self._evaluate()
        assert "RECIPE" in self.lsr("train", "--help")

    def import_seconds(self) -> float:
        """Return how long ``import lsr`` takes at best, in a fresh process each.

        Processor time: on an idle machine that is the time, and on a busy one still the same.
        """
        return min(float(self.python(_TIMED_IMPORT)) for _ in range(7))

    def _serve(self) -> None:
        command = [self._python.with_name("lsr"), "serve", "cli.index", "--port", "0", "--json"]
        server = subprocess.Popen(
            command, cwd=self._folder, env=_environment(), stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            printed = [""]
            while printed[-1] != "}\n":
                printed.append(server.stdout.readline())
                assert printed[-1], "the server stopped before it said where it serves"
            request = urllib.request.Request(
                json.loads("".join(printed))["url"] + "/v1/indexes/cli/search",
                json.dumps({"query": "bitter tea"}).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=120) as answer:
                hits = json.load(answer)["hits"]
            assert hits[0]["id"].startswith("tea.md"), hits
            server.terminate()
            assert server.wait(60) == 0
        finally:
            server.kill()
            server.communicate()

    def _evaluate(self) -> None:
        beir = self._folder / "tiny"
        (beir / "qrels").mkdir(parents=True)
        documents = [{"_id": name, "title": "", "text": text} for name, text in NOTES.items()]
        queries = [{"_id": "q1", "text": "bitter tea"}, {"_id": "q2", "text": "slow dough"}]
        for name, rows in (("corpus.jsonl", documents), ("queries.jsonl", queries)):
            (beir / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        judged = "query-id\tcorpus-id\tscore\nq1\ttea.md\t1\nq2\tbread.md\t1\n"
        (beir / "qrels" / "test.tsv").write_text(judged)
        assert "1.0000" in self.lsr("eval", "tiny", "--encoder", "bm25")

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def main() -> None:
    """Check the environment of this interpreter."""
    with tempfile.TemporaryDirectory() as name:
        installed = Installed(Path(sys.executable), Path(name))
        checks: list[Callable[[], object]] = [installed.five_lines, installed.commands]
        for check in checks:
            check()
            sys.stdout.write(f"{check.__name__}: passed\n")
        sys.stdout.write(f"import lsr: {installed.import_seconds():.3f} s\n")


if __name__ == "__main__":
    main()
