"""Outputs, fetched safely: no token, no cookies, no strange hosts, bounded in bytes, pixels and seconds, and whole.

What comes is streamed into a temporary file and believed only when Pillow has decoded all of it.
"""

from __future__ import annotations

import binascii
import hashlib
import itertools
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO
from urllib.parse import unquote_to_bytes

from PIL import GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from imagen_nb.api.addresses import check_url, follow_redirect
from imagen_nb.api.pace import Doze, backoff, retry_after, sleep_until
from imagen_nb.api.transport import LATER_HINT, Anonymous, Call, Head, Line, Lost, Overdue, Stopped, place
from imagen_nb.errors import (
    ImageError,
    ImageGoneError,
    ImagenError,
    LogError,
    ProviderError,
    UncertainError,
    UnreachableError,
)

BYTE_CAP = 64 * 1024 * 1024
"""The most bytes of one output that are read."""

TRIES = 4
PATIENCE_S = 90.0
"""How long one try may take, in seconds."""

PIECE = 64 * 1024
REDIRECTS = 3
GONE = (403, 404, 410)
"""How file hosts answer for what they have deleted, or for a signed URL that has expired."""


@dataclass(frozen=True, slots=True)
class Download:
    """A whole image in a temporary file, for the caller to publish or to remove. `url` is None for a `data:` URI."""

    path: Path
    sha256: str
    width: int
    height: int
    bytes: int
    mime: str
    url: str | None = None


class Downloader:
    """Fetches outputs without the token; safe to use from many threads.

    `allow_local` lets outputs lie on this machine, over plain http: only where the provider itself does.
    """

    def __init__(
        self,
        *,
        allow_local: bool,
        byte_cap: int = BYTE_CAP,
        clock: Callable[[], float] = time.monotonic,
        doze: Doze = sleep_until,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._allow_local = allow_local
        self._byte_cap = byte_cap
        self._clock = clock
        self._doze = doze
        self._rng = rng
        self._closed = threading.Event()
        self._line = Line(Anonymous())

    def fetch(self, uri: str, folder: Path, *, deadline: float, stop: threading.Event | None = None) -> Download:
        """The output at `uri` (https, or `data:`) as a whole, decoded image in a new file in `folder`.

        `deadline` is monotonic. Raises `ImageError` for what is no sane image or lies where it must not,
        `ImageGoneError` for a deleted one, a `ProviderError` where the host cannot be had, and `LogError` where the
        file cannot be written.
        """
        event = stop or self._closed
        call = Call(deadline, lambda: event.is_set() or self._closed.is_set(), self._clock)
        if uri[:5].lower() == "data:":
            return self._embedded(uri, folder, call)
        url = check_url(uri, allow_local=self._allow_local)
        for attempt in itertools.count(1):
            try:
                return self._fetched(url, folder, call)
            except _Failed as failed:
                error, pause = failed.error, failed.pause
            gap = max(pause or 0.0, backoff(attempt, jitter=self._rng()))
            if pause is None or attempt >= TRIES or self._clock() + gap >= deadline or call.is_stopped():
                raise error
            self._doze(gap, event)
        raise AssertionError  # pragma: no cover - count() does not end

    def close(self) -> None:
        """End the downloads under way, and close the connections."""
        self._closed.set()
        self._line.close()

    def _fetched(self, url: str, folder: Path, call: Call) -> Download:
        with _temporary(folder) as (path, file):
            body = _Body(file, self._byte_cap)
            self._stream(url, body, Call(min(call.deadline, self._clock() + PATIENCE_S), call.is_stopped, call.clock))
            file.flush()
            picture = _pictured(path, call)
            return _download(path, body, picture, url)

    def _stream(self, url: str, body: _Body, call: Call) -> None:
        """The bytes at `url` into `body`, over at most a few redirects within the same origin."""
        for _ in range(REDIRECTS + 1):
            try:
                lost = self._line.exchange("GET", url, call, begin=body.begin, sink=body.sink)
            except _Answered as answered:
                url = follow_redirect(url, answered.head, allow_local=self._allow_local) or _refuse(answered.head)
                continue
            if isinstance(lost, Lost):
                raise _Failed(_lost_error(lost), 0.0 if lost.is_passing else None)
            return
        raise _Failed(ImageError(f"{place(url)} redirects again and again", LATER_HINT), None)

    def _embedded(self, uri: str, folder: Path, call: Call) -> Download:
        try:
            with _temporary(folder) as (path, file):
                body = _Body(file, self._byte_cap)
                body.sink(decoded_data(uri, self._byte_cap))
                file.flush()
                return _download(path, body, _pictured(path, call), None)
        except _Failed as failed:
            error = failed.error
        raise error


def decoded_data(uri: str, cap: int = BYTE_CAP) -> bytes:
    """The bytes of a `data:` URI, base64 or percent-encoded. Raises `ImageError`."""
    start = uri.find(",") + 1
    if not start or len(uri) - start > 2 * cap:
        raise ImageError("the data: URI of an output is malformed or too long", LATER_HINT)
    text = uri[start:]
    if not uri[: start - 1].lower().endswith(";base64"):
        return _unquoted(text)
    try:
        return binascii.a2b_base64(
            _unquoted(text) if "%" in text else text
        )  # reads text as it is, where base64.b64decode makes a copy first
    except ValueError:
        raise ImageError("the data: URI of an output is not base64", LATER_HINT) from None


def _unquoted(text: str) -> bytes:
    """The bytes of percent-encoded text, a piece at a time: all at once, each escape would take a hundred bytes."""
    data, start = bytearray(), 0
    while start < len(text):
        end = start + PIECE
        cut = text.find("%", end - 2, end)  # an escape that the next piece has the rest of
        end = cut if cut >= 0 else end
        data += unquote_to_bytes(text[start:end])
        start = end
    return bytes(data)


class _Failed(Exception):  # noqa: N818 - a signal within this module
    """One try failed. `pause` is how many seconds to wait at least before another, None where none makes sense."""

    def __init__(self, error: ImagenError, pause: float | None) -> None:
        super().__init__()
        self.error = error
        self.pause = pause


class _Answered(ImagenError):  # noqa: N818 - a signal within this module
    """The host answered with something other than a file; the body is not read."""

    def __init__(self, head: Head) -> None:
        super().__init__("")
        self.head = head


@dataclass(slots=True)
class _Body:
    """Writes what arrives, counts and hashes it on the way."""

    file: IO[bytes]
    cap: int
    size: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin(self, head: Head) -> None:
        if head.status != 200:  # noqa: PLR2004 - HTTP's own number
            raise _Answered(head)
        length = head.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self.cap:
            raise self._too_large()

    def sink(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self.cap:
            raise self._too_large()
        self.sha256.update(piece)
        try:
            self.file.write(piece)
        except OSError as failure:
            raise _unwritable(failure) from None

    def _too_large(self) -> ImageError:
        return ImageError(f"an output is larger than {self.cap // 1024**2} MB", "It was not kept.")


def _refuse(head: Head) -> str:
    """Raise what an answer that is no file means."""
    status = head.status
    if status in GONE:
        # A file host may lag behind the API for a moment, so even this is worth another look.
        raise _Failed(ImageGoneError(f"the output is no longer there (HTTP {status})"), 0.0)
    if status == 429 or status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        pause = retry_after(head.headers, None, datetime.now(timezone.utc)) or 0.0
        raise _Failed(UncertainError(f"the file host has failed (HTTP {status})", LATER_HINT, status=status), pause)
    raise _Failed(ImageError(f"the file host answers HTTP {status} instead of an image", LATER_HINT), None)


def _lost_error(lost: Lost) -> ProviderError:
    return (UncertainError if lost.is_sent else UnreachableError)(lost.text, lost.hint)


def _pictured(path: Path, call: Call) -> Picture:
    try:
        return examine(path, call.left)
    except ImageError as error:
        # A body cut short without a length looks like this too.
        raise _Failed(error, 0.0) from None
    except Overdue:
        raise _Failed(UncertainError("an image could not be decoded in the time allowed", LATER_HINT), None) from None
    except Stopped:
        raise _Failed(UncertainError("stopped before an image was decoded", LATER_HINT), None) from None


def _download(path: Path, body: _Body, picture: Picture, url: str | None) -> Download:
    return Download(path, body.sha256.hexdigest(), picture.width, picture.height, body.size, picture.mime, url)


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file in `folder`, closed at the end, and removed unless all went well."""
    try:
        handle, name = tempfile.mkstemp(prefix="download-", suffix=".part", dir=folder)
    except OSError as failure:
        raise _unwritable(failure) from None
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield path, file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _unwritable(failure: OSError) -> LogError:
    reason = failure.strerror or type(failure).__name__
    return LogError(f"an image cannot be written: {reason.lower()}", "Free some space, or choose another home.")


# ----------------------------------------------------------------------------------------------------
# Whether a file is a whole image of a sane size: by its first bytes, its header, and a decode to the last row.

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


def examine(path: Path, left: Callable[[], float]) -> Picture:
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
