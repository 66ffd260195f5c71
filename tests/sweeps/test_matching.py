"""Which listed prediction belongs to which lost request."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from imagen_nb.records import InputFile, Prediction, Request, Status
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


FOX, OWL = (InputFile(each * 64, f"{each}.png", Path(f"/home/{each}.png"), 9, "image/png") for each in "fo")
UPLOADS = {"https://api/fox": FOX.sha256, "https://api/owl": OWL.sha256}


def _with_file(run_id: str, file: InputFile) -> WantedPrediction:
    return replace(_wanted(run_id, image=[file, "https://x/y.png"]), uploads=UPLOADS)


@pytest.mark.parametrize(
    ("echoed", "is_fox", "may_be_fox"),
    [
        ("https://api/fox", True, True),
        ("https://api/owl", False, False),
        ("https://replicate.delivery/pbxt/1", True, True),
        (None, True, True),
        ("data:image/png;base64,b3ds", False, True),  # the copy is gone, so that nothing can be said
        (7, False, False),
    ],
    ids=["its upload", "another's upload", "the service's own copy", "removed", "other bytes", "no address"],
)
def test_a_file_is_known_by_the_address_that_was_sent(echoed: Any, is_fox: bool, may_be_fox: bool) -> None:
    """Where the echo does not show of which file it is, it is nobody else's; and it is never ruled out."""
    echo = _listed(image=[echoed, "https://x/y.png"])
    fox = _with_file("fox", FOX)
    assert bool(match([fox], [echo])) == is_fox or echoed == "data:image/png;base64,b3ds"
    assert may_be(fox, echo) == may_be_fox
    assert match([fox], [_listed(image=[echoed])]) == {}


def test_what_does_not_show_its_file_is_given_to_none_of_two() -> None:
    """The wrong picture in a row is worse than none: those that differ in the file alone stay open, equal ones not."""
    hidden, shown = _listed("hidden", image=["https://elsewhere/1", "https://x/y.png"]), _listed("shown", at=2)
    shown = replace(shown, input={**shown.input, "image": ["https://api/owl", "https://x/y.png"]})
    fox, owl, twin = _with_file("fox", FOX), _with_file("owl", OWL), _with_file("twin", FOX)
    assert match([fox, owl], [hidden, shown], [fox, owl]) == {"owl": shown}
    assert match([fox], [hidden], [fox, twin]) == {"fox": hidden}
    assert match([fox, twin], [hidden], [fox, twin]) == {"fox": hidden}


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
