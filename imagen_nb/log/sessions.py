"""Who is alive in a home: one locked file per open log, which the system frees even after a SIGKILL.

And the ids of sessions and runs: short words whose order is the order in which they were asked for.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from imagen_nb.errors import Hint, LogError

_TRIES = 20
_PATIENCE_S = 0.05


class Session:
    """A claim on a home, held until `close()` or the death of the process. `.id` is a word of 16 letters and digits.

    Opening one removes the lock files that dead sessions left behind. Raises `LogError` where the home cannot be
    written.
    """

    def __init__(self, home: Path) -> None:
        self.folder = Path(home) / "sessions"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.id, lock = self._claim()
        except OSError as error:
            raise LogError(
                f"the home {home} cannot be written: {error.strerror or type(error).__name__}",
                Hint("Choose another folder with {} or IMAGEN_NB_HOME, or change its permissions.", "home=", "--home"),
            ) from None
        _locks.add(lock)
        self._end = weakref.finalize(self, _release, lock, self._path(self.id), os.getpid())
        for path in self.folder.glob("*.lock"):
            if is_id(path.stem) and path.stem != self.id:
                _remove_if_dead(path)

    def alive(self, ids: Iterable[str]) -> set[str]:
        """Those of the given session ids whose session is still open, in this process or another."""
        return {word for word in set(ids) if word == self.id or (is_id(word) and self._is_alive(word))}

    def close(self) -> None:
        """End the session: rows it still owns are leftovers from now on. Closing twice is fine."""
        self._end()

    def _is_alive(self, word: str) -> bool:
        path = self._path(word)
        return path.exists() and not _remove_if_dead(path, patience_s=_PATIENCE_S)

    def _path(self, word: str) -> Path:
        return self.folder / f"{word}.lock"

    def _claim(self) -> tuple[str, FileLock]:
        for _ in range(_TRIES):
            word = new_id(time.time_ns() // 1000)
            lock = FileLock(self._path(word), thread_local=False)
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                # A neighbour that looks for the dead may have removed the file between its creation and its locking.
                if self._path(word).exists():
                    return word, lock
                lock.release()
        raise OSError(0, "lock files in it do not stay")


def _remove_if_dead(path: Path, *, patience_s: float = 0.0) -> bool:
    """Remove the lock file if nobody holds it. One that cannot be asked counts as held: its rows stay its own.

    Patience is for a neighbour that is asking the same at this moment, and so holds the file for a blink.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=patience_s, poll_interval=_PATIENCE_S / 5)
    except FileNotFoundError:
        return True  # a neighbour was quicker
    except (Timeout, OSError):
        return False
    _unlink(path)  # before the release: whoever waits for this file must find it gone
    lock.release()
    _unlink(path)  # Windows removes only what nobody has open
    return True


def _release(lock: FileLock, path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child ends, but its parent's session goes on
        _unlink(path)
        lock.release()
        _unlink(path)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_inherited_locks() -> None:
    """In a forked child: close its copies of the locks.

    Otherwise the parent's session would seem alive for as long as the child is, and its end with the child's. A
    filelock from 4.0 on, which needs Python 3.11, has seen to it already, and there is nothing left to close.
    """
    for lock in list(_locks):
        context: Any = lock._context  # noqa: SLF001 - there is no public way to the descriptor
        if (descriptor := context.lock_file_fd) is not None:
            os.close(descriptor)
            context.lock_file_fd = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_locks)


# -- ids -------------------------------------------------------------------------------------------------------------

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_LENGTH = 16
_RANDOM_BITS = 35
_STEP_BITS = 16
_WORD = re.compile(rf"[{_DIGITS}]{{{_LENGTH}}}")


def is_id(text: str) -> bool:
    """Whether the text has the form of a run or session id, and so is safe as a file name."""
    return _WORD.fullmatch(text) is not None


def encode_id(number: int) -> str:
    """The 16 base32 digits of an 80-bit number; the order of the words is the order of the numbers."""
    return "".join(_DIGITS[number >> shift & 31] for shift in range((_LENGTH - 1) * 5, -1, -5))


def decode_id(word: str) -> int:
    """The number that `encode_id` made the word from; 0 for a word of any other form."""
    if not is_id(word):
        return 0
    number = 0
    for digit in word:
        number = number << 5 | _DIGITS.index(digit)
    return number


def new_id(now_us: int) -> str:
    """One id for a moment in µs since 1970: 45 bits of milliseconds, then 35 random bits."""
    return encode_id(_number(now_us))


def ids_after(newest: str | None, now_us: int) -> Iterator[str]:
    """Endless ids for a moment in µs since 1970, each greater than the one before and than `newest`.

    A clock that jumps back, or many ids in one millisecond, only make the steps smaller.
    """
    last = decode_id(newest or "")
    while True:
        last = max(_number(now_us), last + 1 + secrets.randbits(_STEP_BITS))
        yield encode_id(last)


def _number(now_us: int) -> int:
    return max(now_us, 0) // 1000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
