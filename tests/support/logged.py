"""Requests, predictions and image files for the tests of the store, and a process that writes to a log."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from imagen_nb.log.images import Images
from imagen_nb.records import Image, Prediction, Request, Status

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
PROVIDER = "simulator"
SUPPORT = Path(__file__).parent


def request(prompt: str = "a red fox", *, template: str | None = None, slots: Any = None, **inputs: Any) -> Request:
    made = {"prompt": prompt, "aspect_ratio": "1:1", **inputs}
    return Request("google/imagen-4", made, template=template or prompt, slots=slots or {})


def prediction(id_: str = "p1", status: Status = Status.STARTING, **changes: Any) -> Prediction:
    echoed = {"prompt": "a red fox", "aspect_ratio": "1:1", "output_format": "jpg"}
    made = Prediction(id_, status, str(status), input=echoed, created_at=NOON, raw={"id": id_, "status": str(status)})
    return replace(made, **changes)


def succeeded(id_: str = "p1", **changes: Any) -> Prediction:
    done = {"started_at": NOON + timedelta(seconds=1), "completed_at": NOON + timedelta(seconds=9)}
    return prediction(id_, Status.SUCCEEDED, **{"total_s": 9.0, "predict_s": 8.5, **done, **changes})


def encoded(picture: Picture.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def published(home: Path, content: bytes | None = None, mime: str = "image/jpeg") -> Image:
    """An image file in the home, as a download leaves it there."""
    content = encoded(Picture.new("RGB", (64, 48), "teal")) if content is None else content
    digest = hashlib.sha256(content).hexdigest()
    images = Images(home)
    path = images.folder / "download.part"
    path.write_bytes(content)
    place = images.publish(path, digest, mime)
    images.close()
    return Image(place, digest, 64, 48, len(content), mime, "https://replicate.delivery/x/out.jpg")


def process(code: str, *arguments: Any) -> subprocess.Popen[str]:
    """A Python process that runs the code with these parts importable; its arguments are in `sys.argv`."""
    start = f"import sys; sys.path.insert(0, {str(SUPPORT)!r}); from logged import *\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
