"""How fast the API may be asked: the one door that all calls of a workspace pass, and the arithmetic behind it.

Only `Pacer` waits; all else is pure and takes the time as an argument. Seconds and requests per second throughout.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

from imagen_nb.errors import ProviderError, ThrottledError, UnreachableError
from imagen_nb.settings import Provider

Sleep: TypeAlias = Callable[[float, threading.Event | None], None]
"""Sleep for some seconds, or until the event is set."""

CREATES = 600 / 60
"""What the service allows, in creates a second."""

OTHERS = 3000 / 60
"""The same for every other call."""

LOCAL_CREATES, LOCAL_OTHERS = 200.0, 2000.0
"""A provider on this machine publishes no limits; these keep a mistake from eating it."""

SLICE_S = 0.25
"""How long one blocks at most before looking whether it is still worth it, in seconds."""

LOOK_FIRST_S = 1.0
"""After a pause of all looks creates wait for so much longer: they pass once a look did."""

AT_ONCE_S = 0.001
"""A turn that comes in fewer seconds than this has come."""

THROTTLED_HINT = (
    "The provider limits how fast one may ask: use fewer jobs or a longer timeout, or go on later with --resume."
)


def sleep_or_stop(seconds: float, stop: threading.Event | None) -> None:
    """Sleep for `seconds`, or until `stop` is set."""
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


class Pacer:
    """Lets calls pass at the provider's rate, which it learns from refusals; safe to use from many threads.

    Creates and other calls have limits of their own, and so two queues here. Each call that has to wait gets a turn; a
    refusal voids all turns and closes the queue for as long as the provider asks. Then turns are given out afresh, so
    that nobody storms the door when it opens.
    """

    def __init__(
        self,
        creates: float = CREATES,
        others: float = OTHERS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = sleep_or_stop,
    ) -> None:
        """`creates` and `others` are requests a second to start with, and the most there will be."""
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        now = clock()
        self._buckets = {True: Bucket.fresh(creates, now), False: Bucket.fresh(others, now)}
        self._epochs = {True: 0, False: 0}
        self._line = threading.Lock()
        self._took_create_at = now

    @classmethod
    def of(cls, provider: Provider) -> Pacer:
        """One that starts with the limits the service publishes, or with none to speak of on this machine."""
        return cls(LOCAL_CREATES, LOCAL_OTHERS) if provider.is_local else cls()

    def stand_in_line(self, longest: float, is_over: Callable[[], bool]) -> bool:
        """Wait until a create could pass at once; False where `is_over` said so meanwhile.

        Only the one at the head of the line waits for the provider. So a request comes to `acquire` when its turn is
        near, and does not grow old behind others. A pause of more than `longest` seconds that the provider asked for
        is left to `acquire`, which says so.
        """
        while not self._line.acquire(timeout=SLICE_S):
            if is_over():
                return False
        try:
            while not is_over():
                wait = self._buckets[True].take(self._clock())[1]
                if wait < AT_ONCE_S or self.pause_left > longest:
                    return True
                self._sleep(min(wait, SLICE_S), None)
        finally:
            self._line.release()
        return False

    def acquire(
        self,
        *,
        create: bool,
        deadline: float,
        stop: threading.Event | None = None,
        why: ProviderError | None = None,
    ) -> float:
        """Wait for this call's turn and give the time it came, which `note_refusal` wants to know.

        Where the turn comes after the monotonic `deadline`, raises at once `why` it has to wait, else `ThrottledError`;
        and `UnreachableError` when `stop` is set before the turn came.
        """
        epoch, turn = -1, 0.0
        while True:
            if stop is not None and stop.is_set():
                raise UnreachableError("stopped before the request was sent", "")
            with self._lock:
                now = self._clock()
                if epoch != self._epochs[create]:
                    bucket, wait = self._buckets[create].take(now)
                    if wait and now + wait > deadline:
                        raise why or ThrottledError(
                            f"the provider lets this request through in {wait:.0f} s, "
                            f"and it may wait for {max(0.0, deadline - now):.0f} s",
                            THROTTLED_HINT,
                            status=429,
                            retry_after=wait,
                        )
                    self._buckets[create], epoch, turn = bucket, self._epochs[create], now + wait
            if turn <= now:
                return now
            self._sleep(turn - now, stop)

    def note_refusal(self, retry_after: float | None, create: bool, *, asked_at: float = math.inf) -> float:
        """The provider refused a call that passed at `asked_at`, and asks to wait for `retry_after` seconds, if any.

        Gives the seconds that this call is to wait. While nobody may look at what there is, nothing more is created.
        """
        with self._lock:
            before, now = self._buckets[create], self._clock()
            bucket, wait = before.after_refusal(now, retry_after, asked_at=asked_at)
            self._set(create, bucket)
            if not create and bucket.at > now:
                creates = self._buckets[True]
                self._set(
                    True,
                    replace(creates, at=max(creates.at, bucket.at + LOOK_FIRST_S), tokens=min(1.0, creates.tokens)),
                )
            return wait

    def _set(self, create: bool, bucket: Bucket) -> None:
        """Let another bucket count; where it promises other turns, those already given are void."""
        before, self._buckets[create] = self._buckets[create], bucket
        self._epochs[create] += (before.tokens, before.at) != (bucket.tokens, bucket.at)

    def note_success(self, create: bool) -> None:
        """The provider took a call, whatever it answered."""
        with self._lock:
            if create:
                self._took_create_at = self._clock()
            self._buckets[create] = self._buckets[create].after_success()

    @property
    def since_create(self) -> float:
        """Seconds since the provider last took a create, or since there is this pacer."""
        return self._clock() - self._took_create_at

    @property
    def pause_left(self) -> float:
        """Seconds for which creates are held back because the provider asked to wait; 0 when they are not."""
        return self._buckets[True].pause_left(self._clock())

    def rate(self, *, create: bool) -> float:
        """The learned rate, in requests a second."""
        return self._buckets[create].rate


# -- the rate, learned from refusals ---------------------------------------------------------------------------------

BURST_S = 1.0
"""A bucket holds this many seconds' worth of requests, and one at least."""

SLOWEST = 1.0 / 60.0
"""No refusal makes a bucket slower than this, in requests a second."""

REST_S, FORGET_S = 5.0, 300.0
"""After so many seconds without a request what passed before measures only us, and what was learned counts no more."""

STEADY = 90
"""The learned rate is kept for this many requests before it grows, so that refusals stay rare."""

TRIALS, STEP_CLOSED = (0.975, 0.86), 0.8
"""How far below what was measured a first and a second trial are, and at least below the rate when the door closes."""

TRIAL = 25
"""A slower pace helps where it is kept for this many requests without a refusal."""

LEAST = 4
"""Fewer requests than this measure nothing."""

LENIENCE = 12
"""Where slowing down did not help, this many refusals are passed over before it is tried again."""

CLOSING, CLOSING_LENIENT = 4.0, 7.0
"""The door closes for all when so many more were refused than passed: as a rule, and while refusals are passed over."""

LONGEST_GUESS_S = 15.0
"""The longest pause after a refusal that names none, in seconds."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket that learns the provider's rate from its refusals, and which of them have nothing to do with it.

    `tokens` counts the requests that may pass at the time `at`; below zero, that many have been promised a later
    turn. `at` lies in the future while the door is closed. A limit refuses nobody who keeps below what it let pass,
    and a busy model refuses a part of all at any pace. So a refusal is answered by a trial at the pace that passed
    lately (`trials` is 1), a refusal in that by a slower one (2); where this is refused too, the first pace comes back
    and the next refusals are passed over (`trials` is below 0). Where more is refused than passes (`doubt`), the door
    closes for all. What helped is kept for a while and then grows, ever faster, since a limit can be lifted.
    """

    rate: float
    ceiling: float
    tokens: float
    at: float
    since: float
    passed: int = 0
    doubt: float = 0.0
    trials: int = 0
    refused_at: float = -math.inf

    @classmethod
    def fresh(cls, rate: float, now: float) -> Bucket:
        """A full bucket that starts with `rate` requests a second and never exceeds it."""
        return cls(rate=rate, ceiling=rate, tokens=max(1.0, rate * BURST_S), at=now, since=now)

    def pause_left(self, now: float) -> float:
        """Seconds until the door opens again; 0 when it is open."""
        return max(0.0, self.at - now)

    def take(self, now: float) -> tuple[Bucket, float]:
        """The bucket after one more request, and the seconds until that request's turn."""
        full, rest, burst = self, now - self.at, max(1.0, self.rate * BURST_S)
        if rest > FORGET_S:
            full = replace(Bucket.fresh(self.ceiling, now), tokens=1.0)
        elif rest > 0:
            full = replace(self, tokens=min(burst, self.tokens + rest * self.rate), at=now)
            if rest > REST_S and full.tokens == burst:
                full = replace(full, since=now, passed=0)
        after = replace(full, tokens=full.tokens - 1.0)
        return after, (after.at - now) + max(0.0, -after.tokens) / after.rate

    def after_refusal(
        self, now: float, pause: float | None = None, *, asked_at: float = math.inf
    ) -> tuple[Bucket, float]:
        """The bucket after a refusal that asks for `pause` seconds (None: it did not say), and what that call waits.

        Refusals of requests that were sent (`asked_at`) before the last refusal was known teach less.
        """
        is_new = asked_at > self.refused_at
        doubt = min(2.0 * CLOSING, self.doubt + (1.0 if is_new else 0.5))
        wait = pause if pause is not None else min(LONGEST_GUESS_S, 2.0 ** max(0.0, doubt - CLOSING))
        if self.at > now:
            return replace(self, at=max(self.at, now + (pause or 0.0))), wait
        refused = replace(self, doubt=doubt, refused_at=now if is_new else self.refused_at)
        passing = (self.passed + 1.0) / max(AT_ONCE_S, now - self.since)
        is_closing = doubt >= (CLOSING_LENIENT if self.trials < 0 else CLOSING)
        if is_closing or not (self.passed or self.trials):
            slower = STEP_CLOSED * self.rate
            is_measured = self.passed > 0 or (is_closing and pause is not None)
            rate = min(slower, max(passing, 1.0 / wait)) if is_measured else slower
            return replace(refused, **{**_at_rate(rate, now), "tokens": 1.0, "at": now + wait}, trials=0), wait
        return refused.next_trial(min(passing, self.rate), now) if is_new and self.passed >= LEAST else refused, wait

    def next_trial(self, passing: float, now: float) -> Bucket:
        """The bucket after a refusal while others pass, `passing` requests a second: slower, or as fast as ever."""
        if self.trials < 0:
            return replace(self, trials=self.trials + 1)
        trial = self.trials + 1 if self.passed < TRIAL else 1
        if trial > len(TRIALS):
            return replace(self, rate=self.ceiling, trials=-LENIENCE)
        if self.passed > STEADY:
            # A provider that saves up no unused turns makes the measure too low, and a steady rate is close.
            passing = (passing + self.rate) / 2.0
        return replace(self, **_at_rate(TRIALS[trial - 1] * passing, now), trials=trial)

    def after_success(self) -> Bucket:
        """The bucket after a request that was not refused."""
        grown = self.rate * (1.0 + 9e-8 * max(0, self.passed - STEADY) ** 2)  # 3 % in 100 requests, sevenfold in 400
        doubt = max(0.0, self.doubt - 1.0)
        return replace(self, rate=min(self.ceiling, grown), passed=self.passed + 1, doubt=doubt)


def _at_rate(rate: float, now: float) -> dict[str, Any]:
    """What changes with the rate: every promised turn is void, and what passes is measured anew."""
    return {"rate": max(SLOWEST, rate), "tokens": 0.0, "at": now, "since": now, "passed": 0}


# -- what a 429 says -------------------------------------------------------------------------------------------------

LONGEST_S = 30 * 86400.0
"""A longer wait than this is no wait anybody means, in seconds."""

_IN_TEXT = re.compile(r"\b(?:in|after)\s+~?\s*(\d+(?:\.\d+)?)\s*(ms|m|h|s)?[a-z]*\b", re.IGNORECASE)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after(headers: Mapping[str, str], body: Any, now: datetime) -> float | None:
    """Seconds that a 429 asks to wait, or None where it says nothing one can believe.

    Looked for in this order: `Retry-After` as seconds or as an HTTP-date (against the reply's own `Date`, else `now`),
    `retry_after` in the body, "resets in ~7s" in its text, `ratelimit-reset`. Zero, negative and absurd values, and
    what is not a number, count as nothing.
    """
    named = {name.lower(): value for name, value in headers.items()}
    header = named.get("retry-after")
    until = http_date(header)
    candidates = (
        _seconds(header),
        None if until is None else _seconds((until - (http_date(named.get("date")) or now)).total_seconds()),
        _seconds_in_body(body),
        *(_seconds(float(number) * _UNIT_S[unit.casefold()]) for number, unit in _waits_in_text(body)),
        _seconds(named.get("ratelimit-reset")),
    )
    return next((found for found in candidates if found is not None), None)


def http_date(text: str | None) -> datetime | None:
    """The UTC time an HTTP header names, or None."""
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        return at.replace(tzinfo=at.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0.0 < seconds <= LONGEST_S else None


def _seconds_in_body(body: Any) -> float | None:
    if not isinstance(body, Mapping):
        return None
    found = _seconds(body.get("retry_after"))
    return found if found is not None else _seconds_in_body(body.get("error"))


def _waits_in_text(body: Any) -> Iterator[tuple[str, str]]:
    """Number and unit of each wait that the texts of an error body name."""
    if isinstance(body, str):
        yield from ((number, unit or "s") for number, unit in _IN_TEXT.findall(body[:10_000]))
    elif isinstance(body, Mapping):
        for name in ("detail", "message", "error", "title"):
            yield from _waits_in_text(body.get(name))


# -- trying again after a failure ------------------------------------------------------------------------------------


def backoff(attempt: int, *, base: float = 0.5, cap: float = 30.0, jitter: float) -> float:
    """Seconds to wait after the failure of `attempt` (counted from 1): doubling, between half and all of it.

    `jitter` is a random number in [0, 1), so that clients which failed together do not come back together.
    """
    return float(min(cap, base * 2.0 ** min(attempt - 1, 60)) * (0.5 + 0.5 * jitter))


@dataclass(frozen=True, slots=True)
class RetryQuota:
    """How many repeats may still be made: each costs, each success gives a little back.

    In good times nothing is ever refused. When a provider fails for minutes, the quota runs out and every call is made
    once, so that repeats never add more than a fifth to the load of a provider in trouble.
    """

    tokens: float = 200.0
    capacity: float = 200.0
    cost: float = 5.0

    def spend(self) -> RetryQuota | None:
        """The quota after one repeat, or None where it allows none."""
        return replace(self, tokens=self.tokens - self.cost) if self.tokens >= self.cost else None

    def refill(self) -> RetryQuota:
        """The quota after one success."""
        return self if self.tokens >= self.capacity else replace(self, tokens=min(self.capacity, self.tokens + 1.0))
