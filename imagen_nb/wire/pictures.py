"""Whether a file is a whole image of a sane size: by its first bytes, its header, and a decode to the last row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from imagen_nb.errors import ImageError

try:
    from PIL import AvifImagePlugin
except ImportError:  # pragma: no cover - Pillow before 11.3
    AvifImagePlugin = None  # type: ignore[assignment]

PIXEL_CAP = 64 * 1024 * 1024
"""The most pixels of an image that is decoded."""

SLICE_S = 0.25
"""How long to wait for a turn to decode before looking whether there is time left, in seconds."""

HINT = "Nothing was kept of it; send the request again for a new image."

_decoding = threading.BoundedSemaphore(2)
"""No more images than this are decoded at once, since each needs memory for its pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What an image file is: pixels and MIME type."""

    width: int
    height: int
    mime: str


@dataclass(frozen=True, slots=True)
class _Format:
    """`opener` is Pillow's own class: `Image.open` would warn at a size of its own choosing before we can refuse.

    A whole file has `tail` near its end.
    """

    mime: str
    opener: Callable[[IO[bytes]], ImageFile.ImageFile] | None
    tail: bytes = b""


_JPEG = _Format("image/jpeg", JpegImagePlugin.JpegImageFile, b"\xff\xd9")
_PNG = _Format("image/png", PngImagePlugin.PngImageFile, b"IEND")
_GIF = _Format("image/gif", GifImagePlugin.GifImageFile)
_WEBP = _Format("image/webp", WebPImagePlugin.WebPImageFile)
_AVIF = _Format("image/avif", getattr(AvifImagePlugin, "AvifImageFile", None))


def examined(path: Path, left: Callable[[], float]) -> Picture:
    """What the image in the file is, once all of it was decoded.

    `left` gives the seconds left and may raise. Raises `ImageError` for anything but a whole JPEG, PNG, WebP, GIF or
    AVIF of at most 64 megapixels.
    """
    with path.open("rb") as file:
        kind = _kind(file.read(32))
        if kind is None or kind.opener is None:
            raise ImageError(f"an output is not an image: {_named(path)}", HINT)
        file.seek(0)
        while not _decoding.acquire(timeout=min(SLICE_S, left())):
            continue
        try:
            return _decoded(file, kind)
        finally:
            _decoding.release()


def _decoded(file: IO[bytes], kind: _Format) -> Picture:
    assert kind.opener is not None  # noqa: S101 - the caller looked
    try:
        with kind.opener(file) as image:
            width, height = image.size
            _check_pixels(width, height)
            # A JPEG's data is read to its end at any scale; an eighth needs a fraction of the time and the memory.
            image.draft("L", (1, 1))
            image.load()
        _check_tail(file, kind)
    except ImageError:
        raise
    except Exception as failure:  # noqa: BLE001 - what a decoder raises at broken data is not listed anywhere
        reason = str(failure).splitlines()[0][:80] if str(failure) else type(failure).__name__
        raise ImageError(f"an output is not a whole image: {reason}", HINT) from None
    return Picture(width, height, kind.mime)


def _kind(head: bytes) -> _Format | None:
    if head.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _WEBP
    return _AVIF if head[4:12] in (b"ftypavif", b"ftypavis") else None


def _check_tail(file: IO[bytes], kind: _Format) -> None:
    """Look for the end by hand: a notebook may have told Pillow to forgive truncated images."""
    if kind.tail:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4096))
        if kind.tail not in file.read():
            raise ImageError("an output is not a whole image: its end is missing", HINT)


def _named(path: Path) -> str:
    """What the file seems to be instead."""
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not start:
        return "it is empty"
    if b"<svg" in start:
        return "it is SVG, which is not shown"
    return "it is HTML or XML" if start.startswith(b"<") else "its format is not known"


def _check_pixels(width: int, height: int) -> None:
    if width * height > PIXEL_CAP:
        raise ImageError(f"an output has {width} x {height} pixels, more than are decoded here", "It was not kept.")
