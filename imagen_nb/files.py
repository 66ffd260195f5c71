"""Files written whole or not at all, and what is said where they cannot be."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from imagen_nb.errors import Hint, InputError, brief

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins, also where a `Path` has taken one slash of it; a drive of Windows has one letter."""

NO_FILES = (errno.EMFILE, errno.ENFILE)
NO_FILES_HINT = "Close what this process has open, lower jobs, or allow more open files (ulimit -n); then try again."
_HINTS: Mapping[int, str] = {
    **dict.fromkeys(NO_FILES, NO_FILES_HINT),
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", -1)), "Free some space, or choose another place."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Change its permissions, or choose another place."),
}


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and is removed when it does not.

    Folders on the way are made. The file has the permissions of the one it replaces, else those of any new file. Raises
    `OSError` where the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        mode = None
    temporary = path.parent / f".{os.urandom(8).hex()}.part"
    temporary.touch(0o666 if mode is None else 0o600, exist_ok=False)
    try:
        yield temporary
        if mode is not None:
            with contextlib.suppress(OSError):
                temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """An operating system's refusal to write, as an `InputError` that names the place."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} cannot be written: {reason}", write_hint(error)) from None


def write_hint(error: OSError) -> str:
    """What to do about an operating system's refusal to write."""
    return _HINTS.get(error.errno or 0, "Check the disk, or choose another place.")


def has_hash(path: Path, sha256: str) -> bool:
    """Whether the bytes of this file have this SHA-256; a file is read again only when it has changed."""
    try:
        found = path.stat()
        return _hash(path, found.st_mtime_ns, found.st_size) == sha256
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=1024)
def _hash(path: Path, changed: int, size: int) -> str:  # noqa: ARG001 - a changed file is another one
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return digest.hexdigest()


def absolute_path(path: str | os.PathLike[str], use: str = "write to") -> Path:
    """The absolute path. Raises `InputError` for what is none; `use` says what it was wanted for."""
    made = None
    try:
        made = Path(path).expanduser()
        made = made.absolute()
    except FileNotFoundError:
        hint = Hint("Go to one that exists{}, or give an absolute path.", " (%cd)", " (cd)")
        raise InputError(f"{made} is relative to the working folder, which was deleted", hint) from None
    except (TypeError, ValueError, RuntimeError, OSError):
        made = None
    if _ADDRESS.match(str(path)):
        raise InputError(f"{brief(str(path))} is an address, not a path", f"Give a path of this machine to {use}.")
    if made is None or "\0" in str(made):
        raise InputError(f"{brief(path)} is no place to {use}", "Give the path of a file or a folder.")
    return made
