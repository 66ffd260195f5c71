"""What was submitted and how far it is: a card for each press of Generate, with its images and its own Cancel."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import ImagenError
from imagen_nb.notebook.panel.form import close_all
from imagen_nb.notebook.widgets import Gallery, items_of, pictures_of, still_text
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Image, Progress, Run
from imagen_nb.views.cards import failures
from imagen_nb.views.pages import fill
from imagen_nb.views.words import chip, count, dollars, dot_list, one_line, seconds, value_text, why

if TYPE_CHECKING:
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.workspace import Workspace

ONE_TILE, MANY_TILE = 300, 128
ONE_PX, MANY_PX = 512, 256


class Card:
    """One submission. All but `press` is called by the panel's updater."""

    def __init__(self, submission: Submission, feed: Feed, gallery: Gallery) -> None:
        self.submission = submission
        self.gallery = gallery
        self._feed = feed
        self._said = w.HTML()
        self._button = w.Button(description="Cancel", layout={"width": "auto"})
        self._button.add_class("inb-small-button")
        self._button.on_click(self._pressed)
        head = w.HBox([self._said, self._button])
        head.add_class("inb-card-head")
        self.box = w.VBox([head, gallery])
        self.box.add_class("inb-card")
        self._is_done = False

    def draw(self) -> list[Image]:
        """Show how far it is; gives the images whose thumbnails are still to come."""
        standing = self.submission.standing()
        text = fill("submission.html", **described(self.submission, standing))
        if text != self._said.value:
            self._said.value = text
        if standing.is_done and not self._is_done:
            self._is_done = True
            self._button.description = "Dismiss"
            self._button.disabled = False
            self._button.tooltip = "Take this card away; its runs stay in the log"
        items = _items(self.submission, standing.runs)
        display = None if items else "none"
        if self.gallery.layout.display != display:
            self.gallery.layout.display = display
        pictures = pictures_of(standing.runs)
        return [pictures[key] for key in self.gallery.show(items)]

    def close(self) -> None:
        """Take the card away; what it stands for goes on."""
        close_all(self.box)

    def _pressed(self, button: Any) -> None:
        if self._is_done:
            self._feed.dismiss(self.submission)
        else:
            self.submission.cancel()
            button.description = "Canceling"
            button.disabled = True
            self._feed.wake()


class Queue:
    """The cards of a feed, the newest first."""

    def __init__(self, feed: Feed, larger: Callable[[Gallery, str], None], picked: Callable[[Any], None]) -> None:
        self._feed = feed
        self._larger = larger
        self._picked = picked
        self._cards: dict[int, Card] = {}
        self._marks: Any = None
        self.has_news = False
        """Whether the last `draw` found something that the log may show too."""
        self.is_busy = False
        """Whether anything on show was not done at the last `draw`."""
        self.news = ""
        """What a screen reader should say: the last submission that ended, and how."""
        self._empty = w.HTML(fill("empty.html"))
        self.box = w.VBox([self._empty])
        self.box.add_class("inb-queue")

    def draw(self) -> dict[Gallery, list[Image]]:
        """Bring the cards up to date; gives the images whose thumbnails each still lacks."""
        shown = self._feed.submissions
        before = dict(self._cards)
        self._cards = {each.number: before.get(each.number) or self._made(each) for each in shown}
        wanted = {card.gallery: card.draw() for card in self._cards.values()}
        self._follow()
        if list(self._cards) != list(before):
            self.box.children = [card.box for card in self._cards.values()] or [self._empty]
        for number in before.keys() - self._cards.keys():
            before[number].close()
        return wanted

    @property
    def galleries(self) -> list[Gallery]:
        return [card.gallery for card in self._cards.values()]

    @property
    def runs(self) -> list[Run]:
        """The runs whose images are on show."""
        return [run for card in self._cards.values() for run in card.submission.standing().runs]

    def _follow(self) -> None:
        """Notice what changed since the last look."""
        standings = [(card, card.submission.standing()) for card in self._cards.values()]
        marks = {card.submission.number: (now.is_sent, now.is_done, now.progress.done) for card, now in standings}
        self.has_news, before = marks != self._marks, self._marks or {}
        self._marks = marks
        self.is_busy = not all(now.is_done for _, now in standings)
        for card, now in standings:
            number = card.submission.number
            if now.is_done and number in before and not before[number][1]:
                self.news = f"{state_of(now)[0]}: {one_line(card.submission.title, 80)}"

    def _made(self, submission: Submission) -> Card:
        gallery = Gallery(
            self._larger,
            px=ONE_PX if submission.size == 1 else MANY_PX,
            label=f"Images of: {one_line(submission.title, 80)}",
            tile=ONE_TILE if submission.size == 1 else MANY_TILE,
            layout={"display": "none"},
        )
        gallery.still = {"text/plain": still_text(submission.standing().runs)}
        gallery.observe(self._picked, "picked")
        return Card(submission, self._feed, gallery)


def caption_of(run: Run, varies: Sequence[str]) -> str:
    """What tells a run from the others of its submission: the values that vary, else its number."""
    settings = {"prompt": run.request.prompt, "model": run.request.model, **run.request.slots, **run.request.params}
    parts = [one_line(value_text(settings[name]), 60) for name in varies if name in settings]
    return dot_list(parts) or f"no. {run.request.repeat}"


def _items(submission: Submission, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The card's tiles; of a request on its own the card says all that a tile without an image would."""
    if submission.size == 1:
        return [item for run in runs if run.images for item in items_of(run, "")]
    return [item for run in runs for item in items_of(run, caption_of(run, submission.varies))]


def described(submission: Submission, standing: Standing) -> dict[str, Any]:
    """What the card says: its state as a word and a tone, figures, and reasons for what went wrong."""
    word, tone = state_of(standing)
    progress = standing.progress
    return {
        "title": one_line(submission.title, 140),
        "word": word,
        "tone": tone,
        "figures": _figures(submission, standing),
        "percent": round(100 * progress.done / max(progress.total, 1)),
        "has_bar": progress.total > 1 and not standing.is_done,
        "reasons": _reasons(standing),
    }


def state_of(standing: Standing) -> tuple[str, str]:
    """The state in a word or two, and its tone."""
    now = standing.progress
    if not standing.is_done:
        words = {"waiting": "Waiting", "canceling": "Canceling"}
        return (words.get(now.state, "Running") if standing.is_sent else "Submitted"), "busy"
    if standing.error is not None:
        return "Stopped" if standing.is_sent else "Not sent", "bad"
    if now.succeeded == now.total:
        return "Done", "good"
    if now.total == 1 and standing.runs:
        state = chip(standing.runs[0])
        return state.word.capitalize(), state.tone
    if now.canceled or now.done < now.total:
        return ("Stopped", "warn") if now.message and not now.canceled else ("Canceled", "quiet")
    return ("Done" if now.succeeded else "Failed"), ("warn" if now.succeeded else "bad")


def _figures(submission: Submission, standing: Standing) -> str:
    now = standing.progress
    done = f"{now.done - now.canceled:,} of {now.total:,}" if now.total > 1 else ""
    failed = f"{now.failed:,} failed" if now.failed and now.total > 1 else ""
    hidden = f"the last {SHOWN} shown" if now.done > SHOWN else ""
    elapsed = seconds(now.elapsed) if standing.is_done else _whole(now.elapsed)
    left = f"about {_whole(now.left)} left" if now.left and now.done else ""
    return dot_list([done, failed, hidden, elapsed, left, dollars(now.cost), submission.experiment or ""])


def _reasons(standing: Standing) -> Sequence[str]:
    """What stopped it, or why runs have no image; of a request on its own also what to do next."""
    if standing.error is not None:
        return str(standing.error).splitlines()
    message = [standing.progress.message] if standing.progress.message else []
    if standing.progress.total == 1:
        return message + [line for run in standing.runs if (reason := why(run)) for line in (reason.text, reason.next)]
    return message + [f"{count(number, 'run')} {text}" for number, text in standing.reasons]


def _whole(value: float | None) -> str:
    """Seconds without tenths, so that a card changes once a second."""
    return seconds(float(int(value))).replace(".0 s", " s") if value is not None else ""


# ----------------------------------------------------------------------------------------------------
# What was submitted from panels: shared by all panels on one workspace, so that they show the same. A
# submission is sent on a thread of its own, because opening the log and the connections may take a moment; it
# outlives the panel it came from. Whoever watches is woken, and looks for itself.

KEPT = 6
"""How many submissions that have ended stay on show."""

SHOWN = 12
"""How many runs of one submission stay on show; the history has them all."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a submission has come. `runs` are those that ended; of many, the last ones.

    `reasons` say of all of them how often there is no image, and why.
    """

    progress: Progress
    runs: Sequence[Run] = ()
    reasons: Sequence[tuple[int, str]] = ()
    error: ImagenError | None = None
    is_sent: bool = False
    is_done: bool = False


class Submission:
    """One press of Generate: a plan, and what becomes of it. `budget` is what it may spend, in US dollars."""

    def __init__(self, plan: Plan, experiment: str | None, budget: float | None = None) -> None:
        self.number = next(_numbers)
        self.size = len(plan)
        self.title = plan[0].prompt if len(plan) == 1 else " / ".join(plan.templates)
        self.experiment = experiment
        self.varies = tuple(axis.name for axis in plan.axes)
        """The names of what differs between its runs."""
        self._plan: Plan | None = plan
        self._budget = budget
        self._asked_at = time.monotonic()
        self._runs: Runs | None = None
        self._is_canceled = threading.Event()
        self._last: Standing | None = None
        self._counted: tuple[int, Sequence[tuple[int, str]]] = (0, ())

    def cancel(self) -> None:
        """Send nothing more and cancel what is in flight; returns at once."""
        self._is_canceled.set()
        if (runs := self._runs) is not None:
            runs.cancel()

    def send(self, workspace: Workspace) -> None:
        """Hand the plan to the workspace; what keeps it from being sent becomes part of the standing."""
        plan, self._plan = self._plan, None
        try:
            if plan is None or self._is_canceled.is_set():
                raise ImagenError("canceled before it was sent; nothing was asked for")  # noqa: TRY301 - one way to end
            runs = workspace.submit(plan, experiment=self.experiment, budget=self._budget)
        except ImagenError as error:
            self._end(Standing(self._waiting(), error=error))
        except Exception as error:  # noqa: BLE001 - a thread's traceback would land in whatever cell runs now
            reason = ImagenError(f"it was not sent, by a mistake in imagen_nb itself: {type(error).__name__}: {error}")
            self._end(Standing(self._waiting(), error=reason))
        else:
            self._runs = runs
            if self._is_canceled.is_set():
                runs.cancel()

    def standing(self) -> Standing:
        """How far it has come, now."""
        runs = self._runs
        if self._last is not None or runs is None:
            return self._last or Standing(self._waiting())
        is_done = runs.is_done
        seen = Standing(runs.progress(), _shown(runs), self._reasons(runs), _error(runs), is_sent=True, is_done=is_done)
        if is_done:
            self._end(seen)
        return seen

    def _reasons(self, runs: Runs) -> Sequence[tuple[int, str]]:
        """Counted anew only where more runs have ended: there may be thousands, and a card asks four times a second."""
        ended = len(runs)
        if self._counted[0] != ended:
            self._counted = ended, failures(list(runs))
        return self._counted[1]

    def _waiting(self) -> Progress:
        return Progress(total=self.size, elapsed=time.monotonic() - self._asked_at)

    def _end(self, standing: Standing) -> None:
        """Keep only what is shown: a run's way to display itself would keep the workspace alive."""
        self._last = replace(standing, runs=standing.runs, is_done=True)
        self._runs = None


class Feed:
    """The submissions of one workspace, the newest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._submissions: list[Submission] = []
        self._watchers: WeakSet[threading.Event] = WeakSet()

    @property
    def submissions(self) -> list[Submission]:
        with self._lock:
            return list(self._submissions)

    def submit(
        self, workspace: Workspace, plan: Plan, experiment: str | None, budget: float | None = None
    ) -> Submission:
        """Begin to send a plan, on a thread of its own; returns at once. `budget` is in US dollars."""
        submission = Submission(plan, experiment, budget)
        with self._lock:
            ended = [each for each in self._submissions if each.standing().is_done]
            dropped = set(ended[KEPT - 1 :])
            self._submissions = [submission, *(each for each in self._submissions if each not in dropped)]
        self.wake()
        threading.Thread(target=self._send, args=(submission, workspace), name="imagen-panel-send", daemon=True).start()
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

    def _send(self, submission: Submission, workspace: Workspace) -> None:
        submission.send(workspace)
        self.wake()


_feeds: WeakKeyDictionary[Workspace, Feed] = WeakKeyDictionary()
_feeds_lock = threading.Lock()


def feed_of(workspace: Workspace) -> Feed:
    """The feed that all panels on this workspace share."""
    with _feeds_lock:
        return _feeds.setdefault(workspace, Feed())


def _shown(runs: Runs) -> list[Run]:
    return list(runs) if len(runs) <= SHOWN else runs.recent(SHOWN)


def _error(runs: Runs) -> ImagenError | None:
    error = runs.error
    return error if error is None or isinstance(error, ImagenError) else ImagenError(str(error))
