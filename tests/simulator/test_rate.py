"""The rate limit of creates, and the reply that says how long to wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from caller import PATH, Caller

from imagen_nb.simulator import Simulator
from imagen_nb.simulator.service import Meter

Calling = Callable[[Simulator], Caller]
BODY = {"input": {"prompt": "a fox"}}


def test_over_the_rate_a_create_is_throttled_and_says_for_how_long(calling: Calling) -> None:
    """6 a minute with burst 1: the second create is 429, with the wait in header, body and sentence."""
    with Simulator(creates_per_minute=6, burst=1) as simulator:
        call = calling(simulator)
        assert call("POST", PATH, BODY).status == 201
        refused = call("POST", PATH, BODY)
        assert refused.status == 429
        wait = refused.json["retry_after"]
        assert 5 < wait <= 10  # ten seconds, less what it took to ask again
        assert refused.headers["Retry-After"] == refused.headers["ratelimit-reset"] == str(wait)
        assert refused.headers["ratelimit-remaining"] == "0"
        assert refused.json["detail"].startswith("Request was throttled.")
        assert f"resets in ~{wait}s." in refused.json["detail"]
        assert call("GET", "/v1/predictions").status == 200
        assert len(simulator.predictions) == 1


def test_the_meter_refills_with_time() -> None:
    """A burst passes at once, then one create for each interval, never more than the burst saved up."""
    meter, passed = Meter(), []
    for now in [0.0] * 4 + [0.5, 1.0, 1.1, 100.0, 100.0, 100.0, 100.0]:
        meter, wait = meter.take(60, 3, now)
        passed.append(wait == 0.0)
    assert passed == [True, True, True, False, False, True, False, True, True, True, False]
    assert meter.take(60, 3, 100.25)[1] == pytest.approx(0.75)
