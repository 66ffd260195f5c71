"""Runs, images and frames made by hand, for tests of what is shown and compared."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image as Pillow

from imagen_nb.log.frame import statuses
from imagen_nb.records import LEADING_COLUMNS, TRAILING_COLUMNS, Image, Request, Run, Status

WHEN = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
PIXEL = "data:image/webp;base64,UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"


def pixel(_image: Image) -> str:
    """A thumbnail of one pixel for every image."""
    return PIXEL


def image(home: Path, seed: int = 0, size: tuple[int, int] = (64, 48)) -> Image:
    """A real PNG in the place that a home keeps it in."""
    file = io.BytesIO()
    Pillow.linear_gradient("L").resize(size).convert("RGB").point(lambda v: (v + seed * 37) % 256).save(file, "PNG")
    content = file.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    path = home / "images" / digest[:2] / f"{digest}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Image(path, digest, *size, len(content), "image/png")


def unseen(seed: int = 0, size: tuple[int, int] = (1024, 768)) -> Image:
    """An image without a file, for views that get their thumbnails from elsewhere."""
    digest = hashlib.sha256(str(seed).encode()).hexdigest()
    return Image(Path(f"/home/me/imagen_runs/images/{digest[:2]}/{digest}.jpg"), digest, *size, 165_000, "image/jpeg")


def run(
    prompt: str = "a red fox in snow",
    images: Sequence[Image] = (),
    *,
    number: int = 1,
    template: str | None = None,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    repeat: int = 1,
    model: str = "google/imagen-4",
    **more: Any,
) -> Run:
    """A run; succeeded where it has images, else failed, unless a `status` says otherwise."""
    request = Request(model, {"prompt": prompt, **(params or {})}, template or prompt, dict(slots or {}), repeat)
    usual: dict[str, Any] = {
        "status": Status.SUCCEEDED if images else Status.FAILED,
        "cost": 0.04 * len(images) or None,
        "cost_source": "list price" if images else None,
        "created_at": WHEN + timedelta(seconds=number),
        "completed_at": WHEN + timedelta(seconds=number + 10),
        "total_s": 9.5 + number,
        "provider": "kkiai",
        "prediction_id": f"prediction{number:016d}",
    }
    return Run(id=f"0k3v9x{number:07d}", request=request, images=tuple(images), **{**usual, **more})


def frame(runs: Sequence[Run]) -> pd.DataFrame:
    """These runs with the columns of `ws.frame()`, typed as there."""
    names = {name: None for each in runs for name in [*each.request.slots, *each.request.params]}
    rows = [_row(each, list(names)) for each in runs]
    made = pd.DataFrame(rows, columns=[*LEADING_COLUMNS, *names, *TRAILING_COLUMNS], dtype=object)
    for name in names:
        made[name] = made[name].astype(_dtype({type(row[name]) for row in rows} - {type(None)}))
    for name, kind in {**LEADING_COLUMNS, **TRAILING_COLUMNS}.items():
        if kind == "time":
            made[name] = pd.to_datetime(made[name], utc=True).astype("datetime64[us, UTC]")
        elif kind == "number":
            made[name] = pd.to_numeric(made[name]).astype("float64")
        elif kind in ("text", "whole"):
            made[name] = made[name].astype("string" if kind == "text" else "Int64")
        elif kind == "truth":
            made[name] = made[name].astype("bool")
    made["status"] = statuses(made["status"].tolist())
    made["images"] = pd.Series([row["images"] for row in rows], dtype=object)
    return made.set_index(pd.Index([each.id for each in runs], name="run_id"))


def _dtype(kinds: set[type]) -> str:
    if kinds == {int}:
        return "Int64"
    if kinds == {bool}:
        return "boolean"
    return "float64" if kinds and kinds <= {int, float} else "string"


def _row(each: Run, names: Sequence[str]) -> dict[str, Any]:
    settings = {**each.request.params, **each.request.slots}
    first = each.images[0] if each.images else None
    plain = {name: getattr(each, name) for name in (*LEADING_COLUMNS, *TRAILING_COLUMNS) if hasattr(each, name)}
    return {
        **plain,
        **{name: settings.get(name) for name in names},
        "model": each.request.model,
        "prompt": each.request.prompt,
        "template": each.request.template,
        "repeat": each.request.repeat,
        "status": str(each.status),
        "cost_usd": each.cost,
        "image": str(first.path) if first else None,
        "images": tuple(str(image.path) for image in each.images) or pd.NA,
        **{name: getattr(first, name) if first else None for name in ("width", "height", "bytes", "sha256")},
    }
