"""The live view of a sweep: how often it is drawn anew, how much work that may be, and what it leaves behind.

However large the sweep, a refresh stays small: at most four a second while something changes and one a second while
nothing does, the newest images only, and a few milliseconds for thumbnails at a time; the rest follow in the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

from imagen_nb.core.records import Rendering, Run
from imagen_nb.errors import Interrupted
from imagen_nb.notebook.surfaces import NOTHING, Surface, surface

if TYPE_CHECKING:
    from imagen_nb.runs import Runs
    from imagen_nb.view import LiveTile, Thumb

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
        from imagen_nb.view import live

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
        from imagen_nb.view.progress import MOST_LIVE, live_tile

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
        from imagen_nb.view.progress import progress_text

        print(progress_text(runs.progress()))  # noqa: T201 - this is the value's display
        return
    view = LiveView(runs, thumb, surface(shell))
    view.refresh()
    threading.Thread(target=_fill_in, args=(runs, view), name="imagen-live", daemon=True).start()


def summary(runs: Runs) -> Rendering:
    """What became of a sweep, in a line or a few."""
    from imagen_nb.view.cards import failures, summary_line

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
