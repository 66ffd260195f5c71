"""What became of a create whose reply was lost: it is looked for by listing, never blindly repeated.

One thread lists for all lost creates of a sweep at once. A prediction found is claimed in the log, which gives each
prediction to one row only; identical requests are interchangeable, so it does not matter which of them gets which.
What belongs to a create whose reply is still awaited, here or in another notebook on the same home, is left to that
one. That a list does not show a create says nothing by itself: it may be cut, late, sorted the other way or of another
account. A create counts as missing only when a listing that began `settle_s` after the loss shows nothing that may be
it, and shows by accepted predictions of ours that it reaches from before the create to its loss.
"""

from __future__ import annotations

import base64
import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from imagen_nb.api.client import Acceptance, Api
from imagen_nb.api.uploads import data_uri
from imagen_nb.errors import ImagenError, NotFoundError, ProviderError, UncertainError, UnreachableError
from imagen_nb.log.log import Log
from imagen_nb.log.sessions import new_id
from imagen_nb.planning.models import ModelSpec
from imagen_nb.planning.values import is_address
from imagen_nb.records import InputFile, Json, Prediction, Request, Status, canonical

SETTLE_S = 20.0
"""How long a list may lag behind the creates, in seconds."""

PATIENCE_S = 120.0
"""How long listing may fail, or another create claim the same, before a lost create is left for later, in seconds."""

WITNESS_S = 60.0
"""How long after its loss a create is looked for in a list that shows too little of ours, in seconds."""

LISTING_S, PAGES = 180.0, 1000
"""How long reading the whole list may take, in seconds, and how many of its pages are read at most."""

SLACK = timedelta(seconds=10)
"""How far the provider's clock may differ from what is known of it."""

LOOK_BACK = timedelta(minutes=65)
"""The same for rows of a process that is gone, as its clock may have been set since; and for what is never taken for a
lost create, but keeps it from being missing: clocks that are an hour apart are met."""

ROWS = 1000
"""How many of the newest rows may be witnesses of what a list shows."""

CUTS = (20, 25)
"""A list that ends with a multiple of these may have been cut there: 20, 50 and 100 are usual."""


class WhyNotFound(Enum):
    """Why no prediction was found for a create."""

    MISSING = "the provider never got it"
    UNLISTED = "the provider does not list predictions"
    UNSEEN = "the list of predictions could not be read"
    UNSURE = "the list of predictions shows one that may be it"
    UNPROVEN = "the list of predictions shows neither it, nor enough of ours to say that it is missing"
    OVERDUE = "its time was over before the list of predictions could tell"
    HELD = "it has its prediction by now"
    STOPPED = "the search was stopped"


@dataclass(slots=True, eq=False)
class SentCreate:
    """A create whose reply is awaited, or was lost.

    `posted_at` is when it was sent by our clock, UTC; `provider_at` the same by the provider's, where that was known,
    and `moment` by the monotonic one, for a create of this process. The rest is about the search for a lost one:
    `lost_at` is monotonic, `patience` the seconds from then on for which a list may show too little, and `lag` how many
    seconds the list is late at most, by what it has shown since.
    """

    run_id: str
    request: Request
    posted_at: datetime
    provider_at: datetime | None = None
    moment: float | None = None
    slack: timedelta = SLACK
    cause: str = "the reply was lost"
    lost_at: float | None = None
    patience: float = WITNESS_S
    lag: float = math.inf
    found: Prediction | WhyNotFound | None = None
    failure: str | None = None
    """Why the list could not be read, where it could not."""
    is_settled: threading.Event = field(default_factory=threading.Event)

    def settle(self, found: Prediction | WhyNotFound) -> None:
        """End the search for it; the first to say so counts."""
        if not self.is_settled.is_set():
            self.found = found
            self.is_settled.set()

    def begin(self, moment: float, provider_at: datetime | None) -> None:
        """It is sent now, for the first time or anew; `moment` is monotonic."""
        self.posted_at, self.provider_at, self.moment = datetime.now(timezone.utc), provider_at, moment
        self.slack, self.lost_at, self.lag = SLACK, None, math.inf


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
        self._uploads: dict[str, str] = {}
        self._lock = threading.Lock()
        self._lost: list[SentCreate] = []
        self._thread: threading.Thread | None = None

    def find(
        self, create: SentCreate, *, until: float | None = None, is_patient: bool = True
    ) -> Prediction | WhyNotFound:
        """Wait until the lost create is found and claimed, or surely missing, or cannot be looked for.

        The monotonic `until` ends that in any case. One that is not patient learns at once that the list shows too
        little: so does one that nothing can be a witness for, as no create was accepted here.
        """
        if create.lost_at is None:
            create.lost_at = time.monotonic()
        patience = WITNESS_S if is_patient and self._api.acceptances else 0.0
        entry = replace(create, patience=patience, found=None, is_settled=threading.Event())
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
        if not entry.is_settled.wait(None if until is None else max(0.0, until - time.monotonic())):
            entry.settle(WhyNotFound.OVERDUE)
        assert entry.found is not None  # noqa: S101 - settle() sets it before the event
        create.failure, create.lag = entry.failure, entry.lag
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

    def find_strays(self, requests: Iterable[Request], seconds: float, deadline: float) -> list[str]:
        """The ids of listed predictions of the last `seconds` that equal one of the requests, and are no row's.

        Nor may they be of a row whose prediction is not known yet. Nothing is claimed; empty where nothing is listed.
        Reading the list ends by the monotonic `deadline`.
        """
        self._uploads = self._log.upload_hashes(self._provider)
        now = self._api.list_time(time.monotonic()) or datetime.now(timezone.utc)
        since = now - timedelta(seconds=seconds) - SLACK

        def want(run_id: str, request: Request) -> WantedPrediction:
            return replace(self._want(SentCreate(run_id, request, now)), since=since)

        ours = [want("", each) for each in {(each.model, canonical(each.input)): each for each in requests}.values()]
        listing = self._read({each.request.prompt for each in ours}, since, deadline, self._stop, is_whole=False)
        # The rows are asked for before what is claimed: what one of them gets meanwhile is not to be reported.
        rows = self._log.runs(status=[Status.INTENT, Status.UNKNOWN], limit=ROWS, newest_first=True, kind="any")
        claimed = self._log.find_predictions(self._provider, list(listing.near))
        unclaimed = [each for each in listing.near.values() if each.id not in claimed]
        like = [each for each in unclaimed if any(count_unexplained(one, each) is not None for one in ours)]
        waiting = [want(row.id, row.request) for row in rows if row.provider == self._provider]
        return [each.id for each in _without(like, match(waiting, like).values())]

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
                    creates, began = list(self._lost), time.monotonic()
                try:
                    self._settle_found(creates)
                except ImagenError:
                    _settle_all(creates, WhyNotFound.UNSEEN)
                # A long list takes its time: it is not to be read without a pause.
                if self._stop.wait(max(gap, time.monotonic() - began)):
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
        waits = [began - (create.lost_at or began) for create in creates]
        look = self._look(creates, self._stop, is_whole=max(waits) >= self._settle_s)
        for create, wanted, waited in zip(creates, look.wanted, waits, strict=True):
            create.lag = min(create.lag, began - look.listing.newest_sent_at)
            prediction = look.found.get(create.run_id)
            if prediction is not None:
                if self._log.accept(create.run_id, prediction):
                    create.settle(prediction)
                elif self._log.get(create.run_id).prediction_id is not None:
                    create.settle(WhyNotFound.HELD)
                continue
            # What was made when the create had long been lost is another's; in a long sweep there always is some.
            lost_at = self._api.list_time(began - waited)
            latest = None if lost_at is None else lost_at + SLACK + timedelta(seconds=self._settle_s)
            why = _why_not_found(
                waited,
                self._settle_s,
                look.listing.failure,
                may_be_listed=any(may_be(wanted, each) for each in look.rest),
                is_contested=look.is_contested(wanted, latest),
                is_proven=look.listing.covers(create, waited, self._settle_s),
                patience=create.patience,
            )
            if why is not None:
                create.failure = None if look.listing.failure is None else look.listing.failure.message
                create.settle(why)

    def _look(
        self, creates: Sequence[SentCreate], stop: threading.Event | None = None, *, is_whole: bool = False
    ) -> _Look:
        """Read the list once, and match it with these creates and those whose replies are awaited."""
        self._uploads = self._log.upload_hashes(self._provider)
        wanted = [self._want(create) for create in creates]
        since = min(each.since for each in wanted)
        prompts, deadline = {each.request.prompt for each in wanted}, time.monotonic() + LISTING_S
        listing = self._read(prompts, since, deadline, stop, is_whole=is_whole)
        # Creates with the same prompts whose replies are awaited, in this workspace and in other sessions. They are
        # asked for before what is claimed: a create that is answered meanwhile has its prediction in the log.
        mine, same = {each.run_id for each in wanted}, {each.request.prompt for each in wanted}
        rows = self._log.pending_creates(self._provider)
        others = list(self._awaited.values())  # a copy, made in one step: other threads add and take away
        others += [SentCreate(row.run_id, row.request, row.intended_at) for row in rows]
        awaited = [self._want(each) for each in others if each.request.prompt in same and each.run_id not in mine]
        claimed = self._log.find_predictions(self._provider, list(listing.near))
        unclaimed = [each for each in listing.near.values() if each.id not in claimed]
        # Rows that nobody is at may have become one of them too, where it does not show with which file it was made.
        rivals = [*wanted, *awaited]
        if any(each.request.files for each in wanted):
            left = [row for row in self._log.leftovers(self._provider) if row.prediction_id is None]
            left = [row for row in left if row.request.prompt in same and row.run_id not in mine]
            rivals += [
                self._want(SentCreate(row.run_id, row.request, row.intended_at, slack=LOOK_BACK)) for row in left
            ]
        theirs = list(match(awaited, unclaimed, rivals).values())
        found = match(wanted, _without(unclaimed, theirs), rivals)
        return _Look(wanted, found, theirs, _without(unclaimed, [*theirs, *found.values()]), listing)

    def _read(
        self, prompts: Iterable[str], since: datetime, deadline: float, stop: threading.Event | None, *, is_whole: bool
    ) -> _Listing:
        """Read the list back to `since` on the clock of `created_at`, or `is_whole`: as far as anything may be ours."""
        words = {collapse_space(each) for each in prompts}
        near: dict[str, Prediction] = {}  # the rest of a long list is not kept in memory
        seen: set[str] = set()
        floor, failure, last, is_sorted, reaches = since - LOOK_BACK, None, None, True, False
        try:
            for each in self._api.list(created_after=floor, deadline=deadline, pages=PAGES, stop=stop):
                seen.add(each.id)
                if "prompt" not in each.input:
                    near[each.id] = replace(each, input={}, raw={})  # removed: there may be very many
                elif collapse_space(each.input["prompt"]) in words:
                    near[each.id] = each
                if each.created_at is not None:
                    is_sorted, last = is_sorted and (last is None or each.created_at <= last), each.created_at
                    if reaches := is_sorted and last < (floor if is_whole else since):
                        break  # the newest stand first, and the others are too old
        except ProviderError as error:
            failure = error
        made = list(self._api.acceptances.items())  # a copy, made in one step
        by_age = sorted(made, key=lambda each: each[1].sent_at)
        first = next((id_ for id_, each in by_age if each.created_at and each.created_at >= floor), None)
        may_be_cut = not reaches and not all(len(seen) % each for each in CUTS)
        rows = self._log.runs(limit=ROWS, newest_first=True, kind="any") if is_whole else []
        return _Listing(
            near,
            failure,
            accepted={id_: each for id_, each in made if id_ in seen},
            rows={str(row.prediction_id): row.id for row in rows if row.prediction_id in seen},
            is_whole=is_whole and failure is None,
            has_start=is_sorted or not may_be_cut,
            has_newest=bool(by_age) and by_age[-1][0] in seen,
            has_end=not may_be_cut and (reaches or first is None or first in seen),
        )

    def _want(self, create: SentCreate) -> WantedPrediction:
        """What the create's prediction must look like, by what is known now.

        It was made after the create was sent, on the clock of `created_at`. A clock of ours may be set between the
        create and now, or the machine sleep; of what the clocks say, the earliest is safe.
        """
        model = create.request.model
        if model not in self._names:
            self._names[model] = frozenset(self._log.model_aliases(self._provider, model))
        moments = [create.posted_at + timedelta(seconds=self._api.list_skew), create.provider_at]
        if create.moment is not None:
            moments.append(self._api.list_time(create.moment))
        since = min(each for each in moments if each is not None) - create.slack
        defaults, names = self._spec(model).defaults, self._names[model]
        return WantedPrediction(create.run_id, create.request, since, defaults, names, self._uploads)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What one reading of the list showed, and what that says about the list.

    `near` is what has one of the prompts, or no input any more, `failure` what kept it from being read to its end.
    `accepted` are creates of this process and `rows` the run ids of newer rows whose predictions it shows, by
    prediction id. `is_whole` tells a reading that may say what is missing. `has_start` and `has_end` tell whether it
    goes as far as there is anything towards now and towards the past: it does not where it may have been cut there, or
    lacks the first create that was accepted here; `has_newest`, whether it shows the last one.
    """

    near: Mapping[str, Prediction]
    failure: ProviderError | None
    accepted: Mapping[str, Acceptance]
    rows: Mapping[str, str]
    is_whole: bool
    has_start: bool
    has_newest: bool
    has_end: bool

    @property
    def newest_sent_at(self) -> float:
        """When the newest create that it shows was sent; minus infinity where it shows none of this process."""
        return max((each.sent_at for each in self.accepted.values()), default=-math.inf)

    def covers(self, create: SentCreate, waited: float, settle_s: float) -> bool:
        """Whether it would show a create that was lost `waited` seconds before, had it been accepted.

        It does where it shows one that was sent after the loss, or all there is and is no later than that, and one
        from before the create was sent, or all there is. A create of another process stands in the order of the log's
        rows, whatever the clocks said: there a row written at most `settle_s` before its own is as good as a later one.
        """
        moment = create.moment
        others = [run_id for id_, run_id in self.rows.items() if moment is None or id_ not in self.accepted]
        is_recent = self.newest_sent_at >= (create.lost_at or math.inf)
        if self.has_start:
            is_recent = is_recent or (self.has_newest and create.lag <= waited)
        if moment is None:
            about = new_id(int((create.posted_at.timestamp() - settle_s) * 1e6))
            is_recent = is_recent or max(others, default="") > (about if self.has_start else create.run_id)
        reaches = self.has_end or min(others, default=create.run_id) < create.run_id
        if moment is not None:
            reaches = reaches or any(each.answered_at <= moment for each in self.accepted.values())
        return self.is_whole and is_recent and reaches


@dataclass(frozen=True, slots=True)
class _Look:
    """How one reading of the list matches.

    `found` is by run id, `theirs` what creates whose replies are awaited may be given, `rest` what is nobody's.
    """

    wanted: Sequence[WantedPrediction]
    found: Mapping[str, Prediction]
    theirs: Sequence[Prediction]
    rest: Sequence[Prediction]
    listing: _Listing

    def is_contested(self, wanted: WantedPrediction, latest: datetime | None = None) -> bool:
        """Whether an awaited create may be given what matches this one too, made by `latest` if that is known."""
        early = (each for each in self.theirs if not latest or each.created_at is None or each.created_at <= latest)
        return any(count_unexplained(wanted, each) is not None for each in early)


def _why_not_found(
    waited: float,
    settle_s: float,
    failure: ProviderError | None,
    *,
    may_be_listed: bool,
    is_contested: bool,
    is_proven: bool,
    patience: float,
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
    if is_proven and waited >= settle_s:
        return WhyNotFound.MISSING
    return WhyNotFound.UNPROVEN if waited >= max(settle_s, patience) else None


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

    `called` is what the provider's replies call the model, as far as any is known, `uploads` the hashes of our files by
    the addresses that they had there.
    """

    run_id: str
    request: Request
    since: datetime
    defaults: Json = field(default_factory=dict)
    called: frozenset[str] = frozenset()
    uploads: Mapping[str, str] = field(default_factory=dict)


def match(
    wanted: Iterable[WantedPrediction], listed: Iterable[Prediction], rivals: Sequence[WantedPrediction] = ()
) -> dict[str, Prediction]:
    """The prediction found for each run id; a run for which there is none is absent.

    `rivals` are others that one of them may be as well, where its echo does not say which file it was made with.
    """
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
        if one.request.files:
            others = [each for each in rivals if canonical(each.request.input) != canonical(one.request.input)]
            ranked = [each for each in ranked if not _may_be_of(others, one, candidates[each[1]])]
        if ranked:
            found[one.run_id] = candidates.pop(min(ranked)[1])
    return found


def _may_be_of(others: Iterable[WantedPrediction], one: WantedPrediction, candidate: Prediction) -> bool:
    """Whether the candidate does not show which file it was made with, and fits one of the others too."""
    echoed = candidate.input
    is_shown = all(_is_same_value(value, echoed.get(name), one.uploads) for name, value in one.request.input.items())
    return not is_shown and any(count_unexplained(each, candidate) is not None for each in others)


def count_unexplained(one: WantedPrediction, candidate: Prediction) -> int | None:
    """How many echoed inputs were neither sent, as far as one can tell, nor known defaults.

    None where the candidate cannot be the one.
    """
    if candidate.created_at is None or candidate.created_at < one.since or not _is_same_model(one, candidate):
        return None
    sent, echoed = one.request.input, candidate.input
    verdicts = [name in echoed and _is_same_value(value, echoed[name], one.uploads) for name, value in sent.items()]
    if False in verdicts:
        return None
    added = {name: value for name, value in echoed.items() if name not in sent and value is not None}
    if any(name in one.defaults and not _is_same_value(one.defaults[name], value, {}) for name, value in added.items()):
        return None
    return sum(name not in one.defaults for name in added) + verdicts.count(None)


def may_be(one: WantedPrediction, candidate: Prediction) -> bool:
    """Whether nothing that is known of the prediction rules the request out; clocks may be an hour apart."""
    if candidate.created_at is not None and candidate.created_at < one.since - LOOK_BACK:
        return False
    if not _is_same_model(one, candidate) and (one.called or "/" not in one.request.model):
        return False
    sent, echoed = dict(one.request.input), candidate.input
    if "prompt" in echoed and collapse_space(sent.pop("prompt", "")) != collapse_space(echoed["prompt"]):
        return False
    verdicts = (_is_same_value(value, echoed[name], one.uploads) for name, value in sent.items() if name in echoed)
    return False not in verdicts


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


def _is_same_value(sent: Any, echoed: Any, uploads: Mapping[str, str]) -> bool | None:
    """Whether the echo is of what was sent; None where it is of a file, and does not show of which.

    `uploads` are the hashes of our files by their addresses. What came as a `data:` URI the service keeps as a file of
    its own, and gives that one's address.
    """
    if isinstance(sent, InputFile):
        return _is_same_file(sent, echoed, uploads)
    if isinstance(sent, list | tuple) and any(isinstance(each, InputFile) for each in sent):
        if not isinstance(echoed, list) or len(echoed) != len(sent):
            return False
        verdicts = {_is_same_value(one, another, uploads) for one, another in zip(sent, echoed, strict=True)}
        return False if False in verdicts else None if None in verdicts else True
    if isinstance(sent, str) and sent.startswith("data:") and isinstance(echoed, str):
        return sent == echoed or (None if is_address(echoed, "https?") else False)
    try:
        return canonical(_with_integers(sent)) == canonical(_with_integers(echoed))
    except RecursionError:  # an echo nested beyond measure is of nothing we sent
        return False


def _is_same_file(sent: InputFile, echoed: Any, uploads: Mapping[str, str]) -> bool | None:
    if echoed is None:
        return None  # removed
    if not isinstance(echoed, str) or not is_address(echoed):
        return False
    if is_address(echoed, "https?"):
        return uploads[echoed] == sent.sha256 if echoed in uploads else None
    with suppress(ValueError):
        content = base64.b64decode(echoed.partition(",")[2], validate=True)
        if hashlib.sha256(content).hexdigest() == sent.sha256:
            return True
    with suppress(OSError):
        return None if data_uri(sent).startswith(echoed.rstrip(".…")) else False  # it may be cut
    return None


def _with_integers(value: Any) -> Any:
    """The value with whole floats as integers, as JSON writers differ in them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_integers(each) for each in value]
    return value
