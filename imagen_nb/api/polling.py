"""From an accepted prediction to a terminal one. Looking costs nothing, so every failure but a refusal is outwaited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from imagen_nb.api.client import Api
from imagen_nb.api.pace import Doze, backoff, poll_gap, sleep_until
from imagen_nb.errors import NotFoundError, ThrottledError, UncertainError, UnreachableError
from imagen_nb.records import Prediction

FRESH_S = 2.0
"""A prediction younger than this began when the wait did: the provider's clock is not known any better."""

MISSING_LOOKS, MISSING_S = 4, 5.0
"""A prediction that was not there in so many looks over so many seconds is gone."""


def wait(
    api: Api,
    prediction: Prediction,
    *,
    deadline: float,
    history: Sequence[float] | Callable[[], Sequence[float]] = (),
    typical: float | None = None,
    stop: threading.Event | None = None,
    watch: Callable[[Prediction], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    doze: Doze = sleep_until,
) -> Prediction:
    """The prediction when it is terminal, or as last seen by the monotonic `deadline` or when `stop` is set.

    `history` holds how many seconds recent predictions of the same model took; a callable is asked before each look, so
    that what ends meanwhile helps. `typical` is what to expect without it. `watch` is called at each change of status.
    Raises `NotFoundError` when the prediction stays missing, `AuthenticationError` and the like at once.
    """
    began = clock() - _age(prediction, api.clock_skew)
    misses = _Misses(clock)
    seen = prediction
    while not seen.status.is_terminal:
        known = history() if callable(history) else history
        gap = misses.gap() or poll_gap(clock() - began, known, typical)
        doze(max(0.0, min(gap, deadline - clock())), stop)
        if clock() >= deadline or (stop is not None and stop.is_set()):
            return seen
        found = _look(api, seen.id, deadline, stop, misses)
        if found is not None:
            if watch is not None and found.seen_status != seen.seen_status:
                watch(found)
            seen = found
    return seen


@dataclass(slots=True)
class _Misses:
    """Looks in a row that showed nothing."""

    clock: Callable[[], float]
    count: int = 0
    missing: int = 0
    missing_since: float = 0.0
    pause: float = 0.0

    def gap(self) -> float | None:
        """Seconds until the next look after failures, or None when there were none."""
        return max(self.pause, backoff(self.count, cap=15.0, jitter=0.5)) if self.count else None

    def note(self, error: Exception) -> None:
        """One more failure. Raises `NotFoundError` when the prediction has been missing for long enough."""
        self.count += 1
        self.pause = (error.retry_after or 0.0) if isinstance(error, ThrottledError) else 0.0
        if not isinstance(error, NotFoundError):
            return
        self.missing_since = self.missing_since if self.missing else self.clock()
        self.missing += 1
        if self.missing >= MISSING_LOOKS and self.clock() - self.missing_since >= MISSING_S:
            raise error

    def clear(self) -> None:
        self.count = self.missing = 0


def _look(
    api: Api, prediction_id: str, deadline: float, stop: threading.Event | None, misses: _Misses
) -> Prediction | None:
    try:
        found = api.get(prediction_id, deadline=deadline, stop=stop)
    except (NotFoundError, ThrottledError, UncertainError, UnreachableError) as error:
        misses.note(error)
        return None
    misses.clear()
    return found


def _age(prediction: Prediction, skew: float) -> float:
    """Seconds since the prediction began, by the provider's clock; 0 for one that has just begun."""
    if prediction.created_at is None:
        return 0.0
    age = (datetime.now(timezone.utc) - prediction.created_at).total_seconds() + skew
    return age if age > FRESH_S else 0.0
