"""What was submitted from panels: shared by all panels on one workspace, so that they show the same.

A submission is sent on a thread of its own, because opening the log and the connections may take a moment; it outlives
the panel it came from. Whoever watches is woken, and looks for itself.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from imagen_nb.core.plan import Plan
from imagen_nb.core.records import Progress, Run
from imagen_nb.errors import ImagenError
from imagen_nb.view.cards import failures

if TYPE_CHECKING:
    from imagen_nb.runs import Runs
    from imagen_nb.workspace import Workspace

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
        self._last = replace(standing, runs=[replace(run, show=None) for run in standing.runs], is_done=True)
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
