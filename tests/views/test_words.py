from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal

import pandas as pd
import pytest
from sample_runs import run, unseen

from imagen_nb.records import Status
from imagen_nb.views import words
from imagen_nb.views.cards import render_run


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (-1.0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3725, "1 h 02 min"),
    ],
)
def test_seconds_read_like_a_clock(value: float | None, text: str) -> None:
    """A duration is short to read, and an unknown one is nothing."""
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "$0.00"), (0.04, "$0.04"), (0.003, "$0.003"), (0.12345, "$0.1235"), (400_000, "$400,000.00")],
)
def test_dollars_have_two_decimals_and_more_only_where_needed(value: float | None, text: str) -> None:
    """A cost keeps its small decimals and hides none."""
    assert words.dollars(value) == text


@pytest.mark.parametrize(
    ("number", "text"), [(999, "999 B"), (1000, "1 kB"), (165_400, "165 kB"), (1_222_000, "1.2 MB")]
)
def test_sizes_are_rounded(number: int, text: str) -> None:
    """A file's size is given in the unit that suits it."""
    assert words.size(number) == text


def test_values_are_shown_as_json_but_for_text() -> None:
    """Text stays as it is; everything else looks as it does in a request."""
    shown = [words.value_text(item) for item in ("16:9", 3, 3.0, 2.5, True, None, ["a", 1], {"a": None}, "")]
    assert shown == ["16:9", "3", "3", "2.5", "true", "null", '["a", 1]', '{"a": null}', ""]


def test_times_and_intervals_are_shown_without_quotes() -> None:
    """What JSON has no form for is as a person writes it."""
    when = datetime(2025, 3, 1, 12, 0, 5, tzinfo=timezone.utc)
    assert words.value_text(when) == words.value_text(pd.Timestamp(when)) == "2025-03-01 12:00:05"
    assert words.value_text(when.replace(microsecond=67_000)) == "2025-03-01 12:00:05.067"
    assert words.value_text(when.date()) == "2025-03-01"
    others = (pd.Period("2025-03", "M"), pd.Interval(0, 1), pd.Timedelta(days=1), Decimal("1.50"))
    assert [words.value_text(item) for item in others] == ["2025-03", "(0, 1]", "1 days 00:00:00", "1.50"]


def test_clipping_ends_at_a_word_near_the_end() -> None:
    """Long text is cut at a space where one is near, and never grows."""
    assert words.clip("short", 10) == "short"
    assert words.clip("a red fox sitting in snow", 20) == "a red fox sitting…"
    assert words.clip("x" * 50, 20) == "x" * 19 + "…"
    assert words.one_line("  two\n\tlines ") == "two lines"


@pytest.mark.parametrize("status", list(Status))
def test_every_state_without_an_image_says_why_and_what_next(status: Status) -> None:
    """No card is left without a reason and a next step, whatever the state."""
    reason = words.why(run(status=status))
    assert reason is not None
    assert reason.text.endswith(".")
    assert reason.next.endswith(".")
    assert words.chip(run(status=status)).word


def test_the_providers_own_words_come_first() -> None:
    """The reason shown is the provider's where it gave one; the next step is ours."""
    reason = words.why(run(error="Flagged (E005)", error_code="blocked"))
    assert reason is not None
    assert reason.text == "Flagged (E005)"
    assert "reword" in reason.next


def test_a_block_and_a_timeout_are_told_apart_from_a_failure() -> None:
    """The state's word names what kind of failure it was."""
    assert words.chip(run(error_code="blocked")).word == "blocked"
    assert words.chip(run(status=Status.CANCELED, error_code="timeout")).word == "timed out"
    assert words.chip(run()).word == "failed"
    assert words.chip(run(images=[unseen()])).word == "succeeded"


def test_a_success_with_an_image_needs_no_reason() -> None:
    """Nothing is explained where nothing is amiss."""
    assert words.why(run(images=[unseen()])) is None


def test_a_success_says_which_of_its_outputs_are_missing() -> None:
    """With an image beside it, a missing output is told all the same, and what to do next."""
    error = "1 of 2 outputs is missing: no. 2 is gone"
    reason = words.why(run(images=[unseen()], error=error, error_code="gone"))
    assert reason is not None
    assert (reason.text, bool(reason.next)) == (error, True)
    assert error in render_run(run(images=[unseen()], error=error))["text/plain"]


def test_refusals_that_differ_in_their_ticket_count_as_one_reason() -> None:
    """The code that makes each refusal unique is left out where reasons are counted."""
    first = run(error="Flagged as sensitive. (E005) (Yz8kQ)", error_code="blocked")
    second = run(error="Flagged as sensitive. (E005) (aB-3_x)", error_code="blocked")
    assert words.reason_line(first, 100) == words.reason_line(second, 100) == "Flagged as sensitive. (E005)"
