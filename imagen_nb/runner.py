"""Runs requests: reserve, intend, create, wait, fetch, record; each run is handed on as it ends.

A create is money, so it happens in one place (`_created`): the row is durable before the POST, the prediction's id
right after, and a lost reply is looked for, never blindly repeated. A few worker threads each carry one ticket at a time
from the request to the log; they pull from one lazy source, so that a plan of any size needs little memory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from imagen_nb.collect import Edges, Task, collect, gather, unfinished
from imagen_nb.core.models import ModelSpec, cost_of
from imagen_nb.core.records import Outcome, Prediction, Progress, Request, Run, Status
from imagen_nb.errors import ImagenError, LogError, ProviderError
from imagen_nb.reconcile import LEFTOVER_SLACK, SETTLE_S, Fate, Lost, Search
from imagen_nb.settings import Provider
from imagen_nb.store.log import Log

SLICE_S = 0.25
CANCEL_S = 10.0
"""How long asking the provider to cancel one prediction may take, in seconds."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How requests are to be run. `timeout` is seconds for one prediction, `budget` is US dollars for all of them.

    `hold` is for how many seconds (1 to 60) each create is held open at the provider, or None for not at all.
    """

    experiment: str | None = None
    tag: str | None = None
    budget: float | None = None
    resume: bool = False
    jobs: int = 16
    timeout: float = 600.0
    hold: int | None = None
    executor: Executor | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What a sweep works with."""

    provider: Provider
    edges: Edges
    log: Log
    spec: Callable[[str], ModelSpec]
    settle_s: float = SETTLE_S


@dataclass(slots=True)
class Ticket:
    """One request on its way. A ticket that resumes a row has its `run_id`, and `prediction` where one was accepted.

    `is_lost` marks a row whose create may or may not have been accepted; `may_send` is False where such a row is only
    to be settled, not asked for again. `done` is an earlier run that already answers the request.
    """

    index: int
    request: Request
    run_id: str | None = None
    prediction: Prediction | None = None
    is_lost: bool = False
    may_send: bool = True
    intended_at: datetime | None = None
    reserved: float = 0.0
    done: Run | None = None


class Sweep:
    """Tickets on their way, on worker threads of their own; `ended(index, run)` is called for each run that ends."""

    def __init__(
        self, tickets: Iterable[Ticket], total: int, terms: Terms, desk: Desk, ended: Callable[[int, Run], None]
    ) -> None:
        self._tickets = iter(tickets)
        self._terms = terms
        self._desk = desk
        self._ended = ended
        self._search = Search(
            desk.edges.api,
            desk.log,
            desk.provider.name,
            desk.spec,
            stop=(stop := threading.Event()),
            settle_s=desk.settle_s,
        )
        self._stop = stop
        self._changed = threading.Condition()
        self._source = threading.Lock()
        self._creating: dict[int, tuple[Ticket, Lost]] = {}
        self._durations: dict[str, deque[float]] = {}
        self._workers = 0
        self._began = time.monotonic()
        self._ended_at: float | None = None
        self._spent = 0.0
        self._reserved = 0.0
        self._progress = Progress(total=total)
        self.error: ImagenError | None = None
        """What stopped the sweep before its end, or None."""

    def start(self) -> None:
        """Begin; returns at once."""
        count = max(1, min(self._terms.jobs, self._progress.total))
        self._workers = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"imagen-run-{number}", daemon=True).start()

    def cancel(self) -> None:
        """Send nothing more, and cancel at the provider what is in flight; returns at once."""
        if not self._stop.is_set() and not self.is_done:
            self._note(state="canceling")
            self._stop.set()
            threading.Thread(target=self._cancel_held, name="imagen-cancel", daemon=True).start()

    @property
    def is_done(self) -> bool:
        return self._ended_at is not None

    @property
    def is_canceled(self) -> bool:
        return self._stop.is_set()

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
            pause = 0.0 if self.is_done else self._desk.edges.api.pause_s
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
        """The next ticket that needs work and fits the budget; None when there is none or the sweep stops."""
        with self._source:
            while not self._is_closed():
                ticket = next(self._tickets, None)
                if ticket is None:
                    return None
                if ticket.done is not None:
                    self._count(ticket.index, ticket.done, skipped=1)
                elif self._is_reserved(ticket):
                    return ticket
                else:
                    return None
        return None

    def _carry(self, ticket: Ticket) -> None:
        """One ticket, from wherever it stands to a settled row."""
        with self._changed:
            self._progress = replace(self._progress, in_flight=self._progress.in_flight + 1)
        run: Run | None = None
        try:
            run = self._carried(ticket)
        finally:
            with self._changed:
                self._progress = replace(self._progress, in_flight=self._progress.in_flight - 1)
                self._reserved -= ticket.reserved
                self._spent += _spent(run, ticket)
                self._changed.notify_all()
        if run is not None:
            self._count(ticket.index, run)

    def _carried(self, ticket: Ticket) -> Run | None:
        log = self._desk.log
        if ticket.run_id is None:
            (ticket.run_id,) = log.intend(
                [ticket.request],
                provider=self._desk.provider.name,
                experiment=self._terms.experiment,
                tag=self._terms.tag,
            )
        try:
            prediction = ticket.prediction or self._created(ticket)
        except ProviderError as error:
            if error.is_stopping or self._progress.total == 1:
                self._halt(error)
            return log.settle(ticket.run_id, Status.FAILED, error=error.message, error_code=error.code)
        if prediction is None:
            return log.get(ticket.run_id)
        return self._recorded(ticket, self._gathered(ticket, prediction))

    def _created(self, ticket: Ticket) -> Prediction | None:
        """The accepted prediction of a ticket, or None where its fate is settled or stays unknown in the log."""
        desk, run_id = self._desk, str(ticket.run_id)
        lost = Lost(run_id, ticket.request, ticket.intended_at or _utc(), slack=LEFTOVER_SLACK)
        if not ticket.is_lost:
            lost = Lost(run_id, ticket.request, _utc(), skew=desk.edges.api.clock_skew)
            prediction = self._posted(ticket, lost)
            if prediction is not None and desk.log.accept(run_id, prediction):
                return prediction
        while True:
            lost = replace(lost, lost_at=time.monotonic(), finding=None, settled=threading.Event())
            finding = self._search.find(lost)
            if isinstance(finding, Prediction):
                return finding
            if finding is not Fate.MISSING or not ticket.may_send or not desk.log.begin_resubmission(run_id):
                return self._unfound(ticket, finding)
            prediction = self._posted(ticket, lost)
            if prediction is not None and desk.log.accept(run_id, prediction):
                return prediction

    def _posted(self, ticket: Ticket, lost: Lost) -> Prediction | None:
        """The reply to the one POST, or None where it was lost."""
        terms, deadline = self._terms, time.monotonic() + self._terms.timeout
        with self._changed:
            self._creating[ticket.index] = (ticket, lost)
        try:
            return self._desk.edges.api.create(
                ticket.request, deadline=deadline, hold=terms.hold, cancel_after=terms.timeout, stop=self._stop
            )
        except ProviderError as error:
            if not error.is_uncertain:
                raise
            self._desk.log.mark_unknown(lost.run_id, error.message)
            return None
        finally:
            with self._changed:
                del self._creating[ticket.index]

    def _unfound(self, ticket: Ticket, fate: Fate) -> None:
        run_id = str(ticket.run_id)
        if fate is Fate.MISSING:
            self._desk.log.settle(run_id, Status.FAILED, error=fate.value, error_code="not_sent")
        else:
            self._desk.log.mark_unknown(run_id, f"the reply was lost, and {fate.value}")

    # -- waiting and fetching ------------------------------------------------------------------------------------

    def _gathered(self, ticket: Ticket, prediction: Prediction) -> Outcome:
        """What became of an accepted prediction; one given up on is canceled first."""
        deadline = time.monotonic() + self._terms.timeout
        outcome = self._waited(ticket, prediction, deadline)
        if outcome.status.is_terminal or outcome.status is Status.UNKNOWN:
            return outcome
        by_user = self._stop.is_set()
        reason = "canceled by the user" if by_user else f"gave up after {self._terms.timeout:g} s"
        code = "canceled" if by_user else "timeout"
        last = self._canceled(outcome.prediction)
        if last is None or not last.status.is_terminal:
            return unfinished(
                outcome, error=f"{reason}; the provider did not confirm the cancellation", error_code=code
            )
        outcome = gather(self._desk.edges, last, deadline=time.monotonic() + CANCEL_S)
        if outcome.status in (Status.CANCELED, Status.ABORTED):
            return replace(outcome, error=reason, error_code=code)
        return outcome

    def _waited(self, ticket: Ticket, prediction: Prediction, deadline: float) -> Outcome:
        model = ticket.request.model
        typical = self._desk.spec(model).typical_s
        if self._terms.executor is not None:
            return self._delegated(self._terms.executor, prediction, deadline, model, typical)
        return gather(
            self._desk.edges,
            prediction,
            deadline=deadline,
            history=lambda: self._history(model),
            typical=typical,
            stop=self._stop,
            watch=lambda seen: self._desk.log.observe(str(ticket.run_id), seen),
        )

    def _delegated(
        self, executor: Executor, prediction: Prediction, deadline: float, model: str, typical: float | None
    ) -> Outcome:
        """The same, on the caller's executor; a stop only leaves, the cancellation ends it there."""
        desk = self._desk
        task = Task(
            provider=desk.provider,
            home=desk.edges.images.home,
            prediction=prediction,
            timeout=max(0.0, deadline - time.monotonic()),
            history=tuple(self._history(model)),
            typical=typical,
        )
        future = executor.submit(collect, task)
        while not self._stop.is_set():
            try:
                return future.result(SLICE_S)
            except (FutureTimeoutError, TimeoutError):
                if future.done():
                    raise
        future.cancel()
        return Outcome(prediction, status=prediction.status)

    def _canceled(self, prediction: Prediction) -> Prediction | None:
        """The prediction after asking to cancel it, or None where the provider cannot or will not say."""
        api, deadline = self._desk.edges.api, time.monotonic() + CANCEL_S
        try:
            last = api.cancel(prediction.id, deadline=deadline)
            while last is not None and not last.status.is_terminal and time.monotonic() < deadline:
                time.sleep(SLICE_S)
                last = api.get(prediction.id, deadline=deadline)
        except ProviderError:
            return None
        return last

    def _cancel_held(self) -> None:
        """Cancel what creates still held open have become: their ids are not known yet, so they are looked up."""
        with self._changed:
            held = {lost.run_id: lost for _, lost in self._creating.values()}
        try:
            for prediction in self._search.glance(held.values()).values():
                self._desk.edges.api.cancel(prediction.id, deadline=time.monotonic() + CANCEL_S)
        except ImagenError:
            return  # then they end by themselves, and are logged as they end

    def _recorded(self, ticket: Ticket, outcome: Outcome) -> Run:
        desk, request = self._desk, ticket.request
        spec = desk.spec(request.model)
        cost = source = None
        if outcome.status in (Status.SUCCEEDED, Status.EXPIRED):
            count = len(outcome.images) or len(outcome.prediction.output)
            cost, source = cost_of(spec, request.input, count), spec.price_source
        elif outcome.status is Status.ABORTED:
            cost, source = 0.0, "not billed"
        if outcome.status is Status.SUCCEEDED and (seconds := outcome.prediction.total_s) is not None:
            self._history(request.model).append(seconds)
        return desk.log.settle(
            str(ticket.run_id),
            outcome.status,
            prediction=outcome.prediction,
            images=outcome.images,
            error=outcome.error,
            error_code=outcome.error_code,
            cost=cost,
            cost_source=source if cost is not None else None,
        )

    def _history(self, model: str) -> deque[float]:
        """Durations of this model's recent predictions, in seconds: the log's at first, then what ends meanwhile."""
        known = self._durations.get(model)
        if known is None:
            earlier = self._desk.log.latencies(model, self._desk.provider.name)
            known = self._durations.setdefault(model, deque(reversed(earlier), maxlen=200))
        return known

    # -- counting ------------------------------------------------------------------------------------------------

    def _is_reserved(self, ticket: Ticket) -> bool:
        """Put the ticket's estimate aside, waiting for others to settle where that may make room; else stop cleanly."""
        budget = self._terms.budget
        if budget is None:
            return True
        ticket.reserved = self._desk.spec(ticket.request.model).estimate(ticket.request.input) or 0.0
        with self._changed:
            while self._spent + self._reserved + ticket.reserved > budget + 1e-9:
                if self._reserved <= 1e-9 or self._is_closed():
                    message = f"the budget of ${budget:.2f} is reached; the rest was not sent"
                    self._progress = replace(self._progress, message=message)
                    return False
                self._changed.wait(SLICE_S)
            self._reserved += ticket.reserved
        return True

    def _count(self, index: int, run: Run, *, skipped: int = 0) -> None:
        good = run.status is Status.SUCCEEDED
        with self._changed:
            now = self._progress
            self._progress = replace(
                now,
                done=now.done + 1,
                succeeded=now.succeeded + good,
                failed=now.failed + (not good),
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
        return self._stop.is_set() or self.error is not None

    def _leave(self) -> None:
        with self._changed:
            self._workers -= 1
            if self._workers == 0:
                self._progress = replace(self._progress, state="ended")
                self._ended_at = time.monotonic()
            self._changed.notify_all()


def plan_tickets(requests: Iterable[Request]) -> Iterator[Ticket]:
    """A ticket for each request, all to be sent."""
    return (Ticket(index, request) for index, request in enumerate(requests))


def _spent(run: Run | None, ticket: Ticket) -> float:
    """What a run counts against the budget: its cost, or where that is not known its estimate, to be safe."""
    if run is None or (run.prediction_id is None and run.status is Status.FAILED):
        return 0.0
    return ticket.reserved if run.cost is None else run.cost


def _utc() -> datetime:
    return datetime.now(timezone.utc)


__all__ = ["Desk", "LogError", "Sweep", "Terms", "Ticket", "plan_tickets"]
