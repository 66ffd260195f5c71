"""Which listed prediction belongs to which lost request."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from imagen_nb.records import Prediction, Request, Status
from imagen_nb.sweeps.recover import LOOK_BACK, WantedPrediction, match, may_be

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
DEFAULTS = {"aspect_ratio": "1:1", "output_format": "jpg"}


def _wanted(run_id: str = "a", *, model: str = "google/imagen-4", at: int = 0, **params: Any) -> WantedPrediction:
    request = Request(model, {"prompt": "a fox", **params}, "a fox")
    return WantedPrediction(run_id, request, NOON + timedelta(seconds=at), DEFAULTS)


def _listed(identifier: str = "p", *, model: str = "google/imagen-4", at: int = 1, **params: Any) -> Prediction:
    return Prediction(
        identifier,
        Status.PROCESSING,
        model=model,
        input={"prompt": "a fox", **params},
        created_at=NOON + timedelta(seconds=at),
    )


def test_an_echo_with_defaults_filled_in_and_keys_reordered_is_the_same() -> None:
    """What was sent must come back; what was not sent may only be the model's default."""
    echo = _listed(output_format="jpg", aspect_ratio="16:9")
    assert match([_wanted(aspect_ratio="16:9")], [echo]) == {"a": echo}


@pytest.mark.parametrize(
    "other",
    [
        _listed(aspect_ratio="16:9"),
        _listed(model="google/imagen-4-fast"),
        _listed(at=-1),
        Prediction("p", Status.STARTING, model="google/imagen-4", input={"prompt": "a fox"}),
        Prediction("p", Status.STARTING, model="google/imagen-4", input={"prompt": "an owl"}, created_at=NOON),
    ],
    ids=["another value than the default", "another model", "too old", "no time", "another prompt"],
)
def test_what_differs_is_not_claimed(other: Prediction) -> None:
    """A prediction of another request must not be taken for the lost one."""
    assert match([_wanted()], [other]) == {}


def test_each_prediction_is_claimed_once_and_the_oldest_first() -> None:
    """Two lost requests with the same input get two different predictions; a third gets none."""
    early, late = _listed("early", at=5), _listed("late", at=9)
    found = match([_wanted("b", at=1), _wanted("a", at=0), _wanted("c", at=2)], [late, early])
    assert found == {"a": early, "b": late}


def test_an_echo_that_is_fully_explained_comes_before_one_that_is_not() -> None:
    """An input nobody knows a default for is tolerated, but only where no better match is there."""
    odd, plain = _listed("odd", at=1, mystery=3), _listed("plain", at=2)
    assert match([_wanted()], [odd, plain])["a"] is plain
    assert match([_wanted()], [odd])["a"] is odd


def test_numbers_and_files_compare_as_the_service_writes_them() -> None:
    """3 and 3.0 are one number, and an uploaded file comes back as an address."""
    echo = _listed(guidance=3, image="https://replicate.delivery/x.png")
    assert match([_wanted(guidance=3.0, image="data:image/png;base64,AA==")], [echo])


def test_a_version_is_matched_by_its_hash() -> None:
    """A request by version has no model name, or one with a hash behind it."""
    digest = "5" * 64
    echo = replace(_listed(model="x/y"), raw={"version": digest})
    assert match([_wanted(model=digest)], [echo])
    assert match([_wanted(model=f"x/y:{digest}")], [echo])
    assert not match([_wanted(model="6" * 64)], [echo])


@pytest.mark.parametrize(
    "near",
    [
        _listed(aspect_ratio="16:9"),
        _listed(model="google/imagen-4-fast"),
        Prediction("p", Status.STARTING, model="google/imagen-4", input={"prompt": "a fox"}),
        Prediction("p", Status.STARTING, model="google/imagen-4", created_at=NOON),
        replace(_listed(), input={"prompt": " a  fox\n"}),
        _listed(at=-3600),
    ],
    ids=["another default", "another name of the model", "no time", "no input", "other spaces", "an hour older"],
)
def test_what_cannot_be_ruled_out_may_be_it(near: Prediction) -> None:
    """It is not taken, and the request is not missing."""
    assert match([_wanted()], [near]) == {}
    assert may_be(_wanted(), near)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_wanted(), _listed(at=-1 - int(LOOK_BACK.total_seconds()))),
        (_wanted(), replace(_listed(), input={"prompt": "an owl"})),
        (_wanted(aspect_ratio="1:1"), _listed(aspect_ratio="16:9")),
        (replace(_wanted(), called=frozenset({"google/imagen-4"})), _listed(model="google/imagen-4-fast")),
    ],
    ids=["too old", "another prompt", "another value than was sent", "a model that goes by a name we know"],
)
def test_what_is_surely_another_is_ruled_out(one: WantedPrediction, other: Prediction) -> None:
    """A prediction that cannot be the request's does not keep it from being missing."""
    assert not may_be(one, other)


def test_a_model_is_known_by_the_name_its_replies_give_it() -> None:
    """Once a reply has said it, that name is as good as the one that was asked for."""
    alias = _listed(model="google/imagen-4.0-generate")
    assert match([replace(_wanted(), called=frozenset({"google/imagen-4.0-generate"}))], [alias]) == {"a": alias}
