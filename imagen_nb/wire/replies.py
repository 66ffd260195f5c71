"""What a reply says: its body read, and the one place where a refusal becomes an error."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

from imagen_nb.core.pacing import http_date, retry_after
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
)
from imagen_nb.wire.gate import HINT as THROTTLED_HINT
from imagen_nb.wire.losses import LATER_HINT, place

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
