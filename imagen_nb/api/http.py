"""The API's HTTP: one `send`, with the token, the pacing, the repeats that are safe, and the errors.

A create is sent once. It is sent again only where surely no byte of it left, or where it was refused for a reason that
passes: a 429, no room, a firewall in front of the provider. Anything else ends in an `UncertainError`, and finding out
what became of it is the caller's business.
"""

from __future__ import annotations

import codecs
import html
import itertools
import json as jsonlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

from imagen_nb.api.pace import (
    THROTTLED_HINT,
    Pacer,
    RetryQuota,
    Sleep,
    backoff,
    http_date,
    retry_after,
    sleep_or_stop,
)
from imagen_nb.api.transport import (
    LATER_HINT,
    BearerAuth,
    Body,
    Exchange,
    HttpConnections,
    NoAuth,
    NoReply,
    UnreadableReply,
    explain,
    host_of,
)
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    Hint,
    InputError,
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
)
from imagen_nb.settings import Provider, Secret

TRIES = 4
"""How often a call is made at most before its failure comes out; 429 does not count."""

PATIENCE_S = 60.0
"""How long one exchange may take, however far off the deadline is, in seconds."""


class Http:
    """The connections to one provider; safe to use from many threads."""

    def __init__(
        self,
        provider: Provider,
        *,
        pacer: Pacer | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = sleep_or_stop,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._base = provider.base_url
        self.is_local = provider.is_local
        self.pacer = pacer or Pacer.of(provider)
        self.clock_skew = 0.0
        """What the provider's clock is ahead of ours by its last Date header, in seconds; 0.0 while unknown."""
        self._last_date: tuple[datetime, float] | None = None
        self._token = provider.token
        self._connections = HttpConnections(BearerAuth(provider.token) if provider.token else NoAuth())
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._has_worked = False
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._quota = RetryQuota()

    def __repr__(self) -> str:
        return f"Http({self._base!r})"

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: Callable[[Exchange], Body] | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        create: bool = False,
        stop: threading.Event | None = None,
        patience: float = PATIENCE_S,
        on_turn: Callable[[float], object] = lambda _: None,
    ) -> Reply:
        """The reply to one call, a 2xx with a JSON object in it; `path` begins with a slash and is quoted already.

        What is sent is `json`, or what `body` makes for each exchange anew.
        `deadline` is monotonic and bounds everything; one exchange takes `patience` seconds at most. A create that has
        its turn by the deadline has those seconds from then on, repeats of what surely was not sent included, and
        `on_turn` is told when that was; a 429 makes it wait for another turn. `stop`, which ends every other call soon,
        does not end a create under way: its reply is the only sure word about what is billed. Raises
        the `ProviderError` that fits, `ThrottledError` where a 429 asks to wait beyond the deadline, `UnreachableError`
        only where surely nothing was sent, and `UncertainError` for every lost or unusable reply.
        """

        def is_stopped() -> bool:
            return self._closed.is_set() or (stop is not None and stop.is_set())

        encoded, headers = _encode(json, headers)
        ends: float | None = None
        error: ProviderError | None = None
        for attempt in itertools.count(1):
            is_late = self._clock() >= deadline
            asked_at = self.pacer.acquire(create=create, deadline=deadline, stop=stop, why=error)
            if ends is None or not create:
                ends = asked_at + patience if create and not is_late else min(deadline, asked_at + patience)
                on_turn(asked_at)
            exchange = Exchange(ends, self._closed.is_set if create else is_stopped, self._clock)
            answer = self._exchange(method, path, exchange, body(exchange) if body else encoded, headers)
            if isinstance(answer, Reply):
                refusal = refusal_of(answer, has_worked=self._has_worked)
                self._learn(answer, refusal, create=create)
                if refusal is None:
                    return answer
                error, may_repeat = refusal, is_wall(answer) or (isinstance(refusal, UncertainError) and not create)
            else:
                error, may_repeat = answer.error(), answer.is_passing and not (create and answer.is_sent)
            if isinstance(error, ThrottledError):
                left, pause = deadline - self._clock(), error.retry_after
                # A look is free, and what it looks for is soon gone: nobody can mean that it comes too late.
                is_meant = create or (pause or 0.0) <= left
                wait = self.pacer.note_refusal(pause if is_meant else None, create, asked_at=asked_at)
                if wait > left:
                    raise error
                self._sleep(wait, stop or self._closed)
                ends = None
                continue
            gap = backoff(attempt, jitter=self._rng())
            if not may_repeat or attempt >= TRIES or self._clock() + gap >= deadline or not self._spend_retry():
                raise error
            self._sleep(gap, stop or self._closed)
            if is_stopped():
                raise error
        raise AssertionError  # pragma: no cover - count() does not end

    def provider_time(self, at: float) -> datetime | None:
        """What the provider's clock says at the monotonic moment `at`, by its last Date header; None while unknown.

        Unlike `clock_skew` it stays right when this machine's own clock is set.
        """
        last = self._last_date
        return None if last is None else last[0] + timedelta(seconds=at - last[1])

    def close(self) -> None:
        """End every call under way, and close the connections."""
        self._closed.set()
        self._connections.close()

    def _exchange(
        self, method: str, path: str, exchange: Exchange, body: Body, headers: Mapping[str, str]
    ) -> Reply | NoReply:
        url = self._base + path
        received = ReplyBody(self._token)
        head = self._connections.send(method, url, exchange, sink=received.add, body=body, headers=headers)
        if isinstance(head, NoReply):
            return head
        try:
            return read_reply(head.status, head.headers, received.text())
        except UnreadableReply as failure:
            return explain(failure, url, is_sent=True)

    def _learn(self, reply: Reply, error: ProviderError | None, *, create: bool) -> None:
        """Learn from a reply: the provider's clock, its pace, its health."""
        if reply.date is not None:
            # A Date header names whole seconds, so that it is half a second old on average.
            date = reply.date + timedelta(seconds=0.5)
            self.clock_skew = (date - datetime.now(timezone.utc)).total_seconds()
            self._last_date = (date, self._clock())
        if not isinstance(error, ThrottledError):
            self.pacer.note_success(create)
        if error is None:
            self._has_worked = True
            with self._lock:
                self._quota = self._quota.refill()

    def _spend_retry(self) -> bool:
        """Whether the quota allows one more repeat, which is then taken from it."""
        with self._lock:
            after = self._quota.spend()
            self._quota = after or self._quota
        return after is not None


def _encode(value: Any, headers: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """The body as bytes and the headers that go with it."""
    named = {"Accept": "application/json", **(headers or {})}
    if value is None:
        return None, named
    try:
        text = jsonlib.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InputError(
            "the input cannot be written as JSON", "Use text, numbers, true/false, lists and dicts."
        ) from None
    return text.encode("ascii"), {"Content-Type": "application/json", **named}


# -- the body of a reply, within a bounded amount of memory ----------------------------------------------------------

BODY_CAP = 16 * 1024 * 1024
"""The most bytes of a reply that are read."""

TEXT_CAP = 4 * 1024 * 1024
"""The most bytes of a reply beside the images that are embedded in it as `data:` URIs.

Parsed, a text takes up to eight times its bytes."""

NESTED_CAP = 100
"""The most lists and maps in one another: Python 3.13 reads thousands, and nothing else bears so many."""

VALUES_CAP = 250_000
"""The most values in a reply, counted by the signs between them: parsed, each takes up to a hundred bytes."""

_NOT_ASCII = re.compile(rb"(?:[\xc2-\xf4][\x80-\xbf]{1,3}){1,1000}|[\x80-\xff]")


class ReplyBody:
    """Collects what arrives of one reply; `token` is masked, should the provider repeat it."""

    def __init__(self, token: Secret | None) -> None:
        self._received = bytearray()
        self._token = token

    def add(self, piece: bytes) -> None:
        """Take one more piece. Raises `UnreadableReply` for more than `BODY_CAP` bytes."""
        self._received.extend(piece)
        if len(self._received) > BODY_CAP:
            raise UnreadableReply(f"the provider's reply is larger than {BODY_CAP // 1024**2} MB")

    def text(self) -> str:
        """The body as text, once: what was received is let go of.

        Raises `UnreadableReply` for what takes too much memory to be parsed.
        """
        data, self._received = self._received, bytearray()
        if self._token is not None:
            data = self._token.mask_bytes(data)
        is_crowded = sum(data.count(sign) for sign in (b"{", b"[", b",", b":")) > VALUES_CAP
        if is_crowded or (len(data) > TEXT_CAP and len(data) - _data_uri_size(data) > TEXT_CAP):
            raise UnreadableReply("the provider's reply is too large to be read")
        if len(data) <= TEXT_CAP:
            return data.decode("utf-8-sig", "replace")
        # As one emoji would make each letter of a text four bytes wide, those of the image too.
        return data.decode("ascii", "json-escapes")


def _data_uri_size(data: bytearray) -> int:
    """How many bytes of JSON are embedded images: texts that are a `data:` URI and nothing else.

    A slash may be escaped there, as some write it; any other escape may stand for a wide letter.
    """
    size, end = 0, 0
    while (start := data.find(b'"data:', end)) >= 0:
        end = data.find(b'"', start + 1) + 1 or len(data)
        has_escapes = data.count(b"\\", start, end) != data.count(rb"\/", start, end)
        if not has_escapes and data[start - 1 : start] != b"\\" and data[start:end].isascii():
            size += end - start
    return size


def _json_escapes(error: UnicodeError) -> tuple[str, int]:
    """For what is not ASCII in JSON, the escapes that stand for it, and where they end."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - nothing else is decoded with it
    found = _NOT_ASCII.match(error.object, error.start)
    assert found is not None  # noqa: S101 - the byte that is none of ASCII's is there
    return jsonlib.dumps(found[0].decode("utf-8", "replace"))[1:-1], found.end()


codecs.register_error("json-escapes", _json_escapes)


# -- what a reply says: the one place where a refusal becomes an error -----------------------------------------------

TEXT_SHOWN = 300
"""How many characters of a provider's text an error shows."""

TEXT_KEPT = 2000
"""How many characters of a text that is not JSON an error keeps as `.raw`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: header names in lower case, the parsed JSON or None, and the text where it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = None
    text: str = ""
    date: datetime | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers


def read_reply(status: int, headers: Mapping[str, str], text: str) -> Reply:
    """The reply with its JSON parsed, tolerating what is none."""
    date = http_date(headers.get("date"))
    with suppress(ValueError, RecursionError):
        body = jsonlib.loads(text)
        # Counted only where there are signs enough; a usual reply has a dozen.
        if text.count("[") + text.count("{") <= NESTED_CAP or not _is_deep(body):
            return Reply(status, headers, body, date=date)
    return Reply(status, headers, None, text[:TEXT_KEPT], date)


def _is_deep(value: Any) -> bool:
    """Whether there are more lists and maps in one another than `NESTED_CAP`."""
    level = [value]
    for _ in range(NESTED_CAP + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        level = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
    return bool(level)


def is_page(error: ProviderError) -> bool:
    """Whether a success was a web page where JSON was due: a front end answers so at addresses it does not know."""
    is_success = error.status is not None and 200 <= error.status < 300  # noqa: PLR2004 - HTTP's own numbers
    is_html = isinstance(error.raw, str) and re.match(r"\s*<(!doctype|html|!--)", error.raw, re.IGNORECASE)
    return is_success and bool(is_html)


def is_wall(reply: Reply) -> bool:
    """Whether something in front of the API, a firewall say, refuses in its place: the API says why, as JSON."""
    is_refused = reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return is_refused and not isinstance(reply.body, Mapping)


@dataclass(frozen=True, slots=True, eq=False)
class _RefusalKind:
    error: type[ProviderError]
    lead: str
    hint: str


_TOKEN = _RefusalKind(
    AuthenticationError,
    "the provider does not accept the token",
    Hint("Set a valid one{}.", ": %imagen_login, or its variable", " in its variable"),
)
_WALL = _RefusalKind(
    AuthenticationError,
    "something in front of the provider refuses the request",
    "Check the network, the base URL and the token; nothing was billed for it.",
)
_CREDIT = _RefusalKind(
    CreditError, "no credit or quota is left", "Add credit at the provider, then go on with --resume."
)
_MISSING = _RefusalKind(
    NotFoundError, "the provider does not have it", "Check the model's name, and that this provider offers it."
)
_INPUT = _RefusalKind(RejectedError, "the provider refuses the input", "Correct it and send it again.")
_SLOW = _RefusalKind(ThrottledError, "the provider asks to wait", THROTTLED_HINT)
_REDIRECT = _RefusalKind(
    ProviderError, "", "The base URL may be wrong: it is what stands before /v1. Nothing was sent elsewhere."
)
_UNCLEAR = _RefusalKind(UncertainError, "the provider's reply cannot be used", LATER_HINT)
_BROKEN = _RefusalKind(UncertainError, "the provider has failed", LATER_HINT)
_OTHER = _RefusalKind(ProviderError, "the provider refuses the request", "Check the model and the base URL.")

_BUSY = r"capacity|busy|overload|too many|try(ing)? again"
"""What a provider says that has no room at the moment."""

_BY_STATUS = {
    301: _REDIRECT,
    302: _REDIRECT,
    307: _REDIRECT,
    308: _REDIRECT,
    400: _INPUT,
    401: _TOKEN,
    402: _CREDIT,
    403: _TOKEN,
    404: _MISSING,
    405: _MISSING,
    408: _BROKEN,
    409: _INPUT,
    410: _MISSING,
    413: _INPUT,
    414: _INPUT,
    415: _INPUT,
    422: _INPUT,
    425: _BROKEN,
    429: _SLOW,
    501: _MISSING,
}


def refusal_of(reply: Reply, *, has_worked: bool = False) -> ProviderError | None:
    """The error that the reply amounts to, or None where it is a usable answer.

    After others that worked (`has_worked`) what a firewall refuses is to be waited for, as at a 429.
    """
    if reply.is_success and isinstance(reply.body, Mapping) and not _is_error_body(reply.body):
        return None
    refusal = _kind_of(reply)
    words = provider_words(reply)
    message = f"{refusal.lead} (HTTP {reply.status}): {words}" if words else f"{refusal.lead} (HTTP {reply.status})"
    raw = reply.body if reply.body is not None else reply.text
    if refusal is _SLOW or (refusal is _WALL and has_worked):
        pause = retry_after(reply.headers, reply.body or reply.text, datetime.now(timezone.utc))
        return ThrottledError(message, refusal.hint, status=reply.status, raw=raw, retry_after=pause)
    if refusal is _INPUT:
        return RejectedError(message, refusal.hint, status=reply.status, raw=raw, fields=invalid_fields(reply.body))
    if refusal is _REDIRECT:
        message = f"the provider redirects to {host_of(reply.headers.get('location', ''))}, which is not followed"
    return refusal.error(message, refusal.hint, status=reply.status, raw=raw)


def _is_error_body(body: Mapping[str, Any]) -> bool:
    """Whether a 2xx body is a gateway's error all the same: it names an error, and no prediction, list or model."""
    if body.keys() & {"id", "results", "latest_version", "owner"}:
        return False
    data = body.get("data")
    if isinstance(data, Mapping) and "id" in data:
        return False
    return bool(body.get("error")) or ("code" in body and "message" in body)


def _kind_of(reply: Reply) -> _RefusalKind:
    """By the gateway's own word for it first, since its HTTP status is often a general one."""
    status, body = reply.status, reply.body
    code = ""
    if isinstance(body, Mapping) and "id" not in body:
        inner = body.get("error")
        codes = (body.get("code"), inner.get("code") if isinstance(inner, Mapping) else None)
        code = next((each.lower() for each in codes if isinstance(each, str) and each), "")
    if re.search(r"insufficient|quota", code) and (status != HTTPStatus.TOO_MANY_REQUESTS or "insufficient" in code):
        return _CREDIT
    if re.search(r"not_exist|not_found", code):
        return _MISSING
    if is_wall(reply):
        return _WALL
    if status == HTTPStatus.CONFLICT and re.search(_BUSY, f"{code} {provider_words(reply)}", re.IGNORECASE):
        return _SLOW
    otherwise = _BROKEN if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _OTHER
    return _BY_STATUS.get(status, otherwise if status >= HTTPStatus.BAD_REQUEST else _UNCLEAR)


def provider_words(reply: Reply) -> str:
    """What the provider says about it: one line, shortened, without markup; "" where it says nothing."""
    fields = invalid_fields(reply.body)
    text = "; ".join(f"{name}: {reason}" for name, reason in fields.items()) or next(_sentences(reply.body), "")
    if text := one_line(text):
        return text
    if not reply.text.strip():
        return "an empty reply"
    if not re.search(r"<(html|!doctype|head|body|title)", reply.text, re.IGNORECASE):
        return one_line(reply.text, 120)
    title = re.search(r"<title[^>]*>(.*?)</title>", reply.text, re.IGNORECASE | re.DOTALL)
    name = one_line(html.unescape(title[1]), 80) if title else ""
    return f"an HTML page, {name!r}" if name else "an HTML page"


def invalid_fields(body: Any) -> dict[str, str]:
    """Each refused input and the reason, from `invalid_fields` or a list of `{loc, msg}`."""
    entries = (body.get("invalid_fields") or body.get("detail")) if isinstance(body, Mapping) else None
    found = {}
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, Mapping):
            name = each.get("field", each.get("loc", ""))
            if isinstance(name, list):
                name = ".".join(str(step) for step in name if step != "body")
            reason = each.get("description") or each.get("msg") or each.get("type") or "not accepted"
            found[str(name or "").removeprefix("input.")] = str(reason)
    return {name: reason for name, reason in found.items() if name}


def one_line(text: str, most: int = TEXT_SHOWN) -> str:
    """One line of printable text, no longer than `most` characters."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 10 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _sentences(body: Any) -> Iterator[str]:
    """The texts of an error body, best first."""
    if isinstance(body, str) and body.strip():
        yield body
    elif isinstance(body, list):
        for each in body[:3]:
            yield from _sentences(each)
    elif isinstance(body, Mapping):
        for name in ("detail", "error", "message", "msg", "title", "code", "type"):
            yield from _sentences(body.get(name))
