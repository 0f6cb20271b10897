"""The server as a process: start, stop, clients that misbehave."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lsr.errors import UsageError
from lsr_service.http.server import BindError, bind, is_loopback, require_private_address
from lsr_service.settings import ServerSettings
from tests.service.conftest import lsr_process, lsr_serve

SHORT = {
    "LSR_SERVE_CONNECTIONS": "200",
    "LSR_SERVE_DEADLINES__FIRST_BYTE_S": "0.6",
    "LSR_SERVE_DEADLINES__HEADER_S": "1.0",
    "LSR_SERVE_DEADLINES__BODY_S": "1.0",
    "LSR_SERVE_DEADLINES__READ_S": "1.0",
}
SEARCH = (
    b"POST /v1/indexes/small/search HTTP/1.1\r\nhost: localhost\r\n"
    b"content-type: application/json\r\nconnection: close\r\n"
)


def request(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


@pytest.fixture(scope="module")
def port(index_path: Path) -> Iterator[int]:
    """Return the port of a server with short deadlines for its clients."""
    with lsr_serve(index_path, **SHORT) as (process, port):
        yield port
        assert stop(process)[0] == 0


Connect = Callable[[int], socket.socket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a function that connects to a port; connections are closed at the end."""
    with contextlib.ExitStack() as opened:
        yield lambda port: opened.enter_context(
            socket.create_connection(("127.0.0.1", port), timeout=60)
        )


def read_all(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65_536):
            received += chunk
    return received


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(index_path: Path, connect: Connect, number: int) -> None:
    with lsr_serve(index_path) as (process, port):
        assert request(port, "GET", "/readyz")[0] == 200
        idle = connect(port)
        code, errors = stop(process, number)
    assert code == 0
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "stopped"
    assert read_all(idle) == b""


def test_requests_that_run_are_answered_before_it_ends(index_path: Path, connect: Connect) -> None:
    body = b'{"query": "storm"}'
    with lsr_serve(index_path, LSR_SERVE_DRAIN_DELAY_S="0.7") as (process, port):
        client = connect(port)
        client.sendall(SEARCH + b"content-length: %d\r\n\r\n" % len(body) + body[:5])
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while request(port, "GET", "/readyz")[0] != 503:
            assert time.monotonic() < deadline
        time.sleep(1.0)
        with pytest.raises(ConnectionRefusedError):
            connect(port)
        client.sendall(body[5:])
        answer = read_all(client)
        assert process.wait(10) == 0
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["hits"]


def test_port_in_use_is_one_line(index_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lsr_process("serve", str(index_path), "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"error: port {port} on 127.0.0.1 is in use; "
        "stop what uses it or choose another with --port\n"
    )


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.nip.io"]
)
def test_public_addresses_need_a_word(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="--insecure"):
        require_private_address(ServerSettings(host=host))
    require_private_address(ServerSettings(host=host, insecure=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    settings = ServerSettings(host=host)
    assert not settings.insecure
    require_private_address(settings)


def test_slow_clients_lose_their_connection_and_disturb_nobody(port: int, connect: Connect) -> None:
    """Silent sockets, trickled headers and bodies, requests half sent; all at once."""
    silent = [connect(port) for _ in range(100)]
    half_header = connect(port)
    half_header.sendall(b"GET /livez HTTP/1.1\r\nx-slow: ")
    half_body = connect(port)
    half_body.sendall(SEARCH + b'content-length: 18\r\n\r\n{"query":')
    second = connect(port)
    second.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\nGET /liv")
    trickled = connect(port)
    cut_off = False
    started = time.monotonic()
    while time.monotonic() - started < 2.5:
        try:
            trickled.sendall(b"G")
        except OSError:
            cut_off = True
        before = time.perf_counter()
        assert request(port, "GET", "/livez")[0] == 200
        assert time.perf_counter() - before < 1
        time.sleep(0.1)
    assert cut_off
    assert all(read_all(client) == b"" for client in silent)
    assert read_all(half_header).startswith(b"HTTP/1.1 408 ")
    assert read_all(half_body).startswith(b"HTTP/1.1 408 ")
    answers = read_all(second)
    assert answers.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 408 " in answers


def test_a_reader_that_takes_nothing_loses_its_connection(port: int, connect: Connect) -> None:
    client = connect(port)
    body = b'{"query": "zebra storm river", "k": 1000}'
    one = b"content-length: %d\r\n\r\n" % len(body) + body
    client.settimeout(1)
    with contextlib.suppress(OSError):
        client.sendall((SEARCH.replace(b"close", b"keep-alive") + one) * 2000)
    time.sleep(2.5)
    client.settimeout(60)
    assert read_all(client).count(b"200 OK") < 2000
    assert request(port, "GET", "/livez")[0] == 200


def test_lies_about_the_body(port: int, connect: Connect) -> None:
    def answer(sent: bytes) -> bytes:
        client = connect(port)
        with contextlib.suppress(OSError):
            client.sendall(sent)
        return read_all(client)

    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    assert answer(SEARCH + b"transfer-encoding: chunked\r\n\r\n" + chunk * 17).startswith(
        b"HTTP/1.1 413"
    )
    assert answer(SEARCH + b"content-length: 999999999999\r\n\r\n{").startswith(b"HTTP/1.1 413")
    for lie in (
        b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"content-length: -1\r\n\r\n",
        b"content-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"x: " + b"a" * 100_000,
    ):
        assert answer(SEARCH + lie).startswith(b"HTTP/1.1 400")
    # Both lengths at once is how requests are smuggled: whatever is answered, it is one answer.
    both = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /livez"
    assert answer(SEARCH + both).count(b"200 OK") == 0
    assert request(port, "GET", "/livez")[0] == 200


def test_pipelined_requests_are_answered_in_order(port: int, connect: Connect) -> None:
    client = connect(port)
    one = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-request-id: %d\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    client.sendall(b"".join(one % i for i in range(50)) + last)
    answers = read_all(client)
    ids = [part.split(b"\r\n")[0] for part in answers.split(b"x-request-id: ")[1:]]
    assert ids[:50] == [b"%d" % i for i in range(50)]
    assert len(ids) == 51
