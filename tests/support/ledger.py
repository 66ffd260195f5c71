"""The bill against the log: what a provider will charge for, and what the rows say of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from origin import Origin

from imagen_nb.log.log import Log
from imagen_nb.records import Run


@dataclass(frozen=True, slots=True)
class Books:
    """The ids that were billed, and the rows of the log."""

    bills: tuple[str, ...]
    rows: tuple[Run, ...]

    @property
    def claimed(self) -> tuple[str, ...]:
        """The prediction ids in the log."""
        return tuple(row.prediction_id for row in self.rows if row.prediction_id)

    @property
    def statuses(self) -> Counter[str]:
        return Counter(str(row.status) for row in self.rows)

    @property
    def images(self) -> int:
        """How many rows have an image that is there, as large as the log says."""
        return sum(bool(row.images) and all(_is_whole(image) for image in row.images) for row in self.rows)

    def check(self) -> None:
        """What holds at any moment: no bill is in two rows, and no row names a prediction that was not made."""
        assert len(set(self.claimed)) == len(self.claimed)
        assert set(self.claimed) <= set(self.bills)
        assert len(self.bills) <= len(self.rows), "more was billed than was asked for"

    def balance(self, wanted: int) -> None:
        """What holds in the end: as many bills as rows with a prediction as requests wanted, and they are the same."""
        self.check()
        assert (len(self.bills), len(self.rows)) == (wanted, wanted), self.statuses
        assert set(self.bills) == set(self.claimed), self.statuses
        assert self.images == wanted, self.statuses


def books(log: Log | Path, server: Any) -> Books:
    """The books of a log, or of the log in a home, and of an `Origin` or a `Simulator`."""
    bills = [bill.id for bill in server.bills] if isinstance(server, Origin) else [p["id"] for p in server.predictions]
    if isinstance(log, Log):
        return Books(tuple(bills), tuple(log.runs()))
    with Log(log) as opened:
        assert opened.verify() == []
        return Books(tuple(bills), tuple(opened.runs()))


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for a condition, and give what it gave; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
    return found


def _is_whole(image: Any) -> bool:
    return image.path.is_file() and image.path.stat().st_size == image.bytes > 0
