"""What a server may do to a connection, byte for byte: the words in which faults are written.

An act is a function of the connection; a script is a list of acts, played in order. After a script the connection
stays open, unless an act ended it.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


class Gone(Exception):  # noqa: N818 - a signal within the server
    """The client has left, or the server closes."""


@dataclass(slots=True, eq=False)
class Wire:
    """One connection as acts see it; `ended` is set when the server closes."""

    sock: Any
    ended: threading.Event = field(default_factory=threading.Event)
    is_open: bool = True

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def sleep(self, seconds: float) -> None:
        if self.ended.wait(seconds):
            raise Gone


Act = Callable[[Wire], None]
Script = Sequence[Act]


# -- on the connection -------------------------------------------------------------------------------------------------


def fin(wire: Wire) -> None:
    """End the connection in order."""
    with suppress(OSError):
        wire.sock.shutdown(socket.SHUT_RDWR)
    wire.is_open = False


def rst(wire: Wire) -> None:
    """Reset the connection: the client sees ECONNRESET."""
    with suppress(OSError):
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.sock.close()
    wire.is_open = False


def hang(wire: Wire) -> None:
    """Say nothing, and keep the connection."""
    wire.sleep(60.0)


def pause(seconds: float) -> Act:
    """Say nothing for a while."""
    return lambda wire: wire.sleep(seconds)


def send(data: bytes) -> Act:
    """Exactly these bytes."""
    return lambda wire: wire.send(data)


def drip(data: bytes, every: float = 0.02) -> Act:
    """One byte at a time."""

    def act(wire: Wire) -> None:
        for byte in data:
            wire.send(bytes([byte]))
            wire.sleep(every)

    return act


def endless(piece: bytes = b"\0" * 65536, start: bytes = b"") -> Act:
    """A 200 whose body never ends."""

    def act(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + start)
        while not wire.ended.is_set():
            wire.send(piece)

    return act


# -- as HTTP -----------------------------------------------------------------------------------------------------------


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """A status line and headers."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Odd"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reply(body: bytes = b"", status: int = 200, **headers: str) -> Act:
    """A whole reply with a right length; `content_type="text/html"` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(head(status, {"Content-Length": str(len(body)), **named}) + body)


def says(value: Any, status: int = 200, **headers: str) -> Act:
    """A JSON reply."""
    return reply(json.dumps(value).encode(), status, **{"Content_Type": "application/json", **headers})


def page(status: int = 200, title: str = "Bad gateway") -> Act:
    """A web page, as proxies and front ends send."""
    text = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return reply(text.encode(), status, content_type="text/html")


def redirect(to: str, status: int = 307) -> Act:
    """Somewhere else, please."""
    return reply(b"", status, location=to)


def cut(body: bytes, keep: int, status: int = 200) -> Script:
    """A reply that promises the whole body and ends after `keep` bytes."""
    return [send(head(status, {"Content-Length": str(len(body))}) + body[:keep]), fin]


def unsized(body: bytes, status: int = 200) -> Script:
    """A body without a length, ended by the connection's end."""
    return [send(head(status, {"Connection": "close"}) + body), fin]


def chunked(body: bytes, *, is_whole: bool = True, status: int = 200) -> Script:
    """A chunked body; without its last chunk if it is not whole."""
    start = head(status, {"Transfer-Encoding": "chunked"}) + b"%x\r\n%b\r\n" % (len(body), body)
    return [send(start + b"0\r\n\r\n")] if is_whole else [send(start), fin]


def bomb(megabytes: int, status: int = 200) -> Act:
    """A small body that unpacks to a large one."""
    packed = gzip.compress(b"\0" * (megabytes * 1024 * 1024), 1)
    return reply(packed, status, content_encoding="gzip")
