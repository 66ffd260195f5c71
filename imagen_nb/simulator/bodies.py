"""What the simulator says: predictions, models and errors, in the words and shapes of the service."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagen_nb.simulator.catalogue import Model, Problem
from imagen_nb.simulator.files import StoredFile
from imagen_nb.simulator.ledger import Entry, WallClock

KEPT_S = 3600.0
"""How long the outputs of a prediction are kept after its end, in seconds."""

_API = "https://api.replicate.com/v1"
_CREATED = "2025-05-20T15:31:10.372Z"


@dataclass(frozen=True)
class ServerResponse:
    """A status, a body and the headers that are its own."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def as_json(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> ServerResponse:
    """A response whose body is that value."""
    return ServerResponse(status, json.dumps(value).encode(), headers=headers)


def problem(
    status: int, detail: str, title: str | None = None, headers: tuple[tuple[str, str], ...] = (), **more: Any
) -> ServerResponse:
    """An error in the service's form; with a title it is an `application/problem+json`."""
    named = {"title": title} if title else {}
    body = json.dumps({**named, "detail": detail, "status": status, **more}).encode()
    return ServerResponse(status, body, "application/problem+json" if title else "application/json", headers)


def not_found() -> ServerResponse:
    """404."""
    return problem(404, "The requested resource could not be found.")


def invalid_input(problems: Sequence[Problem]) -> ServerResponse:
    """422, with every field and reason."""
    detail = "".join(f"- {each.field}: {each.description}\n" for each in problems)
    fields = [{"type": each.type, "field": each.field, "description": each.description} for each in problems]
    return problem(422, detail, "Input validation failed", invalid_fields=fields)


def too_many_requests(wait: float, per_minute: float, burst: int) -> ServerResponse:
    """429, with the seconds to wait in the headers, in the body, and in its sentence."""
    seconds = max(1, math.ceil(wait))
    detail = (
        f"Request was throttled. Your rate limit for creating predictions is reduced to {per_minute:g} requests "
        f"per minute with a burst of {burst} requests. Your rate limit resets in ~{seconds}s."
    )
    headers = (("ratelimit-remaining", "0"), ("ratelimit-reset", str(seconds)), ("Retry-After", str(seconds)))
    return problem(429, detail, headers=headers, retry_after=seconds)


def prediction(
    entry: Entry, now: float, wall: WallClock, outputs: Sequence[str], origin: str, *, counts: Mapping[str, float]
) -> dict[str, Any]:
    """The prediction as it stands `now`.

    When it has succeeded it has `outputs`, the URLs of its files or pieces of text, and `counts` among its metrics.
    Its own URLs lead to the service, as those of gateways do; the one of its events, which clients follow, to `origin`.
    """
    status, is_over, is_removed = entry.status(now), now >= entry.ended, now >= entry.ended + KEPT_S
    url = f"{_API}/predictions/{entry.id}"
    shown: dict[str, Any] = {
        "id": entry.id,
        "model": entry.model.name,
        "version": entry.version,
        "input": entry.input,
        "logs": "",
        "output": None,
        "data_removed": is_removed,
        "error": entry.error if status == "failed" else None,
        "source": "api",
        "status": status,
        "created_at": wall.text(entry.created, 3),
        "urls": {
            "cancel": f"{url}/cancel",
            "get": url,
            "stream": f"{origin}/v1/predictions/{entry.id}/stream",
            "web": f"https://replicate.com/p/{entry.id}",
        },
    }
    if entry.has_started(now):
        shown["started_at"] = wall.text(entry.started, 9)
    if is_over:
        shown["completed_at"] = wall.text(entry.ended, 9)
        shown["metrics"] = {"total_time": round(entry.ended - entry.created, 9)}
        if entry.has_started(now):
            shown["metrics"]["predict_time"] = round(entry.ended - entry.started, 9)
    if entry.deadline < math.inf:
        shown["deadline"] = wall.text(entry.deadline, 3)
    if status == "succeeded":
        shown["metrics"] |= counts
        if not is_removed:
            shown["output"] = list(outputs) if entry.model.is_list else outputs[0]
    if entry.model.is_list and not is_over:
        del shown["output"]
    return shown


def events(shown: Mapping[str, Any]) -> ServerResponse:
    """The server-sent events of a prediction as it is shown: its outputs or its error, and how it ended."""
    status, output = shown["status"], shown.get("output")
    told = [("output", each) for each in (output if isinstance(output, list) else [output]) if each]
    if status == "failed":
        told.append(("error", json.dumps({"detail": shown["error"]})))
    reasons = {"succeeded": {}, "failed": {"reason": "error"}}
    told.append(("done", json.dumps(reasons.get(status, {"reason": status}))))
    lines = [(name, str(data).replace("\n", "\ndata: ")) for name, data in told]
    text = "".join(f"event: {name}\nid: {number}\ndata: {data}\n\n" for number, (name, data) in enumerate(lines))
    return ServerResponse(200, text.encode(), "text/event-stream", (("Cache-Control", "no-store"),))


def file_page(stored: StoredFile, wall: WallClock, expires: float, origin: str) -> dict[str, Any]:
    """An upload as `GET /v1/files/{id}` gives it."""
    content = stored.content
    return {
        "id": stored.id,
        "name": stored.name,
        "content_type": stored.content_type,
        "size": content.size,
        "etag": content.md5,
        "checksums": {"sha256": content.sha256, "md5": content.md5},
        "metadata": stored.metadata,
        "created_at": wall.text(stored.created, 3),
        "expires_at": wall.text(expires, 3),
        "urls": {"get": f"{origin}/v1/files/{stored.id}"},
    }


def model_page(model: Model) -> dict[str, Any]:
    """The model as `GET /v1/models/{owner}/{name}` gives it."""
    owner, name = model.name.split("/", 1)
    return {
        "url": f"https://replicate.com/{model.name}",
        "owner": owner,
        "name": name,
        "description": f"A stand-in for {model.name}, which makes up what it gives.",
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version_page(model),
    }


def version_page(model: Model) -> dict[str, Any]:
    """The one version of a model."""
    return {"id": model.version_id, "created_at": _CREATED, "cog_version": "0.16.8", "openapi_schema": model.schema}
