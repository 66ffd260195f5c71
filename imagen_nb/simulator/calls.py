"""What came in: one call, and what its headers, query and body ask for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from imagen_nb.simulator import replies
from imagen_nb.simulator.catalogue import Problem
from imagen_nb.simulator.ledger import Span
from imagen_nb.simulator.replies import Reply

CREATE_KEYS = frozenset({"input", "stream", "webhook", "webhook_completed", "webhook_events_filter"})
LONGEST_HOLD_S = 60
_HOLD = re.compile(r"(?:^|,)\s*(wait(?:=(\d{1,6}))?)\s*(?=,|;|$)", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smh]))+|\d+(?:\.\d+)?")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smh])?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d:\d\d)(?P<fraction>\.\d{1,9})?)?(?P<zone>Z|[ +-]\d\d:?\d\d)?"
)


@dataclass(frozen=True)
class Call:
    """One request as it came in. Names of headers are in lower case; `query` has the first value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Hold:
    """How long a create is to be held open; `text` is the preference as it was given."""

    seconds: float
    text: str


class Refused(Exception):  # noqa: N818 - it carries a reply, and is none of the user's errors
    """Ends a call with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def refuse(reply: Reply) -> NoReturn:
    """Raise `Refused`, as an expression."""
    raise Refused(reply)


def body_of(call: Call, keys: frozenset[str]) -> Mapping[str, Any]:
    """The body of a create: an object with an `input` object and no key that the service would refuse."""
    try:
        body = json.loads(call.body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(replies.problem(400, "The request body is not valid JSON.")) from None
    if not isinstance(body, dict):
        raise Refused(replies.refused([Problem("invalid_type", "(root)", "Invalid type. Expected: object")]))
    problems = [
        Problem("additional_property_not_allowed", "(root)", f"Additional property {key} is not allowed")
        for key in body
        if key not in keys
    ]
    if not isinstance(body.get("input"), dict):
        problems.append(Problem("required", "(root)", "input is required, and is an object"))
    if problems:
        raise Refused(replies.refused(problems))
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def hold_of(call: Call) -> Hold | None:
    """What `Prefer: wait` or `Prefer: wait=N` asks for, at most a minute; None without it."""
    asked = _HOLD.search(call.headers.get("prefer", ""))
    if asked is None:
        return None
    return Hold(min(LONGEST_HOLD_S, max(1, int(asked[2] or LONGEST_HOLD_S))), asked[1])


def cancel_after(call: Call) -> float:
    """Seconds of a `Cancel-After` header such as `600s`, `1m` or `1h30m`; a bare number counts seconds."""
    text = call.headers.get("cancel-after")
    if text is None:
        return math.inf
    if not _DURATION.fullmatch(text.strip()):
        detail = f"Cancel-After must be a duration such as 90s, 1m or 1h30m, not {text!r}."
        raise Refused(replies.problem(422, detail, "Invalid header"))
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def span_of(call: Call) -> Span:
    """The times of creation that a list is limited to. Raises `ValueError` for one that cannot be read."""
    since, before = call.query.get("created_after"), call.query.get("created_before")
    return Span(
        since_ms=-math.inf if since is None else unix_ms(since),
        before_ms=math.inf if before is None else unix_ms(before),
    )


def unix_ms(text: str) -> float:
    """Unix time in milliseconds of an ISO 8601 text. Raises `ValueError` when it is not one."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    # A + that was not quoted arrives as a space.
    zone = (match["zone"] or "Z").replace("Z", "+0000").replace(" ", "+").replace(":", "")
    whole = datetime.strptime(f"{match['day']}T{match['clock'] or '00:00:00'}{zone}", "%Y-%m-%dT%H:%M:%S%z")
    return whole.timestamp() * 1000 + float(match["fraction"] or 0) * 1000
