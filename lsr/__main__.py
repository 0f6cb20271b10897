"""The entry of the ``lsr`` command and of ``python -m lsr``."""

from __future__ import annotations

from importlib import import_module


def main() -> None:
    """Hand over to the command line, which lies in a layer above this one."""
    import_module("lsr_service.cli.main").main()


if __name__ == "__main__":
    main()
