"""The image files of a home, as they came: each under the hash of its bytes, there whole or not at all.

images/ab/abcdef….jpg    the originals
temp/<session>/          downloads under way; those of dead sessions are removed

Beside them, `thumbnails/` is what `views.thumbnails` makes of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from imagen_nb.errors import ImageError, LogError
from imagen_nb.files import write_hint
from imagen_nb.log.sessions import Session
from imagen_nb.records import IMAGE_MIMES, SHOWN_DIGITS, InputFile

_SUFFIXES = {mime: ".jpg" if name == "JPEG" else f".{name.lower()}" for name, mime in IMAGE_MIMES.items()}
_HASH = re.compile("[0-9a-f]{64}")
_SHOWN = re.compile(rf" ([0-9a-f]{{{SHOWN_DIGITS}}})\Z")


class Images:
    """The image files under `home`. Nothing is made there before it is needed; safe to use from several threads."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).absolute()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self.read_before: dict[tuple[str, int, int, int], InputFile] = {}
        """The files that requests need and were kept here, by the path, change, size and number of the original."""

    @property
    def folder(self) -> Path:
        """Where to put a file that is not whole yet: on the same disk, and removed when the process is dead.

        The first use removes what dead sessions left. Raises `LogError` where the folder cannot be made.
        """
        with self._lock, disk_errors(self.home):
            if self._session is None:
                self._session = Session(self.home)
                folders = list((self.home / "temp").glob("*"))
                alive = self._session.alive(folder.name for folder in folders)
                for folder in folders:
                    if folder.name not in alive:
                        shutil.rmtree(folder, ignore_errors=True)
            folder = self.home / "temp" / self._session.id
            folder.mkdir(parents=True, exist_ok=True)
            return folder

    def publish(self, path: Path, sha256: str, mime: str) -> Path:
        """Move a whole file to its place, and return that place; on the disk when it returns.

        A file that is there already, with the same size, stays. Raises `LogError` when the disk is full or read-only.
        """
        target = image_place(self.home, sha256, mime)
        with disk_errors(self.home):
            if target.is_file() and target.stat().st_size == path.stat().st_size:
                path.unlink()
                return target
            _sync(path)
            is_first = not target.parent.is_dir()
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            _sync(target.parent)
            if is_first:  # the new folder's own name must last too
                _sync(target.parent.parent)
                _sync(self.home)
        return target

    def close(self) -> None:
        """Remove this session's unfinished files. The rest can go on being read."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            shutil.rmtree(self.home / "temp" / session.id, ignore_errors=True)
            session.close()


def image_place(home: Path, sha256: str, mime: str) -> Path:
    """Where the file with these bytes lies, or would lie. Raises `ImageError` for what is no SHA-256."""
    if not _HASH.fullmatch(sha256):
        raise ImageError(f"{sha256!r} is no SHA-256", "It is the file's hash in 64 lower-case hexadecimal digits.")
    return home / "images" / sha256[:2] / f"{sha256}{_SUFFIXES.get(mime, '.bin')}"


def find_file(home: Path, shown: object) -> Path | None:
    """The file of an input whose column of a frame says this, `fox.png 1a2b3c4d`; None where there is none."""
    digits = _SHOWN.search(shown) if isinstance(shown, str) else None
    return next((home / "images" / digits[1][:2]).glob(f"{digits[1]}*"), None) if digits else None


@contextlib.contextmanager
def disk_errors(home: Path) -> Iterator[None]:
    """An operating system's refusal to write in the home, as a `LogError`."""
    try:
        yield
    except OSError as error:
        raise LogError(
            f"the image files in {home} cannot be written: {error.strerror or type(error).__name__}",
            write_hint(error),
        ) from None


def _sync(path: Path) -> None:
    """Wait until the file, or the folder's list of files, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such thing for folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
