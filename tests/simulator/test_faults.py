"""Faults on demand, and a service in good health without them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
from collections import Counter
from collections.abc import Callable

import pytest
from caller import PATH, Caller
from PIL import Image

from imagen_nb.simulator import Faults, Simulator
from imagen_nb.simulator.service import Meter, chance

Calling = Callable[[Simulator], Caller]
BODY = {"input": {"prompt": "a fox"}}


def outcomes(simulator: Simulator, calling: Calling, times: int) -> Counter[str]:
    """What became of so many creates, by status or by the kind of broken connection."""
    seen: Counter[str] = Counter()
    for _ in range(times):
        try:
            seen[str(calling(simulator)("POST", PATH, BODY).status)] += 1
        except http.client.RemoteDisconnected:
            seen["ended"] += 1
        except ConnectionResetError:
            seen["reset"] += 1
    return seen


def test_over_the_rate_a_create_is_throttled_and_says_for_how_long(calling: Calling) -> None:
    """6 a minute with burst 1: the second create is 429, with the wait in header, body and sentence."""
    with Simulator(faults=Faults(creates_per_minute=6, burst=1)) as simulator:
        call = calling(simulator)
        assert call("POST", PATH, BODY).status == 201
        refused = call("POST", PATH, BODY)
        assert refused.status == 429
        assert (refused.headers["Retry-After"], refused.json["retry_after"]) == ("10", 10)
        assert (refused.headers["ratelimit-remaining"], refused.headers["ratelimit-reset"]) == ("0", "10")
        assert refused.json["detail"].startswith("Request was throttled.")
        assert "resets in ~10s." in refused.json["detail"]
        assert call("GET", "/v1/predictions").status == 200
        assert len(simulator.predictions) == 1


@pytest.mark.parametrize("where", ["header", "body", "text"])
def test_the_wait_is_told_where_one_likes(calling: Calling, where: str) -> None:
    """Only in the header, only in the body, or only in the sentence."""
    with Simulator(faults=Faults(creates_per_minute=1, retry_after=where)) as simulator:
        call = calling(simulator)
        call("POST", PATH, BODY)
        refused = call("POST", PATH, BODY)
        told = ("Retry-After" in refused.headers, "retry_after" in refused.json, "~" in refused.json["detail"])
        assert told == (where == "header", where == "body", where == "text")


def test_the_meter_refills_with_time() -> None:
    """A burst passes at once, then one create for each interval, never more than the burst saved up."""
    meter, passed = Meter(), []
    for now in [0.0] * 4 + [0.5, 1.0, 1.1, 100.0, 100.0, 100.0, 100.0]:
        meter, wait = meter.take(60, 3, now)
        passed.append(wait == 0.0)
    assert passed == [True, True, True, False, False, True, False, True, True, True, False]
    assert meter.take(60, 3, 100.25)[1] == pytest.approx(0.75)


def test_without_credit_creates_are_402(calling: Calling) -> None:
    """402 in the service's form, and nothing is billed; it can be switched on in mid-sweep."""
    with Simulator() as simulator:
        call = calling(simulator)
        assert call("POST", PATH, BODY).status == 201
        simulator.faults = Faults(no_credit=True)
        refused = call("POST", PATH, BODY)
        assert (refused.status, refused.json["title"]) == (402, "Insufficient credit")
        assert len(simulator.predictions) == 1


def test_connections_end_before_or_after_the_create_was_processed(calling: Calling) -> None:
    """Dropped before: no bill; reset after: a bill. As many as asked for, the same ones with the same seed."""
    faults = Faults(drop_before=0.2, drop_after=0.2)
    with Simulator(seed=3, faults=faults) as simulator, Simulator(seed=3, faults=faults) as again:
        seen = outcomes(simulator, calling, 100)
        assert seen == outcomes(again, calling, 100)
        assert 8 <= seen["ended"] <= 32
        assert 8 <= seen["reset"] <= 32
        assert len(simulator.predictions) == 100 - seen["ended"]


def test_gateway_errors_come_before_or_after_the_create_was_processed(calling: Calling) -> None:
    """502 in HTML either way; only the one after is billed."""
    with Simulator(faults=Faults(error_before=1.0)) as simulator:
        answer = calling(simulator)("POST", PATH, BODY)
        assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")
        simulator.faults = Faults(error_after=1.0)
        assert outcomes(simulator, calling, 2) == {"502": 2}
        assert len(simulator.predictions) == 2


def test_other_calls_can_fail_too(calling: Calling) -> None:
    """500 for calls that are not creates; creates and files go on."""
    with Simulator(latency=0.0, faults=Faults(get_errors=1.0)) as simulator:
        call = calling(simulator)
        made = call.create(wait=True)
        assert call("GET", f"/v1/predictions/{made['id']}").status == 500
        assert call.fetch(made["output"]).status == 200


def test_calls_may_not_be_offered(calling: Calling) -> None:
    """No list, no cancel, no models: 404 each, as behind a gateway; creating goes on."""
    with Simulator(lists=False) as bare:
        assert calling(bare)("GET", "/v1/predictions").status == 404
        assert bare.faults == Faults(no_list=True)
    with Simulator(faults=Faults(no_list=True, no_cancel=True, no_models=True)) as simulator:
        call = calling(simulator)
        made = call.create()
        assert call("POST", f"/v1/predictions/{made['id']}/cancel").status == 404
        assert call("GET", "/v1/predictions").status == 404
        assert call("GET", "/v1/models/google/imagen-4").status == 404
        assert call.get(made)["status"] in ("starting", "processing")


def test_the_list_may_lag(calling: Calling) -> None:
    """A prediction that can be fetched is not in the list yet."""
    with Simulator(faults=Faults(list_lag_s=60.0)) as simulator:
        call = calling(simulator)
        made = call.create()
        assert call("GET", "/v1/predictions").json["results"] == []
        simulator.faults = Faults()
        assert [each["id"] for each in call("GET", "/v1/predictions").json["results"]] == [made["id"]]


def test_a_hold_may_be_ignored_or_come_back_early(calling: Calling) -> None:
    """`ignore_prefer`: at once and without the echo; `early_output`: processing, with the output already there."""
    with Simulator(latency=60.0, faults=Faults(ignore_prefer=True)) as simulator:
        ignored = calling(simulator)("POST", PATH, BODY, prefer="wait")
        assert ignored.json["status"] == "starting"
        assert "Preference-Applied" not in ignored.headers
    with Simulator(latency=0.05, faults=Faults(early_output=True)) as simulator:
        call = calling(simulator)
        early = call("POST", PATH, BODY, prefer="wait").json
        assert early["status"] == "processing"
        assert early["output"].startswith("http")
        assert call.get(early)["status"] == "succeeded"


def test_a_cold_start_comes_before_the_work(calling: Calling) -> None:
    """The seconds are added to `starting`, so that a deadline in them aborts."""
    with Simulator(latency=0.0, faults=Faults(cold_start_s=60.0)) as simulator:
        held = calling(simulator)("POST", PATH, BODY, prefer="wait", cancel_after="100ms")
        assert held.json["status"] == "aborted"


def test_next_may_point_at_the_service(calling: Calling) -> None:
    """`foreign_next`: the URL names the service's host, as it does behind a gateway."""
    with Simulator(faults=Faults(foreign_next=True)) as simulator:
        call = calling(simulator)
        for _ in range(101):
            call.create()
        following = call("GET", "/v1/predictions").json["next"]
        assert following.startswith("https://api.replicate.com/v1/predictions?cursor=")
        assert len(call.fetch(following).json["results"]) == 1


def test_outputs_may_be_data_uris(calling: Calling) -> None:
    """`data_uris`: the picture itself, in the reply."""
    with Simulator(latency=0.0, faults=Faults(data_uris=True)) as simulator:
        head, _, data = calling(simulator).create(wait=True)["output"].partition(",")
        assert head == "data:image/jpeg;base64"
        with contextlib.closing(Image.open(io.BytesIO(base64.b64decode(data)))) as picture:
            assert picture.size == (1024, 1024)


def test_chances_repeat() -> None:
    """The same seed, kind and number give the same draw; draws fill the unit interval."""
    draws = [chance(0, "create", number) for number in range(200)]
    assert draws == [chance(0, "create", number) for number in range(200)]
    assert 0 <= min(draws) < 0.1
    assert 0.9 < max(draws) < 1
