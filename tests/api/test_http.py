"""One send: what is repeated and what never is, the 429s, the storms, the clock; replies read and refusals told."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest
from acts import Act, chunked, cut, drip, endless, page, pause, reply, rst, says
from hypothesis import given
from hypothesis import strategies as st
from origin import Origin, throttle
from providers import CANARY, Naps, api_of, eventually, fox, http_of, shown, soon

from imagen_nb.api import http
from imagen_nb.api.http import TEXT_CAP, VALUES_CAP, Reply, ReplyBody, is_page, read_reply, refusal_of
from imagen_nb.api.pace import Pacer
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    ImagenError,
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
    UnreachableError,
)
from imagen_nb.settings import Secret

HTML = page(502, "Bad gateway")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(token=CANARY) as started:
        yield started


# -- creates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [rst],
        [HTML],
        [reply(b"", 500)],
        [reply(b"", 504)],
        [page(200)],
        [reply(b"", 201)],
        cut(b'{"id": "abc", "status": "starting"}', 12, 201),
        chunked(b'{"id"', is_whole=False, status=201),
        [reply(b'{"id": "abc", "sta', 201)],
    ],
    ids=["reset", "502", "500", "504", "page", "empty", "cut", "chunk", "half"],
)
@pytest.mark.parametrize("is_processed", [True, False], ids=["billed", "not billed"])
def test_a_create_of_unknown_fate_is_sent_once(origin: Origin, script: list[Act], is_processed: bool) -> None:
    """Reset, 5xx, HTML, an empty or a cut reply: uncertain at once, and never sent again from here."""
    origin.fault("create", **{"after" if is_processed else "instead": script})
    with pytest.raises(UncertainError):
        api_of(origin).create(fox(), deadline=soon())
    assert len(origin.of("create")) == 1
    assert len(origin.bills) == int(is_processed)


def test_a_create_whose_reply_is_late_is_uncertain(origin: Origin) -> None:
    """The time for an exchange passes after the request was sent: it may be billed."""
    origin.fault("create", after=[pause(5.0)])
    with pytest.raises(UncertainError, match="in the time allowed"):
        api_of(origin).create(fox(), deadline=soon(), patience=0.4)


def test_a_create_that_waited_for_its_turn_is_not_hurried(origin: Origin) -> None:
    """A turn that comes just before the deadline is a turn: the reply may take its own time, and arrives."""
    pacer = Pacer(1.0, 1000.0)
    for _ in range(2):
        pacer.acquire(create=True, deadline=soon(60))  # the next turn is a second off
    origin.fault("create", instead=[pause(2.0), says({"id": "abc", "status": "starting"}, 201)])
    assert api_of(origin, pacer=pacer).create(fox(), deadline=soon(2.0)).id == "abc"


def test_a_create_with_no_time_left_was_not_sent(origin: Origin) -> None:
    """A deadline that has passed: surely not sent, and so it says."""
    with pytest.raises(UnreachableError):
        api_of(origin).create(fox(), deadline=soon(-1.0))
    assert origin.seen == []


def test_one_exchange_does_not_wait_for_a_far_deadline(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that says nothing is given up on long before the run's own timeout."""
    monkeypatch.setattr("imagen_nb.api.client.PATIENCE_S", 0.3)
    origin.fault("create", after=[pause(30.0)])
    began = time.monotonic()
    with pytest.raises(UncertainError):
        api_of(origin).create(fox(), deadline=soon(600))
    assert time.monotonic() - began < 20.0


# -- looks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [[rst], [HTML], [reply(b"", 500)], [page(200)], cut(b"{}" * 9, 3)],
    ids=["reset", "HTML", "500", "page", "cut short"],
)
def test_a_look_is_repeated(origin: Origin, script: list[Act]) -> None:
    """A GET may be made again: two failures in a row are not seen by the caller."""
    naps = Naps()
    client = api_of(origin, sleep=naps, rng=lambda: 1.0)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=script, times=2)
    assert client.get(created.id, deadline=soon()).id == created.id
    assert naps.seconds == [0.5, 1.0]


def test_a_look_that_keeps_failing_ends(origin: Origin) -> None:
    """Four tries, and then the failure comes out."""
    origin.fault("get", instead=[HTML])
    with pytest.raises(UncertainError, match=r"HTTP 502.*'Bad gateway'"):
        api_of(origin, sleep=Naps()).get("abc", deadline=soon())
    assert len(origin.seen) == 4


def test_no_repeat_passes_the_deadline(origin: Origin) -> None:
    """A gap that would end after the deadline is not slept through."""
    origin.fault("get", instead=[HTML])
    naps = Naps()
    with pytest.raises(UncertainError):
        api_of(origin, sleep=naps, rng=lambda: 1.0).get("abc", deadline=soon(0.4))
    assert naps.seconds == []


def test_a_cancel_is_repeated(origin: Origin) -> None:
    """Asking to stop twice does no harm."""
    client = api_of(origin, sleep=Naps())
    created = client.create(fox(), deadline=soon())
    origin.fault("cancel", instead=[HTML], times=2)
    assert client.cancel(created.id, deadline=soon()) is not None


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"title": "Unauthenticated", "detail": "Invalid token", "status": 401}, AuthenticationError),
        (403, {"error": {"message": "quota", "code": "insufficient_user_quota"}}, CreditError),
        (402, {"title": "Insufficient credit", "detail": "Pay first", "status": 402}, CreditError),
        (
            422,
            {"detail": "no", "invalid_fields": [{"field": "input.seed", "description": "not a number"}]},
            RejectedError,
        ),
    ],
)
@pytest.mark.parametrize("kind_of_call", ["create", "get"])
def test_a_refusal_is_not_repeated(
    origin: Origin, status: int, body: Any, kind: type[ProviderError], kind_of_call: str
) -> None:
    """401, 402, a used-up quota, 422: one request, one error, and whether a sweep must stop."""
    origin.fault("any", instead=[says(body, status)])
    client = api_of(origin, sleep=Naps())
    calls = {"create": lambda: client.create(fox(), deadline=soon()), "get": lambda: client.get("a", deadline=soon())}
    with pytest.raises(kind) as caught:
        calls[kind_of_call]()
    assert len(origin.seen) == 1
    assert caught.value.is_stopping == (kind in (AuthenticationError, CreditError))
    assert not caught.value.is_uncertain


# -- 429 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["header", "date", "body", "text"])
def test_a_throttled_create_waits_as_long_as_it_is_told(origin: Origin, form: str) -> None:
    """A 429 in any form is waited out, and the create then passes; it was never taken before."""
    origin.fault("create", instead=lambda _: [throttle(0.5, form)], times=1)
    began = time.monotonic()
    api_of(origin).create(fox(), deadline=soon())
    assert 0.95 <= time.monotonic() - began < 3.0
    assert len(origin.bills) == 1


@pytest.mark.parametrize("value", ["-1", "nan", "1e35", "soon"])
def test_a_throttled_create_with_an_absurd_wait_falls_back(origin: Origin, value: str) -> None:
    """A wait that cannot be meant is replaced by a second or so."""
    origin.fault("create", instead=[says({"detail": "slow"}, 429, Retry_After=value)], times=1)
    began = time.monotonic()
    api_of(origin).create(fox(), deadline=soon())
    assert 0.9 <= time.monotonic() - began < 3.0


def test_a_wait_of_a_day_stops_with_a_message(origin: Origin) -> None:
    """Nobody waits for a day: the error comes at once, in the provider's words, and the next call knows it too."""
    origin.fault("create", instead=[says({"detail": "Come back tomorrow."}, 429, Retry_After="86400")], times=1)
    client = api_of(origin)
    began = time.monotonic()
    with pytest.raises(ThrottledError, match=r"Come back tomorrow\.") as caught:
        client.create(fox(), deadline=soon(600))
    assert caught.value.retry_after == 86400.0
    with pytest.raises(ThrottledError, match=r"in 86400 s, and it may wait for 600 s"):
        client.create(fox(), deadline=soon(600))
    assert time.monotonic() - began < 30.0
    assert len(origin.seen) == 1


def test_a_throttled_sweep_wastes_few_requests(origin: Origin) -> None:
    """Forty creates from sixteen threads against 20 a second: all are billed once, with hardly a request wasted."""
    origin.limit("create", rate=20.0, burst=5.0)
    client = api_of(origin, pacer=Pacer(40.0, 1000.0))
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: client.create(fox(str(number)), deadline=soon(60)), range(40)))
    assert len({each.id for each in made}) == len(origin.bills) == 40
    assert len(origin.of("create")) < 40 + 25
    assert time.monotonic() - began < 15.0


def test_a_call_that_was_refused_waits_and_others_do_not(origin: Origin) -> None:
    """One look's 429 with a wait is obeyed by that look alone where others pass."""
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    for _ in range(5):
        client.get(created.id, deadline=soon())
    origin.fault("get", instead=lambda _: [throttle(1.5)], times=1)
    began, refused = time.monotonic(), []
    slow = threading.Thread(target=lambda: refused.append(client.get(created.id, deadline=soon(60)).id))
    slow.start()
    eventually(lambda: len(origin.of("get")) == 6)
    client.get(created.id, deadline=soon())
    assert time.monotonic() - began < 1.5
    slow.join()
    assert refused == [created.id]
    assert time.monotonic() - began >= 1.5


def test_a_look_is_never_put_off_beyond_its_own_time(origin: Origin) -> None:
    """Who is told to look again tomorrow, when the picture is gone, looks again in a second."""
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=[says({"detail": "Tomorrow."}, 429, Retry_After="86400")], times=2)
    assert client.get(created.id, deadline=soon(30)).id == created.id


# -- refusals that pass ------------------------------------------------------------------------------------------------


def test_a_firewall_after_others_passed_is_waited_for(origin: Origin) -> None:
    """A page with 403 is not the API's word about the token: the create is sent again, and billed once."""
    client = api_of(origin)
    client.create(fox("first"), deadline=soon())
    origin.fault("create", instead=[page(403, "Attention required")], times=2)
    client.create(fox("second"), deadline=soon(60))
    assert len(origin.bills) == 2
    assert len(origin.of("create")) == 4


def test_a_firewall_from_the_beginning_is_named(origin: Origin) -> None:
    """After a few tries an error says that it is not the provider who refuses; nothing is billed."""
    origin.fault("any", instead=[page(403, "Access denied")])
    with pytest.raises(AuthenticationError, match=r"in front of the provider.*403.*'Access denied'") as caught:
        api_of(origin, sleep=Naps()).create(fox(), deadline=soon())
    assert "base URL" in caught.value.hint
    assert len(origin.seen) == 4


def test_a_token_that_the_api_itself_refuses_is_refused(origin: Origin) -> None:
    """However many calls have passed before."""
    client = api_of(origin)
    client.create(fox(), deadline=soon())
    origin.fault("create", instead=[says({"title": "Unauthenticated", "status": 401}, 401)])
    with pytest.raises(AuthenticationError, match="does not accept the token"):
        client.create(fox(), deadline=soon())
    assert len(origin.of("create")) == 2


def test_a_provider_without_room_is_waited_for(origin: Origin) -> None:
    """409 with "at capacity" is no refused input: the create gets its turn, and is billed once."""
    origin.fault("create", instead=[says({"detail": "The model is at capacity."}, 409)], times=2)
    api_of(origin).create(fox(), deadline=soon(60))
    assert (len(origin.bills), len(origin.of("create"))) == (1, 3)


# -- storms ------------------------------------------------------------------------------------------------------------


def test_a_storm_of_failures_is_not_amplified(origin: Origin) -> None:
    """With everything failing, 500 looks cost 500 requests and the quota's forty; then good times refill it."""
    origin.fault("get", instead=[reply(b"", 503)])
    client = api_of(origin, sleep=Naps())
    for _ in range(500):
        with pytest.raises(UncertainError):
            client.get("abc", deadline=soon())
    assert len(origin.seen) <= 540
    origin.heal()
    created = client.create(fox(), deadline=soon())
    for _ in range(10):
        client.get(created.id, deadline=soon())
    origin.fault("get", instead=[reply(b"", 503)], times=1)
    client.get(created.id, deadline=soon())


# -- bodies, clock, threads --------------------------------------------------------------------------------------------


def test_an_endless_reply_is_capped(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply larger than its cap is given up on, once."""
    monkeypatch.setattr(http, "BODY_CAP", 1024 * 1024)
    origin.fault("get", instead=[endless(b"[" * 65536)])
    with pytest.raises(UncertainError, match="larger than 1 MB"):
        api_of(origin, sleep=Naps()).get("abc", deadline=soon())
    assert len(origin.seen) == 1


def test_brackets_without_end_are_unreadable(origin: Origin) -> None:
    """JSON nested deeper than a parser goes is a reply one cannot read."""
    origin.fault("create", after=[reply(b"[" * 200_000, 201)])
    with pytest.raises(UncertainError):
        api_of(origin).create(fox(), deadline=soon())


@pytest.mark.parametrize("skew", [0.0, 3600.0, -86400.0])
@pytest.mark.parametrize("date_skew", [0.0, 3600.0, -15.0])
def test_the_providers_clock_is_known_from_its_replies(skew: float, date_skew: float) -> None:
    """However wrong any clock is, that of `created_at` is known to a second: by a create, until then by the Date."""
    with Origin(token=CANARY, skew=skew, date_skew=date_skew) as origin:
        client = api_of(origin)
        assert (client.list_skew, client.list_time(time.monotonic())) == (0.0, None)
        next(client.list(deadline=soon()), None)
        assert client.list_skew == pytest.approx(skew + date_skew, abs=1.0)
        client.create(fox(), deadline=soon())
        assert client.list_skew == pytest.approx(skew, abs=1.0)
        now = client.list_time(time.monotonic())
        assert now is not None
        assert (now - datetime.now(timezone.utc)).total_seconds() == pytest.approx(skew, abs=1.0)
        assert client.acceptances.keys() == {origin.bills[0].id}


def test_many_threads_share_one_client(origin: Origin) -> None:
    """64 threads create and look at once: every reply reaches its own caller."""
    client = api_of(origin)

    def round_trip(number: int) -> bool:
        created = client.create(fox(str(number)), deadline=soon(30))
        seen = client.get(created.id, deadline=soon(30))
        return seen.input["prompt"] == str(number)

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(round_trip, range(256)))
    assert len(origin.bills) == 256


def test_a_dripping_reply_does_not_hold_up_others(origin: Origin) -> None:
    """One call that drips does not slow another one down."""
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=[drip(b"HTTP/1.1 200 OK\r\n" * 9, every=0.1)], times=1)
    slow = threading.Thread(target=lambda: _ignoring(lambda: client.get(created.id, deadline=soon(5.0))))
    slow.start()
    eventually(lambda: len(origin.of("get")) == 1)
    client.get(created.id, deadline=soon())
    assert slow.is_alive()
    slow.join()


def test_an_error_message_is_two_lines_without_none(origin: Origin) -> None:
    """Whatever fails, the user reads what happened and what to do next."""
    origin.fault("create", instead=[says({"detail": None, "title": None, "error": None}, 400)])
    with pytest.raises(ImagenError) as caught:
        http_of(origin).send("POST", "/v1/models/a/b/predictions", json={}, deadline=soon(), create=True)
    assert str(caught.value).count("\n") == 1
    assert "None" not in str(caught.value)
    assert CANARY not in shown(caught.value)


def _ignoring(call: Any) -> None:
    with pytest.raises(ProviderError):
        call()


# -- the body of a reply -----------------------------------------------------------------------------------------------

URI = "data:image/png;base64," + "AbC+/09=" * 1000
SMALL_CAP = 3000
"""Fewer bytes than an embedded image has, more than what stands beside it in these tests."""


def _read(data: bytes, token: str | None = None) -> Any:
    body = ReplyBody(Secret(token) if token else None)
    for start in range(0, len(data), 65536):
        body.add(data[start : start + 65536])
    return read_reply(200, {}, body.text()).body


@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_large_embedded_image_is_read_as_any_parser_would(*, is_ascii: bool) -> None:
    """Far more than any text may have, in a string, in a list, echoed, beside letters of any script."""
    image = "data:image/png;base64," + "AbC+/09=" * (TEXT_CAP // 16)
    value = {"id": "狐\U0001f98a\ud800", "input": {"a é": image}, "output": [image, {"deep": [[image]]}], "n": 1e-9}
    data = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass" if is_ascii else "replace")
    assert len(data) > TEXT_CAP
    assert _read(data) == json.loads(data.decode())
    assert _read(data.replace(b"/", rb"\/")) == json.loads(data.decode())  # as some gateways write a slash


@given(
    st.lists(
        st.sampled_from(['"', "\\", "/", ",", "data:", ":", "x", "é", "狐\U0001f98a", "\n", "\\u0041"]), max_size=12
    ),
    st.booleans(),
)
def test_no_text_beside_an_embedded_image_changes_what_is_read(pieces: list[str], is_ascii: bool) -> None:
    """Quotes, backslashes, escapes and any script, in any order: the same as parsing it all at once."""
    value = {"".join(pieces[:3])[:50]: "".join(pieces), "b": [URI, "".join(reversed(pieces))]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "TEXT_CAP", SMALL_CAP)
        assert _read(json.dumps(value, ensure_ascii=is_ascii).encode()) == value


@given(st.integers(1, len(URI) + 40))
def test_half_a_reply_with_an_embedded_image_is_none(length: int) -> None:
    """Wherever it is cut."""
    data = json.dumps({"input": "é", "output": URI, "b": 1}, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "TEXT_CAP", len(URI))
        assert _read(data[: min(length, len(data) - 1)]) is None


def test_the_token_is_masked_in_all_of_it() -> None:
    """In texts and in embedded images, should a provider repeat it there."""
    said = _read(json.dumps({"detail": f"bad {CANARY}", "output": URI + CANARY}).encode(), CANARY)
    assert said == {"detail": "bad [token]", "output": URI + "[token]"}


PIECES = {
    **{piece: piece for piece in ("[]", "{}", "[[]]", "[0]", '{"":0}', '{"":{}}', '{"":[]}', "1.5", "999", "1e99")},
    "objects with six names": '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}',
    "names of their own": "".join(f'{{"{n:x}":0}},' for n in range(10_000))[:-1],
    "texts of their own": "".join(f'"{n:x}",' for n in range(10_000))[:-1],
    "a prediction": json.dumps({"id": "abc", "input": {"prompt": "a fox", "n": 1}, "output": None, "metrics": {}}),
    "narrow": f'"{"a" * 99_999}"',
    "wide": f'"{"a" * 99_999}\U0001f600"',
    "wide in ASCII": f'"{"a" * 99_999}\\ud83d\\ude00"',
    "not Latin": f'"{"狐" * 99_999}"',
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_whatever_is_read_takes_little_memory(piece: str) -> None:
    """As much as there may be of anything a reply can be full of: measured, far below what a reply may cost."""
    signs = sum(piece.count(sign) for sign in "[{,:") + 1
    count = min((TEXT_CAP - 2) // (len(piece.encode()) + 1), (VALUES_CAP - 1) // signs)
    data = f"[{','.join([piece] * count)}]".encode()
    tracemalloc.start()
    try:
        assert len(_read(data)) >= count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 44 * 1024 * 1024


def test_a_full_page_of_a_list_is_far_from_too_large() -> None:
    """A hundred predictions, each with a long log and a prompt in any script."""
    entry = {
        "id": "x" * 26,
        "input": {"prompt": "狐" * 480},
        "logs": "10%: step, done\n" * 500,
        "urls": {"get": "u" * 99},
    }
    data = json.dumps({"results": [entry] * 100}, ensure_ascii=False).encode()
    assert len(data) < TEXT_CAP / 2
    assert sum(data.count(sign) for sign in (b"[", b"{", b",", b":")) < VALUES_CAP / 2


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join([b"{}"] * VALUES_CAP) + b"]",
        b"[" * (VALUES_CAP + 1),
        b'["' + b"a" * TEXT_CAP + b'"]',
        b'["\\"' + URI.encode() * (TEXT_CAP // len(URI) + 1) + b'\\""]',
        b'["' + URI.encode() * (TEXT_CAP // len(URI) + 1) + b'\\u72d0"]',
    ],
    ids=["values", "brackets", "text", "an image quoted in a text", "an image with a wide letter"],
)
def test_a_reply_that_is_too_large_is_uncertain(origin: Origin, body: bytes) -> None:
    """A create is looked for then, like any other whose reply cannot be used; nothing is sent again at once."""
    for kind in ("create", "get"):
        origin.fault(kind, after=[reply(body)])
    client = api_of(origin, sleep=Naps())
    with pytest.raises(UncertainError, match="too large to be read"):
        client.create(fox(), deadline=soon())
    with pytest.raises(UncertainError, match="too large to be read"):
        client.get("abc", deadline=soon())
    assert len(origin.seen) == 2


# -- refusals become errors --------------------------------------------------------------------------------------------

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
