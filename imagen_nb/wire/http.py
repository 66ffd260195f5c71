"""The API's HTTP: one `send`, with the token, the pacing, the repeats that are safe, and the errors.

A create is sent once. It is sent again only where surely no byte of it left, or where the provider said 429; anything
else ends in an `UncertainError`, and finding out what became of it is the caller's business.
"""

from __future__ import annotations

import itertools
import json as jsonlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from imagen_nb.core.pacing import Quota, backoff
from imagen_nb.errors import InputError, ProviderError, ThrottledError, UncertainError, UnreachableError
from imagen_nb.settings import Provider
from imagen_nb.wire.bodies import Body
from imagen_nb.wire.gate import Doze, Gate, doze, gate_for
from imagen_nb.wire.losses import Lost, Unreadable, loss_of
from imagen_nb.wire.replies import Reply, read_reply, refusal_of
from imagen_nb.wire.transport import Anonymous, Bearer, Call, Line

TRIES = 4
"""How often a call is made at most before its failure comes out; 429 does not count."""

PATIENCE_S = 60.0
"""How long one exchange may take, however far off the deadline is, in seconds."""


class Http:
    """The connections to one provider; safe to use from many threads."""

    def __init__(
        self,
        provider: Provider,
        *,
        gate: Gate | None = None,
        clock: Callable[[], float] = time.monotonic,
        doze: Doze = doze,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.gate = gate or gate_for(provider)
        self.clock_skew = 0.0
        """What the provider's clock is ahead of ours by its last Date header, in seconds; 0.0 while unknown."""
        self._heard_at: tuple[datetime, float] | None = None
        self._base = provider.base_url
        self._token = provider.token
        self._line = Line(Bearer(provider.token) if provider.token else Anonymous())
        self._clock = clock
        self._doze = doze
        self._rng = rng
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._quota = Quota()

    def __repr__(self) -> str:
        return f"Http({self._base!r})"

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        create: bool = False,
        stop: threading.Event | None = None,
        patience: float = PATIENCE_S,
    ) -> Reply:
        """The reply to one call, a 2xx with a JSON object in it; `path` begins with a slash and is quoted already.

        `deadline` is monotonic and bounds everything; one exchange takes `patience` seconds at most. A create that has
        its turn by the deadline has those seconds to itself, and `stop`, which ends every other call soon, does not
        end one under way: its reply is the only sure word about what is billed. Raises
        the `ProviderError` that fits, `ThrottledError` where a 429 asks to wait beyond the deadline, `UnreachableError`
        only where surely nothing was sent, and `UncertainError` for every lost or unusable reply.
        """
        body, headers = _written(json, headers)
        for attempt in itertools.count(1):
            is_late = self._clock() >= deadline
            asked_at = self.gate.acquire(create=create, deadline=deadline, stop=stop)
            ends = asked_at + patience if create and not is_late else min(deadline, asked_at + patience)
            call = Call(ends, self._stopper(None if create else stop), self._clock)
            answer = self._exchange(method, path, call, body, headers)
            error, may_repeat = _judged(answer, create=create)
            self._heard(answer, error, create=create)
            if error is None:
                return answer  # type: ignore[return-value] # a Lost is an error
            if isinstance(error, ThrottledError):
                self.gate.throttled(error.retry_after, create, asked_at=asked_at)
                if (error.retry_after or 0.0) > deadline - self._clock():
                    raise error
            elif not (may_repeat and attempt < TRIES and self._backed_off(attempt, deadline, stop)):
                raise error
        raise AssertionError  # pragma: no cover - count() does not end

    def provider_time(self, at: float) -> datetime | None:
        """What the provider's clock says at the monotonic moment `at`, by its last Date header; None while unknown.

        Unlike `clock_skew` it stays right when this machine's own clock is set.
        """
        heard_at = self._heard_at
        return None if heard_at is None else heard_at[0] + timedelta(seconds=at - heard_at[1])

    def close(self) -> None:
        """End every call under way, and close the connections."""
        self._closed.set()
        self._line.close()

    def _exchange(
        self, method: str, path: str, call: Call, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply | Lost:
        received = Body(self._token)
        url = self._base + path
        head = self._line.exchange(method, url, call, sink=received.sink, body=body, headers=headers)
        if isinstance(head, Lost):
            return head
        try:
            text = received.text()
        except Unreadable as failure:
            return loss_of(failure, url, is_sent=True)
        return read_reply(head.status, head.headers, text.text, text.number)

    def _stopper(self, stop: threading.Event | None) -> Callable[[], bool]:
        if stop is None:
            return self._closed.is_set
        return lambda: stop.is_set() or self._closed.is_set()

    def _heard(self, answer: Reply | Lost, error: ProviderError | None, *, create: bool) -> None:
        """Learn from an answer: the provider's clock, its pace, its health."""
        if isinstance(answer, Lost):
            return
        if answer.date is not None:
            # A Date header names whole seconds, so that it is half a second old on average.
            date = answer.date + timedelta(seconds=0.5)
            self.clock_skew = (date - datetime.now(timezone.utc)).total_seconds()
            self._heard_at = (date, self._clock())
        if not isinstance(error, ThrottledError):
            self.gate.accepted(create)
        if error is None:
            with self._lock:
                self._quota = self._quota.refilled()

    def _backed_off(self, attempt: int, deadline: float, stop: threading.Event | None) -> bool:
        """Wait before another try; False where the quota, the deadline or a stop forbids one."""
        gap = backoff(attempt, jitter=self._rng())
        if self._clock() + gap >= deadline or not self._spent():
            return False
        self._doze(gap, stop or self._closed)
        return not self._stopper(stop)()

    def _spent(self) -> bool:
        with self._lock:
            after = self._quota.spent()
            self._quota = after or self._quota
            return after is not None


def _judged(answer: Reply | Lost, *, create: bool) -> tuple[ProviderError | None, bool]:
    """The error that an answer amounts to, and whether the call may be made again."""
    if isinstance(answer, Lost):
        if not answer.is_sent:
            return UnreachableError(answer.text, answer.hint), answer.is_passing
        return UncertainError(answer.text, answer.hint), answer.is_passing and not create
    error = refusal_of(answer)
    return error, isinstance(error, UncertainError) and not create


def _written(value: Any, headers: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """The body as bytes and the headers that go with it."""
    sent = {"Accept": "application/json", **(headers or {})}
    if value is None:
        return None, sent
    try:
        text = jsonlib.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InputError(
            "the input cannot be written as JSON", "Use text, numbers, true/false, lists and dicts."
        ) from None
    return text.encode("ascii"), {"Content-Type": "application/json", **sent}
