"""Small pictures from large ones: upright, alpha kept, and never more bytes than a notebook should carry.

A thumbnail of an image in a home is kept there, in `thumbnails/<sha256>-<px>.webp`; of any other file, in memory.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from imagen_nb.errors import ImageError
from imagen_nb.files import replace_file
from imagen_nb.records import IMAGE_MIMES, Image
from imagen_nb.views.pictures import Thumb, data_uri, home_of

Result = TypeVar("Result")

WORKERS = min(4, os.cpu_count() or 1)
_QUALITIES = (80, 65, 50, 35, 20)
_METHOD = 2  # 4 saves a tenth of the bytes for twice the time
_LEAST_PX = 16
_RIFF_HEADER = 8
USUAL_PX = (256, 512, 768, 1024)
_LARGER = 1.5
"""How much larger a thumbnail must be for a good smaller one to be made of it."""
_LARGE, _STRIP = 4096 * 4096, 32
"""Beyond how many pixels only one picture at a time is decoded, and how many lines of a small one are made at once."""
_one_large = threading.Lock()
_SMALLER = (1.0, 0.875, 0.75, 0.625)


def thumbs(images: Iterable[Image], px: int, *, most: int | None = None) -> Thumb:
    """Thumbnails of these images, made side by side at once; "" for an image whose file is gone or damaged.

    `px` is the longer side; `most` the most characters a `data:` URI may take, kept to by a smaller picture.
    """

    def uri(image: Image) -> str:
        try:
            for part in _SMALLER:
                made = data_uri(thumbnail(image.path, int(px * part)))
                if most is None or len(made) <= most:
                    break
        except ImageError:
            return ""
        return made

    several = list({image.path: image for image in images}.values())
    sources = dict(zip([image.path for image in several], _side_by_side(uri, several), strict=True))
    return lambda image: sources.get(image.path, "")


def thumb(px: int) -> Thumb:
    """Thumbnails of `px` pixels as `data:` URIs, each made when it is asked for."""
    return lambda image: data_uri(thumbnail(image.path, px))


def thumbnails(images: Sequence[Image], px: int) -> list[bytes | None]:
    """The thumbnails of several images, in order, made side by side; None for one that cannot be made."""

    def make(image: Image) -> bytes | None:
        try:
            return thumbnail(image.path, px)
        except ImageError:
            return None

    return _side_by_side(make, images)


def thumbnail(path: Path, px: int) -> bytes:
    """The image as WebP, its longer side at most `px` pixels; made once and kept.

    At most 12,000 bytes at 256 px and 40 KiB at 512 px. Raises `ImageError` where the original is missing or
    damaged and no thumbnail was kept.
    """
    home = home_of(path)
    if home is None:
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            raise ImageError(f"the image file {path} is missing") from None
        return _homeless_thumbnail(path, px, changed)
    kept = {size: home / "thumbnails" / f"{path.stem}-{size}.webp" for size in (px, *USUAL_PX)}
    with contextlib.suppress(OSError):
        content = kept[px].read_bytes()
        if is_webp(content):
            return content
    for size in USUAL_PX:
        if size >= _LARGER * px:  # one that was kept is several times quicker to read than the image
            with contextlib.suppress(ImageError):
                content = make_thumbnail(kept[size], px)
                break
    else:
        content = make_thumbnail(path, px)
    with contextlib.suppress(OSError):  # a full disk costs only the making of it
        kept[px].parent.mkdir(exist_ok=True)  # not its parents: a home that was moved away meanwhile is not begun anew
        with replace_file(kept[px]) as temporary:
            temporary.write_bytes(content)
    return content


def make_thumbnail(path: Path, px: int) -> bytes:
    """A WebP of the image (of its first frame), the longer side at most `px` pixels, at most `most_bytes(px)` long.

    It is turned as its EXIF data say, in RGB or RGBA. An image smaller than that keeps its size. Raises `ImageError`
    where the file is missing, cut short, or no image.
    """
    try:
        with open_picture(path) as image:
            with _one_large if image.width * image.height > _LARGE else contextlib.nullcontext():
                if image.format == "JPEG":  # it can be decoded at a fraction of its size, but only as it lies there
                    image.thumbnail((px, px), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
                small = _reduced(image, max(max(image.size) // (2 * px), 1))
            small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
        small = ImageOps.exif_transpose(small)
        small.thumbnail((px, px), Pillow.Resampling.LANCZOS)
        return _encode(small, most_bytes(px))
    except FileNotFoundError:
        raise ImageError(f"the image file {path} is missing", "It was moved or deleted; its row stays.") from None
    except (OSError, ValueError, SyntaxError, MemoryError, Pillow.DecompressionBombError) as error:
        raise ImageError(
            f"the image file {path} cannot be read: {error or type(error).__name__}",
            "It is damaged; run the request again for a new image.",
        ) from None


def _reduced(image: Pillow.Image, factor: int) -> Pillow.Image:
    """The picture in RGB or RGBA, so many times smaller; strip by strip, so that nothing else is as large as it."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    width, height = (-(-side // factor) for side in image.size)
    small = Pillow.new(mode, (width, height))
    for top in range(0, height, _STRIP):
        strip = image.crop((0, top * factor, image.width, min((top + _STRIP) * factor, image.height)))
        if strip.mode.startswith("I"):  # 16 bits; plain conversion would clip them to white
            strip = strip.convert("I").point(lambda level: level * (1 / 256)).convert("L")
        small.paste(strip.convert(mode).reduce(factor), (0, top))
    return small


def open_picture(path: Path) -> Pillow.Image:
    """The picture in a file of one of `IMAGE_MIMES`' formats, its header read.

    Raises `OSError`, `ValueError` or Pillow's `DecompressionBombError` for any other file, and for what is none: who
    opens a pipe waits for somebody to write.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a regular file")
    Pillow.init()
    return Pillow.open(path, formats=[name for name in IMAGE_MIMES if name in Pillow.OPEN])


def most_bytes(px: int) -> int:
    """The most that a thumbnail may take: 12,000 bytes at 256 px, just under 40 KiB at 512 px, in that proportion."""
    return int(12_000 * (px / 256) ** 1.77)


def is_webp(content: bytes) -> bool:
    """Whether these bytes are a WebP file of the length it says of itself."""
    length = int.from_bytes(content[4:_RIFF_HEADER], "little") + _RIFF_HEADER
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP" and length == len(content)


@lru_cache(maxsize=512)
def _homeless_thumbnail(path: Path, px: int, changed: int) -> bytes:  # noqa: ARG001 - a changed file is another one
    return make_thumbnail(path, px)


def _side_by_side(make: Callable[[Image], Result], images: Sequence[Image]) -> list[Result]:
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="imagen-thumbnails") as pool:
        return list(pool.map(make, images))


def _encode(image: Pillow.Image, most: int) -> bytes:
    """The best quality that fits; where none does, a smaller picture."""
    for quality in _QUALITIES:
        file = BytesIO()
        image.save(file, "WEBP", quality=quality, method=_METHOD)
        if file.tell() <= most:
            return file.getvalue()
    if max(image.size) <= _LEAST_PX:
        return file.getvalue()
    return _encode(image.reduce(2), most)
