"""What is known of the models in use: own prices, the API's newer schema, and what was shut down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from imagen_nb.api.client import Api
from imagen_nb.api.http import Http
from imagen_nb.api.model_specs import NEWER, ModelSpecs
from imagen_nb.errors import InputError, NotFoundError, UnreachableError
from imagen_nb.planning.models import catalogue_names, catalogue_spec
from imagen_nb.records import Request
from imagen_nb.settings import Provider
from imagen_nb.simulator import Simulator

IMAGEN, NANO = "google/imagen-4", "google/nano-banana-2"


def schema(**inputs: Mapping[str, Any]) -> dict[str, Any]:
    properties = {"prompt": {"type": "string"}, **inputs}
    return {"components": {"schemas": {"Input": {"properties": properties, "required": ["prompt"]}}}}


def in_full(name: str) -> dict[str, Any]:
    """The catalogue's schema of a model, as the API writes one."""
    spec = catalogue_spec(name)
    assert spec is not None
    shapes: dict[str, Any] = {}
    for param in spec.params.values():
        items = {"type": "string", "format": "uri"} if param.is_file else {}
        limits = {"default": param.default, "minimum": param.minimum, "maximum": param.maximum, "maxItems": param.most}
        shapes[param.name] = {"type": param.type, "items": items, "description": "Other words.", **limits}
        if param.enum:
            shapes[param.name]["enum"] = list(param.enum)
    return schema(**shapes)


def specs(answer: Any = None, prices: Mapping[str, Any] | None = None, **more: Any) -> tuple[ModelSpecs, list[str]]:
    notices: list[str] = []
    return ModelSpecs(lambda _: answer, prices or {}, notices.append, **more), notices


def test_a_newer_schema_counts_from_then_on() -> None:
    """What the API says otherwise than the catalogue holds; price, seconds and retirement stay as they are known."""
    made, _ = specs(schema(resolution={"type": "string", "enum": ["1K", "8K"]}))
    made.take_newer(NANO)
    spec = made.get(NANO)
    assert list(spec.params) == ["prompt", "resolution"]
    assert spec.params["resolution"].enum == ("1K", "8K")
    assert (spec.source, spec.estimate({"resolution": "1K"}), spec.is_strict) == (NEWER, 0.067, True)
    row = made.frame().loc[NANO]
    assert (row["source"], row["inputs"]) == (NEWER, "resolution")


@pytest.mark.parametrize(
    "answer", [None, {}, in_full(NANO), {"components": {"schemas": {"Input": {"properties": {}}}}}]
)
def test_what_says_nothing_new_changes_nothing(answer: Any) -> None:
    """No schema, one that cannot be read, and the same in other words."""
    made, notices = specs(answer)
    made.take_newer(NANO)
    assert made.get(NANO) == catalogue_spec(NANO)
    assert notices == []


def test_the_api_is_asked_once_in_the_background() -> None:
    """However often it is wanted, and what the catalogue does not know is not asked for; a failure is no matter."""
    asked: list[str] = []
    held = threading.Event()

    def fetch(name: str) -> None:
        asked.append(name)
        held.wait(10)
        raise UnreachableError("no network", "")

    made = ModelSpecs(fetch, {}, print)
    began = time.monotonic()
    for _ in range(3):
        made.look_for_newer([NANO, "some/model"])
    assert time.monotonic() - began < 5  # the answer is held for longer
    held.set()
    while any(each.name == "imagen-schemas" for each in threading.enumerate()):
        time.sleep(0.01)
    assert asked == [NANO]
    assert made.get(NANO) == catalogue_spec(NANO)


def test_a_model_that_was_shut_down_is_said_once() -> None:
    """The notice has the day, the successor and how to choose it; a living model needs none."""
    made, notices = specs()
    for _ in range(2):
        made.say_retired([IMAGEN, NANO, "some/model"])
    (notice,) = notices
    said, how = notice.split(". ")
    assert said == "google/imagen-4 was shut down by its publisher on 17 August 2026; google/nano-banana-2 follows it"
    assert how == "Choose that with -m google/nano-banana-2, in Python with model='google/nano-banana-2'."


def test_own_prices_are_checked_at_once() -> None:
    """A number or a rule stands in place of the list price; a mistake is an error before anything is asked."""
    rule = {"run": 0.01, "image": {"by": "resolution", "prices": {"1K": 0.02, "4K": 0.5}}}
    made, _ = specs(prices={NANO: rule, "some/model": 0.5})
    assert made.get(NANO).estimate({"resolution": "2K"}) == 0.51
    assert made.get("some/model").estimate({}) == 0.5
    for wrong in ({"image": {"by": "resolutoin", "prices": {"1K": 1}}}, "cheap"):
        with pytest.raises(InputError, match=NANO):
            specs(prices={NANO: wrong})


def test_the_table_has_every_model_with_its_price_in_words() -> None:
    """Living picture models first; what takes files, what was shut down, and what has a price of one's own."""
    made, _ = specs(prices={"some/model": 0.5})
    rows = made.frame()
    assert list(rows.index) == [*catalogue_names(), "some/model"]
    assert rows.loc[NANO, "price"] == "$0.067 to 0.151 an image by resolution"
    assert rows.loc[NANO, "files"] == "image_input (14)"
    assert rows.loc["openai/gpt-5-mini", "output"] == "text"
    assert (rows.loc[IMAGEN, "retired_on"], rows.loc[IMAGEN, "successor"]) == ("2026-08-17", NANO)
    assert rows.loc["some/model", "price_source"] == "prices setting"
    assert bool(rows.loc["some/model", "partial"])
    assert rows["price"].notna().all()


def test_the_simulator_has_no_prices_to_be_paid() -> None:
    """Each price is called simulated, one of one's own too; what has none has none."""
    made, _ = specs(prices={NANO: 1.0}, is_simulated=True)
    assert {made.get(name).price_source for name in (IMAGEN, NANO)} == {"simulated"}
    assert made.get("some/model").price_source is None


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Api]:
    made = Api(Http(Provider(simulator.base_url, simulator.base_url)))
    yield made
    made.close()


def test_a_404_says_again_what_follows_the_model(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that was shut down the refusal names the successor and how to choose it; else a likely name."""
    monkeypatch.setattr("imagen_nb.api.client._model_path", lambda name: f"/v1/models/gone/{name.partition('/')[2]}")
    for name, words, hint in (
        (IMAGEN, "google/nano-banana-2 follows it", "-m google/nano-banana-2"),
        ("google/imagen4", None, "Did you mean google/imagen-4?"),
        ("some/model", None, "Check the model's name"),
    ):
        with pytest.raises(NotFoundError) as caught:
            api.create(Request(name, {"prompt": "x"}, "x"), deadline=time.monotonic() + 10)
        assert (words in caught.value.message) if words else ("follows" not in caught.value.message)
        assert hint in caught.value.hint
