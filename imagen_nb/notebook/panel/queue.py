"""What was submitted and how far it is: a card for each press of Generate, with its images and its own Cancel.

Submissions are shared by all panels on one workspace, so that they show the same. Each is sent on a thread of its own,
because opening the log and the connections may take a moment, and it outlives the panel it came from. Whoever watches
is woken, and looks for itself.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary, WeakSet

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import ImagenError
from imagen_nb.notebook.panel.form import close_all, set_trait
from imagen_nb.notebook.widgets import Gallery, Item, RunSource, gallery_items, gallery_text
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Image, Progress, Run, Status
from imagen_nb.views.cards import failures
from imagen_nb.views.pages import fill
from imagen_nb.views.words import chip, count, dollars, dot_list, is_simulated, one_line, seconds, value_text, why

if TYPE_CHECKING:
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.workspace import Workspace

KEPT = 6
"""How many submissions that have ended stay on show."""

SHOWN = 12
"""How many runs of one submission stay on show; the history has them all."""

_RATIO = re.compile(r"([1-9]\d*):([1-9]\d*)")

ONE_TILE, MANY_TILE = 300, 128
ONE_PX, MANY_PX = 512, 256


class CardStack:
    """The cards of a workspace's submissions, the newest first."""

    def __init__(
        self,
        submissions: Submissions,
        on_pick: Callable[[Any], None],
        source: Callable[[Callable[[], Sequence[str]]], RunSource],
    ) -> None:
        self._submissions = submissions
        self._on_pick = on_pick
        self._source = source
        self._cards: dict[int, SubmissionCard] = {}
        self._drawn: dict[int, tuple[Phase, int]] | None = None
        self.has_news = False
        """Whether the last `draw` found something that the log may show too."""
        self.is_busy = False
        """Whether anything on show was not done at the last `draw`."""
        self.news = ""
        """What a screen reader should say: the last submission that ended, and how."""
        self._empty = w.HTML(fill("empty.html"))
        self.box = w.VBox([self._empty])
        self.box.add_class("inb-queue")

    @property
    def galleries(self) -> list[Gallery]:
        return [card.gallery for card in self._cards.values()]

    @property
    def runs(self) -> list[Run]:
        """The runs whose images are on show."""
        return [run for card in self._cards.values() for run in card.runs]

    def draw(self) -> dict[Gallery, list[Image]]:
        """Bring the cards up to date; gives the images whose thumbnails each still lacks."""
        before, drawn = self._cards, self._drawn or {}
        states = {submission: submission.state() for submission in self._submissions}
        self._cards = {each.number: before.get(each.number) or self._make_card(each) for each in states}
        lacking = {}
        for submission, state in states.items():
            card = self._cards[submission.number]
            lacking[card.gallery] = card.draw(state)
            if state.is_done and drawn.get(submission.number, ("ended", 0))[0] not in DONE:
                self.news = f"{state_word(state)[0]}: {one_line(submission.title, 80)}"

        now = {each.number: (state.phase, state.progress.done) for each, state in states.items()}
        self.has_news, self._drawn = now != self._drawn, now
        self.is_busy = not all(state.is_done for state in states.values())
        if list(self._cards) != list(before):
            self.box.children = [card.box for card in self._cards.values()] or [self._empty]
        for number in before.keys() - self._cards.keys():
            close_all(before[number].box)  # what it stands for goes on
        return lacking

    def _make_card(self, submission: Submission) -> SubmissionCard:
        gallery = Gallery(
            self._source(lambda: submission.state().ids),
            px=ONE_PX if submission.size == 1 else MANY_PX,
            label=f"Images of: {one_line(submission.title, 80)}",
            tile=ONE_TILE if submission.size == 1 else MANY_TILE,
            shape=submission.shape,
            single=submission.size == 1,
        )
        gallery.observe(self._on_pick, "picked")
        return SubmissionCard(submission, self._submissions, gallery)


class SubmissionCard:
    """One submission. `draw` is called by the panel's updater."""

    def __init__(self, submission: Submission, submissions: Submissions, gallery: Gallery) -> None:
        self._submission = submission
        self._submissions = submissions
        self.gallery = gallery
        self.runs: Sequence[Run] = ()
        self._text = w.HTML()
        self._button = w.Button(description="Cancel", layout={"width": "auto"})
        self._button.add_class("inb-small-button")
        self._button.on_click(self._on_button)
        head = w.HBox([self._text, self._button])
        head.add_class("inb-card-head")
        self.box = w.VBox([head, gallery])
        self.box.add_class("inb-card")
        self._is_done = False

    def draw(self, state: SubmissionState) -> list[Image]:
        """Show how far it is; gives the images whose thumbnails are still to come."""
        self.runs = state.runs
        set_trait(self._text, "value", fill("submission.html", **describe(self._submission, state)))
        if state.is_done and not self._is_done:
            self._is_done = True
            self._button.description = "Dismiss"
            self._button.disabled = False
            self._button.tooltip = "Take this card away; its runs stay in the log"
        items = tiles_of(self._submission, state)
        set_trait(self.gallery.layout, "display", None if items else "none")
        self.gallery.fallback = {"text/plain": gallery_text(state.runs)}
        return self.gallery.show(state.runs, items)

    def _on_button(self, button: Any) -> None:
        if self._is_done:
            self._submissions.dismiss(self._submission)
        else:
            self._submission.cancel()
            button.description = "Canceling"
            button.disabled = True
            self._submissions.wake()


def tiles_of(submission: Submission, state: SubmissionState) -> list[Item]:
    """A tile for each run from the start, so that none moves another when it comes; those canceled take no room."""
    tiles: list[Item] = []
    for place, run in enumerate(state.slots):
        if run is None and not state.is_done:
            tiles.append({**_TO_COME, "key": f"{place}-0"})
        elif run is not None and (run.images or run.status is not Status.CANCELED):
            caption = "" if submission.size == 1 else caption_of(run, submission.varies)
            items = gallery_items(run, caption)
            said = {"why": ""} if submission.size == 1 and not run.text else {}  # the card itself says why
            tiles += [{**item, **said, "key": f"{place}-{number}"} for number, item in enumerate(items)]
    return tiles


_TO_COME: Item = {
    **dict.fromkeys(("run", "alt", "caption", "why", "figures"), ""),
    "picture": None,
    "word": "waiting",
    "tone": "busy",
    "rating": 0,
    "favourite": False,
    "width": 1,
    "height": 1,
}


def caption_of(run: Run, varies: Sequence[str]) -> str:
    """What tells a run from the others of its submission: the values that vary, else its number."""
    settings = {"prompt": run.request.prompt, "model": run.request.model, **run.request.slots, **run.request.params}
    parts = [one_line(value_text(settings[name]), 60) for name in varies if name in settings]
    return dot_list(parts) or f"no. {run.request.repeat}"


def describe(submission: Submission, state: SubmissionState) -> dict[str, Any]:
    """What the card says: its state as a word and a tone, figures, and reasons for what went wrong."""
    word, tone = state_word(state)
    now = state.progress
    own = now.done - now.canceled
    figures: list[str] = []
    if now.total > 1:
        # beside "Canceled" the figure counts those; all of them are accounted for
        is_canceled = word == "Canceled"
        unsent = now.total - now.done
        figures = [
            f"{now.total - own if is_canceled else own:,} of {now.total:,}",
            f"{own:,} done" if is_canceled and own else "",
            f"{unsent:,} not sent" if is_canceled and unsent else "",
            f"{now.failed:,} failed" if now.failed else "",
        ]
    figures += [
        f"the last {SHOWN} shown" if now.done > SHOWN else "",
        seconds(now.elapsed) if state.is_done else _whole_seconds(now.elapsed),
        f"about {_whole_seconds(now.left)} left" if now.left and now.done else "",
        "simulated" if any(map(is_simulated, state.runs)) else dollars(now.cost),
        submission.experiment or "",
    ]
    said = [now.message or "", now.strays or ""]
    if state.error is not None:
        reasons = [*str(state.error).splitlines(), now.strays or ""]
    elif now.total == 1:  # all there is to say, and what to do next
        whys = [reason for run in state.runs if (reason := why(run))]
        reasons = [*said, *(line for reason in whys for line in (reason.text, reason.next))]
    else:
        reasons = [*said, *(f"{count(number, 'run')} {text}" for number, text in state.reasons)]
    return {
        "title": one_line(submission.title, 140),
        "word": word,
        "tone": tone,
        "figures": dot_list(figures),
        "percent": round(100 * now.done / max(now.total, 1)),
        "has_bar": now.total > 1,
        "is_done": state.is_done,
        "reasons": [reason for reason in reasons if reason],
    }


def state_word(state: SubmissionState) -> tuple[str, str]:
    """The state in a word or two, and its tone."""
    now = state.progress
    if not state.is_done:
        words = {"waiting": "Waiting", "canceling": "Canceling"}
        return "Submitted" if state.phase == "submitted" else words.get(now.state, "Running"), "busy"
    if state.error is not None:
        return ("Not sent" if state.phase == "refused" else "Stopped"), "bad"
    if now.succeeded == now.total:
        return "Done", "good"
    if now.total == 1 and state.runs:
        status = chip(state.runs[0])
        return status.word.capitalize(), status.tone
    if now.canceled or now.done < now.total:
        return ("Stopped", "warn") if now.message and not now.canceled else ("Canceled", "quiet")
    return ("Done" if now.succeeded else "Failed"), ("warn" if now.succeeded else "bad")


def _whole_seconds(value: float | None) -> str:
    """Seconds without tenths, so that a card changes once a second."""
    return seconds(float(int(value))).replace(".0 s", " s") if value is not None else ""


# -- the submissions -------------------------------------------------------------------------------------------------

Phase = Literal["submitted", "running", "ended", "refused"]
"""`refused` is what was never sent."""

DONE = ("ended", "refused")

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class SubmissionState:
    """How far a submission has come. `slots` are the runs in their places, None for one to come; of many, the last.

    `reasons` say of all of them how often there is no image, and why; `ids` are those of all that ended.
    """

    phase: Phase
    progress: Progress
    slots: Sequence[Run | None] = ()
    reasons: Sequence[tuple[int, str]] = ()
    error: ImagenError | None = None
    ids: Sequence[str] = ()

    @property
    def runs(self) -> list[Run]:
        """The runs on show."""
        return [run for run in self.slots if run is not None]

    @property
    def is_done(self) -> bool:
        return self.phase in DONE


class Submission:
    """One press of Generate: a plan, and what becomes of it. `budget` is what it may spend, in US dollars."""

    def __init__(
        self, plan: Plan, experiment: str | None, budget: float | None = None, *, tag: str | None = None
    ) -> None:
        self.number = next(_numbers)
        self.size = len(plan)
        self.title = plan[0].prompt if len(plan) == 1 else " / ".join(plan.templates)
        self.experiment = experiment
        self.varies = tuple(axis.name for axis in plan.axes)
        """The names of what differs between its runs."""
        ratio = _RATIO.fullmatch(str(plan[0].params.get("aspect_ratio"))) if "aspect_ratio" not in self.varies else None
        self.shape = int(ratio[1]) / int(ratio[2]) if ratio else 1.0
        """Width over height of what its pictures will be."""
        self._plan: Plan | None = plan
        self._budget, self._tag = budget, tag
        self._submitted_at = time.monotonic()
        self._runs: Runs | None = None
        self._is_canceled = threading.Event()
        self._last: SubmissionState | None = None
        self._counted: tuple[int, Sequence[tuple[int, str]], Sequence[str]] = (0, (), ())

    def cancel(self) -> None:
        """Send nothing more and cancel what is in flight; returns at once."""
        self._is_canceled.set()
        if (runs := self._runs) is not None:
            runs.cancel()

    def send(self, workspace: Workspace) -> None:
        """Hand the plan to the workspace; what keeps it from being sent becomes part of the state."""
        plan, self._plan = self._plan, None
        error: ImagenError | None = None
        if plan is None or self._is_canceled.is_set():
            error = ImagenError("canceled before it was sent; nothing was asked for")
        else:
            try:
                self._runs = workspace.submit(plan, experiment=self.experiment, tag=self._tag, budget=self._budget)
            except ImagenError as refusal:
                error = refusal
            except Exception as mistake:  # noqa: BLE001 - a thread's traceback would land in whatever cell runs now
                what = f"{type(mistake).__name__}: {mistake}"
                error = ImagenError(f"it was not sent, by a mistake in imagen_nb itself: {what}")
        if error is not None:
            self._last = SubmissionState("refused", self._unsent_progress(), error=error)
        elif self._is_canceled.is_set():
            self.cancel()

    def state(self) -> SubmissionState:
        """How far it has come, now."""
        runs = self._runs
        if self._last is not None or runs is None:
            slots = [None] * min(self.size, SHOWN)
            return self._last or SubmissionState("submitted", self._unsent_progress(), slots)
        is_done = runs.is_done
        ended = len(runs)
        if self._counted[0] != ended:  # there may be thousands, and a card asks four times a second
            self._counted = ended, failures(list(runs)), [run.id for run in runs]
        _, reasons, ids = self._counted
        phase: Phase = "ended" if is_done else "running"
        seen = SubmissionState(phase, runs.progress(), runs.slots(SHOWN), reasons, runs.error, ids)
        if is_done:  # keep only what is shown, and not what made it
            self._last, self._runs = seen, None
        return seen

    def _unsent_progress(self) -> Progress:
        return Progress(total=self.size, elapsed=time.monotonic() - self._submitted_at)


class Submissions:
    """The submissions of one workspace, the newest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._submissions: list[Submission] = []
        self._watchers: WeakSet[threading.Event] = WeakSet()

    def __iter__(self) -> Iterator[Submission]:
        with self._lock:
            return iter(tuple(self._submissions))

    def submit(
        self,
        workspace: Workspace,
        plan: Plan,
        experiment: str | None,
        budget: float | None = None,
        *,
        tag: str | None = None,
    ) -> Submission:
        """Begin to send a plan, on a thread of its own; returns at once. `budget` is in US dollars."""
        submission = Submission(plan, experiment, budget, tag=tag)
        with self._lock:
            ended = [each for each in self._submissions if each.state().is_done]
            dropped = set(ended[KEPT - 1 :])
            self._submissions = [submission, *(each for each in self._submissions if each not in dropped)]
        self.wake()

        def send() -> None:
            submission.send(workspace)
            self.wake()

        threading.Thread(target=send, name="imagen-panel-send", daemon=True).start()
        return submission

    def dismiss(self, submission: Submission) -> None:
        """Show this one no more; its runs stay in the log."""
        with self._lock:
            self._submissions = [each for each in self._submissions if each is not submission]
        self.wake()

    def watch(self, wake: threading.Event) -> None:
        """Set `wake` whenever there is something new, for as long as somebody holds it."""
        with self._lock:
            self._watchers.add(wake)

    def wake(self) -> None:
        """Let every watcher look."""
        with self._lock:
            for event in self._watchers:
                event.set()


_submissions: WeakKeyDictionary[Workspace, Submissions] = WeakKeyDictionary()
_submissions_lock = threading.Lock()


def submissions_of(workspace: Workspace) -> Submissions:
    """The submissions that all panels on this workspace share."""
    with _submissions_lock:
        return _submissions.setdefault(workspace, Submissions())
