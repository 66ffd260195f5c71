"""One HTTP exchange that ends when it must: the only place that handles sockets and foreign exceptions.

`HttpConnections` wraps a requests session of which only preparing and the adapter are used: `Session.send` would
follow, or at least read, redirects, and keep cookies. Timeouts of requests count from byte to byte and never fire on a
dripping reply; so replies are read here through `_ReplyReader`, which looks at the clock, and at whoever may stop the
exchange, before each read.

Whether a request was sent at all is not guessed from an exception: a connection notes it before its first byte.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.exceptions as rq
import urllib3.exceptions as u3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from imagen_nb.api.pace import SLICE_S
from imagen_nb.errors import ImagenError, ProviderError, UncertainError, UnreachableError
from imagen_nb.files import NO_FILES, NO_FILES_HINT
from imagen_nb.settings import Secret, is_loopback

CONNECT_S = 10.0
"""How long one attempt to connect, or one write, may take, in seconds."""

CHUNK = 64 * 1024
POOL = 128
"""Connections kept to one origin; more threads than this still work, and open new ones."""


Body = Any
"""What is sent: bytes, or what has a length and is read in pieces; None for nothing."""


@dataclass(slots=True)
class Exchange:
    """How long one exchange may take (`deadline`, monotonic), who may stop it, and whether it was sent."""

    deadline: float
    is_stopped: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    is_sent: bool = False
    readers: list[io.RawIOBase] = field(default_factory=list)

    def seconds_left(self) -> float:
        """Raises `DeadlineExceeded` when there are none left, `ExchangeStopped` when the exchange was stopped."""
        if self.is_stopped():
            raise ExchangeStopped
        left = self.deadline - self.clock()
        if left <= 0:
            raise DeadlineExceeded
        return left

    def release(self) -> None:
        """Let go of the sockets: after a failure, a refused tunnel say, nobody else may do so before the collector."""
        for reader in self.readers:
            reader.close()


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """The status line and the headers of a reply; names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoReply:
    """An exchange without a usable reply.

    `is_sent` is False where surely no byte of the request left; `is_passing` tells whether another try may do better.
    """

    text: str
    hint: str
    is_sent: bool
    is_passing: bool = True

    def error(self) -> ProviderError:
        """The error it comes out as where no other try is made."""
        return (UncertainError if self.is_sent else UnreachableError)(self.text, self.hint)


class BearerAuth(AuthBase):
    """The token's header. Set as a session's auth, it keeps `~/.netrc` from putting another in its place."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request

    def __repr__(self) -> str:
        return "BearerAuth([token])"


class NoAuth(AuthBase):
    """No header at all, for the same reason: without any auth requests would look into `~/.netrc`."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class HttpConnections:
    """Connections to any origin, with one way to authenticate; safe to use from many threads, and after a fork."""

    def __init__(self, auth: AuthBase) -> None:
        self._session = requests.Session()
        self._session.auth = auth
        self._adapters = [(os.getpid(), _Adapter(pool_maxsize=POOL))]
        self._routes: dict[str, dict[str, Any]] = {}

    def send(
        self,
        method: str,
        url: str,
        exchange: Exchange,
        *,
        sink: Callable[[bytes], object],
        is_wanted: Callable[[ReplyHead], bool] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> ReplyHead | NoReply:
        """Send one request: `sink` gets the decoded body of the reply in pieces, unless its head is not wanted.

        Gives the head, or a `NoReply` that says why there is no whole reply. Redirects are not followed. An
        `ImagenError` raised by `is_wanted` or `sink` ends the exchange and comes out as it is; every other exception
        leaves behind what requests and urllib3 know of the request, the token among it.
        """
        interruption: BaseException
        try:
            return self._send(method, url, exchange, sink=sink, is_wanted=is_wanted, body=body, headers=headers or {})
        except ImagenError:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, it must not pass: its frames hold the token
            exchange.release()
            return explain(failure, url, is_sent=exchange.is_sent)
        except BaseException as failure:  # noqa: BLE001 - an interrupt goes on, without those frames
            exchange.release()
            interruption = failure.with_traceback(None)
        interruption.__context__ = interruption.__cause__ = None
        raise interruption

    def close(self) -> None:
        """Close the pooled connections of this process."""
        self._adapter().close()

    def _adapter(self) -> _Adapter:
        """The connections of this process.

        A forked child would read the replies to its parent's requests, so it opens its own. What it inherited is kept
        unused: closing it may need a lock that a thread of the parent held.
        """
        pid, adapter = self._adapters[-1]
        if pid != os.getpid():
            adapter = _Adapter(pool_maxsize=POOL)
            self._adapters.append((os.getpid(), adapter))
        return adapter

    def _send(
        self,
        method: str,
        url: str,
        exchange: Exchange,
        *,
        sink: Callable[[bytes], object],
        is_wanted: Callable[[ReplyHead], bool] | None,
        body: Body,
        headers: Mapping[str, str],
    ) -> ReplyHead:
        prepared = self._session.prepare_request(
            # What is not asked for encoded needs no decoding, and hides no bomb.
            requests.Request(method, url, data=body, headers={"Accept-Encoding": "identity", **headers})
        )
        # Proxies and CA file that the environment names for this origin are looked up once: it is slow.
        parts = urlsplit(str(prepared.url))
        route = self._routes.get(f"{parts.scheme}://{parts.netloc}")
        if route is None:
            merged = self._session.merge_environment_settings(prepared.url, {}, None, None, None)
            route = {name: merged[name] for name in ("proxies", "verify", "cert")}
            if is_loopback((parts.hostname or "").rstrip(".")):
                # Plain http, with the token, is allowed to this machine because it does not leave it, by no proxy.
                route["proxies"] = {}
            self._routes[f"{parts.scheme}://{parts.netloc}"] = route
        left = exchange.seconds_left()
        _thread.exchange = exchange
        response = self._adapter().send(prepared, stream=True, timeout=(min(CONNECT_S, left), left), **route)
        try:
            head = ReplyHead(response.status_code, {name.lower(): value for name, value in response.headers.items()})
            if is_wanted is None or is_wanted(head):
                pieces: Iterator[bytes] = iter(partial(response.raw.read, CHUNK, decode_content=False), b"")
                encoding = head.headers.get("content-encoding", "").strip().lower()
                for piece in pieces if encoding in ("", "identity") else _inflate(pieces, encoding):
                    sink(piece)
        finally:
            response.close()
        return head


# -- reading ---------------------------------------------------------------------------------------------------------


def _inflate(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The body as it was before `Content-Encoding`, never more than a chunk at a time, whatever it swells to."""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnreadableReply(f"the reply is encoded as {encoding[:40]!r}, which was not asked for")
    inflate = zlib.decompressobj(wbits=47)
    for piece in pieces:
        yield inflate.decompress(piece, CHUNK)
        while inflate.unconsumed_tail:
            yield inflate.decompress(inflate.unconsumed_tail, CHUNK)
    yield inflate.flush(CHUNK)
    if not inflate.eof:
        raise UnreadableReply("the compressed reply ends too early")


class _ReplyReader(io.RawIOBase):
    """Reads a socket for one exchange: each read ends by its deadline, and soon after it is stopped.

    `HTTPResponse` takes it for the socket itself, of which it only ever makes one file.
    """

    def __init__(self, sock: Any, exchange: Exchange) -> None:
        super().__init__()
        self._sock = sock
        self._exchange = exchange
        self._open = sock.makefile("rb", buffering=0)  # keeps the socket open until the reply was read
        exchange.readers.append(self)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - always "rb"
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._sock.settimeout(min(SLICE_S, self._exchange.seconds_left()))
            try:
                return int(self._sock.recv_into(buffer))
            except TimeoutError:
                continue

    def close(self) -> None:
        self._open.close()
        super().close()


class _HttpResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_ReplyReader(sock, _thread.exchange), *args, **kwargs)  # type: ignore[arg-type] # it only reads


class _Thread(threading.local):
    """The exchange that this thread is making: connections are shared, and made deep inside urllib3."""

    exchange: Exchange


_thread = _Thread()


# -- connecting ------------------------------------------------------------------------------------------------------


class _Adapter(HTTPAdapter):
    """requests' adapter, with connections that note what is sent and read within the exchange's bounds."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bind(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return _bind(super().proxy_manager_for(*args, **kwargs))


def _bind(manager: Any) -> Any:
    """The same manager of pools, whose connections are bound to exchanges: plain, TLS and through any kind of proxy."""
    manager.pool_classes_by_scheme = {name: _pool_class(kind) for name, kind in manager.pool_classes_by_scheme.items()}
    return manager


@cache
def _pool_class(kind: Any) -> Any:
    connection = kind.ConnectionCls
    if issubclass(connection, _ExchangeConnection):
        return kind
    bound = type(f"Exchange{connection.__name__}", (_ExchangeConnection, connection), {})
    return type(f"Exchange{kind.__name__}", (kind,), {"ConnectionCls": bound})


class _ExchangeConnection:
    """What a connection of urllib3 does besides: it notes that a request is sent before its first byte leaves."""

    response_class = _HttpResponse

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        _thread.exchange.is_sent = True
        super().request(*args, **kwargs)  # type: ignore[misc] # the other base has it


# -- why there is no reply, in words: the one list of foreign exceptions and what they mean --------------------------

LATER_HINT = "Try again in a while."
NETWORK_HINT = "Check the network and the base URL; nothing was sent."
PROXY_HINT = "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY; nothing was sent."
SOCKS_HINT = "pip install pysocks, or use another proxy; nothing was sent."
CA_FILE_HINT = "Check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE; nothing was sent."
TRUST_HINT = "If a proxy opens TLS here, set REQUESTS_CA_BUNDLE to its CA file; else this is not the real address."


class DeadlineExceeded(Exception):  # noqa: N818 - a signal within this room
    """The exchange's time is up."""


class ExchangeStopped(Exception):  # noqa: N818 - a signal within this room
    """The exchange was stopped."""


class UnreadableReply(Exception):  # noqa: N818 - a signal within this room
    """The body is not what its headers say, or more than anybody wants."""


@dataclass(frozen=True, slots=True)
class _Explanation:
    """What a kind of exception means; the text may use {host}, {why} and {own}, the exception's own text."""

    kinds: tuple[type[BaseException], ...]
    text: str
    hint: str = LATER_HINT
    is_passing: bool = True


_EXPLANATIONS = (  # the first that applies counts, so what will be the same at the next try stands first
    _Explanation((ExchangeStopped,), "stopped while waiting for {host}", is_passing=False),
    _Explanation((DeadlineExceeded,), "no whole reply from {host} in the time allowed"),
    _Explanation((UnreadableReply,), "{own}", is_passing=False),
    _Explanation((ssl.SSLCertVerificationError,), "{host} is not trusted: {why}", TRUST_HINT, is_passing=False),
    _Explanation(
        (rq.InvalidProxyURL, u3.ProxySchemeUnknown, u3.ProxySchemeUnsupported),
        "the proxy's address cannot be used",
        PROXY_HINT,
        is_passing=False,
    ),
    _Explanation((rq.InvalidSchema,), "SOCKS proxies need PySocks", SOCKS_HINT, is_passing=False),
    _Explanation(
        (rq.InvalidURL, rq.MissingSchema, u3.LocationValueError),
        "the address {host} cannot be used",
        NETWORK_HINT,
        is_passing=False,
    ),
    _Explanation(
        (rq.InvalidHeader, UnicodeError),
        "the request cannot be written as HTTP",
        "Check the token and the input; nothing was sent.",
        is_passing=False,
    ),
    _Explanation((rq.ProxyError, u3.ProxyError), "the proxy does not lead to {host}: {why}", PROXY_HINT),
    _Explanation((u3.NameResolutionError, socket.gaierror), "the address of {host} cannot be found", NETWORK_HINT),
    _Explanation((u3.NewConnectionError, ConnectionRefusedError), "no connection to {host}: {why}", NETWORK_HINT),
    _Explanation((rq.ConnectTimeout, u3.ConnectTimeoutError), "{host} does not answer", NETWORK_HINT),
    _Explanation((ssl.SSLError, rq.SSLError, u3.SSLError), "TLS with {host} failed: {why}"),
)
_CUT = _Explanation((), "the connection to {host} ended before the reply was whole: {why}")
_NEVER = _Explanation((), "no connection to {host}: {why}", NETWORK_HINT)
_NO_FILES = _Explanation((), "this process has too many files open for a connection to {host}", NO_FILES_HINT)
_NO_CA_FILE = _Explanation((), "the CA file that the environment names is not there", CA_FILE_HINT, is_passing=False)


def explain(failure: Exception, url: str, *, is_sent: bool) -> NoReply:
    """What `failure` of a request to `url` means. Holds on to nothing of the exception, which knows the token."""
    causes = tuple(_causes(failure))
    if any("CA certificate bundle" in _words(each) for each in causes):
        meaning = _NO_CA_FILE
    elif any(isinstance(each, OSError) and each.errno in NO_FILES for each in causes):
        meaning = _NO_FILES
    else:
        otherwise = _CUT if is_sent else _NEVER
        meaning = next(
            (each for each in _EXPLANATIONS if any(isinstance(one, each.kinds) for one in causes)), otherwise
        )
    why = _why(causes)
    own = next((_words(each) for each in causes if isinstance(each, meaning.kinds)), "")
    text = meaning.text.format(host=host_of(url), why=why, own=own)
    return NoReply(text, meaning.hint, is_sent, meaning.is_passing and "answers 407" not in why)


def host_of(url: str) -> str:
    """Host and port of a URL, without user names, paths or queries."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "that address"
    return f"{parts.hostname}{port}" if parts.hostname else "that address"


def _causes(failure: object, depth: int = 0) -> Iterator[BaseException]:
    """The exception and all it wraps: requests and urllib3 keep the cause in `args`, `reason` or `__cause__`."""
    if not isinstance(failure, BaseException) or depth > 8:  # noqa: PLR2004 - deeper than any library wraps
        return
    yield failure
    inner = (*failure.args, getattr(failure, "reason", None), getattr(failure, "original_error", None))
    for each in {id(one): one for one in (*inner, failure.__cause__)}.values():
        yield from _causes(each, depth + 1)


def _words(failure: BaseException) -> str:
    """Its text, without asking it: some of these fail when they are printed."""
    return " ".join(each for each in failure.args if isinstance(each, str))


def _why(causes: Sequence[BaseException]) -> str:
    """In the words of the operating system where there are any: foreign texts may repeat the request."""
    for each in causes:
        if found := getattr(each, "verify_message", None):
            return str(found)
        if found := re.match(r"Tunnel connection failed: (\d{3})", _words(each)):
            return f"it answers {found[1]}"
        if isinstance(each, http.client.IncompleteRead):
            return "it is cut short"
        if isinstance(each, OSError) and isinstance(each.errno, int) and each.strerror:
            return each.strerror.lower()
    return (
        "closed by the other side" if any(isinstance(each, u3.ProtocolError) for each in causes) else "no reason given"
    )
