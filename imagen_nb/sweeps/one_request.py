"""Carries one request from the intent in the log to a settled row: create, wait, fetch, record.

A create is money, so it happens in one place (`Carrier._posted`): the row is durable before the POST, the prediction's
id right after, and a lost reply is looked for, never blindly repeated. Waiting and fetching are free; they can be done
on any `concurrent.futures.Executor`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from imagen_nb.errors import ImagenError, ProviderError, ThrottledError, UnreachableError
from imagen_nb.log.log import Log
from imagen_nb.planning.models import ModelSpec, cost_of
from imagen_nb.planning.options import TIMEOUT_S
from imagen_nb.records import Outcome, Prediction, Request, Run, Status
from imagen_nb.settings import Provider
from imagen_nb.sweeps.collect import SLICE_S, Edges, Task, delegate, gather, unfinished
from imagen_nb.sweeps.recover import LEFTOVER_SLACK, SETTLE_S, Awaited, Fate, Lost, Search

HOLD_S = 60
"""How long a single create is held open at the provider, the most the API allows, in seconds."""


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
    timeout: float = TIMEOUT_S
    hold: int | None = None
    executor: Executor | None = None


CREATE_S = 30.0
"""How long the reply to a create may take at least, beyond what it is held open for: giving up on it is dear."""

CANCEL_S = 10.0
"""How long asking the provider to cancel one prediction may take, in seconds."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a sweep works with."""

    provider: Provider
    edges: Edges
    log: Log
    spec: Callable[[str], ModelSpec]
    awaited: Awaited = field(default_factory=Awaited)
    settle_s: float = SETTLE_S


@dataclass(slots=True)
class Ticket:
    """One request on its way. A ticket that resumes a row has its `run_id`, and `prediction` where one was accepted.

    `is_lost` marks a row whose create may or may not have been accepted; `may_send` is False where such a row is only
    to be settled, not asked for again; `is_ended` marks one that is done without having become a prediction, and is to
    be reopened. `done` is an earlier run that already answers the request, `outcome` what has been collected already.
    """

    index: int
    request: Request
    run_id: str | None = None
    prediction: Prediction | None = None
    is_lost: bool = False
    is_ended: bool = False
    may_send: bool = True
    intended_at: datetime | None = None
    reserved: float = 0.0
    done: Run | None = None
    outcome: Outcome | None = None


class Carrier:
    """Carries tickets, one at a time for each thread that asks; `stop` makes it cancel what it carries."""

    def __init__(self, terms: Terms, desk: Desk, stop: threading.Event) -> None:
        self._terms = terms
        self._desk = desk
        self._stop = stop
        self._search = Search(
            desk.edges.api,
            desk.log,
            desk.provider.name,
            desk.spec,
            stop=stop,
            awaited=desk.awaited,
            settle_s=desk.settle_s,
        )
        self._held = Awaited()
        self._durations: dict[str, deque[float]] = {}

    def intend(self, ticket: Ticket) -> Run | None:
        """Give a ticket its row; it is durable when this returns, and only then may the request leave.

        Where another session that resumes the same experiment was quicker, its run is what the request comes to.
        """
        log, terms, provider = self._desk.log, self._terms, self._desk.provider.name
        is_mine = True
        if ticket.is_ended:
            is_mine = bool(log.reopen([str(ticket.run_id)]))
        elif ticket.run_id is None and terms.resume:
            ticket.run_id, is_mine = log.intend_new(
                ticket.request, provider=provider, experiment=terms.experiment, tag=terms.tag
            )
        elif ticket.run_id is None:
            (ticket.run_id,) = log.intend(
                [ticket.request], provider=provider, experiment=terms.experiment, tag=terms.tag
            )
        return None if is_mine else log.get(str(ticket.run_id))

    def carry(self, ticket: Ticket) -> tuple[Run, ProviderError | None]:
        """The settled row of a ticket, and the refusal where the provider would not take the request.

        Where the log fails in the middle, the row is let go of, so that `reconcile` finds it.
        """
        try:
            return self._carried(ticket)
        except BaseException:
            if ticket.run_id is not None:
                with suppress(ImagenError):
                    self._desk.log.release([ticket.run_id])
            raise

    def _carried(self, ticket: Ticket) -> tuple[Run, ProviderError | None]:
        log, run_id = self._desk.log, str(ticket.run_id)
        try:
            prediction = ticket.prediction or self._created(ticket)
        except ProviderError as error:
            status = Status.CANCELED if self._stop.is_set() else Status.FAILED
            return log.settle(run_id, status, error=error.message, error_code=error.code), error
        if prediction is None:
            return log.get(run_id), None
        return self._recorded(ticket, ticket.outcome or self._gathered(ticket, prediction)), None

    def cancel_held(self) -> None:
        """Cancel what creates still held open have become: their ids are not known yet, so they are looked up."""
        try:
            for prediction in self._search.glance(self._held.all()).values():
                self._desk.edges.api.cancel(prediction.id, deadline=time.monotonic() + CANCEL_S)
        except ImagenError:
            return  # then they end by themselves, and are logged as they end

    # -- creating ------------------------------------------------------------------------------------------------

    def _created(self, ticket: Ticket) -> Prediction | None:
        """The accepted prediction of a ticket, or None where its fate is settled or stays unknown in the log."""
        desk, run_id = self._desk, str(ticket.run_id)
        lost = Lost(run_id, ticket.request, ticket.intended_at or _utc(), slack=LEFTOVER_SLACK)
        if not ticket.is_lost:
            now = time.monotonic()
            lost = Lost(run_id, ticket.request, _utc(), desk.edges.api.provider_time(now), now)
            if (prediction := self._asked(ticket, lost)) is not None:
                return prediction
        if ticket.is_lost:
            # Not waited for any more: whoever looks for an equal one need not leave it a prediction.
            desk.log.mark_unknown(run_id, lost.cause, is_final=False)
        while True:
            lost = replace(lost, lost_at=time.monotonic(), finding=None, settled=threading.Event())
            finding = self._search.find(lost)
            if isinstance(finding, Prediction):
                return finding
            if finding is not Fate.MISSING or not ticket.may_send or not desk.log.begin_resubmission(run_id):
                self._unfound(lost, finding)
                return None
            if (prediction := self._asked(ticket, lost)) is not None:
                return prediction

    def _asked(self, ticket: Ticket, lost: Lost) -> Prediction | None:
        """The prediction of one create, once the log has it; None where the reply was lost, or named another row's."""
        self._held.add(lost)
        self._desk.awaited.add(lost)
        try:
            prediction = self._posted(ticket, lost)
            return prediction if prediction is not None and self._accepted(ticket, prediction) else None
        finally:
            self._answered(lost.run_id)

    def _answered(self, run_id: str) -> None:
        self._held.drop(run_id)
        self._desk.awaited.drop(run_id)

    def _posted(self, ticket: Ticket, lost: Lost) -> Prediction | None:
        """The reply to the one POST, or None where it was lost."""
        terms = self._terms
        hold = min(terms.hold or 0, int(terms.timeout)) or None
        patience = max(terms.timeout, CREATE_S)
        try:
            return self._admitted(
                terms.timeout,
                lambda deadline: self._desk.edges.api.create(
                    ticket.request,
                    deadline=deadline,
                    patience=patience,
                    hold=hold,
                    cancel_after=terms.timeout,
                    stop=self._stop,
                ),
            )
        except ProviderError as error:
            if not error.is_uncertain:
                raise
            # Not for good: this session looks for it now, and nobody else is to do the same.
            self._desk.log.mark_unknown(lost.run_id, error.message, is_final=False)
            lost.cause = error.message
            return None

    def _admitted(self, longest: float, create: Callable[[float], Prediction]) -> Prediction:
        """The reply to a create that is refused for the pace alone: it stands in line again while others pass.

        Where nobody has passed for `longest` seconds, the `ThrottledError` comes out.
        """
        pacer, began = self._desk.edges.api.pacer, time.monotonic()
        while True:
            try:
                return create(time.monotonic() + longest)
            except ThrottledError:
                refused_for = min(pacer.refusing_for, time.monotonic() - began)
                if refused_for + pacer.waiting > longest:
                    raise
            if not pacer.stand_in_line(longest, self._stop.is_set):
                raise UnreachableError("stopped before the request was sent", "")

    def _accepted(self, ticket: Ticket, prediction: Prediction) -> bool:
        """Whether the row has the prediction now; the outputs of one that is done are fetched while that is written."""
        run_id = str(ticket.run_id)
        if prediction.status is not Status.SUCCEEDED:
            return self._desk.log.accept(run_id, prediction)
        outcomes: list[Outcome] = []

        def fetch() -> None:
            with suppress(ImagenError):  # then it is tried again, where the error has somebody to go to
                outcomes.append(gather(self._desk.edges, prediction, deadline=time.monotonic()))

        fetching = threading.Thread(target=fetch, name="imagen-fetch", daemon=True)
        with suppress(RuntimeError):  # without a thread to be had it is fetched afterwards
            fetching.start()
        try:
            is_ours = self._desk.log.accept(run_id, prediction)
        finally:
            self._answered(run_id)
            if fetching.ident is not None:
                fetching.join()
        ticket.outcome = outcomes[0] if outcomes and is_ours else None
        return is_ours

    def _unfound(self, lost: Lost, fate: Fate) -> None:
        why = f": {lost.failure}" if lost.failure and fate is Fate.UNSEEN else ""
        error = f"{lost.cause}; {fate.value}{why}"
        if fate is Fate.MISSING:
            self._desk.log.settle(lost.run_id, Status.FAILED, error=error, error_code="not_sent")
        elif fate is not Fate.HELD:
            self._desk.log.mark_unknown(lost.run_id, error)

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
            task = Task(
                provider=self._desk.provider,
                home=self._desk.edges.images.home,
                prediction=prediction,
                timeout=max(0.0, deadline - time.monotonic()),
                history=tuple(self._history(model)),
                typical=typical,
            )
            outcome = delegate(self._terms.executor, task, stop=self._stop)
            if outcome is not None:  # else it is collected here, which can be done anywhere
                return outcome
        return gather(
            self._desk.edges,
            prediction,
            deadline=deadline,
            history=lambda: tuple(self._history(model)),  # other workers add to it meanwhile
            typical=typical,
            stop=self._stop,
            watch=lambda seen: self._desk.log.observe(str(ticket.run_id), seen),
        )

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

    def _recorded(self, ticket: Ticket, outcome: Outcome) -> Run:
        desk, request = self._desk, ticket.request
        spec = desk.spec(request.model)
        cost = source = None
        if outcome.status in (Status.SUCCEEDED, Status.EXPIRED):
            count = len(outcome.images) or len(outcome.prediction.output)
            source = "simulated" if desk.provider.is_simulator else spec.price_source
            cost = cost_of(spec, request.input, count)
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


def _utc() -> datetime:
    return datetime.now(timezone.utc)
