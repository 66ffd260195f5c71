"""The life of a prediction, at any moment one likes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from imagen_nb.simulator.catalogue import catalogue
from imagen_nb.simulator.ledger import WORDS, Entry, Latency, Ledger, WallClock

MODEL = catalogue()["google/imagen-4"]
WALL = WallClock(1_753_846_481.761)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def new_ledger(latency: Latency = 4.0, **options: Any) -> tuple[Ledger, Clock]:
    clock = Clock()
    return Ledger(latency=latency, clock=clock, **options), clock


def create(ledger: Ledger, prompt: str = "a fox", **options: Any) -> Entry:
    return ledger.create(MODEL, {"prompt": prompt}, **options)


def test_it_starts_works_and_succeeds() -> None:
    """Starting, then processing, then succeeded, at the moments that its latency says."""
    entry = create(new_ledger()[0])
    assert [entry.status(100 + later) for later in (0, 0.49, 0.51, 3.99, 4.0, 1000)] == [
        "starting",
        "starting",
        "processing",
        "processing",
        "succeeded",
        "succeeded",
    ]


def test_canceling_ends_it_at_once_and_for_good() -> None:
    """Canceled from that moment on; canceling one that is over changes nothing."""
    ledger, clock = new_ledger()
    entry, done = create(ledger), create(ledger)
    clock.now += 1
    ledger.cancel(entry)
    assert (entry.status(clock.now), entry.status(1000.0), entry.ended) == ("canceled", "canceled", 101.0)
    clock.now += 50
    assert ledger.cancel(done).status(clock.now) == "succeeded"


def test_a_deadline_aborts_before_the_start_and_cancels_after_it() -> None:
    """Past its deadline: aborted when it had not started, canceled when it was at work."""
    ledger, _ = new_ledger()
    assert create(ledger, cancel_after=0.2).status(101.0) == "aborted"
    assert create(ledger, cancel_after=2.0).status(103.0) == "canceled"
    assert create(ledger, cancel_after=60.0).status(105.0) == "succeeded"


@pytest.mark.parametrize(("word", "status"), [("[blocked]", "failed"), ("[fail]", "failed"), ("[stuck]", "processing")])
def test_a_word_in_the_prompt_decides_the_end(word: str, status: str) -> None:
    """Each documented word has its own end."""
    assert word in WORDS
    assert create(new_ledger()[0], f"a fox {word}").status(10_000.0) == status


def test_latencies_repeat_with_the_seed_and_keep_to_their_range() -> None:
    """The same seed gives the same latencies, another one others; a plain number is exact."""
    first, again, other = (
        [create(ledger).done - 100 for _ in range(50)]
        for ledger in (new_ledger((2.0, 0.5))[0], new_ledger((2.0, 0.5))[0], new_ledger((2.0, 0.5), seed=1)[0])
    )
    assert first == again != other
    assert 1.5 <= min(first) < 1.7
    assert 2.3 < max(first) <= 2.5
    assert create(new_ledger(3.0)[0]).done == 103.0
    assert 0.9 <= create(new_ledger(None)[0]).done - 100 <= 1.5


def test_pages_go_from_the_newest_to_the_oldest_once() -> None:
    """250 predictions come as 100, 100 and 50, newest first, each once."""
    ledger, _ = new_ledger()
    entries = [create(ledger) for _ in range(250)]
    pages, cursor = [], None
    for _ in range(3):
        page, cursor = ledger.page(WALL, cursor=cursor)
        pages.append(page)
    assert [len(each) for each in pages] == [100, 100, 50]
    assert [entry.id for page in pages for entry in page] == [entry.id for entry in reversed(entries)]
    assert cursor is None


def test_a_page_keeps_its_place_while_new_ones_arrive() -> None:
    """What is created between two pages is on neither, and nothing is shown twice or skipped."""
    ledger, _ = new_ledger()
    entries = [create(ledger) for _ in range(150)]
    _, cursor = ledger.page(WALL)
    for _ in range(20):
        create(ledger)
    assert [entry.id for entry in ledger.page(WALL, cursor=cursor)[0]] == [entry.id for entry in reversed(entries[:50])]


def test_created_after_includes_and_created_before_excludes() -> None:
    """The bounds of a list are what `created_at` shows, the first inclusive and the second exclusive."""
    ledger, clock = new_ledger()
    entries = []
    for _ in range(3):
        entries.append(create(ledger))
        clock.now += 0.0107
    moments = [WALL.ms(entry.created) for entry in entries]
    assert [entry.id for entry in ledger.page(WALL, since_ms=moments[1])[0]] == [entries[2].id, entries[1].id]
    assert [entry.id for entry in ledger.page(WALL, before_ms=moments[1])[0]] == [entries[0].id]


def test_memory_is_bounded() -> None:
    """Of many predictions the newest are kept, and the list and the lookup agree on which."""
    ledger, _ = new_ledger(capacity=1000)
    entries = [create(ledger) for _ in range(3000)]
    kept = ledger.entries()
    assert 1000 <= len(kept) <= 1010
    assert kept == entries[-len(kept) :]
    assert ledger.get(entries[0].id) is None
    assert ledger.get(entries[-1].id) is entries[-1]
    _, cursor = ledger.page(WALL)
    assert ledger.page(WALL, cursor=cursor)[0][0] is entries[-101]


def test_ids_are_the_services_and_never_repeat() -> None:
    """26 characters of digits and lower case letters, another one each time and in each simulator."""
    ids = [create(ledger).id for ledger in (new_ledger()[0], new_ledger()[0]) for _ in range(100)]
    assert len(set(ids)) == 200
    assert all(len(each) == 26 and each.isalnum() and each == each.lower() for each in ids)


def test_times_are_written_as_the_service_writes_them() -> None:
    """UTC, with the digits asked for, and milliseconds that agree with what lists go by."""
    assert WALL.text(0.0, 3) == "2025-07-30T03:34:41.761Z"
    assert WALL.text(0.5, 9).startswith("2025-07-30T03:34:42.26")
    assert len(WALL.text(0.5, 9)) == len("2025-07-30T03:34:42.261000000Z")


def test_a_hold_that_would_never_end_ends_with_the_ledger() -> None:
    """Closing lets go of every hold."""
    ledger = Ledger(latency=math.inf)
    entry = create(ledger)
    ledger.close()
    assert ledger.wait(entry, 60.0) is False
