"""A plan being run: many requests on a few worker threads, and the handle of their runs.

A plan of any size needs little memory, because a job exists only while it is worked on. The budget is reserved before a
job is taken and settled after. An error that every further request would meet stops the sweep; what is in flight then
is paid for, and goes on to its end. What carries a request is imported when a sweep begins, so that a completion may
look at `Runs` and load nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast, overload

from imagen_nb.errors import Hint, ImagenError, LogError, UncertainError, comma_list
from imagen_nb.records import NOT_AS_ASKED, Progress, Rendering, Request, Run, Status
from imagen_nb.settings import SLICE_S
from imagen_nb.views.words import dollars

if TYPE_CHECKING:
    from imagen_nb.accessor import LogFrame
    from imagen_nb.log.log import Log
    from imagen_nb.sweeps.one_request import Job, RunOptions, SweepContext

STRAYS_S = 5.0
"""How long looking for predictions that are no row's may take at the end of a sweep, in seconds."""

ALARMS_FROM, ALARMS_LOOK, ALARMS_S = 8, 300, 1.0
"""A sweep of so many runs is looked at for alarms, at so many of its pictures and for so many seconds at most."""

_CENT_FRACTION = 1e-9  # sums of prices are floats
_WHY_NOT_ASKED = {
    "not_sent": "It was tried several times, and the list of predictions shows none of them. Try again later.",
    "uncertain": Hint(
        "It may have been accepted, so it is not sent again; {} finds out.",
        "imagen_nb.reconcile()",
        "imagen-nb reconcile",
    ),
}


class Runs(Sequence[Run]):
    """The runs of one plan that have ended so far, in the plan's order; complete when `is_done`.

    It fills in while they run, and is what the cell shows in the end. A copy, and what is pickled, has the runs that
    had ended and fills in no more: it looks as a sweep of those alone, and `frame()` reads their home's log.
    """

    def __init__(self, jobs: Iterable[Job], total: int, options: RunOptions, context: SweepContext) -> None:
        from imagen_nb.sweeps.one_request import RequestDriver

        self.error: ImagenError | None = None
        """What stopped the sweep before its end, or None."""
        self._jobs = iter(jobs)
        self._options = options
        self._context = context
        self._log: Log | None = context.log
        self._home = context.log.home
        self._stop = threading.Event()
        self._driver = RequestDriver(options, context, self._stop, is_single=total == 1)
        self._source = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._workers = 0
        self._began = time.monotonic()
        self._ended_at: float | None = None
        self._spent = 0.0
        self._reserved = 0.0
        self._is_budget_reached = False
        self._progress = Progress(total=total, is_simulated=context.provider.is_simulator)
        self._ended: list[tuple[int, Run]] = []
        self._sorted: list[Run] | None = None
        self._alarms: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: values alone."""
        with self._changed:
            ended, now = list(self._ended), self.progress()
        if now.state != "ended":
            now = replace(now, total=now.done, in_flight=0, left=None, state="ended", message=None)
        return {"ended": ended, "progress": now, "error": self.error, "home": self._home}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.error, self._ended, self._home = state["error"], state["ended"], state["home"]
        self._progress = state["progress"]
        self._log, self._sorted, self._alarms = None, None, None
        self._changed, self._stop = threading.Condition(), threading.Event()
        self._began, self._ended_at = 0.0, self._progress.elapsed

    def start(self) -> Runs:
        """Begin; returns at once. Raises `ImagenError` where the system gives not one thread."""
        try:
            for number in range(max(1, min(self._options.jobs, self._progress.total))):
                with self._changed:
                    self._workers += 1
                try:
                    threading.Thread(target=self._work, name=f"imagen-run-{number}", daemon=True).start()
                except RuntimeError:  # no more threads: those that there are do all the work
                    self._leave()
                    if number == 0:
                        message = "this process can start no more threads"
                        raise ImagenError(message, "Close what it runs beside.") from None
                    break
        except KeyboardInterrupt:
            self.cancel()
            raise
        return self

    # -- waiting -------------------------------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Whether every run has ended."""
        return self._ended_at is not None

    def is_done_within(self, timeout: float | None) -> bool:
        """Whether every run has ended, after waiting for that for `timeout` seconds at most; None: for ever.

        Waits in short slices, because on some platforms only so a KeyboardInterrupt comes through.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self.is_done:
                left = SLICE_S if deadline is None else min(SLICE_S, deadline - time.monotonic())
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def wait(self, timeout: float | None = None) -> Runs:
        """Wait for the end, `timeout` seconds at most (default: as long as it takes), and give the runs themselves.

        Raises the `ImagenError` that stopped the sweep, if one did.
        """
        if self.is_done_within(timeout) and self.error is not None:
            raise self.error
        return self

    def only(self) -> Run:
        """The run of a plan of one request, waited for.

        Raises what kept it from being asked, and `UncertainError` where nobody knows whether it was.
        """
        run = self.wait()[0]
        if run.prediction_id is None and run.error_code in _WHY_NOT_ASKED:
            raise UncertainError(str(run.error), _WHY_NOT_ASKED[run.error_code])
        return run

    def cancel(self) -> Runs:
        """Send nothing more and cancel what is in flight; returns at once, `.wait()` waits for the last rows."""
        if not self._stop.is_set() and not self.is_done:
            with self._changed:
                self._progress = replace(self._progress, state="canceling")
            self._stop.set()
            threading.Thread(target=self._driver.cancel_held, name="imagen-cancel", daemon=True).start()
        return self

    def progress(self) -> Progress:
        """Counts, seconds and cost so far."""
        with self._changed:
            now = self._progress
            elapsed = (self._ended_at or time.monotonic()) - self._began
            pause = 0.0 if self.is_done else self._context.connections.api.pacer.pause_left
        fresh = now.done - now.skipped
        left = elapsed / fresh * (now.total - now.done) if fresh > 0 and not self.is_done else None
        if pause > 1.0 and now.state == "running":
            now = replace(now, state="waiting", message=f"the provider asks to wait, {pause:.0f} s left")
        return replace(now, elapsed=elapsed, left=left)

    def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
        """Each run as it ends, in the order of ending."""
        deadline = None if timeout is None else time.monotonic() + timeout
        place = 0
        while True:
            is_last = self.is_done
            with self._changed:
                fresh = [run for _, run in self._ended[place:]]
            yield from fresh
            place += len(fresh)
            if is_last or (deadline is not None and time.monotonic() > deadline):
                return
            if not fresh:
                self.is_done_within(SLICE_S)

    def recent(self, count: int) -> list[Run]:
        """The last `count` runs that ended, the newest first."""
        with self._changed:
            return [run for _, run in self._ended[: -count - 1 : -1]]

    def slots(self, count: int) -> list[Run | None]:
        """The plan's runs, each in its place, None for one that has not ended.

        Of a plan of more than `count`, the last that ended: each takes the place of the oldest, and no other moves.
        """
        with self._changed:
            total, first = self._progress.total, max(0, len(self._ended) - count)
            found: list[Run | None] = [None] * min(total, count)
            for at, (place, run) in enumerate(self._ended[first:], first):
                found[place if total <= count else at % count] = run
        return found

    # -- a sequence, and how it looks ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._ended)

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...
    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        return self._in_order()[place]

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._in_order()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runs) and len(self) == len(other) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self._home)  # what stays as it is while they fill in

    def _in_order(self) -> list[Run]:
        with self._changed:
            if self._sorted is None:
                self._sorted = [run for _, run in sorted(self._ended, key=itemgetter(0))]
            return self._sorted

    def frame(self) -> LogFrame:
        """These runs as rows of the log, in the plan's order."""
        from imagen_nb.log.database import FILE_NAME
        from imagen_nb.log.frame import frame
        from imagen_nb.log.log import Log

        log, ids = self._log, [run.id for run in self._in_order()]
        try:
            rows = None if log is None else frame(log, ids=ids)
        except LogError:
            if log is None or not log.is_there:
                raise
            rows = None
        if rows is None and (self._home / FILE_NAME).is_file():
            with Log(self._home) as again:  # these are a copy, or the log was closed with its workspace
                rows = frame(again, ids=ids)
        if rows is None or not set(ids) <= set(rows.index):
            raise LogError(f"the log of these runs is not in {self._home}", "They are here as values: list(runs).")
        return cast("LogFrame", rows.loc[ids])

    def show(self) -> None:
        """Display it here: as a cell's output in a notebook, as text elsewhere."""
        from imagen_nb.notebook.live import show

        show(self)

    def __repr__(self) -> str:
        now = self.progress()
        return f"<Runs: {now.done} of {now.total} ended, {now.succeeded} succeeded>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - Jupyter's signature
        from imagen_nb.views.cards import render_sweep

        return render_sweep(list(self), progress=self.progress(), alarms=self.alarms())

    def alarms(self) -> str:
        """What is suspicious in a sweep of 8 runs or more that has ended, in a line; "" where nothing is.

        It is looked for once, when it is first shown: at 300 pictures at most, and for about a second.
        """
        if self._alarms is None and self.is_done:
            self._alarms = ""
            with suppress(Exception):  # whatever is amiss with a picture or a row: no sweep fails by being looked at
                if len(self) >= ALARMS_FROM and len(found := self.frame().imagen.alarms(ALARMS_LOOK, ALARMS_S)):
                    self._alarms = f"{found.sentence.removesuffix('.')}; df.imagen.alarms() names the runs"
        return self._alarms or ""

    # -- the workers ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (job := self._take_next()) is not None:
                self._run(job)
        except ImagenError as error:
            self._halt(error)
        except BaseException as error:
            self._halt(ImagenError(f"the sweep stopped on a mistake in imagen_nb itself: {type(error).__name__}"))
            raise
        finally:
            self._leave()

    def _take_next(self) -> Job | None:
        """The next job that needs work, with its row in the log; None when there is none or the sweep stops.

        One at a time, so that the log has a plan's rows in the plan's order.
        """
        from imagen_nb.sweeps.one_request import JobState

        pacer = self._context.connections.api.pacer
        with self._source:
            while not self._is_closed():
                job = next(self._jobs, None)
                if job is None:
                    break
                if job.state is not JobState.DONE:
                    is_ready = self._reserve(job)
                    if is_ready and job.is_to_send:  # wait until its create may pass
                        is_ready = pacer.stand_in_line(self._options.timeout, self._is_closed)
                    if not is_ready:
                        # Let go of it, and of its row where it was taken up again.
                        self._settle_budget(job, 0.0)
                        if job.run_id is not None:
                            self._context.log.release([job.run_id])
                        break
                    self._driver.write_row(job)
                if job.state is not JobState.DONE:
                    return job
                self._settle_budget(job, 0.0)
                self._count(job, skipped=1)
            # Last come those for which the list showed too little of ours when it was their turn.
            waiting = self._waiting.popleft() if self._waiting else None
            if waiting is not None and self._is_closed():
                waiting.state = JobState.LOST_DO_NOT_SEND
        return waiting

    def _run(self, job: Job) -> None:
        """One job, from wherever it stands to a settled row, or to where it has to wait for others."""
        from imagen_nb.sweeps.one_request import JobState

        with self._changed:
            self._progress = replace(self._progress, in_flight=self._progress.in_flight + 1)
        try:
            refusal = self._driver.run(job)
            if refusal is not None and (refusal.is_stopping or self._progress.total == 1):
                self._halt(refusal)
        finally:
            spent, run = 0.0, job.run
            if run is not None and (run.prediction_id is not None or run.status is not Status.FAILED):
                spent = job.reserved if run.cost is None else run.cost  # where it is not known the estimate, to be safe
            with self._changed:
                self._progress = replace(self._progress, in_flight=self._progress.in_flight - 1)
            self._settle_budget(job, spent)
        if job.state is JobState.WAITING:
            self._waiting.append(job)
        else:
            self._count(job)

    def _reserve(self, job: Job) -> bool:
        """Put the job's estimate aside, waiting for others to settle where that may make room; else stop cleanly."""
        budget = self._options.budget
        if budget is None:
            return True
        estimate = self._context.spec(job.request.model).most(job.request.input) or 0.0
        with self._changed:
            while self._spent + self._reserved + estimate > budget + _CENT_FRACTION:
                if self._is_closed():
                    return False
                if self._reserved <= _CENT_FRACTION:
                    self._progress = replace(self._progress, message=f"the budget of {dollars(budget)} is reached")
                    self._is_budget_reached = True
                    return False
                self._changed.wait(SLICE_S)
            self._reserved += estimate
            job.reserved = estimate
        return True

    def _settle_budget(self, job: Job, spent: float) -> None:
        """What was put aside for the job and not spent can be spent on others."""
        with self._changed:
            self._reserved -= job.reserved
            self._spent += spent
            self._changed.notify_all()

    def _count(self, job: Job, *, skipped: int = 0) -> None:
        """Take in the run that a job came to."""
        run = job.run
        assert run is not None  # noqa: S101 - a job that is done has one
        good = run.status is Status.SUCCEEDED
        by_user = not good and (run.error_code or run.status) == "canceled"
        bad = not good and not by_user and (run.status.is_terminal or run.status is Status.UNKNOWN)
        with self._changed:
            now = self._progress
            self._progress = replace(
                now,
                done=now.done + 1,
                succeeded=now.succeeded + good,
                failed=now.failed + bad,
                canceled=now.canceled + by_user,
                skipped=now.skipped + skipped,
                cost=now.cost if run.cost is None or skipped else (now.cost or 0.0) + run.cost,
            )
            if run.error_code == NOT_AS_ASKED and not now.message:  # said once, however many there are
                self._progress = replace(self._progress, message=f"not as asked for: {run.error}")
            self._ended.append((job.index, run))
            self._sorted = None

    def _halt(self, error: ImagenError) -> None:
        """Send nothing more because of an error, the first one counts; what is in flight is paid for and goes on."""
        with self._changed:
            self.error = self.error or error

    def _is_closed(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._stop.is_set() or self.error is not None or self._is_budget_reached

    def _leave(self) -> None:
        """A worker ends; with the last of them the sweep does."""
        with self._changed:
            self._workers -= 1
            is_last = self._workers == 0
            until = self._driver.resolved_until
        if is_last and until is not None and not self._stop.is_set():
            now, requests = time.monotonic(), [run.request for _, run in self._ended]
            with suppress(ImagenError):
                self.report_strays(requests, now - self._began, min(until, now + STRAYS_S))
        with self._changed:
            if is_last:
                self._progress = replace(self._progress, state="ended")
                self._ended_at = time.monotonic()
            self._changed.notify_all()

    def report_strays(self, requests: Iterable[Request], seconds: float, deadline: float) -> None:
        """Say in the message which predictions of the last `seconds` equal one of the requests and are no row's.

        Whatever made one, it is billed: it must not go unseen. Looking for them ends by the monotonic `deadline`.
        """
        strays = self._driver.find_strays(requests, seconds, deadline)
        if not strays:
            return
        said = "1 prediction" if len(strays) == 1 else f"{len(strays)} predictions"
        verb = "seems" if len(strays) == 1 else "seem"
        note = Hint(
            f"{said} more than asked for {verb} to be ours: id {comma_list(strays)}; {{}} makes a row of one",
            "imagen_nb.reconcile(adopt=[id])",
            "imagen-nb reconcile --adopt ID",
        )
        with self._changed:
            self._progress = replace(self._progress, strays=note)
