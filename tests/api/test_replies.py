"""The prediction object in all its shapes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_nb.api.replies import NO_REASON, moment, parse, read_output
from imagen_nb.errors import UncertainError
from imagen_nb.records import Status

FULL = {
    "id": "yj1hjjc3c5rme0crb5jtqtxxmw",
    "model": "google/imagen-4",
    "version": "hidden",
    "input": {"prompt": "a fox", "aspect_ratio": "1:1"},
    "logs": "",
    "output": "https://replicate.delivery/xezq/a.jpg",
    "data_removed": False,
    "error": None,
    "status": "succeeded",
    "created_at": "2025-07-30T03:34:41.761Z",
    "started_at": "2025-07-30T03:34:41.802123456Z",
    "completed_at": "2025-07-30T03:34:50.761Z",
    "metrics": {"predict_time": 8.5, "total_time": 9.0, "image_count": 1},
    "urls": {"get": "https://api.replicate.com/v1/predictions/yj1hjjc3c5rme0crb5jtqtxxmw"},
    "surprise": [1],
}
SENSITIVE = "The input or output was flagged as sensitive. Please try again with different inputs. (x)"


def test_a_whole_reply_is_read() -> None:
    """Every field that the log wants, and the reply as it came."""
    seen = parse(FULL)
    assert (seen.id, seen.status, seen.seen_status) == (FULL["id"], Status.SUCCEEDED, "succeeded")
    assert seen.output == ("https://replicate.delivery/xezq/a.jpg",)
    assert (seen.predict_s, seen.total_s, seen.error, seen.error_code) == (8.5, 9.0, None, None)
    assert seen.started_at == datetime(2025, 7, 30, 3, 34, 41, 802123, tzinfo=timezone.utc)
    assert seen.raw == FULL


def test_the_least_reply_is_read() -> None:
    """An id is enough; what is missing is missing."""
    seen = parse({"id": "abc"})
    assert (seen.status, seen.seen_status, seen.output) == (Status.PROCESSING, "", ())
    assert seen.created_at is seen.total_s is seen.model is None


@pytest.mark.parametrize("field", [name for name in FULL if name != "id"])
@pytest.mark.parametrize("value", [None, 7, "?", [], {}, True, [{"a": [None]}]], ids=str)
def test_any_field_may_be_anything(field: str, value: Any) -> None:
    """A field of an unexpected type counts as missing; the rest is read all the same."""
    seen = parse({**FULL, field: value})
    assert seen.id == FULL["id"]
    assert isinstance(seen.status, Status)


def test_a_wrapped_prediction_is_read() -> None:
    """Some gateways put it into `data`."""
    assert parse({"code": "success", "data": FULL}).id == FULL["id"]


@pytest.mark.parametrize(
    "identifier", [None, "", " ", ".", "..", "a/b", "a?b", "a#b", "a%2fb", "a\nb", "x" * 300, [], True]
)
def test_an_id_that_could_lead_elsewhere_is_none(identifier: Any) -> None:
    """An id stands in a path, so that a hostile one makes the reply unusable."""
    with pytest.raises(UncertainError, match="no usable prediction id"):
        parse({**FULL, "id": identifier})


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("starting", Status.STARTING),
        ("processing", Status.PROCESSING),
        ("aborted", Status.ABORTED),
        ("canceled", Status.CANCELED),
        ("CANCELLED", Status.CANCELED),
        ("queued", Status.PROCESSING),
        ("unknown", Status.PROCESSING),
        ("expired", Status.PROCESSING),
    ],
)
def test_a_status_nobody_knows_is_not_terminal(word: str, status: Status) -> None:
    """The API's own words are known; any other counts as processing, and is kept as seen."""
    seen = parse({**FULL, "status": word})
    assert (seen.status, seen.seen_status) == (status, word)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (None, ()),
        ([], ()),
        ("https://a/1.jpg", ("https://a/1.jpg",)),
        (["https://a/1.jpg", "https://a/2.jpg"], ("https://a/1.jpg", "https://a/2.jpg")),
        ({"images": [{"url": "https://a/1.jpg"}, {"url": "https://a/2.jpg"}], "seed": 7}, ("https://a/1.jpg", "https://a/2.jpg")),
        ([["https://a/1.jpg"], [["https://a/2.jpg"]]], ("https://a/1.jpg", "https://a/2.jpg")),
        ("data:image/png;base64,AAAA", ("data:image/png;base64,AAAA",)),
        (" HTTPS://a/1.jpg \n", ("HTTPS://a/1.jpg",)),
        ("file:///etc/passwd", ()),
        ("just words", ()),
        (7, ()),
    ],
    ids=str,
)  # fmt: skip
def test_every_output_is_found_in_order(output: Any, expected: tuple[str, ...]) -> None:
    """A string, a list, nested in objects, a data: URI, nothing; white space around an address does not count."""
    assert parse({**FULL, "output": output}).output == expected


def test_a_deep_or_endless_output_is_bounded() -> None:
    """Thousands of outputs, or thousands of brackets, do no harm."""
    deep: Any = "https://a/1.jpg"
    for _ in range(5000):
        deep = [deep]
    assert read_output(deep) == (("https://a/1.jpg",), "")
    assert len(read_output(["https://a/1.jpg"] * 5000)[0]) == 1000


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Style: oil", "Style: oil"),
        (["seed:42", "https://a/1.jpg"], "seed:42"),
        (["A fox", " in the", " snow:", "\n", "red"], "A fox in the snow:\nred"),
        ({"image": "https://a/1.jpg", "caption": "a fox"}, "a fox"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        (["https://a/1.jpg", 7, None], ""),
    ],
    ids=str,
)
def test_what_is_no_address_is_text(output: Any, text: str) -> None:
    """Only http:, https: and data: make an address; all other strings are one text, in pieces without a separator."""
    seen = parse({**FULL, "output": output})
    assert seen.text == text
    assert all(each == "https://a/1.jpg" for each in seen.output)


@pytest.mark.parametrize(
    ("status", "error", "text", "code"),
    [
        ("failed", None, NO_REASON, "failed"),
        ("failed", "", NO_REASON, "failed"),
        ("failed", "out of memory", "out of memory", "failed"),
        ("failed", {"message": "bad seed", "code": 3}, "bad seed", "failed"),
        ("failed", {"code": 3}, '{"code":3}', "failed"),
        ("failed", ["a", "b"], '["a","b"]', "failed"),
        ("failed", SENSITIVE, SENSITIVE, "blocked"),
        ("failed", "refused: E005", "refused: E005", "blocked"),
        ("failed", "E0051", "E0051", "failed"),
        ("aborted", None, "ended by the provider before it started; not billed", "aborted"),
        ("canceled", None, "canceled", "canceled"),
        ("processing", "warming up", None, None),
        ("succeeded", "a warning", None, None),
    ],
)  # fmt: skip
def test_why_there_is_no_image(status: str, error: Any, text: str | None, code: str | None) -> None:
    """Each end without an image has a reason and a word for it; a blocked prompt is told apart."""
    seen = parse({**FULL, "status": status, "error": error})
    assert (seen.error, seen.error_code) == (text, code)


def test_a_deleted_output_says_so() -> None:
    """Succeeded, and the data already removed."""
    seen = parse({**FULL, "output": None, "data_removed": True})
    assert (seen.status, seen.error_code, seen.data_removed) == (Status.SUCCEEDED, "gone", True)


@pytest.mark.parametrize(
    "metrics",
    [None, {}, {"total_time": -1}, {"total_time": "9"}, {"total_time": float("nan")}, {"total_time": 10**400}],
    ids=["null", "none", "negative", "text", "nan", "larger than any float"],
)
def test_total_seconds_fall_back_to_the_times(metrics: Any) -> None:
    """Without usable metrics the duration comes from the two times."""
    seen = parse({**FULL, "metrics": metrics})
    assert seen.total_s == 9.0
    assert seen.predict_s is None


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2025-07-30T03:34:41Z", 0),
        ("2025-07-30T03:34:41.7Z", 700000),
        ("2025-07-30T03:34:41.761Z", 761000),
        ("2025-07-30T03:34:41.761123456Z", 761123),
        ("2025-07-30T03:34:41.761123+00:00", 761123),
        ("2025-07-30 03:34:41.761123", 761123),
        ("2025-07-30T05:34:41.5+0200", 500000),
    ],
)
def test_times_of_any_precision(text: str, micros: int) -> None:
    """None to nine fractional digits, with or without a zone."""
    assert moment(text) == datetime(2025, 7, 30, 3, 34, 41, micros, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "value", [None, 7, "", "soon", "2025-13-30T03:34:41Z", "0001-01-01T00:00:00+14:00", "2025-07-30"]
)
def test_what_is_no_time_is_missing(value: Any) -> None:
    """A time that cannot be read is None, not an error."""
    assert moment(value) is None


_VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=20), st.lists, max_leaves=10)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(FULL)), _VALUES))
def test_no_reply_breaks_parsing(body: dict[str, Any]) -> None:
    """Anything with an id is a prediction."""
    assert parse({**body, "id": "abc"}).id == "abc"
