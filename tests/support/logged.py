"""Requests, predictions and image files for the tests of the store, and a process that writes to a log."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from imagen_nb.log.images import Images
from imagen_nb.log.log import Log
from imagen_nb.records import Image, Prediction, Request, Status

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
PROVIDER = "simulator"
SUPPORT = Path(__file__).parent
STYLES, ANIMALS = ("sepia-oil", "cobalt-ink", "pastel-wash"), ("fox", "owl", "hare", "crow")


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


def fill_log(
    log: Log,
    *,
    animals: Sequence[str] = ANIMALS,
    size: tuple[int, int] = (64, 48),
    repeats: int = 1,
    failed: int = 0,
    kind: str = "PNG",
) -> None:
    """Every animal in every style: pictures whose files say in texts of their own what they are; the first failed."""
    every = [(a, s, r) for r in range(1, repeats + 1) for a in animals for s in STYLES]
    template = "a {animal} in {style}"
    slots = [{"animal": animal, "style": style} for animal, style, _ in every]
    texts = [template.format(**each) for each in slots]
    requests = [
        Request("m/x", {"prompt": text}, template, each, repeat)
        for text, each, (_, _, repeat) in zip(texts, slots, every, strict=True)
    ]
    noise = Picture.effect_noise(size, 40)
    for number, (run_id, text) in enumerate(zip(log.intend(requests, provider=PROVIDER), texts, strict=True)):
        if number < failed:
            log.settle(run_id, Status.FAILED, error="for the test")
            continue
        told, exif = PngInfo(), Picture.Exif()
        told.add_text("parameters", text)
        exif[0x010E] = text  # its description
        hue = (number * 47) % 256
        painted = Picture.merge("HSV", [Picture.new("L", size, hue), noise, Picture.new("L", size, 220)])
        content = encoded(painted.convert("RGB"), kind, pnginfo=told, exif=exif)
        done, mime = succeeded(f"p{number}"), f"image/{kind.lower()}"
        log.settle(run_id, Status.SUCCEEDED, prediction=done, images=[published(log.home, content, mime)])


def process(code: str, *arguments: Any) -> subprocess.Popen[str]:
    """A Python process that runs the code with these parts importable; its arguments are in `sys.argv`."""
    start = f"import sys; sys.path.insert(0, {str(SUPPORT)!r}); from logged import *\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
