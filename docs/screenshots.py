"""Screenshots of the search page, made by headless Chromium: ``python docs/screenshots.py``.

Serves the index that ``lsr demo`` makes (the documentation of this Python) and writes the pictures
that the README and the documentation show below docs/images. Needs Chromium; ``CHROMIUM`` names
another program. The window has a fixed size, so a later run changes only what the page changed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

IMAGES = Path(__file__).resolve().parent / "images"
QUERY = "cancel a running asyncio task"
DARK = ("--blink-settings=preferredColorScheme=0",)
SHOTS = {
    "search-page.png": ("1100,900", {"q": QUERY}, ()),
    "search-page-phone.png": ("420,860", {"q": QUERY}, ()),
    "search-page-dark.png": ("1100,900", {"q": QUERY}, DARK),
}
OPTIONS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "hide-scrollbars",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "force-device-scale-factor=1",
    "virtual-time-budget=8000",
)
_START_S = 60


def main() -> None:
    """Make every picture."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser is None:
        sys.exit("error: Chromium is not installed; install it or name it in CHROMIUM")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address:
        for name, (size, wanted, more) in SHOTS.items():
            url = f"{address}/#{urlencode(wanted)}"
            shoot(browser, url, IMAGES / name, size, Path(folder) / name, more)
            print(IMAGES / name)  # noqa: T201


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the demonstration index on a free port; gives the address."""
    lsr = [sys.executable, "-m", "lsr"]
    index = folder / "python-docs.index"
    subprocess.run([*lsr, "demo", str(folder)], check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    server = subprocess.Popen([*lsr, "serve", str(index), "--port", str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address, server)
        yield address
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait for the server to answer; end with an error when it does not."""
    deadline = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    sys.exit("error: the server did not start")


def shoot(
    browser: str, url: str, path: Path, size: str, profile: Path, more: tuple[str, ...]
) -> None:
    """Write a picture of a page, once its script has had time to show the hits."""
    options = [f"--{name}" for name in OPTIONS]
    profile_option = f"--user-data-dir={profile}.profile"
    command = [browser, *options, *more, profile_option, f"--window-size={size}"]
    subprocess.run([*command, f"--screenshot={path}", url], check=True, capture_output=True)


if __name__ == "__main__":
    main()
