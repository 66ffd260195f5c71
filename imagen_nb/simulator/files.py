"""Uploaded files: kept in a folder until they expire, and read from a form in pieces, so that memory stays small."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import re
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from PIL import Image, ImageFilter, ImageOps, ImageStat

LIFE_S = 24 * 3600.0
"""How long an upload is kept, in seconds."""

LARGEST_FILE = 100_000_000
"""The most bytes of one upload."""

REFERENCE_PX = 384
"""The longer side of the copy of a picture that is kept of a reference, in pixels."""

_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, -1, 0, -1, 4, -1, 0, -1, 0), scale=4, offset=128)
_PIECE, _LARGEST_FIELD = 65536, 20_000
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+?)*?(;base64)?,", re.ASCII)


class TooLarge(ValueError):  # noqa: N818 - one of the reasons of a refusal
    """A file beyond `LARGEST_FILE`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture that came as an input: its file's SHA-256, its pixels, and a small copy of it as the bytes of a PNG.

    `edges` is how sharp it is: the variance of its Laplacian.
    """

    sha256: str
    size: tuple[int, int]
    picture: bytes
    edges: float = 0.0


@dataclass(frozen=True, slots=True)
class Content:
    """What was received of a file; `path` is where it lies."""

    path: Path
    size: int
    sha256: str
    md5: str


@dataclass(frozen=True)
class StoredFile:
    """One upload. `created` is a moment of the store's clock."""

    id: str
    name: str
    content_type: str
    content: Content
    created: float
    metadata: Any

    @cached_property
    def reference(self) -> Reference:
        """The file as a reference. Raises `ValueError` for what is no picture, or is no longer there."""
        return reference_of(self.content.path, self.content.sha256)


def reference_of(file: Path | io.BytesIO, sha256: str) -> Reference:
    """The picture in a file. Raises `ValueError` where there is none."""
    try:
        with Image.open(file) as picture:
            size = picture.size[:: -1 if picture.getexif().get(_ORIENTATION, 1) in _TURNED else 1]
            grey = picture.convert("L").filter(_LAPLACIAN)
            edges = ImageStat.Stat(grey.crop((1, 1, max(2, grey.width - 1), max(2, grey.height - 1)))).var[0]
            picture.thumbnail((REFERENCE_PX, REFERENCE_PX))  # in place, so that a large one is there once
            small = ImageOps.exif_transpose(picture).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("cannot identify image file") from None
    buffer = io.BytesIO()
    small.save(buffer, "PNG", compress_level=1)
    return Reference(sha256, size, buffer.getvalue(), edges)


class Files:
    """The uploads, each kept for `life` seconds of the clock; thread-safe."""

    def __init__(self, *, life: float, clock: Callable[[], float]) -> None:
        self._life, self._clock = life, clock
        self._lock = threading.Lock()
        self._files: dict[str, StoredFile] = {}
        self._folder: Path | None = None

    def expires(self, stored: StoredFile) -> float:
        """The moment of its end."""
        return stored.created + self._life

    def write(self, pieces: Iterable[bytes]) -> Content:
        """Put what the pieces make into the folder, to be added then. Raises `TooLarge`, and whatever the pieces do."""
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="imagen_nb_simulator_"))
                self._remove = weakref.finalize(
                    self, shutil.rmtree, self._folder, ignore_errors=True
                )  # at exit at last
        path = self._folder / secrets.token_hex()
        try:
            with path.open("wb") as file:
                for piece in pieces:
                    size += len(piece)
                    if size > LARGEST_FILE:
                        raise TooLarge  # noqa: TRY301 - what there is by then is dropped as for any other
                    file.write(piece)
                    sha256.update(piece)
                    md5.update(piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Content(path, size, sha256.hexdigest(), md5.hexdigest())

    def add(self, content: Content, name: str, content_type: str, metadata: Any = None) -> StoredFile:
        """Keep it as an upload, under a new id."""
        identifier = secrets.token_urlsafe(36).replace("-", "a").replace("_", "b")
        stored = StoredFile(identifier, name, content_type, content, self._clock(), metadata or {})
        with self._lock:
            self._files[identifier] = stored
        return stored

    def add_data(self, uri: str) -> StoredFile:
        """Keep the content of a `data:` URI, once for the same content. Raises `ValueError` for what is none."""
        head = _DATA.match(uri[:200])
        if head is None:
            raise ValueError("not a data URI")
        text = uri[head.end() :]
        try:
            data = base64.b64decode(unquote_to_bytes(text), validate=True) if head[2] else unquote_to_bytes(text)
        except binascii.Error:
            raise ValueError("not base64") from None
        digest = hashlib.sha256(data).hexdigest()
        same = next((each for each in self.list() if each.name == digest), None)
        return same or self.add(self.write([data]), digest, head[1] or "text/plain")

    def get(self, file_id: str) -> StoredFile | None:
        """The upload with that id, or None where there is none any more."""
        stored = self._files.get(file_id)
        if stored is None or self._clock() < self.expires(stored):
            return stored
        self.delete(file_id)
        return None

    def list(self) -> list[StoredFile]:
        """Those that are there, newest first."""
        return [each for key in reversed(list(self._files)) if (each := self.get(key)) is not None]

    def delete(self, file_id: str) -> bool:
        """Drop an upload; whether it was there."""
        with self._lock:
            stored = self._files.pop(file_id, None)
        if stored is not None:
            stored.content.path.unlink(missing_ok=True)
        return stored is not None

    def close(self) -> None:
        """Drop all of them."""
        with self._lock:
            self._files.clear()
            if self._folder is not None:
                self._remove()


def receive(files: Files, read: Callable[[int], bytes], content_type: str) -> StoredFile:
    """The file in a form's field `content`; `filename`, `type` and `metadata` (JSON) may stand before or after it.

    Raises `ValueError` for what is no such form, and `TooLarge`.
    """
    fields = {"filename": "file", "type": "application/octet-stream", "metadata": "{}"}
    content: Content | None = None
    for head, pieces in form_parts(read, content_type):
        given = dict(re.findall(r'\b(name|filename)="([^"]*)"', head))
        if given.get("name") == "content" and content is None:
            media = re.search(r"^content-type:\s*(\S+)", head, re.IGNORECASE | re.MULTILINE)
            fields |= {"filename": given.get("filename", "file")} | ({"type": media[1]} if media else {})
            content = files.write(pieces)
        else:
            data = b"".join(bounded(pieces))
            fields[given.get("name", "")] = data.decode("utf-8", "replace")
    if content is None:
        raise ValueError("the form has no field content")
    return files.add(content, fields["filename"], fields["type"], json.loads(fields["metadata"]))


def bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of what is short. Raises `ValueError` where it is not."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _LARGEST_FIELD:
            raise ValueError("a field or a head in the form is too long")
        yield piece


def form_parts(read: Callable[[int], bytes], content_type: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each part of a `multipart/form-data` body: its headers, and its content in pieces, to be read before the next.

    Raises `ValueError` for what is none, or ends early.
    """
    named = re.fullmatch(r'multipart/form-data\s*;.*\bboundary="?([^";]{1,70})"?.*', content_type, re.IGNORECASE)
    if named is None:
        raise ValueError("the body is no multipart/form-data")
    fence, buffer = f"\r\n--{named[1]}".encode(), b"\r\n"

    def until(mark: bytes) -> Iterator[bytes]:
        """What comes before the mark; the mark goes too."""
        nonlocal buffer
        while (place := buffer.find(mark)) < 0:
            safe = max(0, len(buffer) - len(mark) + 1)
            yield buffer[:safe]
            more = read(_PIECE)
            if not more:
                raise ValueError("the body ended early")
            buffer = buffer[safe:] + more
        yield buffer[:place]
        buffer = buffer[place + len(mark) :]

    for _ in until(fence):
        pass
    while not b"".join(bounded(until(b"\r\n"))).startswith(b"--"):
        yield b"".join(bounded(until(b"\r\n\r\n"))).decode("utf-8", "replace"), until(fence)
