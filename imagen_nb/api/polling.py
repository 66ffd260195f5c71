"""From an accepted prediction to a terminal one. Looking costs nothing, so every failure but a refusal is outwaited."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagen_nb.api.client import Api
from imagen_nb.api.pace import Sleep, backoff, sleep_or_stop
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
    sleep: Sleep = sleep_or_stop,
) -> Prediction:
    """The prediction when it is terminal, or as last seen by the monotonic `deadline` or when `stop` is set.

    `history` holds how many seconds recent predictions of the same model took; a callable is asked before each look, so
    that what ends meanwhile helps. `typical` is what to expect without it. `watch` is called at each change of status.
    Raises `NotFoundError` when the prediction stays missing, `AuthenticationError` and the like at once, and
    `ThrottledError` at the deadline where the last look was refused for the pace: nobody knows what it came to.
    """
    age, now = 0.0, api.list_time(time.monotonic())
    if prediction.created_at is not None and now is not None:
        age = (now - prediction.created_at).total_seconds()
    began = clock() - (age if age > FRESH_S else 0.0)
    misses = _Misses(clock)
    seen = prediction
    while not seen.status.is_terminal:
        known = history() if callable(history) else history
        gap = misses.gap() or poll_gap(clock() - began, known, typical)
        sleep(max(0.0, min(gap, deadline - clock())), stop)
        is_stopped = stop is not None and stop.is_set()
        if clock() >= deadline and not is_stopped and isinstance(misses.error, ThrottledError):
            raise misses.error
        if clock() >= deadline or is_stopped:
            return seen
        try:
            found = api.get(seen.id, deadline=deadline, stop=stop)
        except (NotFoundError, ThrottledError, UncertainError, UnreachableError) as error:
            misses.note(error)
            continue
        misses.clear()
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
    error: Exception | None = None

    def gap(self) -> float | None:
        """Seconds until the next look after failures, or None when there were none."""
        pause = (self.error.retry_after or 0.0) if isinstance(self.error, ThrottledError) else 0.0
        return max(pause, backoff(self.count, cap=15.0, jitter=0.5)) if self.count else None

    def note(self, error: Exception) -> None:
        """One more failure. Raises `NotFoundError` when the prediction has been missing for long enough."""
        self.count += 1
        self.error = error
        if not isinstance(error, NotFoundError):
            return
        self.missing_since = self.missing_since if self.missing else self.clock()
        self.missing += 1
        if self.missing >= MISSING_LOOKS and self.clock() - self.missing_since >= MISSING_S:
            raise error

    def clear(self) -> None:
        self.count, self.missing, self.error = 0, 0, None


# -- when to look again ----------------------------------------------------------------------------------------------

SHORTEST_GAP_S = 0.05
LONGEST_GAP_S = 5.0

EXPECTANT_GAP_S = 0.5
"""The longest gap while the end may come at any moment: what other clients wait each time, so that a slow model is not
seen much later than by them."""

POLL_WORTH_S = 0.02
"""One poll is worth as much as this many seconds of delay.

Where a prediction ends with a chance of h a second, a gap of sqrt(2 * POLL_WORTH_S / h) costs least in sum."""


def poll_gap(elapsed: float, history: Sequence[float] = (), typical: float | None = None) -> float:
    """Seconds until the next look at a prediction that began `elapsed` seconds ago and has not ended.

    `history` holds how many seconds recent predictions of the same model took, `typical` what to expect without it.
    Before anything of the history had ended there is nothing to see; then looks come closer together the likelier
    the end is, and further apart again when it is overdue.
    """
    later = sorted(each for each in history if each > elapsed)
    if later:
        gap = _gap_by_history(elapsed, later)
    elif history:  # overdue
        longest = max(history)
        gap = SHORTEST_GAP_S + 0.1 * (elapsed - longest) + 0.03 * (longest - min(history))
        # While a sweep is young the slower ones have not ended yet: to be a little late is to be expected.
        gap = gap if elapsed > 2.0 * longest else min(EXPECTANT_GAP_S, gap)
    elif typical is not None and typical / 2.0 <= elapsed <= typical * 2.0:
        gap = _gap_by_half_life(typical / 2.0)
    else:
        # Not longer where `typical` says it is early: a provider may be several times faster than its model's usual.
        gap = min(EXPECTANT_GAP_S, max(0.2, 0.3 * math.sqrt(max(0.0, elapsed))))
    return min(LONGEST_GAP_S, max(SHORTEST_GAP_S, gap))


def _gap_by_history(elapsed: float, later: Sequence[float]) -> float:
    """The gap where some of the history, in ascending order, took longer than `elapsed`."""
    count = len(later)
    soon = later[count // 20]  # the first twentieth counts as chance
    half = later[count // 2]
    likely = max(0.0, soon - elapsed) + _gap_by_half_life(half - max(soon, elapsed))
    # Before the earliest of many nothing is to be expected; before the earliest of a few, something may well be.
    unlikely = math.sqrt(2.0 * POLL_WORTH_S * (later[0] - elapsed) * (count + 1))
    return min(likely, max(unlikely, _gap_by_half_life(half - elapsed)), later[0] - elapsed + EXPECTANT_GAP_S)


def _gap_by_half_life(half: float) -> float:
    """The gap where half of all predictions end within `half` seconds from now."""
    return min(EXPECTANT_GAP_S, 2.0 * math.sqrt(POLL_WORTH_S * half))
