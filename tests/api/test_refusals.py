"""Refusals become errors: the right class, one line that names the cause, one that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_nb.api.http import Reply, is_page, read_reply, refusal_of
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
)

PAGE = "<!doctype html><html><head><title>502 Bad &amp; Gateway</title></head><body>" + "x" * 5000 + "</body></html>"
GATEWAY = {"error": {"message": "no channel (request id: 2025abc)", "type": "new_api_error", "code": ""}}
QUOTA = {"error": {"message": "quota used up (request id: 9)", "code": "insufficient_user_quota"}}
INVALID = {
    "title": "Input validation failed",
    "detail": "- input.aspect_ratio: must be one of",
    "status": 422,
    "invalid_fields": [{"type": "enum", "field": "input.aspect_ratio", "description": 'must be "1:1" or "16:9"'}],
}


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, {"title": "Unauthenticated", "detail": "no token", "status": 401}, AuthenticationError, "no token"),
        (403, {"detail": "Forbidden"}, AuthenticationError, "Forbidden"),
        (403, QUOTA, CreditError, "(request id: 9)"),
        (429, {"error": {"code": "insufficient_quota", "message": "no more"}}, CreditError, "no more"),
        (402, {"title": "Insufficient credit", "detail": "Go to billing", "status": 402}, CreditError, "Go to billing"),
        (404, {"detail": "Not found", "status": 404}, NotFoundError, "Not found"),
        (405, None, NotFoundError, "an empty reply"),
        (400, {"code": "task_not_exist", "message": "no task", "data": None}, NotFoundError, "no task"),
        (503, {"error": {"message": "no channel", "code": "model_not_found"}}, NotFoundError, "no channel"),
        (400, {"detail": "bad"}, RejectedError, "bad"),
        (422, INVALID, RejectedError, "aspect_ratio: must be"),
        (422, {"detail": [{"loc": ["body", "input", "prompt"], "msg": "required"}]}, RejectedError, "prompt: required"),
        (413, None, RejectedError, "an empty reply"),
        (418, {"detail": "teapot"}, ProviderError, "teapot"),
        (500, GATEWAY, UncertainError, "no channel (request id: 2025abc)"),
        (502, PAGE, UncertainError, "an HTML page, '502 Bad & Gateway'"),
        (504, "", UncertainError, "an empty reply"),
        (408, "slow\r\n\r\nvery", UncertainError, "slow very"),
        (303, None, UncertainError, "an empty reply"),
        (200, PAGE, UncertainError, "an HTML page"),
        (200, "", UncertainError, "an empty reply"),
        (201, '{"id": "abc", "sta', UncertainError, '{"id": "abc"'),
        (200, [1, 2], UncertainError, ""),
        (200, GATEWAY, UncertainError, "no channel"),
        (200, {"error": "went wrong"}, UncertainError, "went wrong"),
        (200, QUOTA, CreditError, "quota used up"),
        (200, {"code": "task_not_exist", "message": "gone", "data": None}, NotFoundError, "gone"),
        (429, {"detail": "throttled", "status": 429, "retry_after": 7}, ThrottledError, "throttled"),
    ],
)
def test_each_refusal_has_its_error(status: int, body: Any, kind: type[ProviderError], said: str) -> None:
    """The table of the API's and the gateways' errors, each with its own words kept."""
    error = refusal_of(_reply(status, body))
    assert type(error) is kind
    assert said in error.message
    assert error.status == status
    assert error.hint
    assert "\n" not in error.message
    assert len(error.message) < 400
    assert "None" not in str(error)
    assert "<" not in error.message


def test_rejected_fields_are_named() -> None:
    """A 422 says which input and why, as a mapping too."""
    error = refusal_of(_reply(422, INVALID))
    assert isinstance(error, RejectedError)
    assert error.fields == {"aspect_ratio": 'must be "1:1" or "16:9"'}
    assert error.raw == INVALID


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [({"retry-after": "9"}, None, 9.0), ({}, {"retry_after": 7}, 7.0), ({}, "resets in ~6s", 6.0), ({}, PAGE, None)],
)
def test_a_throttled_reply_says_how_long(headers: dict[str, str], body: Any, expected: float | None) -> None:
    """The wait comes from the header, the body or its text, and is None where nothing says it."""
    error = refusal_of(_reply(429, body, **headers))
    assert isinstance(error, ThrottledError)
    assert error.retry_after == expected


@pytest.mark.parametrize(
    "body",
    [
        {"id": "abc", "status": "failed", "error": {"message": "no"}},
        {"id": "abc", "status": "failed", "error": "no", "code": "E1", "message": "x"},
        {"results": [], "next": None},
        {"owner": "google", "name": "imagen-4"},
        {"code": "success", "message": "", "data": {"id": "abc", "status": "starting"}},
        {},
    ],
)
def test_a_usable_reply_is_no_error(body: dict[str, Any]) -> None:
    """A prediction that failed, an empty list, a wrapped prediction: these are answers."""
    assert refusal_of(_reply(200, body)) is None


def test_a_front_ends_page_is_told_from_a_broken_reply() -> None:
    """A 200 with a web page means that nothing is offered at that address; half a JSON does not."""
    pages = [refusal_of(_reply(200, text)) for text in (PAGE, '{"id": "ab', "")]
    assert [error is not None and is_page(error) for error in pages] == [True, False, False]


_NAMES = ["detail", "error", "message", "code", "title", "invalid_fields", "field", "loc", "msg", "data", "id"]
_BODIES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_NAMES), inner),
    max_leaves=10,
)


@given(st.integers(200, 599), _BODIES)
def test_no_body_breaks_the_mapping(status: int, body: Any) -> None:
    """Whatever a provider sends, it becomes an answer or an error of one line."""
    error = refusal_of(Reply(status, {}, body))
    assert error is None or ("\n" not in error.message and len(error.message) < 500)


def _reply(status: int, body: Any, **headers: str) -> Reply:
    if isinstance(body, str):
        return read_reply(status, headers, body)
    return Reply(status, headers, body)
