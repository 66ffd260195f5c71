"""stdout and stderr as a shell hands them over: closed, full, or in an encoding that lacks some letters."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path


def prepare() -> None:
    """Let any text be written: a letter that the encoding lacks becomes `?`, and a closed stream takes it in silence.

    The image may be paid for by the time it is spoken of, so no letter of its prompt may end the command.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def say(message: str, hint: str = "") -> None:
    """A mistake on stderr, in two lines at most."""
    sys.stderr.write(f"imagen-nb: {message}\n" + (f"  {hint}\n" if hint else ""))


def say_refused(error: OSError) -> None:
    """Say what the system refused; nothing where who reads stdout has gone (`| head`)."""
    _drop_output()
    if isinstance(error, BrokenPipeError):
        return
    what = "the output cannot be written" if error.filename is None else f"{error.filename} cannot be used"
    say(f"{what}: {error.strerror or error}", "Choose another place for it; what was run is in the log.")


def _drop_output() -> None:
    """Write out what stdout still holds, or forget it, or the interpreter fails on it as it ends."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
