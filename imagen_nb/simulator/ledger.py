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
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagen_nb.simulator.catalogue import Model
from imagen_nb.simulator.files import Reference

Latency = float | tuple[float, float] | None
"""Seconds per prediction: exactly so many, (mean, spread), or None for the model's own mean and a quarter of it."""

WORDS: Mapping[str, str] = {
    "[blocked]": "fails as blocked, with the service's text (E005)",
    "[fail]": "fails with an error text",
    "[stuck]": "stays `processing` until it is canceled",
}
_ERRORS: Mapping[str, str] = {
    "[blocked]": "The input or output was flagged as sensitive. Please try again with different inputs. (E005) "
    "(simulated: [blocked])",
    "[fail]": "Prediction failed: the model stopped with an error. (simulated: [fail])",
}
PAGE = 100
_SPREAD = 0.25
_LONGEST_START_S = 0.5
_MS_DIGITS = 3
_ID_LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghjkmnpqrstvwxyz")


@dataclass(slots=True)
class Entry:
    """One prediction. `text` is its input as the reply echoes it, in JSON; `word` what decides its end, or "".

    `references` are the pictures among its inputs, by the input's name; `trouble` is why an input could not be read.
    """

    number: int
    id: str
    model: Model
    version: str
    text: str
    word: str
    created: float
    started: float
    done: float
    references: Mapping[str, Sequence[Reference]]
    trouble: str | None
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
        return "failed" if self.error else "succeeded"

    @property
    def error(self) -> str | None:
        """The reason of one that fails by itself."""
        return self.trouble or _ERRORS.get(self.word)

    def is_billed(self, now: float) -> bool:
        """Whether it has ended in a way that costs: also where it was canceled while it was at work."""
        return now >= self.ended and self.has_started(now) and self.status(now) in ("succeeded", "canceled")

    @property
    def pictures(self) -> list[Reference]:
        """All pictures among its inputs."""
        return [each for some in self.references.values() for each in some]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The sizes of the pictures that it makes, in pixels."""
        filled, given = self.input, self.pictures
        return [self.model.pixels(filled, given[0].size if given else None)] * self.model.pictures(filled)


@dataclass(frozen=True, slots=True)
class WallClock:
    """The server's clock: `zero` is the Unix time, in seconds, of moment 0 of the monotonic clock."""

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
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
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
        references: Mapping[str, Sequence[Reference]] | None = None,
        trouble: str | None = None,
    ) -> Entry:
        """A new prediction of an input that was found good; one in `trouble` fails."""
        filled = model.echo(given)
        prompt = str(filled.get("prompt", ""))
        word = next((word for word in WORDS if word in prompt), "")
        with self._changed:
            now = self.clock()
            takes = self._latency_of(model)
            entry = Entry(
                number=self._created,
                # 26 characters, as the service's ids; random, so that no two simulators ever give the same one.
                id=base64.b32encode(secrets.token_bytes(20)).decode().lower()[:26].translate(_ID_LETTERS),
                model=model,
                version=version or model.shown_version,
                text=sys.intern(json.dumps(filled)),
                word=word,
                created=now,
                started=now + min(takes / 4, _LONGEST_START_S),
                done=math.inf if word == "[stuck]" else now + takes,
                references=references or {},
                trouble=trouble,
                deadline=now + cancel_after,
            )
            self._created += 1
            self._entries.append(entry)
            self._by_id[entry.id] = entry
            # The oldest go in blocks, since each drop moves all that stay.
            surplus = max(1, self._capacity // 100)
            if len(self._entries) > self._capacity + surplus:
                for old in self._entries[:surplus]:
                    del self._by_id[old.id]
                del self._entries[:surplus]
        return entry

    def get(self, prediction_id: str) -> Entry | None:
        """The prediction with that id, or None."""
        return self._by_id.get(prediction_id)

    def cancel(self, entry: Entry) -> Entry:
        """Cancel it now, unless it has ended."""
        with self._changed:
            now = self.clock()
            if now < entry.ended:
                entry.canceled = now
                self._changed.notify_all()
        return entry

    def wait(self, entry: Entry, seconds: float) -> bool:
        """Hold until it has ended, at most so many seconds; whether it has."""
        until = self.clock() + seconds
        with self._changed:
            while not self._is_closed and (now := self.clock()) < min(until, entry.ended):
                self._changed.wait(min(until, entry.ended) - now)
        return self.clock() >= entry.ended

    def page(
        self, wall: WallClock, *, cursor: str | None = None, since_ms: float = -math.inf, before_ms: float = math.inf
    ) -> tuple[list[Entry], str | None]:
        """One page of those created within a span, newest first, and the cursor of the next page, or None.

        The span is in Unix times of milliseconds, its begin inclusive and its end exclusive. Raises `ValueError` for a
        cursor that was never given.
        """
        with self._changed:
            first = bisect_left(self._entries, since_ms, key=lambda entry: wall.ms(entry.created))
            last = bisect_left(self._entries, before_ms, key=lambda entry: wall.ms(entry.created))
            if cursor is not None:
                text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
                last = min(last, int(text.removeprefix("before=")) - (self._created - len(self._entries)))
            entries = self._entries[max(first, last - PAGE) : max(last, 0)][::-1]
        if last - first <= PAGE:
            return entries, None
        return entries, base64.urlsafe_b64encode(f"before={entries[-1].number}".encode()).decode().rstrip("=")

    def entries(self) -> list[Entry]:
        """All that are kept, in the order of their creation."""
        with self._changed:
            return list(self._entries)

    def close(self) -> None:
        """Let go of every hold, now and from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _latency_of(self, model: Model) -> float:
        """Seconds that the next prediction takes, the same ones for the same seed."""
        setting = (model.seconds, model.seconds * _SPREAD) if self._latency is None else self._latency
        mean, spread = setting if isinstance(setting, tuple) else (setting, 0.0)
        draw = random.Random(f"{self._seed}/{self._created}").uniform(-1, 1)  # noqa: S311 - latencies must repeat
        return max(0.0, mean + spread * draw)
