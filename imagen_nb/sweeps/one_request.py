"""The life of one request, from the intent in the log to a settled row: create, wait, fetch, record.

A create is money, so it happens in one place (`RequestDriver.create_once`): the row is durable before the POST, the
prediction's id right after, and a lost reply is looked for, never blindly repeated. Waiting and fetching are free; they
can be done on any `concurrent.futures.Executor`. One `Deadline` bounds it all, from the POST to the file.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from functools import partial
from typing import Any

from imagen_nb.api.uploads import MOST_INLINE_BYTES, SMALL_BYTES, data_uri
from imagen_nb.errors import (
    Hint,
    ImagenError,
    InputError,
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UnreachableError,
    brief,
    comma_list,
)
from imagen_nb.log.images import Images
from imagen_nb.log.log import Log
from imagen_nb.planning.models import ModelSpec, catalogue_spec
from imagen_nb.planning.plan import Plan
from imagen_nb.planning.values import label, positive_number, whole_number
from imagen_nb.records import NOT_AS_ASKED, Image, InputFile, Outcome, Prediction, Request, Run, Status
from imagen_nb.settings import JOBS, SLICE_S, TIMEOUT_S, Provider
from imagen_nb.sweeps.collect import NOTHING_GIVEN, REPLY_S, Connections, Deadline, collect_on, wait_and_fetch
from imagen_nb.sweeps.recover import SETTLE_S, CreateSearch, SentCreate, WhyNotFound

HOLD_S = 60
"""How long a single create is held open at the provider, the most the API allows, in seconds."""

TURN_S = 1.0
"""How long a create that is sent anew may wait at the door before it looks at its deadline again, in seconds."""

CANCEL_S = 10.0
"""How long asking the provider to cancel one prediction may take, in seconds."""

TEXT_SHOWN = 300
"""How many characters of a text that came instead of an image are repeated."""

UNSEEN_HINT = Hint(
    "What is made meanwhile is paid for: {} fetches it; go on later with --resume.",
    "imagen_nb.reconcile()",
    "imagen-nb reconcile",
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How requests are to be run. Raises `InputError` for what cannot be meant.

    `budget` is US dollars for all of them, `jobs` the most predictions in flight, `timeout` seconds for one prediction,
    from its POST to its file. `resume` goes on with `experiment`, or with all that is of this `kind` (see
    `log.queries.Filters`). `executor` is where to wait and fetch, if not here. `hold` is for how many seconds, at most
    60, each create is held open at the provider: 0 for not at all, None for a sweep's only one.
    """

    experiment: str | None = None
    tag: str | None = None
    budget: float | None = None
    resume: bool = False
    jobs: int = JOBS
    timeout: float = TIMEOUT_S
    executor: Executor | None = None
    hold: int | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        checked = {
            "experiment": label("experiment", self.experiment),
            "tag": label("tag", self.tag),
            "budget": None if self.budget is None else positive_number("budget", self.budget),
            "jobs": whole_number("jobs", self.jobs),
            "timeout": positive_number("timeout", self.timeout),
            "hold": self.hold if self.hold in (None, 0) else whole_number("hold", self.hold, most=HOLD_S),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.resume and not (self.experiment or self.kind):
            raise InputError("resume needs the experiment to go on with", "Add -e NAME (experiment=NAME in Python).")

    def check(self, plan: Plan) -> None:
        """Raise `InputError` for what is no plan, and for a budget where a price is unknown."""
        if not isinstance(plan, Plan):
            raise InputError(f"{brief(plan)} is no plan", "Make one of it with plan(), or use generate().")
        if self.budget is not None and plan.cost is None:
            unknown = comma_list([name for name, cost in plan.costs.items() if cost is None])
            raise InputError(
                f"a budget needs a price, and that of {unknown} is unknown",
                Hint(
                    "Give it in US dollars an image, or {'run': …} a run: {} Workspace(prices={...}).",
                    "%config ImagenMagics.prices, or",
                    "in Python,",
                ),
            )


@dataclass(frozen=True, slots=True)
class SweepContext:
    """What a sweep works with.

    `awaited` holds, by run id, the creates of all sweeps of a workspace whose replies may still come; `settle_s` is for
    how many seconds the provider's list may lag behind the creates.
    """

    provider: Provider
    connections: Connections
    images: Images
    log: Log
    spec: Callable[[str], ModelSpec]
    awaited: dict[str, SentCreate]
    settle_s: float = SETTLE_S


class JobState(Enum):
    """Where a request stands, on its way from a plan to a settled row."""

    NEW = "it has no row yet"
    UNSENT = "it has a row that ended without a prediction, and is to be sent anew"
    WRITTEN = "its row is durable, and nothing was sent yet"
    ACCEPTED = "its row has its prediction"
    LOST = "it may have been accepted: it is looked for, and sent again where it surely is missing"
    LOST_DO_NOT_SEND = "the same, but it is not sent again"
    WAITING = "it may have been accepted, and the list shows too little yet: it is looked for again behind the others"
    DONE = "its row is settled, or left as it is"


@dataclass(slots=True)
class Job:
    """One request under way. `index` is its place in the plan, `reserved` what of the budget is put aside for it.

    `deadline` is there from its POST on. `create` says when a lost one was sent, `had` are the images that its row has
    already, `outcome` is what has been collected by now, `run` what it all came to.
    """

    index: int
    request: Request
    state: JobState = JobState.NEW
    run_id: str | None = None
    prediction: Prediction | None = None
    create: SentCreate | None = None
    deadline: Deadline | None = None
    had: tuple[Image, ...] = ()
    outcome: Outcome | None = None
    run: Run | None = None
    reserved: float = 0.0

    @property
    def is_to_send(self) -> bool:
        """Whether its create is still to come."""
        return self.state in (JobState.NEW, JobState.UNSENT, JobState.WRITTEN)


class RequestDriver:
    """Drives requests, one at a time for each thread that asks; `stop` makes it cancel what it drives.

    `resolved_until` is there where the fate of a lost create was found out, as there may be a bill that nobody sees
    then: it is the end of the last such one's time, monotonic.
    """

    def __init__(self, options: RunOptions, context: SweepContext, stop: threading.Event, *, is_single: bool) -> None:
        self._options = options
        self._hold = HOLD_S if options.hold is None and is_single else options.hold or 0
        self._context = context
        self._stop = stop
        self._search = CreateSearch(
            context.connections.api,
            context.log,
            context.provider.name,
            context.spec,
            stop=stop,
            awaited=context.awaited,
            settle_s=context.settle_s,
        )
        # A budget waits for what others have put aside, so that none of them may wait for it.
        self._may_wait = not is_single and options.budget is None
        self.resolved_until: float | None = None
        self._held: dict[str, SentCreate] = {}
        self._durations: dict[str, deque[float]] = {}

    def write_row(self, job: Job) -> None:
        """Give a job its row; it is durable when this returns, and only then may the request leave.

        Where another session that resumes the same experiment was quicker, its run is what the request comes to.
        """
        log, options, is_mine = self._context.log, self._options, True
        names: dict[str, Any] = {
            "provider": self._context.provider.name,
            "experiment": options.experiment,
            "tag": options.tag,
            "kind": options.kind,
        }
        if job.state is JobState.UNSENT:
            is_mine = bool(log.reopen([str(job.run_id)]))
        elif job.state is JobState.NEW and options.resume:
            job.run_id, is_mine = log.intend_new(job.request, **names)
        elif job.state is JobState.NEW:
            (job.run_id,) = log.intend([job.request], **names)
        if not is_mine:
            job.run, job.state = log.get(str(job.run_id)), JobState.DONE
        elif job.is_to_send:
            job.state = JobState.WRITTEN

    def run(self, job: Job) -> ProviderError | None:
        """Bring a job that has its row to its end; gives the refusal where the provider would take or show nothing.

        One that is `WAITING` afterwards is to be run again when the others have been. Where the log fails in the
        middle, the row is let go of, so that `reconcile` finds it.
        """
        log, api, run_id = self._context.log, self._context.connections.api, str(job.run_id)
        try:
            try:
                now, may_wait = time.monotonic(), self._may_wait and job.state is not JobState.WAITING
                create = job.create = job.create or SentCreate(
                    run_id, job.request, datetime.now(timezone.utc), api.list_time(now), now
                )
                if job.is_to_send:
                    self.create_once(job, create)
                elif job.state is JobState.WAITING:
                    job.state = JobState.LOST
                elif job.state is not JobState.ACCEPTED:
                    # Not waited for any more: whoever looks for an equal one need not leave it a prediction.
                    log.mark_unknown(run_id, create.cause, is_final=False)
                while job.state in (JobState.LOST, JobState.LOST_DO_NOT_SEND):
                    self.find_or_send_again(job, create, may_wait=may_wait)
                if job.state is JobState.WAITING:
                    return None
            except ProviderError as error:
                status = Status.CANCELED if self._stop.is_set() else Status.FAILED
                job.run = log.settle(run_id, status, error=error.message, error_code=error.code)
                return error
            if job.prediction is None:
                job.run = log.get(run_id)
            else:
                job.run = self.record(job, job.outcome or self.collect_or_cancel(job, job.prediction))
                if job.run.status is Status.UNKNOWN and job.run.error_code == ThrottledError.code:
                    why = f"nothing more is created while nothing can be looked at: {job.run.error}"
                    return ThrottledError(why, UNSEEN_HINT)
        except BaseException:
            with suppress(ImagenError):
                log.release([run_id])
            raise
        finally:
            job.state = job.state if job.state is JobState.WAITING else JobState.DONE
        return None

    # -- creating ------------------------------------------------------------------------------------------------

    def create_once(self, job: Job, create: SentCreate) -> None:
        """Send the one POST: the job is accepted once the log has its prediction.

        It stays lost where the reply was, or named another row's prediction.
        """
        request = self.give_addresses(job)
        job.state = JobState.LOST  # until the log says otherwise: from here on it may have been accepted
        self._held[create.run_id] = self._context.awaited[create.run_id] = create
        try:
            prediction = self.post(job, create, request)
        except ProviderError as error:
            if not error.is_uncertain:
                raise
            # Not for good: this session looks for it now, and nobody else is to do the same.
            self._context.log.mark_unknown(create.run_id, error.message, is_final=False)
            create.cause = error.message
        else:
            self.accept(job, prediction)
        finally:
            self._stop_awaiting(create.run_id)

    def give_addresses(self, job: Job) -> Request:
        """The request as it is sent: with an address for each of its files, which are uploaded now where need be.

        That is free, and is part of the job's time where it takes any. Raises the `ProviderError` that fits.
        """
        uploads, log, provider = self._context.connections.api.uploads, self._context.log, self._context.provider.name
        began, deadline = time.monotonic(), job.deadline or Deadline.after(self._options.timeout)

        def address(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [address(each) for each in value]
            if not isinstance(value, InputFile):
                return value
            if not value.path.is_file():
                raise RejectedError(f"the home's copy of {value} is gone: {value.path}", "Give the file again.")
            if value.bytes > SMALL_BYTES and uploads.are_offered:
                find = partial(log.find_upload, provider, value.sha256)
                keep = partial(log.keep_upload, provider, value.sha256)
                with suppress(NotFoundError):  # as it takes none
                    return uploads.address(value, find, keep, deadline=deadline.at, stop=self._stop)
            if value.bytes > MOST_INLINE_BYTES:
                limit = f"larger than the {MOST_INLINE_BYTES / 1e6:.0f} MB that go within a request"
                raise RejectedError(
                    f"{value.name} is {limit}, and the provider takes no uploads",
                    "Make it smaller, or give its https: address.",
                )
            return data_uri(value)

        if not job.request.files:
            return job.request
        sent = replace(job.request, input={name: address(value) for name, value in job.request.input.items()})
        if time.monotonic() - began > TURN_S:
            job.deadline = deadline
        return sent

    def post(self, job: Job, create: SentCreate, request: Request) -> Prediction:
        """The reply to the one POST. One that is refused for the pace alone stands in line again while others pass.

        The job's deadline counts from the first POST that is not refused so. Where nobody has passed for as long as one
        prediction may take, the `ThrottledError` comes out. Nothing is sent after the deadline.
        """
        api, timeout = self._context.connections.api, self._options.timeout
        began, first = time.monotonic(), job.deadline

        def note_turn(at: float) -> None:
            create.begin(at, api.list_time(at))
            job.deadline = first or Deadline(at + timeout)

        def is_over() -> bool:
            return self._stop.is_set() or (first is not None and not first.left)

        while True:
            left = first.left if first else timeout
            try:
                return api.create(
                    request,
                    run_id=job.run_id,
                    deadline=time.monotonic() + (min(left, TURN_S) if first else timeout),
                    patience=left + REPLY_S,
                    hold=min(self._hold, int(left)) or None,
                    cancel_after=left,
                    stop=self._stop,
                    on_turn=note_turn,
                )
            except ThrottledError:
                refused_for = min(api.pacer.since_create, time.monotonic() - began)
                if first is None and refused_for + api.pacer.pause_left > timeout:
                    raise
            if not api.pacer.stand_in_line(timeout, is_over) or is_over():
                why = "stopped" if self._stop.is_set() else "its time was over"
                raise UnreachableError(f"{why} before the request was sent", "")

    def accept(self, job: Job, prediction: Prediction) -> None:
        """Give the row the prediction; the outputs of one that is done are fetched while that is written."""
        run_id = str(job.run_id)
        outcomes: list[Outcome] = []

        def fetch() -> None:
            with suppress(ImagenError):  # then it is tried again, where the error has somebody to go to
                outcomes.append(self._collect_here(job, prediction))

        fetching = threading.Thread(target=fetch, name="imagen-fetch", daemon=True)
        if prediction.status is Status.SUCCEEDED:
            with suppress(RuntimeError):  # without a thread to be had it is fetched afterwards
                fetching.start()
        try:
            is_ours = self._context.log.accept(run_id, prediction)
        finally:
            self._stop_awaiting(run_id)
            if fetching.ident is not None:
                fetching.join()
        if is_ours:
            job.prediction, job.state = prediction, JobState.ACCEPTED
            job.outcome = outcomes[0] if outcomes else None

    def find_or_send_again(self, job: Job, create: SentCreate, *, may_wait: bool) -> None:
        """Look for a lost create, and send it again only where it surely is missing; else its row says why it ends.

        Where the list shows too little and it `may_wait`, others may be accepted meanwhile, and then it shows more.
        """
        log, run_id, may_wait = self._context.log, create.run_id, may_wait and job.state is JobState.LOST
        if self._context.connections.api.takes_own_ids:
            self.put_again(job, create)
            return
        deadline = job.deadline = job.deadline or Deadline.after(self._options.timeout)
        found = self._search.find(create, until=deadline.search, is_patient=not may_wait)
        if isinstance(found, Prediction) or found is WhyNotFound.MISSING:
            self.resolved_until = max(self.resolved_until or 0.0, deadline.end)
        may_send = job.state is JobState.LOST and deadline.left > 0
        if isinstance(found, Prediction):
            job.prediction, job.state = found, JobState.ACCEPTED
        elif found is WhyNotFound.MISSING and may_send and log.begin_resubmission(run_id):
            self.create_once(job, create)
        elif found in (WhyNotFound.UNPROVEN, WhyNotFound.UNSURE) and may_wait:
            job.state = JobState.WAITING
        else:
            job.state = JobState.DONE
            why = f": {create.failure}" if create.failure and found is WhyNotFound.UNSEEN else ""
            error = f"{create.cause}; {found.value}{why}"
            if found is WhyNotFound.MISSING:
                log.settle(run_id, Status.FAILED, error=error, error_code="not_sent")
            elif found is not WhyNotFound.HELD:
                log.mark_unknown(run_id, error)

    def put_again(self, job: Job, create: SentCreate) -> None:
        """Create it again under the id that it has, where the provider takes one: it is made once, or costs nothing."""
        is_late = job.deadline is not None and not job.deadline.left
        may_send = job.state is JobState.LOST and not is_late and not self._stop.is_set()
        if may_send and self._context.log.begin_resubmission(create.run_id):
            self.create_once(job, create)
            return
        status, error = Status.FAILED, f"{create.cause}, and it was not put again"
        if self._stop.is_set():
            status = Status.CANCELED
        self._context.log.settle(create.run_id, status, error=error, error_code="not_sent")
        job.state = JobState.DONE

    def cancel_held(self) -> None:
        """Cancel what creates still held open have become: ids that are not known yet are looked up."""
        api, held = self._context.connections.api, dict(self._held)
        try:
            found = {} if api.takes_own_ids else self._search.look_once(list(held.values()))
            for prediction_id in list(held) if api.takes_own_ids else [each.id for each in found.values()]:
                api.cancel(prediction_id, deadline=time.monotonic() + CANCEL_S)
        except ImagenError:
            return  # then they end by themselves, and are logged as they end

    def find_strays(self, requests: Iterable[Request], seconds: float, deadline: float) -> list[str]:
        """The ids of predictions of the last `seconds` that seem to be ours and are no row's; see the search."""
        return self._search.find_strays(requests, seconds, deadline)

    def _stop_awaiting(self, run_id: str) -> None:
        self._held.pop(run_id, None)
        self._context.awaited.pop(run_id, None)

    # -- waiting and fetching ------------------------------------------------------------------------------------

    def collect_or_cancel(self, job: Job, prediction: Prediction) -> Outcome:
        """What became of an accepted prediction; one given up on is canceled first."""
        outcome, model = None, job.request.model
        deadline = job.deadline = job.deadline or Deadline.after(self._options.timeout)
        typical = self._context.spec(model).typical_s
        if self._options.executor is not None:
            outcome = collect_on(
                self._options.executor,
                self._context.provider,
                self._context.images.home,
                prediction,
                timeout=deadline.left,
                history=tuple(self._history(model)),
                typical=typical,
                stop=self._stop,
                had=job.had,
            )
        if outcome is None:  # nobody else collects it
            outcome = wait_and_fetch(
                self._context.connections,
                self._context.images,
                prediction,
                deadline=deadline,
                history=lambda: tuple(self._history(model)),  # other workers add to it meanwhile
                typical=typical,
                stop=self._stop,
                watch=lambda seen: self._context.log.observe(str(job.run_id), seen),
                had=job.had,
            )
        is_unseen = outcome.error_code == ThrottledError.code  # its looks were all refused
        if outcome.status.is_terminal or (outcome.status is Status.UNKNOWN and not is_unseen):
            return outcome
        by_user = self._stop.is_set()
        reason = "canceled by the user" if by_user else f"gave up after {self._options.timeout:g} s"
        code = "canceled" if by_user else "timeout"
        last = self.cancel(outcome.prediction, min(deadline.end, time.monotonic() + CANCEL_S))
        if last is None or not last.status.is_terminal:
            why = outcome.error if is_unseen else "the provider did not confirm the cancellation"
            code = ThrottledError.code if is_unseen and not by_user else code
            return replace(outcome, status=Status.UNKNOWN, error=f"{reason}; {why}", error_code=code)
        outcome = self._collect_here(job, last)
        is_canceled = outcome.status in (Status.CANCELED, Status.ABORTED)
        return replace(outcome, error=reason, error_code=code) if is_canceled else outcome

    def cancel(self, prediction: Prediction, deadline: float) -> Prediction | None:
        """The prediction after asking to cancel it, or None where the provider cannot or will not say in time."""
        api = self._context.connections.api
        try:
            last = api.cancel(prediction.id, deadline=deadline)
            while last is not None and not last.status.is_terminal and time.monotonic() < deadline:
                time.sleep(SLICE_S)
                last = api.get(prediction.id, deadline=deadline)
        except ProviderError:
            return None
        return last

    def record(self, job: Job, outcome: Outcome) -> Run:
        """Settle the row with what the prediction came to, and what it cost."""
        context, request = self._context, job.request
        spec = context.spec(request.model)
        cost = source = None
        if outcome.status is Status.SUCCEEDED and not outcome.images and spec.output in ("picture", "pictures"):
            said = brief(outcome.prediction.text, width=TEXT_SHOWN)
            why = f"{NOTHING_GIVEN} text instead of an image: {said}"
            outcome = replace(outcome, status=Status.FAILED, error=why, error_code="no_output")
        if outcome.status in (Status.SUCCEEDED, Status.EXPIRED):
            count = len(outcome.images) or len(outcome.prediction.output)
            if outcome.images and outcome.error:  # those that are missing were made, and are billed
                count = max(count, spec.outputs(request.input))
            sizes = [(image.width, image.height) for image in outcome.images if image.width and image.height]
            answered_by, metrics = outcome.prediction.model, outcome.prediction.raw.get("metrics")
            # A model that answers in place of another is billed at its own price.
            paid = context.spec(answered_by) if answered_by and catalogue_spec(answered_by) else spec
            cost = paid.cost(request.input, count or spec.outputs(request.input), sizes, metrics)
            source = "simulated" if context.provider.is_simulator else paid.price_source
            if outcome.status is Status.SUCCEEDED and not outcome.error:
                note = spec.reply_note(request.input, answered_by, count, sizes, metrics)
                outcome = replace(outcome, error=note, error_code=NOT_AS_ASKED if note else None)
        elif outcome.status is Status.ABORTED:
            cost, source = 0.0, "not billed"
        if outcome.status is Status.SUCCEEDED and (seconds := outcome.prediction.total_s) is not None:
            self._history(request.model).append(seconds)
        return context.log.settle(
            str(job.run_id),
            outcome.status,
            prediction=outcome.prediction,
            images=outcome.images,
            error=outcome.error,
            error_code=outcome.error_code,
            cost=cost,
            cost_source=source if cost is not None else None,
        )

    def _collect_here(self, job: Job, prediction: Prediction) -> Outcome:
        """What became of a prediction that has ended."""
        deadline = job.deadline or Deadline.after(self._options.timeout)
        context = self._context
        return wait_and_fetch(context.connections, context.images, prediction, deadline=deadline, had=job.had)

    def _history(self, model: str) -> deque[float]:
        """Durations of this model's recent predictions, in seconds: the log's at first, then what ends meanwhile."""
        known = self._durations.get(model)
        if known is None:
            earlier = self._context.log.latencies(model, self._context.provider.name)
            known = self._durations.setdefault(model, deque(reversed(earlier), maxlen=200))
        return known
