"""Files that requests need: what a user gives for one becomes a file in the home, kept once, under its hash.

A request knows its files by their content, so they are read when it is planned, and copied at the same time: what is
sent later, or sent again after a restart, is what was meant, whatever has become of the original.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import mimetypes
import os
import re
import stat
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from PIL import Image as Pillow

from imagen_nb.errors import Hint, InputError, brief, did_you_mean
from imagen_nb.files import absolute_path
from imagen_nb.log.images import Images, disk_errors, find_file, image_place
from imagen_nb.planning.values import is_address, is_file_source
from imagen_nb.records import IMAGE_MIMES, Image, InputFile, Run

MOST_BYTES = 100_000_000
"""The largest file that the API takes, in bytes."""

WHAT_HINT = Hint(
    "Give {}.", "a path, bytes, a PIL image, a run, an https: address, or a list of those", "a path or an address"
)

_PIECE = 1024 * 1024
_QUIET_S = 2.0
"""A file that was written this short a time ago may be written again without its time of change telling."""
_DATA = re.compile(r"\s*data:([\w.+-]+/[\w.+-]+)?(?:;[\w.=+-]+?)*?(;base64)?,", re.IGNORECASE | re.ASCII)


def keep_file(
    value: Any,
    images: Images,
    find_maker: Callable[[str], tuple[str, str] | None],
    *,
    name: str | None = None,
    beside: Path | None = None,
) -> InputFile | str:
    """The file that a value names or holds, copied into the home; an `https:` address stays one.

    The value is a path (as text too, with or without an `@` before it), bytes, a picture of Pillow's, an `Image`, a
    `Run` with one image, a `data:` URI, or such a file again. `name` is what to call what has no name of its own;
    `beside` is a folder to look for a path in that leads nowhere from the working folder. `find_maker` gives the id of
    the run that made a file with this SHA-256, and what to call that. Raises `InputError`, and `LogError` where the
    home cannot be written.
    """
    if isinstance(value, str) and is_address(value, "https?"):
        return value.strip()
    parent = None
    if isinstance(value, Run):
        parent = value.id
        if len(value.images) != 1:
            count = f"{len(value.images)} images" if value.images else "no image"
            raise InputError(f"the run {value.id} has {count}, and one is needed", "Give one image: run.images[0].")
        (value,) = value.images
    if isinstance(value, Image | InputFile):
        made = _keep_known(value, images)
    elif isinstance(value, bytes | bytearray):
        made = _keep(io.BytesIO(value), images, name)
    elif isinstance(value, str) and is_address(value):
        made = _keep_data_uri(value, images, name)
    elif isinstance(value, str | os.PathLike):
        path = Path(value.removeprefix("@") if isinstance(value, str) else os.fsdecode(value))
        made = _keep_path(path, images, name, beside)
    elif is_file_source(value):
        made = _keep_picture(value, images, name)
    else:
        raise InputError(f"{brief(value)} is no file", WHAT_HINT)
    maker = find_maker(made.sha256)
    if maker is None:
        return replace(made, parent=made.parent or parent)
    is_nameless = made.name.startswith(made.sha256)  # as files in the home are
    return replace(made, parent=made.parent or parent or maker[0], name=maker[1] if is_nameless else made.name)


def _keep_known(value: Image | InputFile, images: Images) -> InputFile:
    """A file that is in this home already, or in another one."""
    name = value.name if isinstance(value, InputFile) else value.path.name
    if value.path != image_place(images.home, value.sha256, value.mime):
        return _keep_path(value.path, images, name, None)
    if not value.path.is_file():
        raise InputError(f"{value.path} is gone", "Its file was deleted from the home; give another.")
    if isinstance(value, InputFile):
        return value
    return InputFile(value.sha256, name, value.path, value.bytes, value.mime, value.width, value.height)


def _keep_path(path: Path, images: Images, name: str | None, beside: Path | None) -> InputFile:
    """The file at a path; one that has not changed since it was last read is not read again."""
    if shown := find_file(images.home, str(path)):  # as a frame's column names it
        path, name = shown, str(path).rpartition(" ")[0]
    place = _find(path, beside)
    with _read_errors(place):
        found = place.stat()
        if stat.S_ISDIR(found.st_mode):
            hint = f"Give one of its files, or a list: sorted(Path({str(path)!r}).glob('*.png'))."
            raise InputError(f"{place} is a folder", hint)
        if not stat.S_ISREG(found.st_mode):  # who opens a pipe waits for somebody to write
            raise InputError(f"{place} is no regular file", "Copy what it holds into one.")
        key = (str(place), found.st_mtime_ns, found.st_size, found.st_ino)
        known = images.read_before.get(key)
        if known is not None and known.path.is_file():
            return known
        file = place.open("rb")
    with file:
        made = replace(_keep(file, images, name or place.name, place), source=str(place))
    if time.time() - found.st_mtime > _QUIET_S:
        images.read_before[key] = made
    return made


def _find(path: Path, beside: Path | None) -> Path:
    """Where a path leads. Raises `InputError` where there is nothing."""
    try:
        places = [absolute_path(path, "take a file from"), *([] if beside is None else [beside.absolute() / path])]
        found = next((each for each in places if each.exists()), None)
    except OSError:  # a text that no file can be called
        raise InputError(f"there is no file {brief(str(path))}", WHAT_HINT) from None
    if found is not None:
        return found
    try:
        neighbours = sorted(each.name for each in places[-1].parent.iterdir())
    except OSError:
        neighbours = []
    where = "" if len(places) == 1 else f", nor in {places[1].parent}"
    is_path = len(str(path)) < 200 and str(path).isprintable()  # noqa: PLR2004 - longer ones are hardly meant as one
    shown = str(places[0]) if is_path else brief(str(path))
    raise InputError(f"there is no file {shown}{where}", did_you_mean(path.name, neighbours, WHAT_HINT))


def _keep_data_uri(text: str, images: Images, name: str | None) -> InputFile:
    """The file in a `data:` URI. One that was cut short, as cells of tables are, is no whole picture any more."""
    head = _DATA.match(text)
    try:
        body = text[head.end() :] if head else ""
        is_base64 = head is not None and head[2] is not None
        plain = urllib.parse.unquote_to_bytes(body)
        content = base64.b64decode(b"".join(plain.split()), validate=True) if is_base64 else plain
        made = _keep(io.BytesIO(content), images, name)
        if made.mime in IMAGE_MIMES.values():
            with Pillow.open(made.path) as picture:
                picture.load()
    except (binascii.Error, ValueError, OSError, SyntaxError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"this data: URI is cut short or damaged: {brief(text[:60])}", "Give the file, or the run that it is of."
        ) from None
    return made


def _keep_picture(picture: Any, images: Images, name: str | None) -> InputFile:
    """A picture of Pillow's as a PNG, which loses nothing; a mode that PNG lacks becomes RGB."""
    opened = getattr(picture, "filename", None)
    name = name or (f"{Path(opened).stem}.png" if opened else None)
    path = images.folder / f"{os.urandom(8).hex()}.png"
    try:
        try:
            picture.save(path, "PNG")
        except OSError:
            picture.convert("RGB").save(path, "PNG")
        with path.open("rb") as file:
            return _keep(file, images, name)
    finally:
        path.unlink(missing_ok=True)


def _keep(file: IO[bytes], images: Images, name: str | None, original: Path | None = None) -> InputFile:
    """Copy a file into the home, a piece at a time. Raises `InputError` for an empty and for a too large one."""
    digest, size, what = hashlib.sha256(), 0, original or name or "the file"
    path = images.folder / f"{os.urandom(8).hex()}.part"

    def read() -> bytes:
        with _read_errors(original or path):
            return file.read(_PIECE)

    try:
        with disk_errors(images.home), path.open("wb") as copy:
            while piece := read():
                size += len(piece)
                if size > MOST_BYTES:
                    most = f"{MOST_BYTES / 1e6:.0f} MB"
                    raise InputError(f"{what} is larger than {most}, the most that is taken", "Make it smaller.")
                digest.update(piece)
                copy.write(piece)
        if not size:
            raise InputError(f"{what} is empty", WHAT_HINT)
        mime, width, height = _look_at(path, name)
        place = images.publish(path, digest.hexdigest(), mime)
    finally:
        path.unlink(missing_ok=True)
    return InputFile(digest.hexdigest(), name or f"file{place.suffix}", place, size, mime, width, height)


def _look_at(path: Path, name: str | None) -> tuple[str, int | None, int | None]:
    """What kind of file it is, by its head or else its name, and the pixels of a picture."""
    try:
        Pillow.init()
        with Pillow.open(path, formats=[each for each in IMAGE_MIMES if each in Pillow.OPEN]) as picture:
            return IMAGE_MIMES.get(str(picture.format), "image/jpeg"), picture.width, picture.height  # a phone's MPO
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return mimetypes.guess_type(name or "")[0] or "application/octet-stream", None, None


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """An operating system's refusal to read, as an `InputError` that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} cannot be read: {reason}", "Change its permissions, or give another file.") from None
