"""The simulator listens on this machine; what a web page could send to it is refused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from caller import PATH, Caller

from imagen_nb.simulator import Simulator
from imagen_nb.simulator.server import LARGEST_BODY, objection

Calling = Callable[[Simulator], Caller]
FORBIDDEN = [
    {"host": "evil.example"},
    {"host": "127.0.0.1"},
    {"host": "127.0.0.1:1"},
    {"host": "localhost.evil.example:{port}"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "https://127.0.0.1:{port}"},
    {"sec-fetch-site": "cross-site"},
]


@pytest.mark.parametrize("headers", FORBIDDEN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_foreign_page_gets_nothing(calling: Calling, method: str, headers: dict[str, str]) -> None:
    """A foreign Host, Origin or site is 403 for every method, without CORS headers, and bills nothing."""
    with Simulator(latency=0.0) as simulator:
        named = {name: value.format(port=simulator.port) for name, value in headers.items()}
        body = {"input": {"prompt": "x"}} if method == "POST" else None
        answer = calling(simulator)(method, PATH, body, **named)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert simulator.predictions == []


def test_a_foreign_page_gets_no_file(calling: Calling) -> None:
    """The files are closed to it as well, and carry headers that keep a browser from guessing."""
    with Simulator(latency=0.0) as simulator:
        call = calling(simulator)
        path = "/" + call.create(wait=True)["output"].split("/", 3)[3]
        own = call("GET", path)
        assert (own.status, own.headers["X-Content-Type-Options"]) == (200, "nosniff")
        assert own.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert call("GET", path, origin="https://evil.example").status == 403
        assert calling(simulator)("GET", path, sec_fetch_site="cross-site").status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:80"},
        {"host": "LOCALHOST:80", "origin": "http://localhost:80"},
        {"host": "[::1]:80", "sec-fetch-site": "same-origin"},
        {"host": "127.0.0.1:80", "sec-fetch-site": "none"},
    ],
)
def test_its_own_names_are_welcome(headers: dict[str, str]) -> None:
    """Every spelling of this machine's own address, with its own port."""
    assert objection(headers, 80) is None


@pytest.mark.parametrize("headers", [{}, {"host": "127.0.0.1:80, evil.example"}])
def test_a_request_without_one_clear_host_is_refused(headers: dict[str, str]) -> None:
    """No Host at all, or two."""
    assert objection(headers, 80)


def test_it_listens_on_this_machine_alone(simulator: Simulator) -> None:
    """The socket is bound to 127.0.0.1."""
    assert simulator._server.server_address == ("127.0.0.1", simulator.port)


def test_a_body_has_a_limit(call: Caller, calling: Calling, simulator: Simulator) -> None:
    """Over a megabyte is 413, without a length 411, and the server goes on."""
    assert call("POST", PATH, b"x" * (LARGEST_BODY + 1)).status == 413
    assert calling(simulator)("POST", PATH, None, transfer_encoding="chunked").status == 411
    assert calling(simulator).create()["id"]


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_an_error(simulator: Simulator, bytes_sent: bytes) -> None:
    """Noise is answered with a 4xx or 5xx in JSON and the connection is closed; nothing else happens."""
    if b"%d" in bytes_sent:
        bytes_sent %= simulator.port
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as connection:
        connection.sendall(bytes_sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ", 2)[1][:1] in b"45"
    assert b'"status": ' in answer
    assert b"Traceback" not in answer


def test_a_client_that_leaves_in_the_middle_harms_nobody(call: Caller, simulator: Simulator) -> None:
    """Half a body, and a held create whose client is gone: the next call is answered as ever."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{simulator.port}\r\nContent-Length: 500\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as connection:
        connection.sendall(head + b'{"input"')
    body = b'{"input": {"prompt": "[stuck]"}}'
    held = head.replace(b"500", str(len(body)).encode()).replace(b"\r\n\r\n", b"\r\nPrefer: wait\r\n\r\n") + body
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as connection:
        connection.sendall(held)
    assert call.create()["id"]


def test_closing_ends_everything_at_once() -> None:
    """Holds, connections and threads are gone when `close` returns, and it may be called twice."""
    before = set(threading.enumerate())
    simulator = Simulator(latency=60.0)
    callers = [Caller(simulator.port) for _ in range(5)]
    ends: list[object] = []

    def hold(caller: Caller) -> None:
        try:
            ends.append(caller.create(wait=True)["status"])
        except (OSError, AssertionError, ValueError) as error:
            ends.append(error)
        finally:
            caller.close()

    threads = [threading.Thread(target=hold, args=(each,)) for each in callers]
    for each in threads:
        each.start()
    while len(simulator.predictions) < 5:
        time.sleep(0.005)
    begun = time.monotonic()
    simulator.close()
    simulator.close()
    for each in threads:
        each.join(5)
    assert time.monotonic() - begun < 3
    assert len(ends) == 5
    until = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before
