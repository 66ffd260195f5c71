"""Runs many requests: a few worker threads pull tickets from one lazy source, and hand each run on as it ends.

A plan of any size needs little memory, because a request exists only while it is worked on. The budget is reserved
before a ticket is taken and settled after. An error that every further request would meet stops the sweep; what is in
flight then is paid for, and goes on to its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from imagen_nb.errors import ImagenError, InputError, UncertainError, brief
from imagen_nb.planning.plan import Plan
from imagen_nb.planning.values import label, positive_number, whole_number
from imagen_nb.records import Progress, Rendering, Run, Status
from imagen_nb.sweeps.collect import SLICE_S
from imagen_nb.sweeps.one_request import HOLD_S, Carrier, Desk, Terms, Ticket

if TYPE_CHECKING:
    import pandas as pd

_CENT_FRACTION = 1e-9  # sums of prices are floats


class Sweep:
    """Tickets on their way, on worker threads of their own; `ended(index, run)` is called for each run that ends."""

    def __init__(
        self, tickets: Iterable[Ticket], total: int, terms: Terms, desk: Desk, ended: Callable[[int, Run], None]
    ) -> None:
        self._tickets = iter(tickets)
        self._terms = terms
        self._desk = desk
        self._ended = ended
        self._stop = threading.Event()
        self._carrier = Carrier(terms, desk, self._stop)
        self._changed = threading.Condition()
        self._source = threading.Lock()
        self._workers = 0
        self._began = time.monotonic()
        self._ended_at: float | None = None
        self._spent = 0.0
        self._reserved = 0.0
        self._is_spent = False
        self._progress = Progress(total=total)
        self.error: ImagenError | None = None
        """What stopped the sweep before its end, or None."""

    def start(self) -> None:
        """Begin; returns at once. Raises `ImagenError` where the system gives not one thread."""
        for number in range(max(1, min(self._terms.jobs, self._progress.total))):
            with self._changed:
                self._workers += 1
            try:
                threading.Thread(target=self._work, name=f"imagen-run-{number}", daemon=True).start()
            except RuntimeError:  # no more threads: those that there are do all the work
                self._leave()
                if number == 0:
                    raise ImagenError("this process can start no more threads", "Close what it runs beside.") from None
                return

    def cancel(self) -> None:
        """Send nothing more, and cancel at the provider what is in flight; returns at once."""
        if not self._stop.is_set() and not self.is_done:
            self._note(state="canceling")
            self._stop.set()
            threading.Thread(target=self._carrier.cancel_held, name="imagen-cancel", daemon=True).start()

    @property
    def is_done(self) -> bool:
        return self._ended_at is not None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything has ended, for `timeout` seconds at most; whether it has.

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

    def progress(self) -> Progress:
        """How far the sweep has come."""
        with self._changed:
            now = self._progress
            elapsed = (self._ended_at or time.monotonic()) - self._began
            pause = 0.0 if self.is_done else self._desk.edges.api.pacer.waiting
        fresh = now.done - now.skipped
        left = elapsed / fresh * (now.total - now.done) if fresh > 0 and not self.is_done else None
        if pause > 1.0 and now.state == "running":
            now = replace(now, state="waiting", message=f"the provider asks to wait, {pause:.0f} s left")
        return replace(now, elapsed=elapsed, left=left)

    # -- the workers ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (ticket := self._next()) is not None:
                self._carry(ticket)
        except ImagenError as error:
            self._halt(error)
        except BaseException as error:
            self._halt(ImagenError(f"the sweep stopped on a mistake in imagen_nb itself: {type(error).__name__}"))
            raise
        finally:
            self._leave()

    def _next(self) -> Ticket | None:
        """The next ticket that needs work, with its row in the log; None when there is none or the sweep stops.

        One at a time, so that the log has a plan's rows in the plan's order.
        """
        with self._source:
            while not self._is_closed():
                ticket = next(self._tickets, None)
                if ticket is None:
                    return None
                if ticket.done is None and not (self._is_reserved(ticket) and self._is_admitted(ticket)):
                    self._give_back(ticket)
                    return None
                done = ticket.done or self._carrier.intend(ticket)
                if done is None:
                    return ticket
                self._free(ticket)
                self._count(ticket.index, done, skipped=1)
        return None

    def _is_admitted(self, ticket: Ticket) -> bool:
        """Wait until the ticket's create may pass; False where the sweep ends meanwhile."""
        if ticket.prediction is not None or ticket.is_lost:
            return True
        return self._desk.edges.api.pacer.stand_in_line(self._terms.timeout, self._is_over)

    def _give_back(self, ticket: Ticket) -> None:
        """Let go of a ticket that will not be carried, and of its row where it was taken up again."""
        self._free(ticket)
        if ticket.run_id is not None:
            self._desk.log.release([ticket.run_id])

    def _free(self, ticket: Ticket) -> None:
        """What was put aside for the ticket can be spent on others."""
        with self._changed:
            self._reserved -= ticket.reserved
            self._changed.notify_all()

    def _carry(self, ticket: Ticket) -> None:
        """One ticket, from wherever it stands to a settled row."""
        with self._changed:
            self._progress = replace(self._progress, in_flight=self._progress.in_flight + 1)
        run: Run | None = None
        try:
            run, refusal = self._carrier.carry(ticket)
            if refusal is not None and (refusal.is_stopping or self._progress.total == 1):
                self._halt(refusal)
        finally:
            with self._changed:
                self._progress = replace(self._progress, in_flight=self._progress.in_flight - 1)
                self._reserved -= ticket.reserved
                self._spent += _spent(run, ticket)
                self._changed.notify_all()
        if run is not None:
            self._count(ticket.index, run)

    # -- counting ------------------------------------------------------------------------------------------------

    def _is_reserved(self, ticket: Ticket) -> bool:
        """Put the ticket's estimate aside, waiting for others to settle where that may make room; else stop cleanly."""
        budget = self._terms.budget
        if budget is None:
            return True
        estimate = self._desk.spec(ticket.request.model).estimate(ticket.request.input) or 0.0
        with self._changed:
            while self._spent + self._reserved + estimate > budget + _CENT_FRACTION:
                if self._is_over():
                    return False
                if self._reserved <= _CENT_FRACTION or self._is_spent:
                    message = f"the budget of ${budget:.2f} is reached"
                    self._progress = replace(self._progress, message=message)
                    self._is_spent = True
                    return False
                self._changed.wait(SLICE_S)
            self._reserved += estimate
            ticket.reserved = estimate
        return True

    def _count(self, index: int, run: Run, *, skipped: int = 0) -> None:
        good = run.status is Status.SUCCEEDED
        by_user = not good and run.error_code == "canceled"
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
        self._ended(index, run)

    def _note(self, **changes: Any) -> None:
        with self._changed:
            self._progress = replace(self._progress, **changes)

    def _halt(self, error: ImagenError) -> None:
        """Send nothing more because of an error, the first one counts; what is in flight is paid for and goes on."""
        with self._changed:
            self.error = self.error or error

    def _is_closed(self) -> bool:
        return self._is_over() or self._is_spent

    def _is_over(self) -> bool:
        return self._stop.is_set() or self.error is not None

    def _leave(self) -> None:
        with self._changed:
            self._workers -= 1
            if self._workers == 0:
                self._progress = replace(self._progress, state="ended")
                self._ended_at = time.monotonic()
            self._changed.notify_all()


def _spent(run: Run | None, ticket: Ticket) -> float:
    """What a run counts against the budget: its cost, or where that is not known its estimate, to be safe."""
    if run is None or (run.prediction_id is None and run.status is Status.FAILED):
        return 0.0
    return ticket.reserved if run.cost is None else run.cost


# ----------------------------------------------------------------------------------------------------
# The handle of several runs: it fills in while they run, and is what the cell shows in the end.

_UNASKED = {
    "not_sent": "It was tried several times, and the list of predictions shows none of them. Try again later.",
    "uncertain": "It may have been accepted, so it is not sent again; imagen_nb.reconcile() finds out.",
}


class Runs(Sequence[Run]):
    """The runs of one plan that have ended so far, in the plan's order; complete when `is_done`.

    `frame` and `show` come from the workspace: rows of the log for run ids, and the display of a handle.
    """

    def __init__(self, frame: Callable[[list[str]], pd.DataFrame], show: Callable[[Runs], Rendering]) -> None:
        self._frame = frame
        self._show = show
        self._lock = threading.Lock()
        self._ended: list[tuple[int, Run]] = []
        self._sorted: list[Run] | None = None
        self._sweep: Sweep | None = None

    def start(self, sweep: Sweep) -> Runs:
        """Begin the sweep that fills this handle."""
        self._sweep = sweep
        sweep.start()
        return self

    def add(self, index: int, run: Run) -> None:
        """Take in the run that ended for the request at `index` of the plan."""
        with self._lock:
            self._ended.append((index, run))
            self._sorted = None

    # -- waiting -------------------------------------------------------------------------------------------------

    @property
    def sweep(self) -> Sweep:
        if self._sweep is None:
            raise RuntimeError("these runs were never started")
        return self._sweep

    @property
    def is_done(self) -> bool:
        """Whether every run has ended."""
        return self.sweep.is_done

    @property
    def error(self) -> Exception | None:
        """What stopped the sweep before its end, or None."""
        return self.sweep.error

    def progress(self) -> Progress:
        """Counts, seconds and cost so far."""
        return self.sweep.progress()

    def wait(self, timeout: float | None = None) -> Runs:
        """Wait for the end, `timeout` seconds at most (default: as long as it takes), and give the runs themselves.

        Raises the `ImagenError` that stopped the sweep, if one did.
        """
        if self.sweep.wait(timeout) and self.sweep.error is not None:
            raise self.sweep.error
        return self

    def only(self) -> Run:
        """The run of a plan of one request, waited for.

        Raises what kept it from being asked, and `UncertainError` where nobody knows whether it was.
        """
        run = self.wait()[0]
        if run.prediction_id is None and run.error_code in _UNASKED:
            raise UncertainError(str(run.error), _UNASKED[run.error_code])
        return run

    def cancel(self) -> Runs:
        """Send nothing more and cancel what is in flight; returns at once, `.wait()` waits for the last rows."""
        self.sweep.cancel()
        return self

    def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
        """Each run as it ends, in the order of ending."""
        deadline = None if timeout is None else time.monotonic() + timeout
        place = 0
        while True:
            is_last = self.is_done
            with self._lock:
                fresh = [run for _, run in self._ended[place:]]
            yield from fresh
            place += len(fresh)
            if is_last or (deadline is not None and time.monotonic() > deadline):
                return
            if not fresh:
                self.sweep.wait(SLICE_S)

    def recent(self, count: int) -> list[Run]:
        """The last `count` runs that ended, the newest first."""
        with self._lock:
            return [run for _, run in self._ended[: -count - 1 : -1]]

    # -- a sequence ----------------------------------------------------------------------------------------------

    def _in_order(self) -> list[Run]:
        with self._lock:
            if self._sorted is None:
                self._sorted = [run for _, run in sorted(self._ended, key=lambda each: each[0])]
            return self._sorted

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

    def frame(self) -> pd.DataFrame:
        """These runs as rows of the log, in the plan's order."""
        return self._frame([run.id for run in self._in_order()])

    def __repr__(self) -> str:
        now = self.progress()
        return f"<Runs: {now.done} of {now.total} ended, {now.succeeded} succeeded>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - Jupyter's signature
        return self._show(self)


# ----------------------------------------------------------------------------------------------------
# How requests are to be run, and what may be asked for.


def terms_of(
    plan: Plan,
    *,
    experiment: str | None,
    tag: str | None,
    budget: float | None,
    resume: bool,
    jobs: int,
    timeout: float,
    executor: Executor | None,
    hold: int | None,
) -> Terms:
    """The terms for a plan, checked. Raises `InputError` for what cannot be meant."""
    if not isinstance(plan, Plan):
        raise InputError(f"{brief(plan)} is no plan", "Make one of it with plan(), or use generate().")
    terms = Terms(
        experiment=label("experiment", experiment),
        tag=label("tag", tag),
        budget=_budget(budget, plan),
        resume=resume,
        jobs=whole_number("jobs", jobs),
        timeout=positive_number("timeout", timeout),
        hold=_hold(hold, len(plan)),
        executor=executor,
    )
    if resume and not terms.experiment:
        raise InputError("resume needs the experiment to go on with", "Add -e NAME (experiment=NAME in Python).")
    return terms


def _hold(hold: int | None, count: int) -> int | None:
    """For how many seconds each create is held: 0 is not at all, and without a word a single one is."""
    if hold is None:
        return HOLD_S if count == 1 else None
    return None if hold == 0 else whole_number("hold", hold, most=HOLD_S)


def _budget(budget: float | None, plan: Plan) -> float | None:
    if budget is None:
        return None
    budget = positive_number("budget", budget)
    if plan.cost is None:
        raise InputError(
            "a budget needs a price, and the price of a model in this plan is unknown",
            "Give it in US dollars an image: %config ImagenMagics.prices, or Workspace(prices={...}).",
        )
    return budget
