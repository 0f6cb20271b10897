"""Settings from options and the environment."""

import pytest

from lsr.errors import UsageError
from lsr_service.settings import ServerSettings, load_settings


def test_defaults_are_the_documented_ones() -> None:
    limits = ServerSettings().limits
    assert (limits.body_bytes, limits.json_depth, limits.k, limits.window) == (
        1 << 20,
        32,
        1_000,
        10_000,
    )
    assert (limits.query_chars, limits.query_terms, limits.deadline_ms) == (8_192, 1_024, 2_000)
    assert ServerSettings(threads=3).queue_length == 12
    assert ServerSettings().host == "127.0.0.1"


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSR_SERVE_PORT", "9001")
    monkeypatch.setenv("LSR_SERVE_LIMITS__K", "5000")
    assert load_settings({"port": None}).port == 9001
    assert load_settings({"port": 9002}).port == 9002
    assert load_settings({}).limits.k == 5000


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [("PORT", "70000", "port"), ("LIMITS__K", "0", "limits.k"), ("THREADS", "two", "threads")],
)
def test_bad_values_name_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, where: str
) -> None:
    monkeypatch.setenv(f"LSR_SERVE_{name}", value)
    with pytest.raises(UsageError, match=f"setting {where}: .*{value}"):
        load_settings({})
