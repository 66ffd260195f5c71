"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from imagen_nb.core.words import shortened
from imagen_nb.errors import InputError


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and is removed when it does not.

    Folders on the way are made. Raises `InputError` where the place cannot be written.
    """
    temporary: Path | None = None
    try:
        with mapped(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
            os.close(handle)
            temporary = Path(name)
        yield temporary
        with mapped(path):
            _take_mode(temporary, path)
            temporary.replace(path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """An operating system's refusal to write, as an `InputError` that names the place."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} cannot be written: {reason}", "Choose another place, or free it.") from None


def place(path: str | os.PathLike[str], use: str = "write to") -> Path:
    """The absolute path. Raises `InputError` for what is none; `use` says what it was wanted for."""
    try:
        made = Path(path).expanduser().absolute()
    except (TypeError, ValueError, RuntimeError, OSError):
        made = None
    if made is None or "\0" in str(made):
        raise InputError(f"{shortened(path)} is no place to {use}", "Give the path of a file or a folder.")
    return made


def _take_mode(temporary: Path, path: Path) -> None:
    """Give the file the permissions of the one it replaces, else those of any new file; mkstemp's are for secrets."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    with contextlib.suppress(OSError):
        temporary.chmod(mode)
