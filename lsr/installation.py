"""Whether the packages of this project are the ones that get imported.

`index`, `service`, `eval` and `training` are short names. A folder or a distribution of the same
name that comes earlier on the path takes their place, and what follows makes no sense to anybody.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from lsr.errors import LsrError

SIBLINGS = ("index", "eval", "service")


class InstallationError(LsrError, ImportError):
    """Another package has taken the place of one of ours."""


def check_siblings(home: Path | None = None) -> None:
    """Check that the sibling packages come from the folder that holds this one.

    Parameters
    ----------
    home : Path, optional
        That folder; for tests.

    Raises
    ------
    InstallationError
        Names the package, where it comes from and where it should.
    """
    home = home or Path(__file__).resolve().parent.parent
    for name in SIBLINGS:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise InstallationError(
                f"the package {name!r} is missing beside {home / 'lsr'}; install lsr-engine again"
            )
        found = Path(spec.origin).resolve().parent
        if found != home / name:
            raise InstallationError(
                f"the package {name!r} is imported from {found}, not from {home / name}: something "
                "else of that name comes first. Start from another folder, or install lsr-engine "
                "into an environment of its own"
            )
