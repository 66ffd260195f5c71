"""What the simulator says: predictions, models and errors, in the words and shapes of the service."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagen_nb.simulator.catalogue import Model, Problem
from imagen_nb.simulator.ledger import Row, Wall

API = "https://api.replicate.com/v1"
_CREATED = "2025-05-20T15:31:10.372Z"


@dataclass(frozen=True)
class Reply:
    """A status, a body and the headers that are its own."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def as_json(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A reply whose body is that value."""
    return Reply(status, json.dumps(value).encode(), headers=headers)


def problem(
    status: int, detail: str, title: str | None = None, headers: tuple[tuple[str, str], ...] = (), **more: Any
) -> Reply:
    """An error in the service's form; with a title it is an `application/problem+json`."""
    named = {"title": title} if title else {}
    body = json.dumps({**named, "detail": detail, "status": status, **more}).encode()
    return Reply(status, body, "application/problem+json" if title else "application/json", headers)


def refused(problems: Sequence[Problem]) -> Reply:
    """422, with every field and reason."""
    detail = "".join(f"- {each.field}: {each.description}\n" for each in problems)
    fields = [{"type": each.type, "field": each.field, "description": each.description} for each in problems]
    return problem(422, detail, "Input validation failed", invalid_fields=fields)


def throttled(wait: float, per_minute: float, burst: int, where: str) -> Reply:
    """429; `where` the wait is told: "header", "body", "text" or "all"."""
    seconds = max(1, math.ceil(wait))
    resets = f" Your rate limit resets in ~{seconds}s." if where in ("text", "all") else ""
    detail = (
        f"Request was throttled. Your rate limit for creating predictions is reduced to {per_minute:g} requests "
        f"per minute with a burst of {burst} requests.{resets}"
    )
    headers = [("ratelimit-remaining", "0"), ("ratelimit-reset", str(seconds))]
    if where in ("header", "all"):
        headers.append(("Retry-After", str(seconds)))
    more: dict[str, Any] = {"retry_after": seconds} if where in ("body", "all") else {}
    return problem(429, detail, headers=tuple(headers), **more)


def prediction(row: Row, now: float, wall: Wall, outputs: Sequence[str] | None, keep_s: float) -> dict[str, Any]:
    """The prediction as it stands `now`; `outputs` are its files' URIs, None for a prediction that has none."""
    status, is_over = row.status(now), now >= row.ended
    is_removed = now >= row.ended + keep_s
    shown = {
        "id": row.id,
        "model": row.model.name,
        "version": row.version,
        "input": row.input,
        "logs": "",
        "output": None if is_removed else _shape(row.model, outputs),
        "data_removed": is_removed,
        "error": row.error if status == "failed" else None,
        "source": "api",
        "status": status,
        "created_at": wall.text(row.created, 3),
        **({"started_at": wall.text(row.started, 9)} if row.has_started(now) else {}),
        **({"completed_at": wall.text(row.ended, 9), "metrics": _metrics(row, outputs)} if is_over else {}),
        **({"deadline": wall.text(row.deadline, 3)} if row.deadline < math.inf else {}),
        "urls": _urls(row.id),
    }
    if row.model.is_list and not is_over:
        del shown["output"]
    return shown


def early(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The same prediction as some held creates show it: the output is there, and yet it is `processing`."""
    left_out = ("completed_at", "metrics")
    return {**{key: value for key, value in shown.items() if key not in left_out}, "status": "processing"}


def model_page(model: Model) -> dict[str, Any]:
    """The model as `GET /v1/models/{owner}/{name}` gives it."""
    owner, name = model.name.split("/", 1)
    return {
        "url": f"https://replicate.com/{model.name}",
        "owner": owner,
        "name": name,
        "description": model.description,
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


def _shape(model: Model, outputs: Sequence[str] | None) -> Any:
    if not outputs:
        return None
    return list(outputs) if model.is_list else outputs[0]


def _metrics(row: Row, outputs: Sequence[str] | None) -> dict[str, Any]:
    """Seconds, as far as they are known, and the number of pictures."""
    metrics: dict[str, Any] = {"total_time": round(row.ended - row.created, 9)}
    if row.has_started(row.ended):
        metrics["predict_time"] = round(row.ended - row.started, 9)
    return {**metrics, **({"image_count": len(outputs)} if outputs else {})}


def _urls(prediction_id: str) -> dict[str, str]:
    get = f"{API}/predictions/{prediction_id}"
    return {
        "cancel": f"{get}/cancel",
        "get": get,
        "stream": f"https://stream.replicate.com/v1/files/bcwr-{prediction_id * 2}",
        "web": f"https://replicate.com/p/{prediction_id}",
    }
