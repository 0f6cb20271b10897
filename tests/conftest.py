"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: no time limits. The same examples on every run.
settings.register_profile(
    "repository",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repository")
