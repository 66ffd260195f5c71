"""`imagen-nb run` and `imagen-nb reconcile`: progress on stderr, what came of it on stdout."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from imagen_nb.errors import ImagenError, InputError
from imagen_nb.planning import grammar
from imagen_nb.planning.grammar import Option
from imagen_nb.planning.options import TABLE, Options, option_lines
from imagen_nb.records import Image, Progress, Run, Status
from imagen_nb.settings import CONFIRM_ABOVE, KNOWN_PROVIDERS
from imagen_nb.sweeps.sweep import Runs
from imagen_nb.views.cards import render_run, render_sweep
from imagen_nb.views.plans import render_plan, resume_note
from imagen_nb.views.progress import progress_text
from imagen_nb.views.words import why
from imagen_nb.workspace import Workspace

SEND = "Nothing has been sent. Take --dry-run away to send it."
WIDTH = 80
REDRAW_S, LINE_S = 0.25, 5.0
CANCEL_S = 15.0

MANUAL = """usage: imagen-nb run [options] PROMPT

Make images from a prompt; every request and all that became of it is logged.

The prompt is the rest of the words, joined by single spaces; quote it, and it
is sent as it stands. Options end at the first word that is not one, or at --.
Results are on stdout, progress is on stderr.

options:
{options}

slots in a prompt:
  {{name}}            a --vary name
  {{oil|ink}}         alternatives, an axis; {{style=oil|ink}} names it
  {{{{ and }}}}         braces as such; --raw takes every brace as such
"""


def run(words: Sequence[str], *, home: str | None = None, provider: str | None = None) -> int:
    """Run the prompt in these words; 0 if every run succeeded, 1 if some did not, 130 if interrupted."""
    parsed = grammar.parse(grammar.ShellWords(words), RUN_TABLE)
    given = {"home": home, "provider": provider, **parsed.values}
    where = {option.name: given.pop(option.name) for option in WHERE}
    options = Options(**given)
    if options.help:
        sys.stdout.write(MANUAL.format(options="\n".join(option_lines(RUN_TABLE, WIDTH))))
        return 0
    with Workspace(**where) as workspace:
        return _run(workspace, options, parsed.rest)


def reconcile(*, home: str | None = None, provider: str | None = None) -> int:
    """Settle the rows left open; 0 if none is left, 1 if some cannot be settled yet."""
    with Workspace(home=home, provider=provider) as workspace:
        settled = list(workspace.reconcile())
        _say_notices(workspace)
    sys.stdout.write(f"{len(settled)} rows were open.\n" if len(settled) != 1 else "1 row was open.\n")
    _show(settled)
    return int(any(not each.status.is_terminal for each in settled))


def _run(workspace: Workspace, options: Options, prompt: str) -> int:
    if not prompt.strip():
        raise InputError("the prompt is empty", "Write it behind the options: imagen-nb run a red fox in snow")
    plan = workspace.plan(prompt, **options.plan_keywords(prompt, workspace.spec))
    _say_notices(workspace)
    left = workspace.remaining(plan, options.experiment) if options.resume else plan
    if options.dry_run:
        notes = [] if left is plan else [resume_note(plan, left)]
        sys.stdout.write(render_plan(plan, step=SEND, notes=notes)["text/plain"] + "\n")
        return 0
    left.confirm(CONFIRM_ABOVE, yes=options.yes)
    runs = workspace.submit(plan, **options.run_keywords())
    try:
        _watch(runs, None if options.quiet else Ticker(sys.stderr))
    except KeyboardInterrupt:
        _stop(runs, options)
        raise
    if not options.quiet and not _is_all_said(runs):
        _show(list(runs))
    runs.wait()
    return int(any(each.status is not Status.SUCCEEDED for each in runs) or len(runs) < len(plan))


def _is_all_said(runs: Runs) -> bool:
    """Whether the error that ended the sweep, which `main` says, is all there is to say of its runs."""
    error = runs.error
    return isinstance(error, ImagenError) and all(each.error == error.message for each in runs)


def _watch(runs: Runs, ticker: Ticker | None) -> None:
    while not runs.is_done_within(REDRAW_S):
        if ticker is not None:
            ticker.show(runs.progress())
    if ticker is not None:
        ticker.end(runs.progress())


def _stop(runs: Runs, options: Options) -> None:
    """Cancel, wait for the last rows, and say what was done."""
    sys.stderr.write("\nStopping: canceling what is in flight ...\n")
    runs.cancel()
    runs.is_done_within(CANCEL_S)
    now = runs.progress()
    sys.stderr.write(f"{now.done} of {now.total} ended, {now.succeeded} of them well; all of it is in the log.\n")
    if options.experiment and now.succeeded < now.total:
        sys.stderr.write("The same command with --resume goes on.\n")


class Ticker:
    """Progress on a stream: one line drawn over and over on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._last = time.monotonic()

    def show(self, progress: Progress) -> None:
        if self._is_terminal:
            self._draw(progress)
        elif time.monotonic() - self._last >= LINE_S:
            self._last = time.monotonic()
            self._stream.write(progress_text(progress) + "\n")
            self._stream.flush()

    def end(self, progress: Progress) -> None:
        """The last state, or on a terminal nothing: the result says it all."""
        self._stream.write("\r\x1b[K" if self._is_terminal else progress_text(progress) + "\n")
        self._stream.flush()

    def _draw(self, progress: Progress) -> None:
        columns = shutil.get_terminal_size((WIDTH, 24)).columns
        self._stream.write(f"\r{progress_text(progress, columns - 1)}\x1b[K")
        self._stream.flush()


def _say_notices(workspace: Workspace) -> None:
    while workspace.notices:
        sys.stderr.write(in_shell(workspace.notices.pop(0)) + "\n")


def _show(runs: Sequence[Run]) -> None:
    """What came of these runs, with the files, as text."""
    if not runs:
        return
    text = _card(runs[0]) if len(runs) == 1 else render_sweep(runs, _unseen, limit=len(runs))["text/plain"]
    sys.stdout.write(text + "\n")


def _card(run: Run) -> str:
    """The card as text; what it says to do next stands at its end."""
    text = render_run(run, _unseen)["text/plain"]
    following = reason.next if (reason := why(run)) else ""
    return text.removesuffix(following) + in_shell(following)


def _unseen(_: Image) -> str:
    """No thumbnail: text shows none."""
    return ""


# ----------------------------------------------------------------------------------------------------
# stdout and stderr as a shell hands them over: closed, full, or in an encoding that lacks some letters.


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


# ----------------------------------------------------------------------------------------------------
# A shell's own words: the options that `imagen-nb run` has, and what the package says in those of a notebook.

_LEFT_OUT = ("output", "background", "help")
_OTHERWISE = {"yes": f"go on with a plan of more than {CONFIRM_ABOVE} requests", "quiet": "no progress, no result"}

WHERE = (
    Option("home", "", "DIR", "the folder with the log and the images (default: imagen_runs)"),
    Option("provider", "", "NAME", "kkiai, replicate, simulator, or a base URL"),
)
"""The options that say which folder, and which provider."""

RUN_TABLE = (
    *(replace(each, help=_OTHERWISE.get(each.name, each.help)) for each in TABLE if each.name not in _LEFT_OUT),
    *WHERE,
    *(each for each in TABLE if each.name == "help"),
)
"""The options of the magic that mean something in a shell, and those that say where."""

_VARIABLES = " or ".join(known.token_variable for known in KNOWN_PROVIDERS.values())
_IN_SHELL = (
    (r"%imagen_login or a token variable changes that", f"The variable {_VARIABLES} changes that"),
    (r", or call %imagen_login", ""),
    (r": %imagen_login, or its variable", " in its variable"),
    (r"\bLog in with %imagen_login", "Set its token in its variable"),
    (r"%imagen_login", "the variable of its token"),
    (r"%config ImagenMagics\.prices, or Workspace", "in Python, Workspace"),
    (r"\bimagen_nb\.reconcile\(\)", "imagen-nb reconcile"),
    (r"\b(home|provider)=", r"--\1"),
)


def in_shell(text: str) -> str:
    """A hint or a notice with what one types in a notebook put as one types it in a shell."""
    for pattern, words in _IN_SHELL:
        text = re.sub(pattern, words, text)
    return text
