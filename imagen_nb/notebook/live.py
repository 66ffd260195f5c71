"""The live view of a sweep: how often it is drawn anew, how much work that may be, and what it leaves behind.

However large the sweep, a refresh stays small: at most four a second while something changes and one a second while
nothing does, the newest images only, and a few milliseconds for thumbnails at a time; the rest follow in the next.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

from imagen_nb.errors import Interrupted
from imagen_nb.records import Rendering, Run

if TYPE_CHECKING:
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.views import LiveTile, Thumb

_Result = TypeVar("_Result")

SLICE_S = 0.25
"""How long the main thread waits at a time, and the least time between two refreshes, in seconds."""

IDLE_S = 1.0
THUMBNAILS_S = 0.01
"""How long one refresh may spend on new thumbnails, in seconds; one is always made."""

THUMBNAIL_PX = 160
SETTLE_S = 3.0
"""How long an interrupted cell waits for its cancelled predictions to be logged, in seconds."""


class LiveView:
    """What one sweep shows while it runs. `thumb` gives an image's thumbnail; `clock` counts seconds."""

    def __init__(self, runs: Runs, thumb: Thumb, on: Surface, clock: Callable[[], float] = time.monotonic) -> None:
        self._runs = runs
        self._thumb = thumb
        self._surface = on
        self._clock = clock
        self._tiles: dict[str, LiveTile | None] = {}
        self._state: Any = None
        self._shown_at = float("-inf")

    def refresh(self) -> None:
        """Draw it anew if it is time to."""
        now = self._clock()
        progress = self._runs.progress()
        state = (progress.done, progress.in_flight, progress.state, progress.message)
        if now - self._shown_at < (SLICE_S if state != self._state else IDLE_S):
            return
        self._surface.update(self.rendering())
        self._state, self._shown_at = state, now

    def rendering(self) -> Rendering:
        """The bar, the counts and the newest images."""
        from imagen_nb.views import live

        return live(self._runs.progress(), self._newest(), self._surface.width)

    def summarize(self) -> None:
        """Leave a line that says what became of it, with the reasons of failures."""
        self._surface.end(summary(self._runs), kept=self.rendering())

    def clear(self) -> None:
        """Leave nothing: the displayed result says it all."""
        self._surface.end(NOTHING)

    def freeze(self) -> None:
        """Leave what is on show where images came, for a cell that ends in an error; else nothing."""
        has_images = any(run.images for run in self._runs)
        last = self.rendering()
        self._surface.end(last if has_images else NOTHING, kept=last)

    def end(self, rendering: Rendering) -> None:
        """Leave this."""
        self._surface.end(rendering, kept=rendering)

    def _newest(self) -> list[LiveTile]:
        """The tiles of the newest runs, as far as there is time to make them."""
        from imagen_nb.views.progress import MOST_LIVE, live_tile

        ends = self._clock() + THUMBNAILS_S
        tiles: dict[str, LiveTile | None] = {}
        may_make = True
        for run in self._runs.recent(MOST_LIVE):
            if run.id in self._tiles:
                tiles[run.id] = self._tiles[run.id]
            elif may_make:
                tiles[run.id] = live_tile(run, self._thumb)
                may_make = self._clock() < ends
        self._tiles = tiles
        return [tile for tile in tiles.values() if tile is not None]


def watch(runs: Runs, view: LiveView) -> None:
    """Wait for the end of a sweep in the main thread, with its live view.

    Raises the error that stopped the sweep. An interrupt cancels it, waits a little for its rows, and raises
    `Interrupted`; a second one does not wait.
    """
    try:
        _follow(runs, view)
    except KeyboardInterrupt:
        raise interrupted(runs, view) from None
    except BaseException:
        view.freeze()
        raise
    view.summarize()


def interrupted(runs: Runs, view: LiveView | None = None) -> Interrupted:
    """The error for an interrupted sweep, which is canceled here and waited for a little; its view is left as it is.

    Further interrupts end the waiting and nothing else, so that the summary is always there.
    """
    to_the_end(runs.cancel)
    with suppress(KeyboardInterrupt):
        _settled(runs, view)
    if view is not None:
        to_the_end(view.freeze)
    return Interrupted(*to_the_end(lambda: stopped_words(runs)), runs=runs)


def to_the_end(act: Callable[[], _Result]) -> _Result:
    """What `act` gives; it is begun again for as long as interrupts come in between, so it must bear that."""
    while True:
        try:
            return act()
        except KeyboardInterrupt:
            continue


def show_running(runs: Runs, thumb: Thumb, shell: Any) -> None:
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
    view = LiveView(runs, thumb, surface(shell))
    view.refresh()
    threading.Thread(target=_fill_in, args=(runs, view), name="imagen-live", daemon=True).start()


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
    first = summary_line(ended, progress) if ended else ""
    reasons = [f"{number:,} {reason}" for number, reason in failures(ended)]
    return _lines([first, f"{unsent:,} not done" if unsent > 0 else "", progress.message, *reasons])


def stopped_words(runs: Runs) -> tuple[str, str]:
    """The two lines of an interrupted cell: what was done, and how to go on."""
    ended = list(runs)
    total = runs.progress().total
    canceled = sum(run.error_code == "canceled" or run.status == "canceled" for run in ended)
    finished = len(ended) - canceled
    parts = [f"{finished:,} of {total:,} finished and logged", f"{canceled:,} canceled" if canceled else ""]
    if unsettled := runs.progress().in_flight:
        parts.append(f"{unsettled:,} still being canceled")
    if (unsent := total - len(ended) - unsettled) > 0:
        parts.append(f"{unsent:,} not sent")
    return ", ".join(filter(None, parts)), _go_on(ended)


def _go_on(ended: list[Run]) -> str:
    name = next((run.experiment for run in ended if run.experiment), None)
    if name:
        return f"The same cell with --resume goes on with the experiment {name}."
    return "With -e NAME, --resume goes on where an interrupted sweep stopped; %imagen_log shows what there is."


def _follow(runs: Runs, view: LiveView) -> None:
    """Refresh until the sweep has ended; raises what stopped it."""
    view.refresh()
    while not runs.is_done:
        runs.wait(SLICE_S)
        view.refresh()
    runs.wait()


def _settled(runs: Runs, view: LiveView | None) -> None:
    """Wait a little for what canceling settles."""
    ends = time.monotonic() + SETTLE_S
    while not runs.is_done and time.monotonic() < ends:
        if view is not None:
            view.refresh()
        runs.sweep.wait(SLICE_S)


def _fill_in(runs: Runs, view: LiveView) -> None:
    """The thread of a background sweep's display."""
    while not runs.sweep.wait(SLICE_S):
        view.refresh()
    view.end(dict(runs._repr_mimebundle_()))


def _lines(parts: list[str | None]) -> Rendering:
    kept = [part for part in parts if part]
    html = "".join(f"<div>{escape(part)}</div>" for part in kept)
    return {"text/plain": "\n".join(kept), "text/html": html}


# ----------------------------------------------------------------------------------------------------
# Where something that changes is shown: in a cell as a widget or by display id, in a terminal, or nowhere. A
# widget goes on after a page reload, which output replaced by display id does not, so JupyterLab and VS Code
# get one. What runs a notebook without a person (nbclient, nbconvert) would save a widget's state into the
# file, so there the output itself is replaced; those executors are told by their requests, which name no cell.
# Either way the last thing written is plain static output. `update` and `end` may be called from any thread.

NOTHING: Rendering = {"text/plain": "", "text/html": ""}

_lingering: list[WidgetSurface] = []


class Surface(Protocol):
    """One changing output. `width` is how many characters a line of it holds; None where lines are broken there."""

    @property
    def width(self) -> int | None: ...

    def update(self, rendering: Rendering) -> None:
        """Show this instead."""

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:
        """Leave this as static output; further calls may still replace it.

        `kept` is for a page that was reloaded meanwhile, which static output cannot reach any more.
        """


class NoSurface:
    """Shows nothing."""

    width = None

    def update(self, rendering: Rendering) -> None:
        pass

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:
        pass


class TerminalSurface:
    """One line of a terminal, written over and over, and then the lines that stay."""

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream = stream or sys.stderr
        self.width = width or shutil.get_terminal_size().columns - 1
        self._below = 0

    def update(self, rendering: Rendering) -> None:
        self._write(rendering["text/plain"].partition("\n")[0][: self.width])

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:  # noqa: ARG002 - no reload
        lines = [line[: self.width] for line in rendering["text/plain"].splitlines()]
        self._write("".join(f"{line}\n" for line in lines))
        self._below = len(lines)

    def _write(self, text: str) -> None:
        """The text in place of what was written before, down to the end of the screen."""
        up = f"\x1b[{self._below}A" if self._below else ""
        self._stream.write(f"\r{up}\x1b[J{text}")
        self._stream.flush()
        self._below = 0


class OutputSurface:
    """A cell's output, replaced in place by its display id."""

    width = None

    def __init__(self) -> None:
        self._handle: Any = None

    def update(self, rendering: Rendering) -> None:
        if self._handle is None:
            self._handle = _display(dict(rendering), raw=True)
        else:
            self._handle.update(dict(rendering), raw=True)

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:  # noqa: ARG002 - no widget
        if self._handle is not None or any(rendering.values()):
            self.update(rendering)


class WidgetSurface:
    """An HTML widget while things change, and static output in its place at the end.

    The widget is kept until the next one begins: a page that was reloaded meanwhile shows it still.
    """

    width = None

    def __init__(self) -> None:
        from ipywidgets import HTML  # type: ignore[import-untyped]  # it has no types

        while _lingering:
            _lingering.pop().close()
        self._html: Any = HTML()
        self._handle: Any = None

    def update(self, rendering: Rendering) -> None:
        self._html.value = rendering["text/html"]
        if self._handle is None:
            self._handle = _display(self._html)

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:
        if self._html is not None:
            if kept is not None:
                self._html.value = kept["text/html"]
            if self not in _lingering:
                _lingering.append(self)
        if self._handle is not None:
            self._handle.update(dict(rendering), raw=True)

    def close(self) -> None:
        """Give the widget back, with the two that come with it."""
        html, self._html = self._html, None
        if html is not None:
            for part in (html.layout, html.style, html):
                part.close()


def surface(shell: Any) -> Surface:
    """The right surface for what runs now: a kernel's cell, a terminal that a person looks at, or neither."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return TerminalSurface() if shell is not None and sys.stderr.isatty() else NoSurface()
    return WidgetSurface() if names_a_cell(kernel) else OutputSurface()


def _display(content: Any, **options: Any) -> Any:
    from IPython.display import display

    show: Any = display
    return show(content, display_id=True, **options)


def names_a_cell(kernel: Any) -> bool:
    """Whether the request being executed says which cell it is for, as those of JupyterLab and VS Code do."""
    try:
        metadata = kernel.get_parent("shell").get("metadata", {})
    except (AttributeError, TypeError, LookupError):
        return False
    return bool(metadata.get("cellId"))
