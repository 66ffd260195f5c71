"""Small pictures from large ones: upright, alpha kept, and never more bytes than a notebook should carry."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from imagen_nb.errors import ImageError

_QUALITIES = (80, 65, 50, 35, 20)
_METHOD = 2  # 4 saves a tenth of the bytes for twice the time
_LEAST_PX = 16
_RIFF_HEADER = 8


def thumbnail_of(path: Path, px: int) -> bytes:
    """A WebP of the image (of its first frame), the longer side at most `px` pixels, at most `most_bytes(px)` long.

    An image smaller than that keeps its size. Raises `ImageError` where the file is missing, cut short, or no image.
    """
    try:
        with Image.open(path) as image:
            small = _upright(image, px)
        return _encoded(small, most_bytes(px))
    except FileNotFoundError:
        raise ImageError(f"the image file {path} is missing", "It was moved or deleted; its row stays.") from None
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"the image file {path} cannot be read: {error or type(error).__name__}",
            "It is damaged; run the request again for a new image.",
        ) from None


def most_bytes(px: int) -> int:
    """The most that a thumbnail may take: 12,000 bytes at 256 px, just under 40 KiB at 512 px, in that proportion."""
    return int(12_000 * (px / 256) ** 1.77)


def is_webp(content: bytes) -> bool:
    """Whether these bytes are a WebP file of the length it says of itself."""
    length = int.from_bytes(content[4:_RIFF_HEADER], "little") + _RIFF_HEADER
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP" and length == len(content)


def _upright(image: Image.Image, px: int) -> Image.Image:
    """The image at its small size, turned as its EXIF data say, in RGB or RGBA."""
    if image.format == "JPEG":  # a JPEG can be decoded at a fraction of its size, but only as it lies in the file
        image.thumbnail((px, px), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return _colours(ImageOps.exif_transpose(image))
    full = _colours(ImageOps.exif_transpose(image))
    full.thumbnail((px, px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return full


def _colours(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits; plain conversion would clip them to white
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _encoded(image: Image.Image, most: int) -> bytes:
    """The best quality that fits; where none does, a smaller picture."""
    for quality in _QUALITIES:
        file = BytesIO()
        image.save(file, "WEBP", quality=quality, method=_METHOD)
        if file.tell() <= most:
            return file.getvalue()
    if max(image.size) <= _LEAST_PX:
        return file.getvalue()
    return _encoded(image.reduce(2), most)
