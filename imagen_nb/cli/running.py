"""`imagen-nb run` and `imagen-nb reconcile`: progress on stderr, what came of it on stdout."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from imagen_nb.cli.shell_options import MANUAL, RUN_TABLE, WHERE
from imagen_nb.errors import InputError, in_shell
from imagen_nb.planning import grammar
from imagen_nb.planning.options import Options, option_lines, prompt_notes
from imagen_nb.records import Progress, Run, Status
from imagen_nb.settings import CONFIRM_ABOVE
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


def run(words: Sequence[str], *, home: str | None = None, provider: str | None = None) -> int:
    """Run the prompt in these words; 0 if every run succeeded, 1 if some did not, 130 if interrupted."""
    parsed = grammar.parse(grammar.ShellWords(words), RUN_TABLE)
    given = {"home": home, "provider": provider, **parsed.values}
    where = {option.name: given.pop(option.name) for option in WHERE}
    options, prompt = Options(**given), parsed.rest
    if options.help:
        sys.stdout.write(MANUAL.format(options="\n".join(option_lines(RUN_TABLE, WIDTH))))
        return 0
    with Workspace(**where) as workspace:
        if not prompt.strip():
            raise InputError("the prompt is empty", "Write it behind the options: imagen-nb run a red fox in snow")
        plan = workspace.plan([prompt], **options.plan_keywords(prompt, workspace.spec))
        workspace.notices += prompt_notes(prompt, is_raw=options.raw)
        _say_notices(workspace)
        left = workspace.remaining(plan, options.experiment) if options.resume else plan
        if options.dry_run:
            notes = [] if left is plan else [resume_note(plan, left)]
            sys.stdout.write(render_plan(plan, step=SEND, notes=notes)["text/plain"] + "\n")
            return 0
        left.confirm(CONFIRM_ABOVE, yes=options.yes)

        runs = workspace.submit(plan, **options.run_keywords())
        ticker = None if options.quiet else Ticker(sys.stderr)
        try:
            while not runs.is_done_within(REDRAW_S):
                if ticker is not None:
                    ticker.show(runs.progress())
        except KeyboardInterrupt:
            _stop(runs, options)
            raise
        if ticker is not None:
            ticker.end(runs.progress())
        _say_strays(runs)
        error = runs.error
        # `main` says the error that ended the sweep, which may be all there is to say of its runs.
        is_all_said = error is not None and all(each.error == error.message for each in runs)
        if not options.quiet and not is_all_said:
            _show(list(runs))
            if alarms := runs.alarms():
                sys.stderr.write(f"{alarms}.\n")
        runs.wait()
        return int(any(each.status is not Status.SUCCEEDED for each in runs) or len(runs) < len(plan))


def _stop(runs: Runs, options: Options) -> None:
    """Cancel, wait for the last rows, and say what was done."""
    sys.stderr.write("\nStopping: canceling what is in flight ...\n")
    runs.cancel()
    runs.is_done_within(CANCEL_S)
    now = runs.progress()
    sys.stderr.write(f"{now.done} of {now.total} ended, {now.succeeded} of them well; all of it is in the log.\n")
    if options.experiment and now.succeeded < now.total:
        sys.stderr.write("The same command with --resume goes on.\n")


def reconcile(*, home: str | None = None, provider: str | None = None, adopt: Sequence[str] = ()) -> int:
    """Settle the rows left open, and make rows of the predictions to `adopt`; 0 if none is left, 1 if some are."""
    with Workspace(home=home, provider=provider) as workspace:
        settled = workspace.reconcile(adopt=adopt)
        _say_notices(workspace)
        _say_strays(settled)
    sys.stdout.write(f"{len(settled)} rows were open.\n" if len(settled) != 1 else "1 row was open.\n")
    _show(list(settled))
    return int(any(not each.status.is_terminal for each in settled))


def simulate(port: int, latency: float | None, seed: int) -> int:
    """Serve the simulator until Ctrl-C. Raises `InputError` for a port that cannot be had."""
    from imagen_nb.simulator import serve

    sys.stderr.write("The simulator's base URL is below: imagen-nb --provider URL run ... uses it; Ctrl-C ends it.\n")
    try:
        serve(port, latency, seed=seed)
    except (OSError, OverflowError) as error:
        hint = "Choose another one, or 0 for a free one."
        raise InputError(f"port {port} cannot be used: {error}", hint) from None
    return 0


def _say_notices(workspace: Workspace) -> None:
    while workspace.notices:
        sys.stderr.write(in_shell(workspace.notices.pop(0)) + "\n")


def _say_strays(runs: Runs) -> None:
    if strays := runs.progress().strays:
        sys.stderr.write(f"{in_shell(strays)}.\n")


def _show(runs: Sequence[Run]) -> None:
    """What came of these runs, with the files, as text, which shows no thumbnails."""
    if len(runs) == 1:
        text = render_run(runs[0], lambda _: "")["text/plain"]
        # What a card says to do next stands at its end, as one types it in a notebook.
        following = reason.next if (reason := why(runs[0])) else ""
        sys.stdout.write(text.removesuffix(following) + in_shell(following) + "\n")
    elif runs:
        sys.stdout.write(render_sweep(runs, lambda _: "", limit=len(runs))["text/plain"] + "\n")


class Ticker:
    """Progress on a stream: one line drawn over and over on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._last = time.monotonic()

    def show(self, progress: Progress) -> None:
        if self._is_terminal:
            columns = shutil.get_terminal_size((WIDTH, 24)).columns
            self._stream.write(f"\r{progress_text(progress, columns - 1)}\x1b[K")
            self._stream.flush()
        elif time.monotonic() - self._last >= LINE_S:
            self._last = time.monotonic()
            self._stream.write(progress_text(progress) + "\n")
            self._stream.flush()

    def end(self, progress: Progress) -> None:
        """The last state, or on a terminal nothing: the result says it all."""
        self._stream.write("\r\x1b[K" if self._is_terminal else progress_text(progress) + "\n")
        self._stream.flush()
