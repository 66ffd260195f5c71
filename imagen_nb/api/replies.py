"""The API's prediction object, read tolerantly: fields may be missing, null, unknown, nested or of another type."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from imagen_nb.api.transport import LATER_HINT
from imagen_nb.errors import UncertainError
from imagen_nb.planning.values import is_address
from imagen_nb.records import Prediction, Status, canonical

NO_REASON = "the provider gave no reason"
ERROR_CAP = 2000
OUTPUTS = 1000
"""No more addresses in the output of one prediction than this are looked at."""

_STATUSES = {
    "starting": Status.STARTING,
    "processing": Status.PROCESSING,
    "succeeded": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "canceled": Status.CANCELED,
    "cancelled": Status.CANCELED,
    "aborted": Status.ABORTED,
}
_BLOCKED = re.compile(r"\bE005\b|flagged as sensitive", re.IGNORECASE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_ID = re.compile(r"(?!\.+$)[^\s/\\?#%\x00-\x1f\x7f]{1,200}")


def parse(raw: Mapping[str, Any]) -> Prediction:
    """The prediction in a reply; also one that a gateway wraps as `data`.

    Raises `UncertainError` where there is no id that could stand in a path.
    """
    data = raw.get("data")
    body = data if "id" not in raw and isinstance(data, Mapping) and "id" in data else raw
    identifier = str(body.get("id"))
    if not is_identifier(body.get("id")):
        raise UncertainError("the provider's reply has no usable prediction id", LATER_HINT)
    word = body.get("status")
    seen_status = word.strip()[:100] if isinstance(word, str) else ""
    status = _STATUSES.get(seen_status.lower(), Status.PROCESSING)  # a word nobody knows is not terminal
    output, text = read_output(body.get("output"))
    removed = body.get("data_removed") is True
    error, code = _reason(status, body.get("error"), has_output=bool(output), is_removed=removed)
    created, started, completed = (moment(body.get(f"{name}_at")) for name in ("created", "started", "completed"))
    metrics = body["metrics"] if isinstance(body.get("metrics"), Mapping) else {}
    return Prediction(
        id=identifier,
        status=status,
        seen_status=seen_status,
        model=body["model"] if isinstance(body.get("model"), str) else None,
        input=body["input"] if isinstance(body.get("input"), Mapping) else {},
        output=output,
        text=text,
        error=error,
        error_code=code,
        created_at=created,
        started_at=started,
        completed_at=completed,
        predict_s=_seconds(metrics.get("predict_time"), None, None),
        total_s=_seconds(metrics.get("total_time"), created, completed),
        data_removed=removed,
        raw=body,
    )


def is_identifier(value: Any) -> bool:
    """Whether a reply's id can stand in a path."""
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(_ID.fullmatch(str(value)))


def moment(text: Any) -> datetime | None:
    """The UTC time of an ISO text with none to nine fractional digits, or None."""
    found = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else f"{zone[:3]}:{zone[-2:]}"
    try:
        at = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '').ljust(6, '0')[:6]}{zone}")
        return at.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def read_output(output: Any) -> tuple[tuple[str, ...], str]:
    """Every address in the output, in order, and its text: the output may be a string, a list, nested, or nothing.

    Only `http:`, `https:` and `data:` make an address; all other strings are pieces of one text.
    """
    addresses: list[str] = []
    pieces: list[str] = []
    rest = [output]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            if not is_address(each):
                pieces.append(each)
            elif len(addresses) < OUTPUTS:
                addresses.append(each.strip())
        elif isinstance(each, Mapping):
            rest.extend(reversed(list(each.values())))
        elif isinstance(each, list):
            rest.extend(reversed(each))
    return tuple(addresses), "".join(pieces)


def _reason(status: Status, error: Any, *, has_output: bool, is_removed: bool) -> tuple[str | None, str | None]:
    """Why there is no image, and the word for it; nothing while there may be one."""
    if not status.is_terminal or (status is Status.SUCCEEDED and has_output):
        return None, None
    said = _text(error)
    if said is not None and _BLOCKED.search(said):
        return said, "blocked"
    if status is Status.SUCCEEDED:
        return ("the provider has deleted the output", "gone") if is_removed else (said, None)
    if status is Status.FAILED:
        return said or NO_REASON, "failed"
    if status is Status.ABORTED:
        return said or "ended by the provider before it started; not billed", "aborted"
    return said or "canceled", "canceled"


def _text(error: Any) -> str | None:
    """The error as text: a string, the message in an object, or the object itself; None for nothing."""
    if isinstance(error, Mapping):
        inner = (error.get(name) for name in ("message", "detail", "error", "title"))
        error = next((each for each in inner if isinstance(each, str) and each.strip()), error)
    if error is None or error in ("", {}, []):
        return None
    text = error if isinstance(error, str) else canonical(error)
    return text.strip()[:ERROR_CAP] or None


def _seconds(value: Any, start: datetime | None, end: datetime | None) -> float | None:
    """A duration as the provider counts it, else the one between two times; None where neither makes sense."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max:
        return float(value)  # a whole number in JSON may be larger than any float
    between = (end - start).total_seconds() if start and end else -1.0
    return between if between >= 0 else None
