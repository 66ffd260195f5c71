"""The live view: when it is drawn, how much work that is, and what it leaves in each output."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from imagen_nb.errors import CreditError, Interrupted
from imagen_nb.notebook.live import (
    IDLE_S,
    LiveView,
    TerminalOutput,
    choose_output,
    interruption_lines,
    summary,
    watch,
    watch_here,
)
from imagen_nb.records import Image, Progress, Rendering, Request, Run, Status
from imagen_nb.sweeps.sweep import Runs

PIXELS = "data:image/webp;base64," + base64.b64encode(b"x" * 5000).decode()


def pixels(_: Image) -> str:
    """A thumbnail of a usual size."""
    return PIXELS


class Sweep(list[Run]):
    """Runs that only say how far they are; `raising` comes out of the next waits, in order."""

    def __init__(self, progress: Progress, *raising: BaseException, error: Exception | None = None) -> None:
        super().__init__()
        self.now, self.raising, self.error = progress, list(raising), error
        self.is_canceled = False

    @property
    def is_done(self) -> bool:
        return self.now.state == "ended"

    def progress(self) -> Progress:
        return self.now

    def alarms(self) -> str:
        return ""

    def is_done_within(self, _: float | None) -> bool:
        if self.raising:
            raise self.raising.pop(0)
        self.now = replace(self.now, state="ended")
        return True

    def wait(self, timeout: float | None = None) -> Sweep:
        if self.is_done_within(timeout) and self.error is not None:
            raise self.error
        return self

    def cancel(self) -> None:
        self.is_canceled = True

    def recent(self, count: int) -> list[Run]:
        return self[: -count - 1 : -1]


class Recorder:
    """An output that keeps what it was given."""

    width = None

    def __init__(self) -> None:
        self.updates: list[Rendering] = []
        self.left: Rendering | None = None
        self.on_reload: Rendering | None = None

    def update(self, rendering: Rendering) -> None:
        self.updates.append(rendering)

    def end(self, rendering: Rendering, on_reload: Rendering | None = None) -> None:
        self.left, self.on_reload = rendering, on_reload


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(number: int, status: Status = Status.SUCCEEDED, **values: Any) -> Run:
    image = Image(Path(f"/images/{number}.jpg"), "0" * 64, 1024, 1024, 100_000, "image/jpeg")
    request = Request("google/imagen-4", {"prompt": f"a fox, number {number}"}, "a fox", repeat=number + 1)
    return Run(f"run{number}", request, status, images=(image,) if status is Status.SUCCEEDED else (), **values)


def runs_of(sweep: Sweep, ended: list[Run]) -> Runs:
    sweep.extend(ended)
    return cast("Runs", sweep)


def test_refresh_at_most_four_a_second_and_once_when_idle() -> None:
    """While something changes it is drawn every quarter of a second, while nothing does once a second."""
    sweep, on, clock = Sweep(Progress(total=10)), Recorder(), Clock()
    view = LiveView(runs_of(sweep, []), on, pixels, clock)
    for step in range(32):  # two seconds with a change every 62.5 ms
        sweep.now = replace(sweep.now, done=step)
        view.refresh()
        clock.now += 0.0625
    assert len(on.updates) == 8
    on.updates.clear()
    for _ in range(48):  # three seconds without one
        view.refresh()
        clock.now += 0.0625
    assert len(on.updates) == pytest.approx(3 / IDLE_S, abs=1)


def test_refresh_of_a_large_sweep_is_small() -> None:
    """With 1,000 runs a refresh gives a bounded text."""
    sweep, on = Sweep(Progress(total=1000, done=1000, succeeded=1000)), Recorder()
    runs = runs_of(sweep, [run(number) for number in range(1000)])
    clock = Clock()
    view = LiveView(runs, on, pixels, clock)
    for number in range(10):
        sweep.append(run(1000 + number))
        sweep.now = replace(sweep.now, done=sweep.now.done + 1)
        clock.now += 1.0
        view.refresh()
    assert len(on.updates) == 10
    assert max(len(update["text/html"]) for update in on.updates) < 24 * 8000


def test_thumbnails_are_made_a_few_at_a_time() -> None:
    """Slow thumbnails do not hold up a refresh: one at least is made each time, the others follow."""
    clock, made = Clock(), []

    def thumb(image: Image) -> str:
        made.append(image.path.name)
        clock.now += 0.03
        return PIXELS

    sweep = Sweep(Progress(total=10, done=3))
    view = LiveView(runs_of(sweep, [run(number) for number in range(3)]), Recorder(), thumb, clock)
    assert view.render()["text/html"].count("data:image") == 1
    assert view.render()["text/html"].count("data:image") == 2
    assert made == ["2.jpg", "1.jpg"], "the newest first, each once"


def test_watching_to_the_end_leaves_a_line() -> None:
    """A sweep that ends well leaves its summary; a shown result, which says the same, clears it."""
    sweep, on = Sweep(Progress(total=2, done=2, elapsed=3.0)), Recorder()
    runs = runs_of(sweep, [run(0, cost=0.04), run(1, Status.FAILED, error="no luck")])
    view = LiveView(runs, on, pixels)
    watch(runs, view)
    assert on.left is not None
    assert "1 of 2 succeeded" in on.left["text/plain"]
    assert "no luck" in on.left["text/html"]
    assert on.on_reload is not None
    assert "data:image" in on.on_reload["text/html"], "a page that was reloaded goes on showing the images"
    view.leave_nothing()
    assert on.left == {"text/plain": "", "text/html": ""}


def test_interrupt_cancels_and_says_what_was_done() -> None:
    """An interrupt in the wait cancels the sweep and raises `Interrupted` with the counts and the runs."""
    sweep, on = Sweep(Progress(total=5, done=2), KeyboardInterrupt()), Recorder()
    runs = runs_of(sweep, [run(0, experiment="zoo"), run(1, Status.CANCELED)])
    with pytest.raises(Interrupted) as caught:
        watch(runs, LiveView(runs, on, pixels))
    assert sweep.is_canceled
    assert caught.value.runs is runs
    assert caught.value.message == "1 of 5 finished and logged, 1 canceled, 3 not sent"
    assert "--resume" in caught.value.hint
    assert "zoo" in caught.value.hint
    assert on.left is not None
    assert "data:image" in on.left["text/html"], "the images that came stay on show"


def test_a_call_that_goes_on_by_itself_says_so_when_it_is_interrupted() -> None:
    """It has no experiment to be resumed by."""
    runs = runs_of(Sweep(Progress(total=5, done=1), KeyboardInterrupt()), [run(0)])
    with pytest.raises(Interrupted, match=r"^1 of 5 finished and logged, 4 not sent\nThe same call goes on") as caught:
        watch_here(runs)
    assert caught.value.runs is runs
    done = runs_of(Sweep(Progress(total=1, done=1, state="ended")), [run(0)])
    assert watch_here(done) is done


def test_second_interrupt_ends_the_waiting() -> None:
    """A second interrupt while things are canceled ends the cell at once, with the same words."""
    sweep = Sweep(Progress(total=5, in_flight=2), KeyboardInterrupt(), KeyboardInterrupt())
    runs = runs_of(sweep, [])
    with pytest.raises(Interrupted, match="0 of 5 finished and logged, 2 still being canceled, 3 not sent"):
        watch(runs, LiveView(runs, Recorder(), pixels))
    assert sweep.raising == []


class Impatient(Recorder):
    """An output in whose last moments the user interrupts again."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def end(self, rendering: Rendering, on_reload: Rendering | None = None) -> None:
        self.times -= 1
        if self.times >= 0:
            raise KeyboardInterrupt
        super().end(rendering, on_reload)


def test_interrupts_while_it_sums_up_lose_nothing() -> None:
    """However often the user interrupts, the view is left in its last state and the error has counts and runs."""
    on = Impatient(3)
    sweep = Sweep(Progress(total=5, done=2, left=8.3), KeyboardInterrupt(), KeyboardInterrupt())
    runs = runs_of(sweep, [run(0), run(1)])
    with pytest.raises(Interrupted, match="2 of 5 finished and logged") as caught:
        watch(runs, LiveView(runs, on, pixels))
    assert caught.value.runs is runs
    assert on.left is not None
    assert "data:image" in on.left["text/html"]


def test_a_stopped_sweep_raises_its_error() -> None:
    """What stopped the sweep comes out; without images nothing else is left."""
    sweep = Sweep(Progress(total=2, done=1), error=CreditError("no credit"))
    runs, on = runs_of(sweep, [run(0, Status.FAILED, error="no credit")]), Recorder()
    with pytest.raises(CreditError):
        watch(runs, LiveView(runs, on, pixels))
    assert on.left == {"text/plain": "", "text/html": ""}


def test_words_without_an_experiment() -> None:
    """Without an experiment the hint says how to have one."""
    words = interruption_lines(runs_of(Sweep(Progress(total=1)), []))
    assert words == (
        "0 of 1 finished and logged, 1 not sent",
        "With -e NAME, --resume goes on where an interrupted sweep stopped; %imagen_log shows what there is.",
    )


def test_summary_is_inert() -> None:
    """A reason from the provider is text, whatever it holds."""
    hostile = "<script>alert(1)</script>"
    left = summary(runs_of(Sweep(Progress(total=1, done=1)), [run(0, Status.FAILED, error=hostile)]))
    assert "<script" not in left["text/html"]


def test_terminal_line_is_written_over() -> None:
    """In a terminal one line is written over and over, cut to the width, and the last words can be taken back."""
    stream = io.StringIO()
    line = TerminalOutput(stream, width=10)
    line.update({"text/plain": "0 of 2 and much more"})
    line.end({"text/plain": "done\nreason"})
    line.end({"text/plain": ""})
    assert stream.getvalue() == "\r\x1b[J0 of 2 and\r\x1b[Jdone\nreason\n\r\x1b[2A\x1b[J"


def test_terminal_line_says_time_left_and_cost_in_whole() -> None:
    """In a terminal of 80 columns no figure is cut off."""
    stream = io.StringIO()
    progress = Progress(total=120, done=38, failed=2, in_flight=16, elapsed=48.2, left=110.0, cost=1.48)
    LiveView(runs_of(Sweep(progress), []), TerminalOutput(stream, width=79)).refresh()
    line = stream.getvalue().removeprefix("\r\x1b[J")
    assert line.endswith("about 1 min 50 s left · $1.48 so far")
    assert len(line) <= 79


def test_terminal_line_makes_no_pictures() -> None:
    """A terminal shows none, so that none is made for it."""

    def never(image: Image) -> str:
        raise AssertionError(image)

    runs = runs_of(Sweep(Progress(total=1, done=1)), [run(0)])
    watch(runs, LiveView(runs, TerminalOutput(io.StringIO(), width=79), never))


def test_where_nobody_looks_nothing_is_drawn() -> None:
    """Without an output the waiting is all that is done."""
    runs = runs_of(Sweep(Progress(total=1)), [run(0)])
    view = LiveView(runs, None, lambda _: "")
    view.render = lambda: pytest.fail("it was drawn")  # type: ignore[method-assign]
    watch(runs, view)
    view.leave_nothing()


def test_no_terminal_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody looks (no kernel, stderr not a terminal), nothing is shown."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert choose_output(object()) is None
    assert choose_output(None) is None
