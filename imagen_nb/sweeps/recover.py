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


class Fate(Enum):
    """Why no prediction was found."""

    MISSING = "the provider never got it"
    UNLISTED = "the provider does not list predictions"
    UNSEEN = "the list of predictions could not be read"
    UNSURE = "the list of predictions shows one that may be it"
    HELD = "it has its prediction by now"
    STOPPED = "the search was stopped"


@dataclass(slots=True, eq=False)
class Lost:
    """A create of unknown fate.

    `posted_at` is when it was sent by our clock, UTC; `provider_at` the same by the provider's, where that was known,
    and `moment` by the monotonic one, for a create of this process.
    """

    run_id: str
    request: Request
    posted_at: datetime
    provider_at: datetime | None = None
    moment: float | None = None
    slack: timedelta = SLACK
    lost_at: float = field(default_factory=time.monotonic)
    cause: str = "the reply was lost"
    failure: str | None = None
    """Why the list could not be read, where it could not."""
    finding: Prediction | Fate | None = None
    settled: threading.Event = field(default_factory=threading.Event)

    def end(self, finding: Prediction | Fate) -> None:
        self.finding = finding
        self.settled.set()


class Awaited:
    """The creates of one workspace whose replies may still come; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._creates: dict[str, Lost] = {}

    def add(self, create: Lost) -> None:
        with self._lock:
            self._creates[create.run_id] = create

    def drop(self, run_id: str) -> None:
        with self._lock:
            self._creates.pop(run_id, None)

    def all(self) -> list[Lost]:
        with self._lock:
            return list(self._creates.values())


class Search:
    """Looks for lost creates on behalf of many threads; its own thread lives only while something is lost."""

    def __init__(
        self,
        api: Api,
        log: Log,
        provider: str,
        spec: Callable[[str], ModelSpec],
        *,
        stop: threading.Event,
        awaited: Awaited | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._api = api
        self._log = log
        self._provider = provider
        self._spec = spec
        self._stop = stop
        self._awaited = awaited or Awaited()
        self._called: dict[str, frozenset[str]] = {}
        self._settle_s = settle_s
        self._lock = threading.Lock()
        self._entries: list[Lost] = []
        self._thread: threading.Thread | None = None

    def find(self, lost: Lost) -> Prediction | Fate:
        """Wait until the lost create is found and claimed, or surely missing, or cannot be looked for."""
        with self._lock:
            self._entries.append(lost)
            if self._thread is None:
                thread = threading.Thread(target=self._look, name="imagen-search", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system gives no more threads
                    self._entries.remove(lost)
                    return Fate.UNSEEN
                self._thread = thread
        lost.settled.wait()
        assert lost.finding is not None  # noqa: S101 - end() sets it before the event
        return lost.finding

    def glance(self, held: Iterable[Lost]) -> dict[str, Prediction]:
        """One look that claims nothing: what creates that are still held open have become, by run id.

        One that another create may as well have become is left out.
        """
        wanted = [self._wanted(one) for one in held]
        if not wanted:
            return {}
        listed, _ = self._listed(wanted)
        mine = {one.run_id for one in wanted}
        others = [one for one in self._others(wanted) if one.run_id not in mine]
        listed = self._unclaimed(listed)
        theirs = match(others, listed).values()
        found = match(wanted, _without(listed, theirs))
        return {one.run_id: found[one.run_id] for one in wanted if one.run_id in found and not _any(one, theirs)}

    def _look(self) -> None:
        gap = 0.25
        try:
            while entries := self._open_entries():
                try:
                    self._list_for(entries)
                except ImagenError:
                    _end_all(entries, Fate.UNSEEN)
                if self._stop.wait(gap):
                    _end_all(entries, Fate.STOPPED)
                gap = min(2.0, gap * 1.5)
        except BaseException:  # a mistake of ours must not leave anybody waiting, now or later
            with self._lock:
                self._thread = None
                _end_all(self._entries, Fate.UNSEEN)
            raise

    def _open_entries(self) -> list[Lost]:
        with self._lock:
            self._entries = [one for one in self._entries if not one.settled.is_set()]
            if not self._entries:
                self._thread = None
            return list(self._entries)

    def _list_for(self, entries: list[Lost]) -> None:
        began = time.monotonic()
        self._called = {model: names for model, names in self._called.items() if names}  # others may be known by now
        wanted = [self._wanted(one) for one in entries]
        listed, failure = self._listed(wanted, self._stop)
        # In this order: a create that is answered meanwhile has its prediction in the log.
        others = self._others(wanted)
        listed = self._unclaimed(listed)
        theirs = match(others, listed).values()
        found = match(wanted, _without(listed, theirs))
        rest = _without(listed, [*theirs, *found.values()])
        for one, asked in zip(entries, wanted, strict=True):
            prediction = found.get(one.run_id)
            if prediction is not None:
                self._claim(one, prediction)
            elif fate := _fate(failure, began - one.lost_at, self._settle_s, self._doubt(one, asked, rest, theirs)):
                one.failure = None if failure is None else failure.message
                one.end(fate)

    def _claim(self, one: Lost, prediction: Prediction) -> None:
        """Give the prediction to the row; one that got another meanwhile is no longer looked for."""
        if self._log.accept(one.run_id, prediction):
            one.end(prediction)
        elif self._log.get(one.run_id).prediction_id is not None:
            one.end(Fate.HELD)

    def _doubt(
        self, one: Lost, asked: Wanted, rest: Iterable[Prediction], theirs: Iterable[Prediction]
    ) -> _Doubt | None:
        """Why the create may be among the listed predictions, though it has not got one."""
        if any(may_be(asked, each) for each in rest):
            return _Doubt.LASTING
        # What was made when the create had long been lost is another's; in a long sweep there always is some.
        lost_at = self._api.provider_time(one.lost_at)
        latest = None if lost_at is None else lost_at + SLACK + timedelta(seconds=self._settle_s)
        early = [each for each in theirs if latest is None or each.created_at is None or each.created_at <= latest]
        return _Doubt.PASSING if _any(asked, early) else None

    def _others(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """The creates with the same prompts whose replies are awaited: in this workspace, and in other sessions."""
        prompts = {one.request.prompt for one in wanted}
        rows = self._log.awaited(self._provider)
        elsewhere = [Lost(row.run_id, row.request, row.intended_at) for row in rows]
        return [self._wanted(each) for each in (*self._awaited.all(), *elsewhere) if each.request.prompt in prompts]

    def _listed(
        self, wanted: Sequence[Wanted], stop: threading.Event | None = None
    ) -> tuple[list[Prediction], ProviderError | None]:
        """The predictions that might be wanted, and what kept the list from being whole.

        The rest of a long list is not kept in memory.
        """
        since = min(one.since for one in wanted)
        prompts = {collapse_space(one.request.prompt) for one in wanted}
        similar: dict[str, Prediction] = {}
        try:
            deadline = time.monotonic() + LISTING_S
            for each in self._api.list(created_after=since, deadline=deadline, pages=PAGES, stop=stop):
                if "prompt" not in each.input:
                    similar[each.id] = replace(each, input={}, raw={})  # removed: there may be very many
                elif collapse_space(each.input["prompt"]) in prompts:
                    similar[each.id] = each
        except ProviderError as error:
            return list(similar.values()), error
        return list(similar.values()), None

    def _unclaimed(self, listed: Sequence[Prediction]) -> list[Prediction]:
        """Those that no row has."""
        claimed = self._log.claimed(self._provider, [one.id for one in listed])
        return [one for one in listed if one.id not in claimed]

    def _wanted(self, lost: Lost) -> Wanted:
        model = lost.request.model
        if model not in self._called:
            self._called[model] = frozenset(self._log.called(self._provider, model))
        return Wanted(lost.run_id, lost.request, self._since(lost), self._spec(model).defaults, self._called[model])

    def _since(self, lost: Lost) -> datetime:
        """The earliest moment, by the provider's clock, at which the create can have been processed.

        A clock of ours may be set between the create and now, or the machine sleep; of what the clocks say, the
        earliest is safe, as it only makes the list longer.
        """
        said = [lost.posted_at + timedelta(seconds=self._api.clock_skew), lost.provider_at]
        if lost.moment is not None:
            said.append(self._api.provider_time(lost.moment))
        return min(each for each in said if each is not None) - lost.slack


class _Doubt(Enum):
    """Why a create that is not found is not missing either."""

    PASSING = "another create, whose reply is awaited, may be given what matches"
    LASTING = "nobody's prediction may be it"


def _any(one: Wanted, candidates: Iterable[Prediction]) -> bool:
    return any(matches(one, each) for each in candidates)


def _without(listed: Iterable[Prediction], taken: Iterable[Prediction]) -> list[Prediction]:
    ids = {each.id for each in taken}
    return [each for each in listed if each.id not in ids]


def _fate(failure: ProviderError | None, waited: float, settle_s: float, doubt: _Doubt | None) -> Fate | None:
    """What it means that a create lost `waited` seconds before is not in the list, or None while that is too early."""
    if failure is None and doubt is _Doubt.PASSING:
        return Fate.UNSURE if waited >= max(settle_s, PATIENCE_S) else None
    if failure is None:
        return (Fate.UNSURE if doubt else Fate.MISSING) if waited >= settle_s else None
    if isinstance(failure, NotFoundError):
        return Fate.UNLISTED
    is_passing = isinstance(failure, UncertainError | UnreachableError)
    return None if is_passing and waited < PATIENCE_S else Fate.UNSEEN


def _end_all(entries: Iterable[Lost], fate: Fate) -> None:
    for one in entries:
        if not one.settled.is_set():
            one.end(fate)


# ----------------------------------------------------------------------------------------------------
# Which listed prediction belongs to which lost request: the arithmetic of reconciliation. The API echoes an
# input with its keys reordered and its defaults filled in, so equality is asked only of what was sent; what was
# not sent must be the model's default. Each prediction is given to one request at most, the earliest first. A
# listed prediction that does not match may be the request's all the same: an input is removed after an hour, a
# default may not be what the catalogue says, a model may go by another name. It is never taken, and the request
# is not missing.


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request whose create was lost. `since` is the earliest creation time, on the provider's clock, UTC.

    `called` is what the provider's replies call the model, as far as any is known.
    """

    run_id: str
    request: Request
    since: datetime
    defaults: Json = field(default_factory=dict)
    called: frozenset[str] = frozenset()


def match(wanted: Iterable[Wanted], listed: Iterable[Prediction]) -> dict[str, Prediction]:
    """The prediction found for each run id; a run for which there is none is absent."""
    unclaimed = _by_prompt(listed)
    found: dict[str, Prediction] = {}
    for one in sorted(wanted, key=lambda one: one.since):
        candidates = unclaimed.get(one.request.prompt, [])
        best = _best(one, candidates)
        if best is not None:
            candidates.remove(best)
            found[one.run_id] = best
    return found


def matches(one: Wanted, candidate: Prediction) -> bool:
    """Whether the prediction could be given to the request."""
    return _unexplained(one, candidate) is not None


def may_be(one: Wanted, candidate: Prediction) -> bool:
    """Whether nothing that is known of the prediction rules the request out."""
    if candidate.created_at is not None and candidate.created_at < one.since:
        return False
    if not _same_model(one, candidate) and (one.called or "/" not in one.request.model):
        return False
    sent, echoed = dict(one.request.input), candidate.input
    if "prompt" in echoed and collapse_space(sent.pop("prompt", "")) != collapse_space(echoed["prompt"]):
        return False
    return all(name not in echoed or _same_value(value, echoed[name]) for name, value in sent.items())


def collapse_space(prompt: Any) -> str:
    """The prompt's words with single spaces between them, as a provider may have tidied it."""
    return " ".join(str(prompt).split())


def _by_prompt(listed: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions by their prompt, the oldest first; what has no time or no input cannot be matched."""
    groups: dict[str, list[Prediction]] = {}
    timed = [one for one in listed if one.created_at is not None]
    for one in sorted(timed, key=lambda one: (one.created_at, one.id)):
        groups.setdefault(str(one.input.get("prompt", "")), []).append(one)
    return groups


def _best(one: Wanted, candidates: Sequence[Prediction]) -> Prediction | None:
    """The oldest candidate with the fewest inputs that nobody can explain."""
    ranked = [(rank, place) for place, each in enumerate(candidates) if (rank := _unexplained(one, each)) is not None]
    return candidates[min(ranked)[1]] if ranked else None


def _unexplained(one: Wanted, candidate: Prediction) -> int | None:
    """How many echoed inputs were neither sent nor known defaults; None where the two cannot be the same."""
    if candidate.created_at is None or candidate.created_at < one.since:
        return None
    if not _same_model(one, candidate):
        return None
    sent, echoed = one.request.input, candidate.input
    if any(name not in echoed or not _same_value(value, echoed[name]) for name, value in sent.items()):
        return None
    added = {name: value for name, value in echoed.items() if name not in sent and value is not None}
    if any(name in one.defaults and not _same_value(one.defaults[name], value) for name, value in added.items()):
        return None
    return sum(name not in one.defaults for name in added)


def _same_model(one: Wanted, candidate: Prediction) -> bool:
    asked = one.request.model
    name, _, version = asked.rpartition(":") if ":" in asked else (asked, "", "")
    seen_version = str(candidate.raw.get("version", ""))
    if "/" not in asked:
        return seen_version == asked
    return candidate.model in (None, name, *one.called) or bool(version and seen_version == version)


def _same_value(sent: Any, echoed: Any) -> bool:
    if isinstance(sent, str) and sent.startswith("data:") and isinstance(echoed, str):
        return sent == echoed or echoed.startswith("https://")  # the service keeps uploads as files
    try:
        return canonical(_plain(sent)) == canonical(_plain(echoed))
    except RecursionError:  # an echo nested beyond measure is of nothing we sent
        return False


def _plain(value: Any) -> Any:
    """The value with whole floats as integers, as JSON writers differ in them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
