"""Settings of a server, with their defaults.

Every setting is also an environment variable: ``LSR_SERVE_PORT=9000``, and
``LSR_SERVE_LIMITS__K=5000`` for a limit. Options of ``lsr serve`` win over the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lsr.errors import UsageError
from lsr.machine import cpu_count

PREFIX = "LSR_SERVE_"
DELIMITER = "__"


class Limits(BaseModel):
    """Limits of one request, which is rejected beyond them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: int = Field(default=1 << 20, gt=0)
    json_depth: int = Field(default=32, gt=0, le=200)
    k: int = Field(default=1_000, gt=0)
    window: int = Field(default=10_000, gt=0, description="offset + k")
    query_chars: int = Field(default=8_192, gt=0)
    query_terms: int = Field(default=1_024, gt=0)
    embed_inputs: int = Field(default=32, gt=0)
    deadline_ms: int = Field(default=2_000, gt=0, description="from admission to answer")
    change_body_bytes: int = Field(default=32 << 20, gt=0)
    batch_docs: int = Field(default=1_000, gt=0)
    doc_text_bytes: int = Field(default=1 << 20, gt=0, description="title and text together")
    doc_metadata_bytes: int = Field(default=64 << 10, gt=0)
    doc_terms: int = Field(default=4_096, gt=0)
    changes_waiting: int = Field(
        default=8, gt=0, description="changes of an index that are received, wait or are committed"
    )
    change_deadline_ms: int = Field(default=30_000, gt=0)


class Deadlines(BaseModel):
    """Deadlines of a client, in seconds; a slower one is disconnected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_byte_s: float = Field(default=5.0, gt=0)
    header_s: float = Field(default=10.0, gt=0)
    body_s: float = Field(default=30.0, gt=0)
    read_s: float = Field(default=30.0, gt=0, description="to read an answer beyond the buffers")


class ServerSettings(BaseSettings):
    """Settings of one HTTP server."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, frozen=True, extra="forbid"
    )

    indexes: dict[str, Path] = Field(default_factory=dict)
    fusions: tuple[str, ...] = ()
    selections: tuple[Path, ...] = ()
    rerank: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    insecure: bool = False
    writable: bool = False
    free_bytes: int = Field(
        default=256 << 20, ge=0, description="room on the disk below which documents are refused"
    )
    follow_s: float = Field(
        default=1.0, ge=0, description="time between two looks for later generations; 0: never"
    )
    allowed_hosts: tuple[str, ...] = ()
    threads: int = Field(default_factory=cpu_count, gt=0)
    queue: int | None = Field(
        default=None, ge=0, description="requests that may wait; 4 per thread"
    )
    connections: int = Field(default=1_024, gt=0)
    access_log: bool = True
    drain_delay_s: float = Field(default=1.0, ge=0)
    shutdown_s: int = Field(default=10, gt=0)
    limits: Limits = Limits()
    deadlines: Deadlines = Deadlines()

    @property
    def queue_length(self) -> int:
        """Requests that may wait for a thread."""
        return 4 * self.threads if self.queue is None else self.queue


def load_settings(options: Mapping[str, Any]) -> ServerSettings:
    """Merge options with the environment; an option that is None is read from it.

    Raises UsageError for a value out of range or of a wrong type, and for a variable that begins
    with the prefix of settings and is none.
    """
    _require_known(os.environ)
    try:
        return ServerSettings(**{k: v for k, v in options.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"setting {where}: {first['msg']}, got {first['input']!r}") from None


def _require_known(environment: Iterable[str]) -> None:
    """Raise UsageError for a variable with the prefix of settings that is none."""
    known = _variables(ServerSettings, PREFIX)
    for name in sorted(name for name in environment if name.upper().startswith(PREFIX)):
        if name.upper() not in known:
            near = get_close_matches(name.upper(), known, 1, 0.0)
            raise UsageError(f"{name} is no setting; the closest one is {near[0]}")


def _variables(model: type[BaseModel], prefix: str) -> list[str]:
    """Return the variables of the environment that set a field of a model."""
    found = []
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        found.append(variable)
        kind = field.annotation
        if get_origin(kind) is dict:
            set_now = map(str.upper, os.environ)
            found += [given for given in set_now if given.startswith(variable + DELIMITER)]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += _variables(kind, variable + DELIMITER)
    return found
