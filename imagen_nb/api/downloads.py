"""Outputs, fetched safely: no token, no cookies, no strange hosts, bounded in bytes, pixels and seconds, and whole.

What comes is streamed into a temporary file and believed only when `image_files` has found it to be a whole image.
"""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import itertools
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, unquote_to_bytes, urljoin, urlsplit

import requests
from urllib3.util import parse_url

from imagen_nb.api.image_files import examine
from imagen_nb.api.pace import Sleep, backoff, retry_after, sleep_or_stop
from imagen_nb.api.transport import (
    LATER_HINT,
    DeadlineExceeded,
    Exchange,
    ExchangeStopped,
    HttpConnections,
    NoAuth,
    NoReply,
    ReplyHead,
    host_of,
)
from imagen_nb.errors import ImageError, ImageGoneError, ImagenError, LogError, UncertainError
from imagen_nb.files import write_hint
from imagen_nb.settings import is_loopback

BYTE_CAP = 64 * 1024 * 1024
"""The most bytes of one output that are read."""

TRIES = 4
PATIENCE_S = 90.0
"""How long one try may take, in seconds."""

PIECE = 64 * 1024
REDIRECTS = 3
MOVED = (301, 302, 303, 307, 308)
GONE = (400, 401, 403, 404, 410)
"""How file hosts answer for what they have deleted, or for a signed URL that has expired."""


@dataclass(frozen=True, slots=True)
class Download:
    """A whole image in a temporary file, for the caller to publish or to remove. `url` is None for a `data:` URI."""

    path: Path
    sha256: str
    width: int
    height: int
    bytes: int
    mime: str
    url: str | None = None


class Downloader:
    """Fetches outputs without the token; safe to use from many threads.

    `allow_local` lets outputs lie on this machine, over plain http: only where the provider itself does.
    """

    def __init__(
        self,
        *,
        allow_local: bool,
        byte_cap: int = BYTE_CAP,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = sleep_or_stop,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._allow_local = allow_local
        self._byte_cap = byte_cap
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._closed = threading.Event()
        self._connections = HttpConnections(NoAuth())

    def fetch(self, uri: str, folder: Path, *, deadline: float, stop: threading.Event | None = None) -> Download:
        """The output at `uri` (https, or `data:`) as a whole, decoded image in a new file in `folder`.

        `deadline` is monotonic. Raises `ImageError` for what is no sane image or lies where it must not,
        `ImageGoneError` for one that is not at this address, or not any more, a `ProviderError` where the host cannot
        be had, and `LogError` where the file cannot be written.
        """
        event = stop or self._closed
        exchange = Exchange(deadline, lambda: event.is_set() or self._closed.is_set(), self._clock)
        is_embedded = uri[:5].lower() == "data:"
        url = None if is_embedded else check_url(uri, allow_local=self._allow_local)
        for attempt in itertools.count(1):
            try:
                return self._try_once(uri, url, folder, exchange)
            except _FailedTry as failed:
                error, pause = failed.error, failed.pause
            gap = max(pause or 0.0, backoff(attempt, jitter=self._rng()))
            may_repeat = pause is not None and not is_embedded and attempt < TRIES
            if not may_repeat or self._clock() + gap >= deadline or exchange.is_stopped():
                raise error
            self._sleep(gap, event)
        raise AssertionError  # pragma: no cover - count() does not end

    def close(self) -> None:
        """End the downloads under way, and close the connections."""
        self._closed.set()
        self._connections.close()

    def _try_once(self, uri: str, url: str | None, folder: Path, exchange: Exchange) -> Download:
        with _temporary(folder) as (path, file):
            output = _OutputFile(file, self._byte_cap)
            if url is None:
                output.add(decode_data_uri(uri, self._byte_cap))
            else:
                ends = min(exchange.deadline, self._clock() + PATIENCE_S)
                self._stream(url, output, Exchange(ends, exchange.is_stopped, exchange.clock))
            with _writing():
                file.flush()
            try:
                with _writing():  # or to open what was written
                    info = examine(path, exchange.seconds_left)
            except ImageError as error:
                # A body cut short without a length looks like this too.
                raise _FailedTry(error, 0.0) from None
            except DeadlineExceeded:
                overdue = UncertainError("an image could not be decoded in the time allowed", LATER_HINT)
                raise _FailedTry(overdue, None) from None
            except ExchangeStopped:
                stopped = UncertainError("stopped before an image was decoded", LATER_HINT)
                raise _FailedTry(stopped, None) from None
            digest = output.sha256.hexdigest()
            return Download(path, digest, info.width, info.height, output.size, info.mime, url)

    def _stream(self, url: str, output: _OutputFile, exchange: Exchange) -> None:
        """The bytes at `url` into `output`, over at most a few redirects within the same origin."""
        for _ in range(REDIRECTS + 1):
            head = self._connections.send("GET", url, exchange, is_wanted=output.is_wanted, sink=output.add)
            if isinstance(head, NoReply):
                raise _FailedTry(head.error(), 0.0 if head.is_passing else None)
            if head.status == HTTPStatus.OK:
                return
            if head.status in MOVED:
                url = follow_redirect(url, head.headers.get("location", ""), allow_local=self._allow_local)
                continue
            if head.status in GONE:
                # Whether it is elsewhere now, or only not there yet, is the API's to say: ask it before the next look.
                raise _FailedTry(ImageGoneError(f"the output is no longer there (HTTP {head.status})"), None)
            if head.status == HTTPStatus.TOO_MANY_REQUESTS or head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                message = f"the file host has failed (HTTP {head.status})"
                pause = retry_after(head.headers, None, datetime.now(timezone.utc)) or 0.0
                raise _FailedTry(UncertainError(message, LATER_HINT, status=head.status), pause)
            message = f"the file host answers HTTP {head.status} instead of an image"
            raise _FailedTry(ImageError(message, LATER_HINT), None)
        raise _FailedTry(ImageError(f"{host_of(url)} redirects again and again", LATER_HINT), None)


class _FailedTry(Exception):  # noqa: N818 - a signal within this module
    """One try failed. `pause` is how many seconds to wait at least before another, None where none makes sense."""

    def __init__(self, error: ImagenError, pause: float | None) -> None:
        super().__init__()
        self.error = error
        self.pause = pause


@dataclass(slots=True)
class _OutputFile:
    """Writes what arrives of an output, counts and hashes it on the way."""

    file: IO[bytes]
    cap: int
    size: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def is_wanted(self, head: ReplyHead) -> bool:
        """Whether a reply brings a file. Raises `ImageError` for one that announces too much."""
        length = head.headers.get("content-length", "")
        if head.status == HTTPStatus.OK and length.isdecimal() and int(length[:20]) > self.cap:
            raise self._too_large()
        return head.status == HTTPStatus.OK

    def add(self, piece: bytes) -> None:
        """Write one more piece. Raises `ImageError` above the cap, and `LogError` where it cannot be written."""
        self.size += len(piece)
        if self.size > self.cap:
            raise self._too_large()
        self.sha256.update(piece)
        with _writing():
            self.file.write(piece)

    def _too_large(self) -> ImageError:
        return ImageError(f"an output is larger than {self.cap // 1024**2} MB", "It was not kept.")


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file in `folder`, as the umask has it, closed at the end, and removed unless all went well."""
    path = folder / f"download-{os.urandom(8).hex()}.part"
    with _writing():
        file = path.open("xb")
    try:
        yield path, file
        with _writing():
            file.close()  # here too a disk may turn out to be full
    except BaseException:
        with suppress(OSError):
            file.close()
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _writing() -> Iterator[None]:
    """An operating system's refusal to write, as a `LogError`."""
    try:
        yield
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        raise LogError(f"an image cannot be written: {reason.lower()}", write_hint(failure)) from None


def decode_data_uri(uri: str, cap: int = BYTE_CAP) -> bytes:
    """The bytes of a `data:` URI, base64 or percent-encoded. Raises `ImageError`."""
    start = uri.find(",") + 1
    if not start or len(uri) - start > 2 * cap:
        raise ImageError("the data: URI of an output is malformed or too long", LATER_HINT)
    text = uri[start:]
    if not uri[: start - 1].lower().endswith(";base64"):
        return _unquote(text)
    try:
        # Reads text as it is, where base64.b64decode makes a copy first.
        return binascii.a2b_base64(_unquote(text) if "%" in text else text)
    except ValueError:
        raise ImageError("the data: URI of an output is not base64", LATER_HINT) from None


def _unquote(text: str) -> bytes:
    """The bytes of percent-encoded text, a piece at a time: all at once, each escape would take a hundred bytes."""
    data, start = bytearray(), 0
    while start < len(text):
        end = start + PIECE
        cut = text.find("%", end - 2, end)  # an escape that the next piece has the rest of
        end = cut if cut >= 0 else end
        data += unquote_to_bytes(text[start:end])
        start = end
    return bytes(data)


# -- where an output may lie: https on a public host, or on this machine where the provider is there too -------------

ADDRESS_HINT = "Outputs are fetched over https from public hosts only; nothing was sent there."

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


def check_url(url: str, *, allow_local: bool) -> str:
    """The URL as it is, where an output may lie there. Raises `ImageError` where it may not."""
    parts = _split(url)
    host = (parts.hostname or "").rstrip(".") if parts else ""
    if parts is None or not host or parts.scheme not in ("http", "https"):
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,20}:", url)
        raise ImageError(f"an output's address cannot be used ({scheme[0] if scheme else 'no'} URL)", ADDRESS_HINT)
    if allow_local and is_loopback(host):
        return url
    if parts.scheme != "https" or "@" in parts.netloc or not _is_public(host):
        raise ImageError(f"an output lies at {parts.scheme}://{host_of(url)}, which is refused", ADDRESS_HINT)
    return url


def follow_redirect(url: str, location: str, *, allow_local: bool) -> str:
    """Where a redirect of `url` leads. Raises `ImageError` for one that leaves the origin."""
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    old, new = _split(url), _split(target)
    if old is None or new is None or _origin(old) != _origin(new):
        raise ImageError(f"{host_of(url)} redirects an output to {host_of(location)}, which is refused", ADDRESS_HINT)
    return check_url(target, allow_local=allow_local)


def _split(url: str) -> SplitResult | None:
    """The parts of a URL as it will be asked for, None where it is malformed or two readers see two hosts in it.

    requests rewrites a URL before it connects, and ends the host elsewhere than `urlsplit` does: at a backslash, or
    after `%2e` became a dot. What is checked has to be what is connected to.
    """
    if "\\" in url or not url.isprintable():
        return None
    try:
        prepared = str(requests.Request("GET", url).prepare().url)
        parts, host = urlsplit(prepared), (parse_url(prepared).host or "").lower()
        _ = parts.port  # raises, where it is none
    except (requests.RequestException, ValueError):
        return None
    return parts if _HOST.fullmatch(host) and host.strip("[]") == parts.hostname else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _is_public(host: str) -> bool:
    """Whether a host can be one on the open net: a global address, or a name that is none in disguise."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        is_private = host.endswith((".localhost", ".local", ".internal", ".home.arpa", ".lan"))
        return "." in host and not is_private and not re.fullmatch(r"\d+|0x[0-9a-f]*", last)
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_global or address.is_multicast:
        return False
    # An IPv6 address may have an IPv4 address in it, and that be a private one.
    return isinstance(address, ipaddress.IPv4Address) or (
        address in _GLOBAL_V6 and address.sixtofour is None and address.teredo is None
    )
