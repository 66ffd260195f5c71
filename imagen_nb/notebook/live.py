"""The live view of a sweep: how often it is drawn anew, how much work that may be, and what it leaves behind.

However large the sweep, a refresh stays small: at most four a second while something changes and one a second while
nothing does, the newest images only, and a few milliseconds for thumbnails at a time; the rest follow in the next.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

from imagen_nb.errors import Interrupted, readable
from imagen_nb.records import Rendering

if TYPE_CHECKING:
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.views.pictures import Thumb
    from imagen_nb.views.progress import LiveTile

_Result = TypeVar("_Result")

SLICE_S = 0.25
"""How long the main thread waits at a time, and the least time between two refreshes, in seconds."""

IDLE_S = 1.0
THUMBNAILS_S = 0.01
"""How long one refresh may spend on new thumbnails, in seconds; one is always made."""

THUMBNAIL_PX = 160
SETTLE_S = 3.0
"""How long an interrupted cell waits for its canceled predictions to be logged, in seconds."""

NOTHING: Rendering = {"text/plain": "", "text/html": ""}

_ended_widgets: list[WidgetOutput] = []


class LiveView:
    """What one sweep shows while it runs, in `output`; where that is None it shows nothing.

    `thumb` gives an image's thumbnail (default: one of the file); `clock` counts seconds.
    """

    def __init__(
        self,
        runs: Runs,
        output: LiveOutput | None,
        thumb: Thumb | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._output = output
        self._thumb = thumb
        self._clock = clock
        self._tiles: dict[str, LiveTile | None] = {}  # in the order in which the runs ended
        self._drawn: Any = None
        self._drawn_at = float("-inf")

    def refresh(self) -> None:
        """Draw it anew if it is time to."""
        if self._output is None:
            return
        now = self._clock()
        progress = self._runs.progress()
        state = (progress.done, progress.in_flight, progress.state, progress.message)
        if now - self._drawn_at < (SLICE_S if state != self._drawn else IDLE_S):
            return
        self._output.update(self.render())
        self._drawn, self._drawn_at = state, now

    def render(self) -> Rendering:
        """The bar, the counts and the newest images, as far as there is time to make their thumbnails."""
        from imagen_nb.views.progress import MOST_LIVE, live_tile, progress_text, render_progress

        progress = self._runs.progress()
        if self._output is not None and self._output.width is not None:
            return {"text/plain": progress_text(progress, self._output.width)}
        from imagen_nb.views.pictures import below
        from imagen_nb.views.thumbnails import thumb

        ends = self._clock() + THUMBNAILS_S
        recent = self._runs.recent(MOST_LIVE)
        for run in reversed(recent):
            self._tiles.setdefault(run.id, None)
        for run_id in list(self._tiles)[:-MOST_LIVE]:
            self._tiles[run_id] = None  # its place counts, its picture is shown no more
        may_make = True
        for run in recent:
            if self._tiles[run.id] is None and may_make:
                self._tiles[run.id] = live_tile(run, self._thumb or thumb(THUMBNAIL_PX), below(Path.cwd()))
                may_make = self._clock() < ends
        return render_progress(progress, list(self._tiles.values()))

    def leave_summary(self) -> None:
        """Leave a line that says what became of it, with the reasons of failures."""
        if self._output is not None:
            self._output.end(summary(self._runs), on_reload=self.render())

    def leave_images(self) -> None:
        """Leave what is on show where images came, for a cell that ends in an error; else nothing."""
        if self._output is not None:
            last = self.render()
            self._output.end(last if any(run.images for run in self._runs) else NOTHING, on_reload=last)

    def leave_nothing(self) -> None:
        """Leave nothing: the displayed result says it all."""
        if self._output is not None:
            self._output.end(NOTHING)

    def leave(self, rendering: Rendering) -> None:
        """Leave this."""
        if self._output is not None:
            self._output.end(rendering, on_reload=rendering)


def watch(runs: Runs, view: LiveView) -> None:
    """Wait for the end of a sweep in the main thread, with its live view.

    Raises the error that stopped the sweep. An interrupt cancels it, waits a little for its rows, and raises
    `Interrupted`; a second one does not wait.
    """
    try:
        view.refresh()
        while not runs.is_done:
            runs.wait(SLICE_S)
            view.refresh()
        runs.wait()
    except KeyboardInterrupt:
        raise cancel_interrupted(runs, view) from None
    except BaseException:
        view.leave_images()
        raise
    view.leave_summary()


def watch_here(runs: Runs) -> Runs:
    """As `watch`, for a call that goes on by itself when it is repeated; with a live view where somebody looks."""
    try:
        watch(runs, LiveView(runs, choose_output(_shell())))
    except Interrupted as error:
        raise Interrupted(error.message, "The same call goes on where it stopped.", runs=runs) from None
    return runs


def _shell() -> Any:
    """The shell that this runs in, or None; a script need not load one for that."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def cancel_interrupted(runs: Runs, view: LiveView | None = None) -> Interrupted:
    """Cancel a sweep that was interrupted and wait a little for its rows; gives the error for the cell to raise.

    The view is left as it is. Further interrupts end the waiting and nothing else, so that the summary is always there.
    """
    act_despite_interrupts(runs.cancel)
    with suppress(KeyboardInterrupt):
        ends = time.monotonic() + SETTLE_S
        while not runs.is_done and time.monotonic() < ends:
            if view is not None:
                view.refresh()
            runs.is_done_within(SLICE_S)
    if view is not None:
        act_despite_interrupts(view.leave_images)
    return Interrupted(*act_despite_interrupts(lambda: interruption_lines(runs)), runs=runs)


def act_despite_interrupts(act: Callable[[], _Result]) -> _Result:
    """What `act` gives; it is begun again for as long as interrupts come in between, so it must bear that."""
    while True:
        try:
            return act()
        except KeyboardInterrupt:
            continue


def show_running(runs: Runs, shell: Any) -> None:
    """Display a sweep that is not done: it fills in from a thread, and its final state stays as static output.

    A terminal gets a line of how far it is. Raises `NotImplementedError` for a sweep that is done, which to IPython
    means "display it the usual way".
    """
    if runs.is_done:
        raise NotImplementedError
    if getattr(shell, "kernel", None) is None:
        from imagen_nb.views.progress import progress_text

        print(progress_text(runs.progress()))  # noqa: T201 - this is the value's display
        return
    view = LiveView(runs, choose_output(shell))
    view.refresh()

    def fill_in() -> None:
        while not runs.is_done_within(SLICE_S):
            view.refresh()
        view.leave(dict(runs._repr_mimebundle_()))

    threading.Thread(target=fill_in, name="imagen-live", daemon=True).start()


@contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """A live line for what is counted here, `tell(done, of_all)`; it goes at the end, and is nothing in a script."""
    output = choose_output(_shell())
    began = drawn_at = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal drawn_at
        now = time.monotonic()
        if output is None or now - drawn_at < SLICE_S:
            return
        from imagen_nb.records import Progress
        from imagen_nb.views.progress import render_progress

        elapsed, drawn_at = now - began, now
        left = elapsed / done * (total - done)
        state = Progress(total=total, done=done, succeeded=done, elapsed=elapsed, left=left)
        output.update(render_progress(state, width=output.width))

    try:
        yield tell
    finally:
        if output is not None:
            output.end(NOTHING)


def show(value: Any) -> None:
    """Display a value here: as a cell's output in a notebook, as text elsewhere."""
    from IPython import display

    on_page: Any = display.display  # it has no types
    on_page(value)


def summary(runs: Runs) -> Rendering:
    """What became of a sweep, in a line or a few."""
    from imagen_nb.views.cards import failures, summary_line

    progress = runs.progress()
    ended = list(runs)
    unsent = progress.total - len(ended)
    lines = [
        summary_line(ended, progress) if ended else "",
        f"{unsent:,} not done" if unsent > 0 else "",
        progress.message or "",
        progress.strays or "",
        runs.alarms(),
        *(f"{number:,} {reason}" for number, reason in failures(ended)),
    ]
    lines = [readable(line) for line in lines if line]
    return {"text/plain": "\n".join(lines), "text/html": "".join(f"<div>{escape(line)}</div>" for line in lines)}


def interruption_lines(runs: Runs) -> tuple[str, str]:
    """The two lines of an interrupted cell: what was done, and how to go on."""
    ended = list(runs)
    total = runs.progress().total
    canceled = sum((run.error_code or run.status) == "canceled" for run in ended)
    unsettled = runs.progress().in_flight
    unsent = total - len(ended) - unsettled
    done = [
        f"{len(ended) - canceled:,} of {total:,} finished and logged",
        f"{canceled:,} canceled" if canceled else "",
        f"{unsettled:,} still being canceled" if unsettled else "",
        f"{unsent:,} not sent" if unsent > 0 else "",
    ]
    experiment = next((run.experiment for run in ended if run.experiment), None)
    going_on = "With -e NAME, --resume goes on where an interrupted sweep stopped; %imagen_log shows what there is."
    if experiment:
        going_on = f"The same cell with --resume goes on with the experiment {experiment}."
    return ", ".join(filter(None, done)), going_on


class LiveOutput(Protocol):
    """One output that changes, and ends as plain static output. Both calls may come from any thread.

    `width` is how many characters a line of a terminal holds; None for a page, which breaks lines itself.
    """

    @property
    def width(self) -> int | None: ...

    def update(self, rendering: Rendering) -> None:
        """Show this instead."""

    def end(self, rendering: Rendering, on_reload: Rendering | None = None) -> None:
        """Leave this as static output; further calls may still replace it.

        `on_reload` is for a page that was reloaded meanwhile, which static output cannot reach any more.
        """


def choose_output(shell: Any) -> LiveOutput | None:
    """The output for what runs now: a kernel's cell, a terminal that a person looks at, or neither.

    A widget goes on after a page reload, which output replaced by display id does not, so JupyterLab and VS Code get
    one. What runs a notebook without a person (nbclient, nbconvert) would save a widget's state into the file, so there
    the output itself is replaced; those executors are told by their requests, which name no cell.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return TerminalOutput() if shell is not None and sys.stderr.isatty() else None
    return WidgetOutput() if is_on_page(kernel) else CellOutput()


def is_on_page(kernel: Any) -> bool:
    """Whether the request being executed says which cell it is for, as those of JupyterLab and VS Code do."""
    try:
        metadata = kernel.get_parent("shell").get("metadata", {})
    except (AttributeError, TypeError, LookupError):
        return False
    return bool(metadata.get("cellId"))


class TerminalOutput:
    """One line of a terminal, written over and over, and then the lines that stay."""

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream = stream or sys.stderr
        self.width = width or shutil.get_terminal_size().columns - 1
        self._below = 0

    def update(self, rendering: Rendering) -> None:
        self._write(rendering["text/plain"].partition("\n")[0][: self.width])

    def end(self, rendering: Rendering, on_reload: Rendering | None = None) -> None:  # noqa: ARG002 - no reload
        lines = [line[: self.width] for line in rendering["text/plain"].splitlines()]
        self._write("".join(f"{line}\n" for line in lines))
        self._below = len(lines)

    def _write(self, text: str) -> None:
        """The text in place of what was written before, down to the end of the screen."""
        up = f"\x1b[{self._below}A" if self._below else ""
        self._stream.write(f"\r{up}\x1b[J{text}")
        self._stream.flush()
        self._below = 0


class CellOutput:
    """A cell's output, replaced in place by its display id."""

    width = None

    def __init__(self) -> None:
        self._handle: Any = None

    def update(self, rendering: Rendering) -> None:
        if self._handle is None:
            self._handle = _display_with_handle(dict(rendering), raw=True)
        else:
            self._handle.update(dict(rendering), raw=True)

    def end(self, rendering: Rendering, on_reload: Rendering | None = None) -> None:  # noqa: ARG002 - no widget
        if self._handle is not None or any(rendering.values()):
            self.update(rendering)


class WidgetOutput:
    """A widget while things change, and static output in its place at the end.

    The widget is kept until the next one begins: a page that was reloaded meanwhile shows it still.
    """

    width = None

    def __init__(self) -> None:
        from imagen_nb.notebook.widgets import LiveHtml

        while _ended_widgets:
            _ended_widgets.pop().close()
        self._widget: Any = LiveHtml()
        self._handle: Any = None

    def update(self, rendering: Rendering) -> None:
        self._widget.html = rendering["text/html"]
        if self._handle is None:
            self._widget.fallback = rendering
            self._handle = _display_with_handle(self._widget)

    def end(self, rendering: Rendering, on_reload: Rendering | None = None) -> None:
        if self._widget is not None:
            if on_reload is not None:
                self._widget.html = on_reload["text/html"]
            if self not in _ended_widgets:
                _ended_widgets.append(self)
        if self._handle is not None:
            self._handle.update(dict(rendering), raw=True)

    def close(self) -> None:
        """Give the widget back, with the one that comes with it."""
        widget, self._widget = self._widget, None
        if widget is not None:
            for part in (widget.layout, widget):
                part.close()


def _display_with_handle(content: Any, **options: Any) -> Any:
    from IPython.display import display

    show: Any = display
    return show(content, display_id=True, **options)


def display_beside(still: Rendering, live: Any) -> None:
    """Display a widget by its bundle, and before it what stands for it where it does not live.

    In a trusted notebook a front end prefers a widget to all that stands in the same output, and shows an error for one
    whose kernel is gone. So they are two outputs; a style in `still` (`still.css`) hides that which is not to be seen.
    Where there is no page or no widget it raises `NotImplementedError`: to IPython, "display it the usual way".
    """
    from IPython import display, get_ipython

    if not live or getattr(get_ipython(), "kernel", None) is None:
        raise NotImplementedError
    show: Any = display.display  # it has no types
    data, metadata = live if isinstance(live, tuple) else (live, {})
    show(dict(still), raw=True)
    show({**data, "text/html": ""}, metadata=metadata, raw=True)
