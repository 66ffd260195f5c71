"""Why an exchange gave no reply, in words: the one list of foreign exceptions and what they mean."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests.exceptions as rq
import urllib3.exceptions as u3

LATER_HINT = "Try again in a while."
NETWORK_HINT = "Check the network and the base URL; nothing was sent."
PROXY_HINT = "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY; nothing was sent."
SOCKS_HINT = "pip install pysocks, or use another proxy; nothing was sent."
CA_FILE_HINT = "Check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE; nothing was sent."
TRUST_HINT = "If a proxy opens TLS here, set REQUESTS_CA_BUNDLE to its CA file; else this is not the real address."


class Overdue(Exception):  # noqa: N818 - a signal within this room
    """The call's time is up."""


class Stopped(Exception):  # noqa: N818 - a signal within this room
    """The call was stopped."""


class Unreadable(Exception):  # noqa: N818 - a signal within this room
    """The body is not what its headers say, or more than anybody wants."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An exchange without a usable reply.

    `is_sent` is False where surely no byte of the request left; `is_passing` tells whether another try may do better.
    """

    text: str
    hint: str
    is_sent: bool
    is_passing: bool = True


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a kind of exception means; the text may use {place}, {why} and {own}, the exception's own text."""

    kinds: tuple[type[BaseException], ...]
    text: str
    hint: str = LATER_HINT
    is_passing: bool = True


_MEANINGS = (  # the first that applies counts, so what will be the same at the next try stands first
    _Meaning((Stopped,), "stopped while waiting for {place}", is_passing=False),
    _Meaning((Overdue,), "no whole reply from {place} in the time allowed"),
    _Meaning((Unreadable,), "{own}", is_passing=False),
    _Meaning((ssl.SSLCertVerificationError,), "{place} is not trusted: {why}", TRUST_HINT, is_passing=False),
    _Meaning(
        (rq.InvalidProxyURL, u3.ProxySchemeUnknown, u3.ProxySchemeUnsupported),
        "the proxy's address cannot be used",
        PROXY_HINT,
        is_passing=False,
    ),
    _Meaning((rq.InvalidSchema,), "SOCKS proxies need PySocks", SOCKS_HINT, is_passing=False),
    _Meaning(
        (rq.InvalidURL, rq.MissingSchema, u3.LocationValueError),
        "the address {place} cannot be used",
        NETWORK_HINT,
        is_passing=False,
    ),
    _Meaning(
        (rq.InvalidHeader, UnicodeError),
        "the request cannot be written as HTTP",
        "Check the token and the input; nothing was sent.",
        is_passing=False,
    ),
    _Meaning((rq.ProxyError, u3.ProxyError), "the proxy does not lead to {place}: {why}", PROXY_HINT),
    _Meaning((u3.NameResolutionError, socket.gaierror), "the address of {place} cannot be found", NETWORK_HINT),
    _Meaning((u3.NewConnectionError, ConnectionRefusedError), "no connection to {place}: {why}", NETWORK_HINT),
    _Meaning((rq.ConnectTimeout, u3.ConnectTimeoutError), "{place} does not answer", NETWORK_HINT),
    _Meaning((ssl.SSLError, rq.SSLError, u3.SSLError), "TLS with {place} failed: {why}"),
)
_CUT = _Meaning((), "the connection to {place} ended before the reply was whole: {why}")
_NEVER = _Meaning((), "no connection to {place}: {why}", NETWORK_HINT)
_NO_CA_FILE = _Meaning((), "the CA file that the environment names is not there", CA_FILE_HINT, is_passing=False)


def loss_of(failure: Exception, url: str, *, is_sent: bool) -> Lost:
    """What `failure` of a request to `url` means. Holds on to nothing of the exception, which knows the token."""
    causes = tuple(_causes(failure))
    meaning = _meaning(causes) or (_CUT if is_sent else _NEVER)
    why = _why(causes)
    own = next((_words(each) for each in causes if isinstance(each, meaning.kinds)), "")
    text = meaning.text.format(place=place(url), why=why, own=own)
    return Lost(text, meaning.hint, is_sent, meaning.is_passing and "answers 407" not in why)


def place(url: str) -> str:
    """Host and port of a URL, without user names, paths or queries."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "that address"
    return f"{parts.hostname}{port}" if parts.hostname else "that address"


def _meaning(causes: Sequence[BaseException]) -> _Meaning | None:
    if any("CA certificate bundle" in _words(each) for each in causes):
        return _NO_CA_FILE
    return next((each for each in _MEANINGS if any(isinstance(cause, each.kinds) for cause in causes)), None)


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
