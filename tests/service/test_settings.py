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


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("LSR_SERVE_PROT", "LSR_SERVE_PORT"),
        ("lsr_serve_prot", "LSR_SERVE_PORT"),
        ("LSR_SERVE_LIMITS__KK", "LSR_SERVE_LIMITS__K"),
        ("LSR_SERVE_LIMITS_K", "LSR_SERVE_LIMITS__K"),
        ("LSR_SERVE_DEADLINES__FIRST_BYTE", "LSR_SERVE_DEADLINES__FIRST_BYTE_S"),
    ],
)
def test_a_variable_that_is_no_setting_names_the_closest(
    monkeypatch: pytest.MonkeyPatch, name: str, closest: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError, match=f"{name} is no setting; the closest one is {closest}$"):
        load_settings({})


def test_every_setting_can_be_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "INDEXES": '{"a": "x"}', "INDEXES__b": "y", "FUSIONS": '["rrf"]', "SELECTIONS": "[]",
        "RERANK": "m", "HOST": "localhost", "PORT": "1", "INSECURE": "true", "WRITABLE": "1",
        "FREE_BYTES": "1", "FOLLOW_S": "0", "ALLOWED_HOSTS": '["h"]', "THREADS": "1", "QUEUE": "1",
        "CONNECTIONS": "1", "ACCESS_LOG": "0", "DRAIN_DELAY_S": "1", "SHUTDOWN_S": "1",
        "LIMITS": '{"window": 5}', "LIMITS__K": "5", "DEADLINES": '{"body_s": 2}',
        "DEADLINES__READ_S": "2",
    }  # fmt: skip
    assert {name.split("__")[0].lower() for name in values} == set(ServerSettings.model_fields)
    for name, value in values.items():
        monkeypatch.setenv(f"LSR_SERVE_{name}", value)
    loaded = load_settings({})
    assert set(loaded.indexes) == {"a", "b"}
    assert (loaded.limits.k, loaded.limits.window, loaded.deadlines.read_s) == (5, 5, 2.0)
