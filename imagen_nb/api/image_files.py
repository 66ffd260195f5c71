"""Whether a file is a whole image of a sane size.

Its structure is read first, from the first byte to the end that it names itself, a little at a time and without
decoding: so a cut is found, and what a decode would cost is known before there is one. Then it is decoded, where that
costs little: a file of two kilobytes may ask for a gigabyte, or for minutes. Of a PNG the pixels are only counted,
which proves as much and costs next to nothing, whatever its size. An AVIF is never decoded: its stream may be many
times as large as its header says.
"""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from PIL import GifImagePlugin, ImageFile, JpegImagePlugin, WebPImagePlugin

from imagen_nb.api.pace import SLICE_S
from imagen_nb.api.transport import DeadlineExceeded, ExchangeStopped
from imagen_nb.errors import ImageError
from imagen_nb.records import IMAGE_MIMES

try:
    from PIL import AvifImagePlugin
except ImportError:  # pragma: no cover - Pillow before 11.3
    AvifImagePlugin = None  # type: ignore[assignment]

PIXEL_CAP = 64 * 1024 * 1024
"""The most pixels of an image that is kept: 8192 x 8192 are more than any model makes."""

DECODE_BYTES = 72 * 1024 * 1024
"""The most memory that one decode may take; what needs more is judged by its structure alone."""

MOST_SCANS = 100
"""The most scans of a JPEG: encoders write up to a dozen, and each goes over all of the picture."""

MOST_VISITS = 15_000_000
"""The most blocks of 64 pixels that one decode of a JPEG may go over, which takes about a second."""

MOST_PIECES = 1_000_000
"""The most chunks, segments and the like that a file may consist of."""

EXIF_CAP = 64 * 1024
PIECE = 64 * 1024

IMAGE_HINT = "Nothing was kept of it; send the request again for a new image."

_decoding = threading.Lock()
"""One image is decoded at a time, since each needs memory for its pixels."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image file is: pixels, as one sees it, and MIME type."""

    width: int
    height: int
    mime: str


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """What the structure of a file says: pixels as they are stored, EXIF data, and what a decode would cost.

    `decode_bytes` is the memory for a decode, `visits` how many blocks of a JPEG it goes over.
    """

    width: int
    height: int
    exif: bytes = b""
    decode_bytes: int = 0
    visits: int = 0


def examine(path: Path, seconds_left: Callable[[], float]) -> ImageInfo:
    """What the image in the file is, once it is known to be whole.

    `seconds_left` may raise. Raises `ImageError` for anything but a whole JPEG, PNG, WebP, GIF or AVIF of at most 64
    megapixels.
    """
    with TimedFile(path, seconds_left) as file:
        start = file.read(512)
        kind = next((each for each in _FORMATS if each.start.match(start)), None)
        if kind is None:
            raise ImageError(f"an output is not an image: {_guess(start)}", IMAGE_HINT)
        try:
            file.seek(0)
            layout = kind.read(file)
            check_size(layout.width, layout.height)
            if kind.opener is not None and layout.decode_bytes <= DECODE_BYTES and layout.visits <= MOST_VISITS:
                _decode(file, kind.opener, layout)
        except (ImageError, DeadlineExceeded, ExchangeStopped):
            raise
        except Exception as failure:  # noqa: BLE001 - what a decoder raises at broken data is not listed anywhere
            raise _broken(str(failure).splitlines()[0][:80] if str(failure) else type(failure).__name__) from None
    size = (layout.height, layout.width) if is_turned(layout.exif) else (layout.width, layout.height)
    return ImageInfo(*size, kind.mime)


def check_size(width: int, height: int) -> None:
    """Raise `ImageError` for more pixels than are kept, or none."""
    if width * height > PIXEL_CAP:
        raise ImageError(f"an output has {width} x {height} pixels, more than any model makes", "It was not kept.")
    if width * height == 0:
        raise _broken("it has no pixels")


def is_turned(exif: bytes) -> bool:
    """Whether EXIF data say that the picture is shown with its sides exchanged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == 0x0112:  # noqa: PLR2004 - Orientation
                return value in (5, 6, 7, 8)
    except struct.error:
        pass
    return False


class TimedFile(io.BufferedReader):
    """A file that is read in small pieces, each of which asks first whether there is time left."""

    def __init__(self, path: Path, seconds_left: Callable[[], float]) -> None:
        super().__init__(io.FileIO(path))
        self.seconds_left = seconds_left
        self.length = os.fstat(self.fileno()).st_size
        self._pieces = 0

    def read(self, size: int | None = -1) -> bytes:
        self.seconds_left()
        return super().read(size)

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises `ImageError` where the file ends before that, or consists of crumbs."""
        self._pieces += 1
        if self._pieces > MOST_PIECES:
            raise _broken("it consists of too many pieces")
        data = self.read(count)
        if len(data) < count:
            raise _broken("its end is missing")
        return data

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes. Raises `ImageError` where the file ends before that."""
        if self.tell() + count > self.length:
            raise _broken("its end is missing")
        self.seek(count, os.SEEK_CUR)

    def numbers(self, form: str) -> tuple[Any, ...]:
        """The next values, in the form that `struct` names."""
        return struct.unpack(form, self.take(struct.calcsize(form)))


# -- structures: each of these reads one from its first byte to the end that it names; what follows it does not count --

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def read_png(file: TimedFile) -> ImageLayout:
    """All of a PNG: its chunks, and as many bytes of compressed pixels as its header asks for."""
    head = file.take(33)
    kind, width, height, depth, colour, _, _, interlaced, crc = struct.unpack_from(">4sIIBBBBBI", head, 12)
    is_known = kind == b"IHDR" and colour in _PNG_CHANNELS and depth in (1, 2, 4, 8, 16)
    if not is_known or crc != zlib.crc32(head[12:29]):
        raise _broken("its header makes no sense")
    check_size(width, height)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(ceil((width - x) / dx), ceil((height - y) / dy)) for x, y, dx, dy in passes]
    bits = _PNG_CHANNELS[colour] * depth
    missing = sum(rows * (1 + ceil(columns * bits / 8)) for columns, rows in sizes if columns > 0 and rows > 0)
    inflate, exif = zlib.decompressobj(), b""
    while kind != b"IEND":
        length, kind = file.numbers(">I4s")
        is_critical, crc = kind[:1].isupper(), zlib.crc32(kind)
        if kind == b"eXIf" and length <= EXIF_CAP:
            exif = file.take(length)
        elif not is_critical:
            file.skip(length)
        for left in range(length, 0, -PIECE) if is_critical else ():
            data = file.take(min(PIECE, left))
            crc = zlib.crc32(data, crc)
            while kind == b"IDAT" and data and missing >= 0:  # more than is asked for is not looked at
                file.seconds_left()
                missing -= len(inflate.decompress(data, 16 * PIECE))
                data = inflate.unconsumed_tail
        if file.numbers(">I") != (crc,) and is_critical:
            raise _broken("it is damaged")
    if missing > 0:
        raise _broken("some of its pixels are missing")
    return ImageLayout(width, height, exif)


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def read_jpeg(file: TimedFile) -> ImageLayout:
    """The segments and scans of a JPEG up to its end; a scan's own data are only passed over."""
    file.skip(2)
    width = height = components = blocks = scans = 0
    exif, is_buffered = b"", False
    while (marker := _next_marker(file)) != 0xD9:  # noqa: PLR2004 - End Of Image
        if marker in (0x01, 0xD8):  # these stand alone
            continue
        body = file.take(max(0, file.numbers(">H")[0] - 2))
        if marker in _JPEG_FRAMES:
            if components:
                raise _broken("it has two frames")
            width, height, components, blocks = _read_jpeg_frame(body)
            check_size(width, height)
            is_buffered = marker not in (0xC0, 0xC1)  # progressive, and the like
        elif marker == 0xDA:  # noqa: PLR2004 - Start Of Scan
            scans += 1
            is_buffered = is_buffered or (scans == 1 and body[:1] != bytes([components]))
            if scans > MOST_SCANS:
                raise ImageError(f"an output is a JPEG of more than {MOST_SCANS} scans", "It was not kept.")
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):  # noqa: PLR2004 - APP1
            exif = exif or body
    if not components or not scans:
        raise _broken("there is no picture in it")
    # Where no scan has all, all coefficients are kept at once, two bytes each; else a row of blocks is, since a picture
    # is decoded at an eighth of its size.
    return ImageLayout(width, height, exif, 128 * blocks * is_buffered + width * height // 16, scans * blocks)


def _next_marker(file: TimedFile) -> int:
    """The code of the next marker, after whatever stands before it; the file stands behind it then."""
    pair = file.take(2)
    while not (found := _JPEG_MARKER.search(pair)):
        more = file.read(PIECE)
        if not more:
            raise _broken("its end is missing")
        pair = pair[-1:] + more
    file.seek(found.end() - len(pair), os.SEEK_CUR)
    return found[0][1]


def _read_jpeg_frame(body: bytes) -> tuple[int, int, int, int]:
    """Width, height and number of components in a frame's header, and how many blocks these have together."""
    _, height, width, count = struct.unpack_from(">BHHB", body)
    factors = [(body[at] >> 4, body[at] & 15) for at in range(7, 7 + 3 * count, 3)]
    widest, highest = (max((pair[side] for pair in factors), default=0) for side in (0, 1))
    if not widest or not highest:
        raise _broken("its header makes no sense")
    blocks = sum(ceil(width * x / widest / 8) * ceil(height * y / highest / 8) for x, y in factors)
    return width, height, count, blocks


def read_webp(file: TimedFile) -> ImageLayout:
    """The chunks of a WebP, and the first bytes of those that hold pixels."""
    _, length, _ = file.numbers("<4sI4s")
    end = 8 + length
    if end > file.length:
        raise _broken("its end is missing")
    sizes, exif, frames = [(0, 0)], b"", 0
    while file.tell() + 8 <= end:
        kind, length = file.numbers("<4sI")
        start = file.tell()
        if start + length > end:
            raise _broken("its end is missing")
        head = file.take(min(length, EXIF_CAP if kind == b"EXIF" else 32))
        frames += kind in (b"VP8 ", b"VP8L", b"ANMF")
        if kind == b"EXIF":
            exif = head
        elif kind == b"VP8X":
            sizes.append((_triple(head, 4), _triple(head, 7)))
        elif kind == b"VP8 ":
            sizes.append((struct.unpack_from("<H", head, 6)[0] & 0x3FFF, struct.unpack_from("<H", head, 8)[0] & 0x3FFF))
        elif kind == b"VP8L":
            packed = struct.unpack_from("<I", head, 1)[0]
            sizes.append(((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1))
        file.seek(min(end, start + length + length % 2))
    if not frames:
        raise _broken("there is no picture in it")
    width, height = max(width for width, _ in sizes), max(height for _, height in sizes)
    # Pillow reads the file and copies it, and has two canvases, a frame and its own image, four bytes a pixel each.
    return ImageLayout(width, height, exif, 2 * file.length + 16 * width * height)


def _triple(data: bytes, at: int) -> int:
    """One more than the number in three bytes."""
    return 1 + int.from_bytes(data[at : at + 3].ljust(3, b"\0"), "little")


def read_gif(file: TimedFile) -> ImageLayout:
    """The blocks of a GIF up to its trailer; of the frames the first one counts."""
    _, width, height, flags, _, _ = file.numbers("<6sHHBBB")
    _skip_gif_colours(file, flags)
    frames = before = 0
    while (kind := file.take(1)) != b";":
        if kind == b"!":
            file.skip(1)
            said = _skip_gif_blocks(file)
            before += 0 if frames else said
        elif kind == b",":
            left, top, columns, rows, flags = file.numbers("<HHHHB")
            if not frames:  # Pillow makes the picture as large as its first frame needs
                width, height = max(width, left + columns), max(height, top + rows)
            _skip_gif_colours(file, flags)
            file.skip(1)
            _skip_gif_blocks(file)
            frames += 1
    if not frames:
        raise _broken("there is no picture in it")
    # Pillow needs time by the square of a comment's length.
    return ImageLayout(width, height, b"", 2 * width * height if before <= PIECE else DECODE_BYTES + 1)


def _skip_gif_colours(file: TimedFile, flags: int) -> None:
    if flags & 0x80:
        file.skip(3 << (flags & 7) + 1)


def _skip_gif_blocks(file: TimedFile) -> int:
    """Pass over a chain of blocks, and tell how many bytes they hold."""
    total = 0
    while length := file.take(1)[0]:
        file.skip(length)
        total += length
    return total


def read_avif(file: TimedFile) -> ImageLayout:
    """The boxes of an AVIF; libavif reads, and does not decode, what is in them."""
    if AvifImagePlugin is None:
        raise _broken("this Pillow cannot read AVIF")
    seen: set[bytes] = set()
    while (at := file.tell()) < file.length and not (b"mdat" in seen and seen & {b"meta", b"moov"}):
        length, kind = file.numbers(">I4s")
        length = file.numbers(">Q")[0] if length == 1 else length or file.length - at
        if at + length > file.length or at + length < file.tell():
            raise _broken("its end is missing")
        seen.add(kind)
        file.seek(at + length)
    file.seek(0)
    with AvifImagePlugin.AvifImageFile(file) as image:
        return ImageLayout(image.width, image.height, image.info.get("exif") or b"")


# -- the five formats, and the decode that they share ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ImageFormat:
    """`start` matches the first bytes of such a file, `read` its structure.

    `opener` is Pillow's own class: `Image.open` would warn at a size of its own choosing before we can refuse. It is
    None where there is no decode.
    """

    mime: str
    start: re.Pattern[bytes]
    read: Callable[[TimedFile], ImageLayout]
    opener: Callable[[Any], ImageFile.ImageFile] | None


_FORMATS = (
    _ImageFormat(IMAGE_MIMES["JPEG"], re.compile(rb"\xff\xd8\xff"), read_jpeg, JpegImagePlugin.JpegImageFile),
    _ImageFormat(IMAGE_MIMES["PNG"], re.compile(rb"\x89PNG\r\n\x1a\n"), read_png, None),
    _ImageFormat(IMAGE_MIMES["GIF"], re.compile(rb"GIF8[79]a"), read_gif, GifImagePlugin.GifImageFile),
    _ImageFormat(IMAGE_MIMES["WEBP"], re.compile(rb"(?s)RIFF.{4}WEBP"), read_webp, WebPImagePlugin.WebPImageFile),
    _ImageFormat(IMAGE_MIMES["AVIF"], re.compile(rb"(?s).{4}ftyp(?:avi[fs]|mif1|msf1)"), read_avif, None),
)


def _decode(file: TimedFile, opener: Callable[[Any], ImageFile.ImageFile], layout: ImageLayout) -> None:
    """Decode an image whose structure is whole: damage within it shows only so."""
    while not _decoding.acquire(timeout=min(SLICE_S, file.seconds_left())):
        continue
    try:
        file.seek(0)
        with opener(file) as image:
            if image.width * image.height > layout.width * layout.height:
                raise _broken("it has two sizes")
            # A JPEG's data are read to their end at any scale; an eighth needs a fraction of the time and the memory.
            image.draft("L", (1, 1))
            image.load()
    except MemoryError:  # which says nothing about the image
        return
    finally:
        _decoding.release()


def _broken(reason: str) -> ImageError:
    return ImageError(f"an output is not a whole image: {reason}", IMAGE_HINT)


def _guess(start: bytes) -> str:
    """What a file seems to be instead, by its first bytes."""
    start = start.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not start:
        return "it is empty"
    if b"<svg" in start:
        return "it is SVG, which is not shown"
    return "it is HTML or XML" if start.startswith(b"<") else "its format is not known"
