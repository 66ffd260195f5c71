"""Nouns to rows and back: what a request, a prediction and an image put into the log, and the `Run` that comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from imagen_nb.core.records import Image, Json, Prediction, Request, Run, Status
from imagen_nb.store.tables import stored_json

_LONGEST_TEXT = 10_000
_LONGEST_REPLY = 200_000
_DEEPEST = 20


def request_values(request: Request) -> dict[str, Any]:
    """The columns that describe what is asked for. A prompt that is no text stays among the parameters."""
    prompt = request.input.get("prompt")
    is_text = isinstance(prompt, str)
    return {
        "key": request.key,
        "model": request.model,
        "prompt": prompt if is_text else None,
        "template": request.template,
        "slots": dict(request.slots),
        "params": {name: value for name, value in request.input.items() if name != "prompt" or not is_text},
        "repeat": request.repeat,
    }


def request_of(row: Any) -> Request:
    """The request that `request_values` described, equal in everything but the order of its input."""
    prompt = {} if row.prompt is None else {"prompt": row.prompt}
    return Request(
        model=row.model, input=prompt | row.params, template=row.template, slots=row.slots, repeat=row.repeat
    )


def prediction_values(prediction: Prediction) -> dict[str, Any]:
    """The columns that a reply fills; None for what it does not say."""
    return {
        "created_at": prediction.created_at,
        "started_at": prediction.started_at,
        "completed_at": prediction.completed_at,
        "total_s": _first(prediction.total_s, seconds_between(prediction.created_at, prediction.completed_at)),
        "predict_s": prediction.predict_s,
        "echo": shortened({name: value for name, value in prediction.input.items() if name != "prompt"}) or None,
    }


def reply_text(raw: Json) -> str:
    """The reply as JSON text of at most about 200,000 characters: long texts shortened, then large fields left out."""
    text = stored_json(shortened(raw))
    if len(text) <= _LONGEST_REPLY:
        return text
    fields = {str(name): shortened(value) for name, value in list(raw.items())[:100]}
    return stored_json(
        {name: value for name, value in fields.items() if len(stored_json(value)) < _LONGEST_REPLY / 100}
    )


def shortened(value: Any, depth: int = 0) -> Any:
    """The JSON value with every long text (a `data:` URI, a chatty log) cut to its beginning, and no endless depth."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:200]}… ({len(value)} characters)"
    if isinstance(value, Mapping | list | tuple) and depth == _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(name): shortened(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(item, depth + 1) for item in value]
    return value


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end, where both are known and in order."""
    seconds = (end - start).total_seconds() if start and end else -1.0
    return seconds if seconds >= 0 else None


def image_values(place: int, images: Sequence[Image], home: Path) -> list[dict[str, Any]]:
    """One row an image of the run at this place, in the order given; a file inside the home is named relative to it."""
    return [
        {
            "run": place,
            "position": position,
            "sha256": image.sha256,
            "file": _relative(image.path, home),
            "width": image.width,
            "height": image.height,
            "bytes": image.bytes,
            "mime": image.mime,
            "url": shortened(image.url),
        }
        for position, image in enumerate(images)
    ]


def image_of(row: Any, home: Path) -> Image:
    """The image of a row, its path absolute."""
    return Image(
        path=home / row.file,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        bytes=row.bytes,
        mime=row.mime,
        url=row.url,
    )


def run_of(row: Any, images: Iterable[Image] = ()) -> Run:
    """The run of a row of the table `runs`."""
    return Run(
        id=row.run_id,
        request=request_of(row),
        status=Status(row.status),
        error=row.error,
        error_code=row.error_code,
        prediction_id=row.prediction_id,
        images=tuple(images),
        cost=row.cost,
        cost_source=row.cost_source,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        total_s=row.total_s,
        predict_s=row.predict_s,
        provider=row.provider,
        experiment=row.experiment,
        tag=row.tag,
        rating=row.rating,
        note=row.note,
    )


def _first(value: float | None, other: float | None) -> float | None:
    return other if value is None else value


def _relative(path: Path, home: Path) -> str:
    return (path.relative_to(home) if path.is_relative_to(home) else path).as_posix()
