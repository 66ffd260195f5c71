"""One send: what is repeated and what never is, the 429s, the storms, the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from acts import Act, chunked, cut, drip, endless, page, pause, reply, rst, says
from origin import Origin, throttled
from providers import CANARY, Naps, api_of, eventually, fox, http_of, shown, soon

from imagen_nb.api import http as bodies
from imagen_nb.api.pace import Pacer
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    ImagenError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
    UnreachableError,
)

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
    client = api_of(origin, doze=naps, rng=lambda: 1.0)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=script, times=2)
    assert client.get(created.id, deadline=soon()).id == created.id
    assert naps.seconds == [0.5, 1.0]


def test_a_look_that_keeps_failing_ends(origin: Origin) -> None:
    """Four tries, and then the failure comes out."""
    origin.fault("get", instead=[HTML])
    with pytest.raises(UncertainError, match=r"HTTP 502.*'Bad gateway'"):
        api_of(origin, doze=Naps()).get("abc", deadline=soon())
    assert len(origin.seen) == 4


def test_no_repeat_passes_the_deadline(origin: Origin) -> None:
    """A gap that would end after the deadline is not slept through."""
    origin.fault("get", instead=[HTML])
    naps = Naps()
    with pytest.raises(UncertainError):
        api_of(origin, doze=naps, rng=lambda: 1.0).get("abc", deadline=soon(0.4))
    assert naps.seconds == []


def test_a_cancel_is_repeated(origin: Origin) -> None:
    """Asking to stop twice does no harm."""
    client = api_of(origin, doze=Naps())
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
    client = api_of(origin, doze=Naps())
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
    origin.fault("create", instead=lambda _: [throttled(0.5, form)], times=1)
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


# -- storms ------------------------------------------------------------------------------------------------------------


def test_a_storm_of_failures_is_not_amplified(origin: Origin) -> None:
    """With everything failing, 500 looks cost 500 requests and the quota's forty; then good times refill it."""
    origin.fault("get", instead=[reply(b"", 503)])
    client = api_of(origin, doze=Naps())
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
    monkeypatch.setattr(bodies, "BODY_CAP", 1024 * 1024)
    origin.fault("get", instead=[endless(b"[" * 65536)])
    with pytest.raises(UncertainError, match="larger than 1 MB"):
        api_of(origin, doze=Naps()).get("abc", deadline=soon())
    assert len(origin.seen) == 1


def test_brackets_without_end_are_unreadable(origin: Origin) -> None:
    """JSON nested deeper than a parser goes is a reply one cannot read."""
    origin.fault("create", after=[reply(b"[" * 200_000, 201)])
    with pytest.raises(UncertainError):
        api_of(origin).create(fox(), deadline=soon())


@pytest.mark.parametrize("skew", [0.0, 3600.0, -86400.0])
def test_the_providers_clock_is_known_from_its_replies(skew: float) -> None:
    """However wrong either clock is, the difference is known to a second."""
    with Origin(token=CANARY, skew=skew) as origin:
        client = api_of(origin)
        assert client.clock_skew == 0.0
        client.create(fox(), deadline=soon())
        assert client.clock_skew == pytest.approx(skew, abs=1.0)


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
