"""The API's HTTP: one `send`, with the token, the pacing, the repeats that are safe, and the errors.

A create is sent once. It is sent again only where surely no byte of it left, or where the provider said 429; anything
else ends in an `UncertainError`, and finding out what became of it is the caller's business.
"""

from __future__ import annotations

import html
import itertools
import json
import json as jsonlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

from imagen_nb.api.pace import HINT as THROTTLED_HINT
from imagen_nb.api.pace import Doze, Pacer, Quota, backoff, http_date, pacer_for, retry_after, sleep_until
from imagen_nb.api.transport import LATER_HINT, Anonymous, Bearer, Call, Line, Lost, Unreadable, loss_of, place
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    InputError,
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
    UnreachableError,
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
        doze: Doze = sleep_until,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.pacer = pacer or pacer_for(provider)
        self.clock_skew = 0.0
        """What the provider's clock is ahead of ours by its last Date header, in seconds; 0.0 while unknown."""
        self._heard_at: tuple[datetime, float] | None = None
        self._base = provider.base_url
        self._token = provider.token
        self._line = Line(Bearer(provider.token) if provider.token else Anonymous())
        self._clock = clock
        self._doze = doze
        self._rng = rng
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._quota = Quota()

    def __repr__(self) -> str:
        return f"Http({self._base!r})"

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        create: bool = False,
        stop: threading.Event | None = None,
        patience: float = PATIENCE_S,
    ) -> Reply:
        """The reply to one call, a 2xx with a JSON object in it; `path` begins with a slash and is quoted already.

        `deadline` is monotonic and bounds everything; one exchange takes `patience` seconds at most. A create that has
        its turn by the deadline has those seconds to itself, and `stop`, which ends every other call soon, does not
        end one under way: its reply is the only sure word about what is billed. Raises
        the `ProviderError` that fits, `ThrottledError` where a 429 asks to wait beyond the deadline, `UnreachableError`
        only where surely nothing was sent, and `UncertainError` for every lost or unusable reply.
        """
        body, headers = _written(json, headers)
        for attempt in itertools.count(1):
            is_late = self._clock() >= deadline
            asked_at = self.pacer.acquire(create=create, deadline=deadline, stop=stop)
            ends = asked_at + patience if create and not is_late else min(deadline, asked_at + patience)
            call = Call(ends, self._stopper(None if create else stop), self._clock)
            answer = self._exchange(method, path, call, body, headers)
            error, may_repeat = _judged(answer, create=create)
            self._heard(answer, error, create=create)
            if error is None:
                return answer  # type: ignore[return-value] # a Lost is an error
            if isinstance(error, ThrottledError):
                self.pacer.throttled(error.retry_after, create, asked_at=asked_at)
                if (error.retry_after or 0.0) > deadline - self._clock():
                    raise error
            elif not (may_repeat and attempt < TRIES and self._backed_off(attempt, deadline, stop)):
                raise error
        raise AssertionError  # pragma: no cover - count() does not end

    def provider_time(self, at: float) -> datetime | None:
        """What the provider's clock says at the monotonic moment `at`, by its last Date header; None while unknown.

        Unlike `clock_skew` it stays right when this machine's own clock is set.
        """
        heard_at = self._heard_at
        return None if heard_at is None else heard_at[0] + timedelta(seconds=at - heard_at[1])

    def close(self) -> None:
        """End every call under way, and close the connections."""
        self._closed.set()
        self._line.close()

    def _exchange(
        self, method: str, path: str, call: Call, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply | Lost:
        received = Body(self._token)
        url = self._base + path
        head = self._line.exchange(method, url, call, sink=received.sink, body=body, headers=headers)
        if isinstance(head, Lost):
            return head
        try:
            text = received.text()
        except Unreadable as failure:
            return loss_of(failure, url, is_sent=True)
        return read_reply(head.status, head.headers, text.text, text.number)

    def _stopper(self, stop: threading.Event | None) -> Callable[[], bool]:
        if stop is None:
            return self._closed.is_set
        return lambda: stop.is_set() or self._closed.is_set()

    def _heard(self, answer: Reply | Lost, error: ProviderError | None, *, create: bool) -> None:
        """Learn from an answer: the provider's clock, its pace, its health."""
        if isinstance(answer, Lost):
            return
        if answer.date is not None:
            # A Date header names whole seconds, so that it is half a second old on average.
            date = answer.date + timedelta(seconds=0.5)
            self.clock_skew = (date - datetime.now(timezone.utc)).total_seconds()
            self._heard_at = (date, self._clock())
        if not isinstance(error, ThrottledError):
            self.pacer.accepted(create)
        if error is None:
            with self._lock:
                self._quota = self._quota.refilled()

    def _backed_off(self, attempt: int, deadline: float, stop: threading.Event | None) -> bool:
        """Wait before another try; False where the quota, the deadline or a stop forbids one."""
        gap = backoff(attempt, jitter=self._rng())
        if self._clock() + gap >= deadline or not self._spent():
            return False
        self._doze(gap, stop or self._closed)
        return not self._stopper(stop)()

    def _spent(self) -> bool:
        with self._lock:
            after = self._quota.spent()
            self._quota = after or self._quota
            return after is not None


def _judged(answer: Reply | Lost, *, create: bool) -> tuple[ProviderError | None, bool]:
    """The error that an answer amounts to, and whether the call may be made again."""
    if isinstance(answer, Lost):
        if not answer.is_sent:
            return UnreachableError(answer.text, answer.hint), answer.is_passing
        return UncertainError(answer.text, answer.hint), answer.is_passing and not create
    error = refusal_of(answer)
    return error, isinstance(error, UncertainError) and not create


def _written(value: Any, headers: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """The body as bytes and the headers that go with it."""
    sent = {"Accept": "application/json", **(headers or {})}
    if value is None:
        return None, sent
    try:
        text = jsonlib.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InputError(
            "the input cannot be written as JSON", "Use text, numbers, true/false, lists and dicts."
        ) from None
    return text.encode("ascii"), {"Content-Type": "application/json", **sent}


# ----------------------------------------------------------------------------------------------------
# What a reply says: its body read, and the one place where a refusal becomes an error.

SHOWN = 300
"""How many characters of a provider's text an error shows."""

KEPT = 2000
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


def read_reply(status: int, headers: Mapping[str, str], text: str, number: Callable[[str], Any] | None = None) -> Reply:
    """The reply with its JSON parsed, tolerating what is none; `number` reads fractions, by default as floats."""
    date = http_date(headers.get("date"))
    try:
        return Reply(status, headers, json.loads(text, parse_float=number), date=date)
    except (ValueError, RecursionError):
        return Reply(status, headers, None, text[:KEPT], date)


def is_page(error: ProviderError) -> bool:
    """Whether a success was a web page where JSON was due: a front end answers so at addresses it does not know."""
    is_success = error.status is not None and 200 <= error.status < 300  # noqa: PLR2004 - HTTP's own numbers
    is_html = isinstance(error.raw, str) and re.match(r"\s*<(!doctype|html|!--)", error.raw, re.IGNORECASE)
    return is_success and bool(is_html)


def refusal_of(reply: Reply) -> ProviderError | None:
    """The error that the reply amounts to, or None where it is a usable answer."""
    code = _code(reply.body)
    if reply.is_success and isinstance(reply.body, Mapping) and not _is_error_body(reply.body):
        return None
    refusal = _refusal(reply.status, code)
    said = said_by(reply)
    message = f"{refusal.lead} (HTTP {reply.status}): {said}" if said else f"{refusal.lead} (HTTP {reply.status})"
    raw = reply.body if reply.body is not None else reply.text
    if refusal.kind is ThrottledError:
        pause = retry_after(reply.headers, reply.body or reply.text, datetime.now(timezone.utc))
        return ThrottledError(message, refusal.hint, status=reply.status, raw=raw, retry_after=pause)
    if refusal.kind is RejectedError:
        return RejectedError(message, refusal.hint, status=reply.status, raw=raw, fields=fields_of(reply.body))
    if refusal is _REDIRECT:
        message = f"the provider redirects to {place(reply.headers.get('location', ''))}, which is not followed"
    return refusal.kind(message, refusal.hint, status=reply.status, raw=raw)


# -- which error -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Refusal:
    kind: type[ProviderError]
    lead: str
    hint: str


_TOKEN = _Refusal(
    AuthenticationError, "the provider does not accept the token", "Set a valid one: %imagen_login, or its variable."
)
_CREDIT = _Refusal(CreditError, "no credit or quota is left", "Add credit at the provider, then go on with --resume.")
_MISSING = _Refusal(
    NotFoundError, "the provider does not have it", "Check the model's name, and that this provider offers it."
)
_INPUT = _Refusal(RejectedError, "the provider refuses the input", "Correct it and send it again.")
_SLOW = _Refusal(ThrottledError, "the provider asks to wait", THROTTLED_HINT)
_REDIRECT = _Refusal(
    ProviderError, "", "The base URL may be wrong: it is what stands before /v1. Nothing was sent elsewhere."
)
_UNCLEAR = _Refusal(UncertainError, "the provider's reply cannot be used", LATER_HINT)
_BROKEN = _Refusal(UncertainError, "the provider has failed", LATER_HINT)
_OTHER = _Refusal(ProviderError, "the provider refuses the request", "Check the model and the base URL.")

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


def _refusal(status: int, code: str) -> _Refusal:
    """By the gateway's code first, since its HTTP status is often a general one."""
    if re.search(r"insufficient|quota", code) and (status != HTTPStatus.TOO_MANY_REQUESTS or "insufficient" in code):
        return _CREDIT
    if re.search(r"not_exist|not_found", code):
        return _MISSING
    if known := _BY_STATUS.get(status):
        return known
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _OTHER
    return _BROKEN if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _UNCLEAR


def _is_error_body(body: Mapping[str, Any]) -> bool:
    """Whether a 2xx body is a gateway's error all the same: it names an error, and no prediction, list or model."""
    if body.keys() & {"id", "results", "latest_version", "owner"}:
        return False
    data = body.get("data")
    if isinstance(data, Mapping) and "id" in data:
        return False
    return bool(body.get("error")) or ("code" in body and "message" in body)


def _code(body: Any) -> str:
    """The gateway's word for what went wrong, in lower case, or nothing."""
    if not isinstance(body, Mapping) or "id" in body:
        return ""
    inner = body.get("error")
    codes = (body.get("code"), inner.get("code") if isinstance(inner, Mapping) else None)
    return next((code.lower() for code in codes if isinstance(code, str) and code), "")


# -- in whose words --------------------------------------------------------------------------------------------------


def said_by(reply: Reply) -> str:
    """What the provider says about it: one line, shortened, without markup; "" where it says nothing."""
    fields = fields_of(reply.body)
    if fields:
        return short("; ".join(f"{name}: {reason}" for name, reason in fields.items()))
    return short(next(_sentences(reply.body), "")) or _said_by_text(reply.text)


def fields_of(body: Any) -> dict[str, str]:
    """Each refused input and the reason, from `invalid_fields` or a list of `{loc, msg}`."""
    if not isinstance(body, Mapping):
        return {}
    entries = body.get("invalid_fields") or body.get("detail")
    found = (_field(each) for each in entries if isinstance(each, Mapping)) if isinstance(entries, list) else ()
    return {name: reason for name, reason in found if name}


def short(text: str, most: int = SHOWN) -> str:
    """One line of printable text, no longer than `most` characters."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 10 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _field(entry: Mapping[str, Any]) -> tuple[str, str]:
    name = entry.get("field", entry.get("loc", ""))
    if isinstance(name, list):
        name = ".".join(str(each) for each in name if each != "body")
    reason = entry.get("description") or entry.get("msg") or entry.get("type") or "not accepted"
    return str(name or "").removeprefix("input."), str(reason)


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


def _said_by_text(text: str) -> str:
    if not text.strip():
        return "an empty reply"
    if not re.search(r"<(html|!doctype|head|body|title)", text, re.IGNORECASE):
        return short(text, 120)
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    name = short(html.unescape(title[1]), 80) if title else ""
    return f"an HTML page, {name!r}" if name else "an HTML page"


# ----------------------------------------------------------------------------------------------------
# The body of a reply from the API: capped, without the token, and parsed within a bounded amount of memory. A
# body takes far more memory parsed than it has bytes: an empty list 80 bytes for its two, and one emoji makes
# each letter of a long text four bytes wide. Only embedded images are large in earnest. So they are taken out
# before parsing, being plain text that needs no parser, and what is left is weighed.

BODY_CAP = 16 * 1024 * 1024
"""The most bytes of a reply that are read."""

WEIGHT_CAP = 48 * 1024 * 1024
"""The most bytes of memory that parsing a reply may take, beside its embedded images."""

_EMBEDDED = re.compile(rb'(?<!\\)"(data:[^"\x00-\x1f\x7f-\xff]{4096,})(?<!\\)"')

# What is taken at most, as measured, by each sign of something to make, and by each byte as text and as a value: two in
# all where every letter takes one, else eight.
_DICT, _LIST, _VALUE = 224, 96, 64
_NARROW, _WIDE = 2, 8


@dataclass(frozen=True, slots=True)
class Text:
    """JSON text in which a number nobody else writes stands for each embedded image; `number` reads both."""

    text: str
    embedded: dict[str, str] = field(default_factory=dict)

    @property
    def number(self) -> Callable[[str], float | str] | None:
        """What `json.loads` is to read fractions with, None where it knows itself."""
        if not self.embedded:
            return None
        return lambda word: self.embedded.get(word) or float(word)


class Body:
    """Collects what arrives of one reply; `token` is masked, should the provider repeat it."""

    def __init__(self, token: Secret | None) -> None:
        self._received = bytearray()
        self._token = token

    def sink(self, piece: bytes) -> None:
        """Take one more piece. Raises `Unreadable` for more than `BODY_CAP` bytes."""
        self._received.extend(piece)
        if len(self._received) > BODY_CAP:
            raise Unreadable(f"the provider's reply is larger than {BODY_CAP // 1024**2} MB")

    def text(self) -> Text:
        """The body as text, once: what was received is let go of. Raises `Unreadable` for what is too much to parse."""
        embedded: dict[str, str] = {}
        rest = _without_images(self._masked(), embedded)
        if weight(rest) > WEIGHT_CAP:
            raise Unreadable("the provider's reply is too large to be read")
        return Text(rest.decode("utf-8-sig", "replace"), embedded)

    def _masked(self) -> bytearray:
        data, self._received = self._received, bytearray()
        return data if self._token is None else self._token.mask_bytes(data)


def weight(data: bytes | bytearray) -> int:
    """How many bytes of memory parsing this JSON takes at most."""
    is_narrow = data.isascii() and b"\\u" not in data
    made = _DICT * data.count(b"{") + _LIST * data.count(b"[") + _VALUE * (data.count(b",") + data.count(b":"))
    return made + len(data) * (_NARROW if is_narrow else _WIDE)


def _without_images(data: bytes | bytearray, embedded: dict[str, str]) -> bytes | bytearray:
    """The JSON with a number in the place of each long `data:` URI, which goes to `embedded`."""
    if b'"data:' not in data:
        return data

    def taken(found: re.Match[bytes]) -> bytes:
        uri = str(view[slice(*found.span(1))], "ascii")
        if "\\" in uri:
            uri = uri.replace("\\/", "/")  # as some write a slash
        if "\\" in uri:
            return found[0]
        word = f"1e-{10**9 + len(embedded)}"
        embedded[word] = uri
        return f" {word} ".encode()  # apart from a digit before it, lest a broken reply become a whole one

    with memoryview(data) as view:
        return _EMBEDDED.sub(taken, data)
