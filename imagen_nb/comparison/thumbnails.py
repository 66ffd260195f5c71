"""Thumbnails for images of any home, and of none: kept by the home where there is one, else for this process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from imagen_nb.comparison.rows import sha256_of
from imagen_nb.core.records import Image
from imagen_nb.errors import ImageError
from imagen_nb.store.images import Images
from imagen_nb.store.thumbnails import thumbnail_of
from imagen_nb.view import Thumb, data_uri

WORKERS = min(4, os.cpu_count() or 1)
_SMALLER = (1.0, 0.875, 0.75, 0.625)


def thumbs(images: Iterable[Image], px: int, *, most: int | None = None) -> Thumb:
    """Thumbnails of these images, made side by side at once; "" for an image whose file is gone or damaged.

    `px` is the longer side; `most` the most characters a `data:` URI may take, kept to by a smaller picture.
    """
    several = list({image.path: image for image in images}.values())
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="imagen-thumbnails") as pool:
        uris = pool.map(lambda image: _uri(image, px, most), several)
        sources = {image.path: uri for image, uri in zip(several, uris, strict=True)}
    return lambda image: sources.get(image.path, "")


def home_of(path: Path) -> Path | None:
    """The home that a file lies in, by the shape of its path (`home/images/ab/<hash>.jpg`), or None."""
    digest = sha256_of(path)
    folder = path.parent
    return folder.parents[1] if digest and folder.name == digest[:2] and folder.parent.name == "images" else None


def _uri(image: Image, px: int, most: int | None) -> str:
    try:
        for part in _SMALLER:
            uri = data_uri(_thumbnail(image.path, int(px * part)))
            if most is None or len(uri) <= most:
                break
    except ImageError:
        return ""
    return uri


def _thumbnail(path: Path, px: int) -> bytes:
    home = home_of(path)
    if home is not None:
        return Images(home).thumbnail(path, path.stem, px)
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        raise ImageError(f"the image file {path} is missing") from None
    return _passing(path, px, changed)


@lru_cache(maxsize=512)
def _passing(path: Path, px: int, changed: int) -> bytes:  # noqa: ARG001 - a changed file is another one
    return thumbnail_of(path, px)
