"""What became of a create whose reply was lost: it is looked for by listing, never blindly repeated.

One thread lists for all lost creates of a sweep at once. A prediction found is claimed in the log, which gives each
prediction to one row only; identical requests are interchangeable, so it does not matter which of them gets which.
A create counts as missing only when a listing that began `settle_s` after the loss shows nothing that may be it. What
belongs to a create whose reply is still awaited, here or in another notebook on the same home, is left to that one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from imagen_nb.api.client import Api
from imagen_nb.errors import ImagenError, NotFoundError, ProviderError, UncertainError, UnreachableError
from imagen_nb.log.log import Log
from imagen_nb.planning.models import ModelSpec
from imagen_nb.records import Json, Prediction, Request, canonical

SETTLE_S = 20.0
"""How long a list may lag behind the creates, in seconds."""

PATIENCE_S = 120.0
"""How long listing may fail, or another create claim the same, before a lost create is left for later, in seconds."""

LISTING_S, PAGES = 180.0, 1000
"""How long reading the whole list may take, in seconds, and how many of its pages are read at most."""

SLACK = timedelta(seconds=10)
"""How far the provider's clock may differ from what its Date headers said."""

LEFTOVER_SLACK = timedelta(minutes=65)
"""The same for rows of a process that is gone: its clock may have been set since."""


class WhyNotFound(Enum):
    """Why no prediction was found for a create."""

    MISSING = "the provider never got it"
    UNLISTED = "the provider does not list predictions"
    UNSEEN = "the list of predictions could not be read"
    UNSURE = "the list of predictions shows one that may be it"
    HELD = "it has its prediction by now"
    STOPPED = "the search was stopped"


@dataclass(slots=True, eq=False)
class SentCreate:
    """A create whose reply is awaited, or was lost.

    `posted_at` is when it was sent by our clock, UTC; `provider_at` the same by the provider's, where that was known,
    and `moment` by the monotonic one, for a create of this process. The rest is about the search for a lost one.
    """

    run_id: str
    request: Request
    posted_at: datetime
    provider_at: datetime | None = None
    moment: float | None = None
    slack: timedelta = SLACK
    cause: str = "the reply was lost"
    lost_at: float = 0.0
    found: Prediction | WhyNotFound | None = None
    failure: str | None = None
    """Why the list could not be read, where it could not."""
    is_settled: threading.Event = field(default_factory=threading.Event)

    def settle(self, found: Prediction | WhyNotFound) -> None:
        """End the search for it."""
        self.found = found
        self.is_settled.set()


class CreateSearch:
    """Looks for lost creates on behalf of many threads; its own thread lives only while something is lost.

    `awaited` holds, by run id, the creates of the same workspace whose replies may still come.
    """

    def __init__(
        self,
        api: Api,
        log: Log,
        provider: str,
        spec: Callable[[str], ModelSpec],
        *,
        stop: threading.Event,
        awaited: Mapping[str, SentCreate] | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._api = api
        self._log = log
        self._provider = provider
        self._spec = spec
        self._stop = stop
        self._awaited = {} if awaited is None else awaited
        self._settle_s = settle_s
        self._names: dict[str, frozenset[str]] = {}
        """What the provider's replies call each model."""
        self._lock = threading.Lock()
        self._lost: list[SentCreate] = []
        self._thread: threading.Thread | None = None

    def find(self, create: SentCreate) -> Prediction | WhyNotFound:
        """Wait until the lost create is found and claimed, or surely missing, or cannot be looked for."""
        entry = replace(create, lost_at=time.monotonic(), found=None, is_settled=threading.Event())
        with self._lock:
            self._lost.append(entry)
            if self._thread is None:
                thread = threading.Thread(target=self._search, name="imagen-search", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system gives no more threads
                    self._lost.remove(entry)
                    return WhyNotFound.UNSEEN
                self._thread = thread
        entry.is_settled.wait()
        assert entry.found is not None  # noqa: S101 - settle() sets it before the event
        create.failure = entry.failure
        return entry.found

    def look_once(self, creates: Iterable[SentCreate]) -> dict[str, Prediction]:
        """One look that claims nothing: what creates that are still held open have become, by run id.

        One that another create may as well have become is left out.
        """
        held = list(creates)
        if not held:
            return {}
        look = self._look(held)
        contested = {wanted.run_id for wanted in look.wanted if look.is_contested(wanted)}
        return {run_id: prediction for run_id, prediction in look.found.items() if run_id not in contested}

    def _search(self) -> None:
        """The thread: look again and again, until nothing is lost any more."""
        gap = 0.25
        try:
            while True:
                with self._lock:
                    self._lost = [create for create in self._lost if not create.is_settled.is_set()]
                    if not self._lost:
                        self._thread = None
                        return
                    creates = list(self._lost)
                try:
                    self._settle_found(creates)
                except ImagenError:
                    _settle_all(creates, WhyNotFound.UNSEEN)
                if self._stop.wait(gap):
                    _settle_all(creates, WhyNotFound.STOPPED)
                gap = min(2.0, gap * 1.5)
        except BaseException:  # a mistake of ours must not leave anybody waiting, now or later
            with self._lock:
                self._thread = None
                _settle_all(self._lost, WhyNotFound.UNSEEN)
            raise

    def _settle_found(self, creates: Sequence[SentCreate]) -> None:
        """Look once, claim what is found, and end the search for what is surely missing or cannot be looked for."""
        began = time.monotonic()
        self._names = {model: names for model, names in self._names.items() if names}  # others may be known by now
        look = self._look(creates, self._stop)
        for create, wanted in zip(creates, look.wanted, strict=True):
            prediction = look.found.get(create.run_id)
            if prediction is not None:
                if self._log.accept(create.run_id, prediction):
                    create.settle(prediction)
                elif self._log.get(create.run_id).prediction_id is not None:
                    create.settle(WhyNotFound.HELD)
                continue
            # What was made when the create had long been lost is another's; in a long sweep there always is some.
            lost_at = self._api.provider_time(create.lost_at)
            latest = None if lost_at is None else lost_at + SLACK + timedelta(seconds=self._settle_s)
            why = _why_not_found(
                began - create.lost_at,
                self._settle_s,
                look.failure,
                may_be_listed=any(may_be(wanted, each) for each in look.rest),
                is_contested=look.is_contested(wanted, latest),
            )
            if why is not None:
                create.failure = None if look.failure is None else look.failure.message
                create.settle(why)

    def _look(self, creates: Sequence[SentCreate], stop: threading.Event | None = None) -> _Look:
        """Read the list once, and match it with these creates and those whose replies are awaited."""
        wanted = [self._want(create) for create in creates]
        prompts = {collapse_space(each.request.prompt) for each in wanted}
        listed: dict[str, Prediction] = {}  # the rest of a long list is not kept in memory
        failure: ProviderError | None = None
        try:
            since, deadline = min(each.since for each in wanted), time.monotonic() + LISTING_S
            for each in self._api.list(created_after=since, deadline=deadline, pages=PAGES, stop=stop):
                if "prompt" not in each.input:
                    listed[each.id] = replace(each, input={}, raw={})  # removed: there may be very many
                elif collapse_space(each.input["prompt"]) in prompts:
                    listed[each.id] = each
        except ProviderError as error:
            failure = error
        # Creates with the same prompts whose replies are awaited, in this workspace and in other sessions. They are
        # asked for before what is claimed: a create that is answered meanwhile has its prediction in the log.
        mine, same = {each.run_id for each in wanted}, {each.request.prompt for each in wanted}
        rows = self._log.pending_creates(self._provider)
        others = list(self._awaited.values())  # a copy, made in one step: other threads add and take away
        others += [SentCreate(row.run_id, row.request, row.intended_at) for row in rows]
        awaited = [self._want(each) for each in others if each.request.prompt in same and each.run_id not in mine]
        claimed = self._log.find_predictions(self._provider, list(listed))
        unclaimed = [each for each in listed.values() if each.id not in claimed]
        theirs = list(match(awaited, unclaimed).values())
        found = match(wanted, _without(unclaimed, theirs))
        return _Look(wanted, found, theirs, _without(unclaimed, [*theirs, *found.values()]), failure)

    def _want(self, create: SentCreate) -> WantedPrediction:
        """What the create's prediction must look like, by what is known now.

        It was made after the create was sent. A clock of ours may be set between the create and now, or the machine
        sleep; of what the clocks say, the earliest is safe, as it only makes the list longer.
        """
        model = create.request.model
        if model not in self._names:
            self._names[model] = frozenset(self._log.model_aliases(self._provider, model))
        moments = [create.posted_at + timedelta(seconds=self._api.clock_skew), create.provider_at]
        if create.moment is not None:
            moments.append(self._api.provider_time(create.moment))
        since = min(each for each in moments if each is not None) - create.slack
        return WantedPrediction(create.run_id, create.request, since, self._spec(model).defaults, self._names[model])


@dataclass(frozen=True, slots=True)
class _Look:
    """What one reading of the list showed.

    `found` is by run id, `theirs` what creates whose replies are awaited may be given, `rest` what is nobody's, and
    `failure` what kept the list from being whole.
    """

    wanted: Sequence[WantedPrediction]
    found: Mapping[str, Prediction]
    theirs: Sequence[Prediction]
    rest: Sequence[Prediction]
    failure: ProviderError | None

    def is_contested(self, wanted: WantedPrediction, latest: datetime | None = None) -> bool:
        """Whether an awaited create may be given what matches this one too, made by `latest` if that is known."""
        early = (each for each in self.theirs if not latest or each.created_at is None or each.created_at <= latest)
        return any(count_unexplained(wanted, each) is not None for each in early)


def _why_not_found(
    waited: float, settle_s: float, failure: ProviderError | None, *, may_be_listed: bool, is_contested: bool
) -> WhyNotFound | None:
    """What it means that a create lost `waited` seconds before is not in the list, or None while that is too early."""
    if isinstance(failure, NotFoundError):
        return WhyNotFound.UNLISTED
    if failure is not None:
        is_passing = isinstance(failure, UncertainError | UnreachableError)
        return None if is_passing and waited < PATIENCE_S else WhyNotFound.UNSEEN
    if may_be_listed:
        return WhyNotFound.UNSURE if waited >= settle_s else None
    if is_contested:
        return WhyNotFound.UNSURE if waited >= max(settle_s, PATIENCE_S) else None
    return WhyNotFound.MISSING if waited >= settle_s else None


def _settle_all(creates: Iterable[SentCreate], why: WhyNotFound) -> None:
    for create in creates:
        if not create.is_settled.is_set():
            create.settle(why)


def _without(listed: Iterable[Prediction], taken: Iterable[Prediction]) -> list[Prediction]:
    ids = {each.id for each in taken}
    return [each for each in listed if each.id not in ids]


# Which listed prediction belongs to which lost request: the arithmetic of reconciliation. The API echoes an input with
# its keys reordered and its defaults filled in, so equality is asked only of what was sent; what was not sent must be
# the model's default. Each prediction is given to one request at most, the earliest first. A listed prediction that
# does not match may be the request's all the same: an input is removed after an hour, a default may not be what the
# catalogue says, a model may go by another name. It is never taken, and the request is not missing.


@dataclass(frozen=True, slots=True)
class WantedPrediction:
    """What the prediction of a create must look like. `since` is its earliest time, on the provider's clock, UTC.

    `called` is what the provider's replies call the model, as far as any is known.
    """

    run_id: str
    request: Request
    since: datetime
    defaults: Json = field(default_factory=dict)
    called: frozenset[str] = frozenset()


def match(wanted: Iterable[WantedPrediction], listed: Iterable[Prediction]) -> dict[str, Prediction]:
    """The prediction found for each run id; a run for which there is none is absent."""
    # By prompt, the oldest first; what has no time or no input cannot be matched.
    by_prompt: dict[str, list[Prediction]] = {}
    timed = [each for each in listed if each.created_at is not None]
    for each in sorted(timed, key=lambda each: (each.created_at, each.id)):
        by_prompt.setdefault(str(each.input.get("prompt", "")), []).append(each)
    found: dict[str, Prediction] = {}
    for one in sorted(wanted, key=lambda one: one.since):
        candidates = by_prompt.get(one.request.prompt, [])
        counts = [(count_unexplained(one, each), place) for place, each in enumerate(candidates)]
        ranked = [(count, place) for count, place in counts if count is not None]
        if ranked:
            found[one.run_id] = candidates.pop(min(ranked)[1])
    return found


def count_unexplained(one: WantedPrediction, candidate: Prediction) -> int | None:
    """How many echoed inputs were neither sent nor known defaults; None where the candidate cannot be the one."""
    if candidate.created_at is None or candidate.created_at < one.since or not _is_same_model(one, candidate):
        return None
    sent, echoed = one.request.input, candidate.input
    if any(name not in echoed or not _is_same_value(value, echoed[name]) for name, value in sent.items()):
        return None
    added = {name: value for name, value in echoed.items() if name not in sent and value is not None}
    if any(name in one.defaults and not _is_same_value(one.defaults[name], value) for name, value in added.items()):
        return None
    return sum(name not in one.defaults for name in added)


def may_be(one: WantedPrediction, candidate: Prediction) -> bool:
    """Whether nothing that is known of the prediction rules the request out."""
    if candidate.created_at is not None and candidate.created_at < one.since:
        return False
    if not _is_same_model(one, candidate) and (one.called or "/" not in one.request.model):
        return False
    sent, echoed = dict(one.request.input), candidate.input
    if "prompt" in echoed and collapse_space(sent.pop("prompt", "")) != collapse_space(echoed["prompt"]):
        return False
    return all(name not in echoed or _is_same_value(value, echoed[name]) for name, value in sent.items())


def collapse_space(prompt: Any) -> str:
    """The prompt's words with single spaces between them, as a provider may have tidied it."""
    return " ".join(str(prompt).split())


def _is_same_model(one: WantedPrediction, candidate: Prediction) -> bool:
    asked = one.request.model
    name, _, version = asked.rpartition(":") if ":" in asked else (asked, "", "")
    seen_version = str(candidate.raw.get("version", ""))
    if "/" not in asked:
        return seen_version == asked
    return candidate.model in (None, name, *one.called) or bool(version and seen_version == version)


def _is_same_value(sent: Any, echoed: Any) -> bool:
    if isinstance(sent, str) and sent.startswith("data:") and isinstance(echoed, str):
        return sent == echoed or echoed.startswith("https://")  # the service keeps uploads as files
    try:
        return canonical(_with_integers(sent)) == canonical(_with_integers(echoed))
    except RecursionError:  # an echo nested beyond measure is of nothing we sent
        return False


def _with_integers(value: Any) -> Any:
    """The value with whole floats as integers, as JSON writers differ in them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_integers(each) for each in value]
    return value
