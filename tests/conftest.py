"""Settings of all tests."""

import signal
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
