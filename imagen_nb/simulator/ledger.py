"""Every prediction that was created, and where each stands: the bill.

A prediction's whole life is settled when it is created: when it starts, when it is done, and how it ends. Only a
cancellation changes that. So a status is arithmetic on the present moment, no thread works in the background, and
a test may ask for any moment. Moments are seconds of a monotonic clock.

Words in a prompt decide how a prediction ends (`WORDS`); without any of them it succeeds.
"""

from __future__ import annotations

import base64
import json
import math
import random
import secrets
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagen_nb.simulator.catalogue import Model

Latency = float | tuple[float, float] | None
"""Seconds per prediction: exactly so many, (mean, spread), or None for the model's own mean and a quarter of it."""

BLOCKED = "The input or output was flagged as sensitive. Please try again with different inputs. (E005) (simulated: {})"
WORDS: Mapping[str, str] = {
    "[blocked]": "fails as blocked, with the service's text (E005)",
    "[borderline]": "fails as blocked unless `safety_filter_level` is `block_only_high`",
    "[fail]": "fails with an error text",
    "[fail-null]": "fails with no error text at all",
    "[empty]": "succeeds with no output",
    "[gone]": "succeeds, but the file cannot be fetched (404)",
    "[stuck]": "stays `processing` until it is canceled",
    "[queued]": "stays `starting` until it is canceled",
}
PAGE = 100
_SPREAD = 0.25
_LONGEST_START_S = 0.5
_MS_DIGITS = 3
_ID_LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghjkmnpqrstvwxyz")


@dataclass(slots=True)
class Row:
    """One prediction. `text` is its input as the reply echoes it, in JSON; `word` what decides its end, or ""."""

    number: int
    id: str
    model: Model
    version: str
    text: str
    word: str
    created: float
    started: float
    done: float
    deadline: float = math.inf
    canceled: float = math.inf

    @property
    def input(self) -> dict[str, Any]:
        """The input as the reply echoes it."""
        return dict(json.loads(self.text))

    @property
    def ended(self) -> float:
        """The moment of its end, infinite for one that will not end by itself."""
        return min(self.done, self.deadline, self.canceled)

    def has_started(self, now: float) -> bool:
        """Whether it was, or had been before its end, at work."""
        return self.started <= min(now, self.ended)

    def status(self, now: float) -> str:
        """The API's word for where it stands at that moment."""
        end = self.ended
        if now < end:
            return "processing" if self.has_started(now) else "starting"
        if self.canceled == end:
            return "canceled"
        if self.deadline == end:
            return "canceled" if self.has_started(now) else "aborted"
        return "failed" if self.word in _ERRORS else "succeeded"

    @property
    def error(self) -> str | None:
        """The reason, of one that fails by itself; None is a reason too."""
        return _ERRORS.get(self.word)


_ERRORS: Mapping[str, str | None] = {
    "[blocked]": BLOCKED.format("[blocked]"),
    "[borderline]": BLOCKED.format("[borderline]"),
    "[fail]": "Prediction failed: the model stopped with an error. (simulated: [fail])",
    "[fail-null]": None,
}


@dataclass(frozen=True, slots=True)
class Wall:
    """The server's wall clock: `zero` is the Unix time, in seconds, of moment 0 of the monotonic clock."""

    zero: float

    def ms(self, moment: float) -> int:
        """Unix time in milliseconds, as `created_at` shows it."""
        return int((self.zero + moment) * 1000)

    def text(self, moment: float, digits: int) -> str:
        """The moment as the API writes it, in UTC with that many fractional digits."""
        nanoseconds = self.ms(moment) * 1_000_000 if digits == _MS_DIGITS else int((self.zero + moment) * 1e9)
        seconds, fraction = divmod(nanoseconds, 1_000_000_000)
        start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return f"{start}.{f'{fraction:09d}'[:digits]}Z"


@dataclass(frozen=True, slots=True)
class Span:
    """Unix times in milliseconds: from `since_ms`, inclusive, to `before_ms`, exclusive."""

    since_ms: float = -math.inf
    before_ms: float = math.inf


@dataclass(frozen=True, slots=True)
class Page:
    """Predictions of one page of the list, newest first, and the cursor of the next page, or None."""

    rows: tuple[Row, ...]
    next: str | None


class Ledger:
    """Keeps the predictions, at most `capacity` of them; thread-safe."""

    def __init__(
        self,
        *,
        latency: Latency = None,
        seed: int = 0,
        capacity: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._latency, self._seed, self._capacity, self.clock = latency, seed, capacity, clock
        self._rows: list[Row] = []
        self._by_id: dict[str, Row] = {}
        self._created = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def create(
        self,
        model: Model,
        given: Mapping[str, Any],
        *,
        version: str | None = None,
        cancel_after: float = math.inf,
        cold_start: float = 0.0,
    ) -> Row:
        """A new prediction of an input that was found good."""
        filled = model.echo(given)
        with self._changed:
            now = self.clock()
            word = _word(filled)
            starts, takes = self._times(model, self._created)
            row = Row(
                number=self._created,
                id=_new_id(),
                model=model,
                version=version or model.shown_version,
                text=sys.intern(json.dumps(filled)),
                word=word,
                created=now,
                started=math.inf if word == "[queued]" else now + cold_start + starts,
                done=math.inf if word in ("[queued]", "[stuck]") else now + cold_start + takes,
                deadline=now + cancel_after,
            )
            self._keep(row)
        return row

    def get(self, prediction_id: str) -> Row | None:
        """The prediction with that id, or None."""
        return self._by_id.get(prediction_id)

    def cancel(self, row: Row) -> Row:
        """Cancel it now, unless it has ended."""
        with self._changed:
            now = self.clock()
            if now < row.ended:
                row.canceled = now
                self._changed.notify_all()
        return row

    def wait(self, row: Row, seconds: float) -> bool:
        """Hold until it has ended, at most so many seconds; whether it has."""
        until = self.clock() + seconds
        with self._changed:
            while not self._is_closed and (now := self.clock()) < min(until, row.ended):
                self._changed.wait(min(until, row.ended) - now)
        return self.clock() >= row.ended

    def page(self, wall: Wall, *, cursor: str | None = None, span: Span = Span(), lag: float = 0.0) -> Page:
        """One page of those created within `span` and at least `lag` seconds ago, newest first.

        Raises `ValueError` for a cursor that was never given.
        """
        with self._changed:
            first = bisect_left(self._rows, span.since_ms, key=lambda row: wall.ms(row.created))
            last = bisect_left(self._rows, span.before_ms, key=lambda row: wall.ms(row.created))
            last = min(last, bisect_right(self._rows, self.clock() - lag, key=lambda row: row.created))
            if cursor is not None:
                last = min(last, _read_cursor(cursor) - (self._created - len(self._rows)))
            taken = tuple(reversed(self._rows[max(first, last - PAGE) : max(last, 0)]))
        return Page(taken, _cursor(taken[-1].number) if last - first > PAGE else None)

    def rows(self) -> list[Row]:
        """All that are kept, in the order of their creation."""
        with self._changed:
            return list(self._rows)

    def close(self) -> None:
        """Let go of every hold, now and from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _times(self, model: Model, number: int) -> tuple[float, float]:
        """Seconds until it starts, and until it is done."""
        setting = self._latency
        if setting is None:
            setting = (model.seconds, model.seconds * _SPREAD)
        mean, spread = setting if isinstance(setting, tuple) else (setting, 0.0)
        draw = random.Random(f"{self._seed}/{number}").uniform(-1, 1)  # noqa: S311 - latencies must repeat
        takes = max(0.0, mean + spread * draw)
        return min(takes / 4, _LONGEST_START_S), takes

    def _keep(self, row: Row) -> None:
        self._created += 1
        self._rows.append(row)
        self._by_id[row.id] = row
        # Dropped in blocks, since each drop moves all that stay.
        surplus = max(1, self._capacity // 100)
        if len(self._rows) > self._capacity + surplus:
            for old in self._rows[:surplus]:
                del self._by_id[old.id]
            del self._rows[:surplus]


def _word(filled: Mapping[str, Any]) -> str:
    """The first of `WORDS` that the prompt has and that applies, or "" for none."""
    prompt = str(filled.get("prompt", ""))
    found = next((word for word in WORDS if word in prompt), "")
    is_lenient = filled.get("safety_filter_level") == "block_only_high"
    return "" if found == "[borderline]" and is_lenient else found


def _new_id() -> str:
    """26 characters, as the service's ids; random, so that no two simulators ever give the same one."""
    return base64.b32encode(secrets.token_bytes(20)).decode().lower()[:26].translate(_ID_LETTERS)


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"before={number}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> int:
    text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    return int(text.removeprefix("before="))
