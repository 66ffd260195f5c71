"""The image files of a home: each under the hash of its bytes, there whole or not at all.

images/ab/abcdef….jpg    originals
thumbnails/abcdef…-256.webp
temp/<session>/          downloads under way; the folders of dead sessions are swept
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagen_nb.core.records import Image
from imagen_nb.errors import ImageError, LogError
from imagen_nb.store.sessions import Session
from imagen_nb.store.thumbnails import is_webp, thumbnail_of

_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
}
_HASH = re.compile("[0-9a-f]{64}")
_WORKERS = 2
_USUAL_PX = (256, 512, 768, 1024)
_LARGER = 1.5
"""How much larger a thumbnail must be for a good smaller one to be made of it."""


class Images:
    """The image files under `home`. Nothing is made there before it is needed; safe to use from several threads."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).absolute()
        self._lock = threading.Lock()
        self._session: Session | None = None

    @property
    def folder(self) -> Path:
        """Where to put a file that is not whole yet; on the same disk, and swept when the process is dead.

        Raises `LogError` where it cannot be made.
        """
        with self._lock, _mapped(self.home):
            if self._session is None:
                self._session = Session(self.home)
                self._sweep(self._session)
            folder = self.home / "temp" / self._session.id
            folder.mkdir(parents=True, exist_ok=True)
            return folder

    def publish(self, path: Path, sha256: str, mime: str) -> Path:
        """Move a whole file to its place, and return that place; on the disk when it returns.

        A file that is there already, with the same size, stays. Raises `LogError` when the disk is full or read-only.
        """
        target = self.place(sha256, mime)
        with _mapped(self.home):
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

    def place(self, sha256: str, mime: str) -> Path:
        """Where the file with these bytes lies, or would lie."""
        return self.home / "images" / _checked(sha256)[:2] / f"{sha256}{_SUFFIXES.get(mime, '.bin')}"

    def thumbnail(self, image_path: Path, sha256: str, px: int) -> bytes:
        """The image as WebP, its longer side at most `px` pixels; made once and kept.

        At most 12,000 bytes at 256 px and 40 KiB at 512 px. Raises `ImageError` where the original is missing or
        damaged and no thumbnail was kept.
        """
        kept = self._kept(sha256, px)
        with contextlib.suppress(OSError):
            content = kept.read_bytes()
            if is_webp(content):
                return content
        content = self._made(image_path, sha256, px)
        with contextlib.suppress(OSError):  # a full disk costs only the making of it again
            _write(kept, content)
        return content

    def _made(self, image_path: Path, sha256: str, px: int) -> bytes:
        """A thumbnail of a larger one that was kept, which is several times quicker to read, else of the image."""
        for larger in _USUAL_PX:
            if larger >= _LARGER * px:
                with contextlib.suppress(ImageError):
                    return thumbnail_of(self._kept(sha256, larger), px)
        return thumbnail_of(image_path, px)

    def _kept(self, sha256: str, px: int) -> Path:
        return self.home / "thumbnails" / f"{_checked(sha256)}-{int(px)}.webp"

    def thumbnails(self, images: Sequence[Image], px: int) -> list[bytes | None]:
        """The thumbnails of several images, in order, made side by side; None for one that cannot be made."""
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="imagen-thumbnails") as pool:
            return list(pool.map(lambda image: self._thumbnail_if_any(image, px), images))

    def sweep(self) -> None:
        """Remove the unfinished files of dead sessions; done by itself before the first download."""
        if (self.home / "temp").is_dir():
            _ = self.folder

    def close(self) -> None:
        """Remove this session's unfinished files. The rest can go on being read."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            shutil.rmtree(self.home / "temp" / session.id, ignore_errors=True)
            session.close()

    def _sweep(self, session: Session) -> None:
        folders = list((self.home / "temp").glob("*"))
        alive = session.alive(folder.name for folder in folders)
        for folder in folders:
            if folder.name not in alive:
                shutil.rmtree(folder, ignore_errors=True)

    def _thumbnail_if_any(self, image: Image, px: int) -> bytes | None:
        try:
            return self.thumbnail(image.path, image.sha256, px)
        except ImageError:
            return None


@contextlib.contextmanager
def _mapped(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LogError(
            f"the image files in {home} cannot be written: {error.strerror or type(error).__name__}",
            "Free some space or check the folder's permissions, then try again.",
        ) from None


def _checked(sha256: str) -> str:
    if not _HASH.fullmatch(sha256):
        raise ImageError(f"{sha256!r} is no SHA-256", "It is the file's hash in 64 lower-case hexadecimal digits.")
    return sha256


def _write(path: Path, content: bytes) -> None:
    """Put a small file in its place whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    """Wait until the file, or the folder's list of files, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such thing for folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
