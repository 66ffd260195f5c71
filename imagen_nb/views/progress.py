"""The live view of a sweep: a bar, what it counts, the newest images; small and quick to make, however many runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagen_nb.records import Progress, Rendering, Run
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, pictures_of
from imagen_nb.views.words import Chip, chip, count, dollars, dot_list, one_line, seconds, terminal_text, why

LIVE_BOX, MOST_LIVE = 96, 24

BAR, LEAST_BAR = 24, 6
"""How many characters a terminal's bar has, and with how few it is still one."""

_LEAST_FIRST = ("in_flight", "skipped", "elapsed", "message", "canceled", "state", "cost", "failed", "left")
"""In which order the parts of a line are left out where it is too long."""

_STATES = {
    "running": "",
    "waiting": "The provider asks to wait",
    "canceling": "Canceling what is in flight",
    "ended": "",
}


@dataclass(frozen=True, slots=True)
class LiveTile:
    """One finished run in the live view: its first image, or its state and reason. Made once, shown many times."""

    picture: Picture | None
    chip: Chip
    title: str


def live_tile(run: Run, thumb: Thumb, link: Link | None = None) -> LiveTile:
    """The tile for a finished run; a thumbnail of 128 to 192 pixels keeps each update small."""
    reason = why(run)
    first = next(iter(pictures_of(run, thumb, box=LIVE_BOX, link=link)), None)
    text = one_line(run.request.prompt, 160)
    return LiveTile(first, chip(run), f"{text}: {one_line(reason.text, 160)}" if reason else text)


def render_progress(progress: Progress, tiles: Sequence[LiveTile | None] = (), width: int | None = None) -> Rendering:
    """The state of a sweep. `width` is that of a terminal's line.

    `tiles` are all that ended in the order of ending, or the last of many; None is one that is not made yet. Each has
    its place for as long as it is shown: the 25th takes that of the first, and those to come say that they wait.
    """
    places = min(max(progress.total, len(tiles)), MOST_LIVE)
    spots: list[LiveTile | None] = [None] * places
    for place, tile in enumerate(tiles):
        spots[place % places] = tile
    is_over = progress.state == "ended"
    hidden = progress.succeeded + progress.failed - min(len(tiles), places)
    html = fill(
        "live.html",
        said=announcement(progress),
        good=_share(progress.succeeded, progress),
        bad=_share(progress.failed, progress),
        skipped=_share(progress.skipped, progress),
        line=progress_line(progress),
        state_line=dot_list([_STATES.get(progress.state, progress.state), one_line(progress.message or "", 300)]),
        spots=[tile for tile in spots if tile] if is_over else spots,
        earlier=f"and {count(hidden, 'earlier one')}" if hidden > 0 else "",
    )
    return {"text/plain": progress_text(progress, width), "text/html": html}


def announcement(progress: Progress) -> str:
    """What a screen reader is to say of it: new words at each quarter, at a first failure and at a change of state."""
    quarter = 4 * progress.done // progress.total if progress.total else 4
    counts = _counts(progress)
    if progress.state == "ended":
        return dot_list([counts["done"], counts["failed"], counts["canceled"]])
    done = f"{25 * quarter} % of {count(progress.total, 'request')} done"
    return dot_list([done, "with failures" if progress.failed else "", _STATES.get(progress.state, progress.state)])


def progress_line(progress: Progress) -> str:
    """`37 of 120 done · 2 failed · 16 in flight · 48 s elapsed · about 1 min 50 s left · $1.48 so far`."""
    return dot_list(_counts(progress).values())


def progress_text(progress: Progress, width: int | None = None) -> str:
    """The same for a terminal, on one line, with a bar.

    Where that is more than `width` characters (None: as long as it is), the bar is shorter or left out, and then the
    parts that matter least, each as a whole.
    """
    parts = {
        **_counts(progress),
        "state": _STATES.get(progress.state, progress.state),
        "message": one_line(progress.message or "", 200),
    }
    line = terminal_text([dot_list(parts.values())])
    for name in _LEAST_FIRST:
        if width is None or len(line) <= width:
            break
        parts[name] = ""
        line = terminal_text([dot_list(parts.values())])
    room = BAR if width is None else min(BAR, width - len(line) - len("[] "))
    if room < LEAST_BAR:
        return line[:width]
    full = min(room, room * progress.done // progress.total) if progress.total else room
    return f"[{'#' * full}{'.' * (room - full)}] {line}"


def _counts(progress: Progress) -> dict[str, str]:
    """What there is to count, each as words; empty where there is nothing to say."""
    left = seconds(progress.left) if progress.state == "running" and progress.left is not None else ""
    so_far = "" if progress.state == "ended" else " so far"
    so_far += ", simulated" if progress.is_simulated else ""
    return {
        "done": f"{progress.done - progress.canceled:,} of {progress.total:,} done",
        "failed": f"{progress.failed:,} failed" if progress.failed else "",
        "canceled": f"{progress.canceled:,} canceled" if progress.canceled else "",
        "skipped": f"{progress.skipped:,} skipped" if progress.skipped else "",
        "in_flight": f"{progress.in_flight:,} in flight" if progress.in_flight else "",
        "elapsed": f"{seconds(progress.elapsed)} elapsed",
        "left": f"about {left} left" if left else "",
        "cost": f"{dollars(progress.cost)}{so_far}" if progress.cost is not None else "",
    }


def _share(part: int, progress: Progress) -> float:
    """The part's share of the bar, in per cent."""
    return round(100 * part / progress.total, 2) if progress.total else 0.0
