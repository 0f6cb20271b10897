"""The entry of the ``lsr`` command and of ``python -m lsr``.

It lies here, not in `service`, so that a foreign package named `service` is explained instead of
ending in an import error.
"""

from __future__ import annotations

import sys
from importlib import import_module

from lsr.installation import InstallationError, check_siblings


def main() -> None:
    """Check the installation, then hand over to the command line."""
    try:
        check_siblings()
    except InstallationError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    import_module("service.cli").main()


if __name__ == "__main__":
    main()
