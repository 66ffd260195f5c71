"""The life of a prediction, at any moment one likes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from imagen_nb.simulator.catalogue import offered
from imagen_nb.simulator.ledger import WORDS, Latency, Ledger, Row, Span, Wall

MODEL = offered()["google/imagen-4"]
WALL = Wall(1_753_846_481.761)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(latency: Latency = 4.0, **options: Any) -> tuple[Ledger, Clock]:
    clock = Clock()
    return Ledger(latency=latency, clock=clock, **options), clock


def made(ledger: Ledger, prompt: str = "a fox", **options: Any) -> Row:
    return ledger.create(MODEL, {"prompt": prompt}, **options)


def test_it_starts_works_and_succeeds() -> None:
    """Starting, then processing, then succeeded, at the moments that its latency says."""
    row = made(opened()[0])
    assert [row.status(100 + later) for later in (0, 0.49, 0.51, 3.99, 4.0, 1000)] == [
        "starting",
        "starting",
        "processing",
        "processing",
        "succeeded",
        "succeeded",
    ]


def test_canceling_ends_it_at_once_and_for_good() -> None:
    """Canceled from that moment on; canceling one that is over changes nothing."""
    ledger, clock = opened()
    row, done = made(ledger), made(ledger)
    clock.now += 1
    ledger.cancel(row)
    assert (row.status(clock.now), row.status(1000.0), row.ended) == ("canceled", "canceled", 101.0)
    clock.now += 50
    assert ledger.cancel(done).status(clock.now) == "succeeded"


def test_a_deadline_aborts_before_the_start_and_cancels_after_it() -> None:
    """Past its deadline: aborted when it had not started, canceled when it was at work."""
    ledger, _ = opened()
    assert made(ledger, cancel_after=0.2).status(101.0) == "aborted"
    assert made(ledger, cancel_after=2.0).status(103.0) == "canceled"
    assert made(ledger, cancel_after=60.0).status(105.0) == "succeeded"
    assert made(ledger, cold_start=5.0, cancel_after=2.0).status(103.0) == "aborted"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("[blocked]", "failed"),
        ("[borderline]", "succeeded"),
        ("[fail]", "failed"),
        ("[fail-null]", "failed"),
        ("[empty]", "succeeded"),
        ("[gone]", "succeeded"),
        ("[stuck]", "processing"),
        ("[queued]", "starting"),
    ],
)
def test_a_word_in_the_prompt_decides_the_end(word: str, status: str) -> None:
    """Each documented word has its own end."""
    assert word in WORDS
    assert made(opened()[0], f"a fox {word}").status(10_000.0) == status


def test_the_borderline_prompt_is_blocked_by_a_stricter_filter() -> None:
    """`[borderline]` passes only at `block_only_high`, so that the filter level is an axis worth comparing."""
    ledger, _ = opened()
    row = ledger.create(MODEL, {"prompt": "[borderline]", "safety_filter_level": "block_low_and_above"})
    assert row.status(1000.0) == "failed"
    assert "E005" in str(row.error)


def test_latencies_repeat_with_the_seed_and_keep_to_their_range() -> None:
    """The same seed gives the same latencies, another one others; a plain number is exact."""
    first, again, other = (
        [made(ledger).done - 100 for _ in range(50)]
        for ledger in (opened((2.0, 0.5))[0], opened((2.0, 0.5))[0], opened((2.0, 0.5), seed=1)[0])
    )
    assert first == again != other
    assert 1.5 <= min(first) < 1.7
    assert 2.3 < max(first) <= 2.5
    assert made(opened(3.0)[0]).done == 103.0
    assert 0.9 <= made(opened(None)[0]).done - 100 <= 1.5


def test_pages_go_from_the_newest_to_the_oldest_once() -> None:
    """250 predictions come as 100, 100 and 50, newest first, each once."""
    ledger, _ = opened()
    rows = [made(ledger) for _ in range(250)]
    pages, cursor = [], None
    for _ in range(3):
        page = ledger.page(WALL, cursor=cursor)
        pages.append(page.rows)
        cursor = page.next
    assert [len(each) for each in pages] == [100, 100, 50]
    assert [row.id for page in pages for row in page] == [row.id for row in reversed(rows)]
    assert cursor is None


def test_a_page_keeps_its_place_while_new_ones_arrive() -> None:
    """What is created between two pages is on neither, and nothing is shown twice or skipped."""
    ledger, _ = opened()
    rows = [made(ledger) for _ in range(150)]
    first = ledger.page(WALL)
    for _ in range(20):
        made(ledger)
    assert [row.id for row in ledger.page(WALL, cursor=first.next).rows] == [row.id for row in reversed(rows[:50])]


def test_created_after_includes_and_created_before_excludes() -> None:
    """The bounds of a list are what `created_at` shows, the first inclusive and the second exclusive."""
    ledger, clock = opened()
    rows = []
    for _ in range(3):
        rows.append(made(ledger))
        clock.now += 0.0107
    moments = [WALL.ms(row.created) for row in rows]
    assert [row.id for row in ledger.page(WALL, span=Span(since_ms=moments[1])).rows] == [rows[2].id, rows[1].id]
    assert [row.id for row in ledger.page(WALL, span=Span(before_ms=moments[1])).rows] == [rows[0].id]


def test_the_list_lags_when_told_to() -> None:
    """With a lag of 2 s a prediction appears in the list 2 s after its creation."""
    ledger, clock = opened()
    made(ledger)
    clock.now += 1.9
    assert ledger.page(WALL, lag=2.0).rows == ()
    clock.now += 0.2
    assert len(ledger.page(WALL, lag=2.0).rows) == 1


def test_memory_is_bounded() -> None:
    """Of many predictions the newest are kept, and the list and the lookup agree on which."""
    ledger, _ = opened(capacity=1000)
    rows = [made(ledger) for _ in range(3000)]
    kept = ledger.rows()
    assert 1000 <= len(kept) <= 1010
    assert kept == rows[-len(kept) :]
    assert ledger.get(rows[0].id) is None
    assert ledger.get(rows[-1].id) is rows[-1]
    assert ledger.page(WALL, cursor=ledger.page(WALL).next).rows[0] is rows[-101]


def test_ids_are_the_services_and_never_repeat() -> None:
    """26 characters of digits and lower case letters, another one each time and in each simulator."""
    ids = [made(ledger).id for ledger in (opened()[0], opened()[0]) for _ in range(100)]
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
    row = made(ledger)
    ledger.close()
    assert ledger.wait(row, 60.0) is False
