"""Settings of all tests."""

import atexit
import os
import shutil
import signal
import tempfile
import threading

from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: no time limits. The same examples on every run.
settings.register_profile(
    "repository",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repository")

# A shell that runs the tests in the background has them ignore Ctrl-C, and so whatever they start.
if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Model folders that tests name are not remembered for the person who runs them.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="lsr-tests-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
