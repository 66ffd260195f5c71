"""The simulator as a server on this machine: sockets, and who may speak to it.

It listens on 127.0.0.1 alone, and answers neither a page of another origin nor a name that was made to point here
(`objection`). One thread serves one connection; a held create sleeps in its thread until its prediction ends.
"""

from __future__ import annotations

import contextlib
import io
import math
import signal
import socket
import socketserver
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import IO, Any
from urllib.parse import parse_qsl

from imagen_nb.simulator import answers, painter
from imagen_nb.simulator.answers import Answer
from imagen_nb.simulator.bodies import ServerResponse, problem
from imagen_nb.simulator.catalogue import catalogue
from imagen_nb.simulator.files import LARGEST_FILE, LIFE_S, Files
from imagen_nb.simulator.ledger import Latency, Ledger, WallClock
from imagen_nb.simulator.service import Paint, ServerRequest, Service, is_upload

HOST = "127.0.0.1"
LARGEST_BODY = 16_000_000
_NAMES = (HOST, "localhost", "[::1]")
_RECORDED = 1_000_000
_DRAINED = 2 * LARGEST_FILE
_IDLE_S = 300.0
_READING_S = 30.0
_CLOSING_S = 2.0


def objection(headers: Mapping[str, str], port: int) -> str | None:
    """Why a request with these headers (names in lower case) is refused, or None.

    A web page that a browser shows beside the notebook can send requests here. The browser names the page's origin,
    or the foreign name that was made to point here, and this server obeys only its own.
    """
    own = {f"{name}:{port}" for name in _NAMES}
    if headers.get("host", "").lower() not in own:
        return "This server answers only to its own address."
    if "origin" in headers and headers["origin"].lower() not in {f"http://{each}" for each in own}:
        return "This server does not answer pages of another origin."
    if headers.get("sec-fetch-site", "").lower() == "cross-site":
        return "This server does not answer pages of another site."
    return None


class Simulator:
    """A running simulator; it serves from its construction until `close()`, or the end of a `with`.

    `port` 0 is any free one. `latency` is in seconds (see `Latency`), `seed` decides latencies and pictures. With
    `token` a call needs it, else none is needed. `paint` makes the pictures (see `Paint`), by default real ones, and
    `answer` what text models say (see `Answer`). With
    `creates_per_minute` a create beyond that rate, and beyond `burst` of them at once, is answered with 429. An
    upload is kept for `file_life` seconds.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency: Latency = None,
        seed: int = 0,
        token: str | None = None,
        paint: Paint | None = None,
        answer: Answer | None = None,
        creates_per_minute: float | None = None,
        burst: int = 1,
        file_life: float = LIFE_S,
    ) -> None:
        self._server = _Server(port)
        self._ledger = Ledger(latency=latency, seed=seed)
        self._files = Files(life=file_life, clock=self._ledger.clock)
        self._service = self._server.service = Service(
            self._ledger,
            self._files,
            catalogue(),
            paint or painter.paint,
            answer or answers.answer,
            origin=self.base_url,
            wall=WallClock(time.time() - time.monotonic()),
            token=token,
            seed=seed,
            creates_per_minute=creates_per_minute,
            burst=burst,
        )
        self._server.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        """What stands before `/v1`."""
        return f"http://{HOST}:{self.port}"

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """Every prediction created, in order, as the API would show it now."""
        return [self._service.prediction(entry) for entry in self._ledger.entries()]

    @property
    def bills(self) -> list[dict[str, Any]]:
        """`id`, `model` and `usd` of every prediction that has ended and is billed, by the published prices."""
        return self._service.bills()

    @property
    def billed(self) -> float:
        """US dollars of all bills."""
        return round(math.fsum(each["usd"] for each in self.bills), 10)

    @property
    def files(self) -> list[dict[str, Any]]:
        """The uploads that are kept, newest first, as the API shows them."""
        return [self._service.file_page(each) for each in self._files.list()]

    @property
    def requests(self) -> deque[ServerRequest]:
        """The newest 20,000 requests that were answered, with the first megabyte of their bodies, without uploads."""
        return self._server.requests

    def close(self) -> None:
        """Stop serving, let go of every hold, and end every connection. Closing twice does no harm."""
        self._ledger.close()
        self._server.stop()
        self._files.close()

    def __enter__(self) -> Simulator:  # noqa: PYI034 - Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Simulator({self.base_url})"


def serve(port: int = 0, latency: Latency = None, *, seed: int = 0) -> None:
    """Run a simulator in the foreground until SIGINT or SIGTERM; its base URL is the first line printed.

    Call it from the main thread. Raises `OSError` when the port is taken.
    """
    stop = threading.Event()
    with Simulator(port=port, latency=latency, seed=seed) as simulator:
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, lambda *_: stop.set()) for each in wanted}
        try:
            sys.stdout.write(f"{simulator.base_url}\n")
            sys.stdout.flush()
            # In slices, since on some systems a signal does not end a wait that has no limit.
            while not stop.wait(1.0):
                pass
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class _Server(ThreadingHTTPServer):
    """One thread a connection; knows its connections, so that it can end them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    service: Service

    def __init__(self, port: int) -> None:
        self.requests: deque[ServerRequest] = deque(maxlen=20_000)
        self._is_stopping = False
        self._connections: set[socket.socket] = set()
        self._idle = threading.Condition()
        self._acceptor = threading.Thread(target=self._accept, name="simulator", daemon=True)
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks the machine's name up, which takes seconds where name service is broken.
        socketserver.TCPServer.server_bind(self)

    def start(self) -> None:
        """Accept connections in a thread of its own."""
        self._acceptor.start()

    def _accept(self) -> None:
        # Sleeps between connections, where `serve_forever` would wake twice a second.
        while not self._is_stopping:
            self.handle_request()

    def stop(self) -> None:
        """Accept no more, end every connection, and wait a moment for their threads."""
        if self._is_stopping:
            return
        self._is_stopping = True
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.server_address[1]), timeout=1):
            self._acceptor.join(_CLOSING_S)  # the connection woke it
        self.server_close()
        with self._idle:
            for each in self._connections:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._idle.wait_for(lambda: not self._connections, _CLOSING_S)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._idle:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._idle:
            self._connections.discard(request)
            self._idle.notify_all()
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is everyday business; anything else is a mistake of ours and is shown.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class BodyStream:
    """The body of one request, of which `left` bytes are still to be read."""

    def __init__(self, source: IO[bytes] | io.BufferedIOBase, left: int) -> None:
        self._source, self.left = source, left

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end of the body or where it ended early."""
        data = self._source.read(min(size, self.left))
        self.left -= len(data)
        return data

    def drain(self, most: int) -> None:
        """Read what is left, at most so many bytes, and forget it."""
        while self.left > 0 and most > 0 and (data := self.read(65536)):
            most -= len(data)


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, has it answered, and sends head and body in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_S
    server: _Server

    def parse_request(self) -> bool:
        # Patience between requests, none within one.
        self.connection.settimeout(_READING_S)
        return super().parse_request()

    def exchange(self) -> None:
        """Answer one request."""
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = sys.intern(name.lower())
            headers[key] = sys.intern(f"{headers[key]}, {value}" if key in headers else value)
        self._send(self._response(headers))
        self.connection.settimeout(_IDLE_S)

    do_GET = do_HEAD = do_POST = do_OPTIONS = exchange  # noqa: N815 - the names http.server looks for
    do_PUT = do_PATCH = do_DELETE = exchange  # noqa: N815 - likewise

    def _response(self, headers: Mapping[str, str]) -> ServerResponse:
        reason = objection(headers, int(self.server.server_address[1]))
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            self.close_connection = True
            return problem(411, "A body needs a Content-Length.")
        path, _, query = self.path.partition("?")
        stream = BodyStream(self.rfile, int(length))
        request = ServerRequest(self.command, path, dict(reversed(parse_qsl(query))), headers)
        response = problem(403, reason) if reason else self._answer(request, stream)
        if reason or stream.left:
            self.close_connection = True
            # What is still coming is read, within bounds, so that the response is not lost with the connection.
            stream.drain(_DRAINED)
        return response

    def _answer(self, request: ServerRequest, stream: BodyStream) -> ServerResponse:
        """The service's response; what is uploaded it reads itself, by and by."""
        service, requests = self.server.service, self.server.requests
        if is_upload(request):
            requests.append(request)
            return service.answer(replace(request, read=stream.read))
        if stream.left > LARGEST_BODY:
            return problem(413, "The body is too large.")
        body = stream.read(stream.left)
        if stream.left:
            return problem(400, "The body ended early.")
        requests.append(replace(request, body=body[:_RECORDED]))
        return service.answer(replace(request, body=body))

    def _send(self, response: ServerResponse) -> None:
        """Send the whole response at once: a head on its own would wait 40 ms for an acknowledgement."""
        body = b"" if self.command == "HEAD" else response.body
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            f"Date: {formatdate(self.server.service.wall.zero + time.monotonic(), usegmt=True)}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            "X-Content-Type-Options: nosniff",
            "Cross-Origin-Resource-Policy: same-origin",
            *(f"{name}: {value}" for name, value in response.headers),
            *(["Connection: close"] if self.close_connection else []),
        ]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A request that is not HTTP, or a method nobody knows."""
        self.close_connection = True
        self.command = self.command or ""
        self._send(problem(code, message or explain or "The request cannot be read."))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: `requests` has it all."""
