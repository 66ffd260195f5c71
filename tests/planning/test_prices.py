"""Prices as rules: the published ones to the cent, what an estimate takes for granted, and what is no rule."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from imagen_nb.errors import InputError
from imagen_nb.planning.models import ModelSpec, catalogue_spec, from_schema, unknown_spec
from imagen_nb.planning.plan import plan
from imagen_nb.planning.prices import read_price
from imagen_nb.records import InputFile

PRO, DEV, NANO = "black-forest-labs/flux-2-pro", "black-forest-labs/flux-2-dev", "google/nano-banana-2"
IMAGE = {"type": "array", "items": {"type": "string", "format": "uri"}}


def known(name: str) -> ModelSpec:
    spec = catalogue_spec(name)
    assert spec is not None
    return spec


def file(width: int | None, height: int | None) -> InputFile:
    return InputFile("0" * 64, "fox.png", Path("fox.png"), 1, "image/png", width, height)


@pytest.mark.parametrize(
    ("model", "given", "price"),
    [
        (NANO, {}, 0.067),
        (NANO, {"resolution": "1K"}, 0.067),
        (NANO, {"resolution": "2K"}, 0.101),
        (NANO, {"resolution": "4K"}, 0.151),
        ("google/nano-banana-pro", {}, 0.15),
        ("google/nano-banana-pro", {"resolution": "1K"}, 0.15),
        ("google/nano-banana-pro", {"resolution": "2K"}, 0.15),
        ("google/nano-banana-pro", {"resolution": "4K"}, 0.30),
        ("google/nano-banana", {}, 0.039),
        ("openai/gpt-image-2", {}, 0.128),
        ("openai/gpt-image-2", {"quality": "low"}, 0.012),
        ("openai/gpt-image-2", {"quality": "medium", "number_of_images": 2}, 0.094),
        ("openai/gpt-image-2", {"quality": "high"}, 0.128),
        ("openai/gpt-image-2", {"quality": "auto"}, 0.128),
        (PRO, {}, 0.030),
        (PRO, {"resolution": "2 MP", "aspect_ratio": "16:9"}, 0.045),
        (PRO, {"resolution": "4 MP", "input_images": [file(1024, 1024)]}, 0.090),
        (PRO, {"input_images": [file(1536, 1536), file(300, 200)]}, 0.090),  # 2.25 megapixels are billed as 3
        ("black-forest-labs/flux-2-max", {"input_images": [file(1024, 1024)]}, 0.100),
        ("black-forest-labs/flux-2-flex", {"input_images": [file(1024, 1024)]}, 0.120),
        (DEV, {}, 0.012),
        (DEV, {"go_fast": False, "input_images": [file(1024, 1024)]}, 0.028),
        ("black-forest-labs/flux-2-klein-4b", {"images": [file(800, 600)]}, 0.002),
        ("black-forest-labs/flux-1.1-pro", {}, 0.04),
        ("black-forest-labs/flux-schnell", {"num_outputs": 3}, 0.009),
        ("black-forest-labs/flux-kontext-pro", {"input_image": file(4000, 4000)}, 0.04),
        ("black-forest-labs/flux-1.1-pro-ultra", {"raw": True}, 0.06),
        ("bytedance/seedream-4.5", {}, 0.04),
        ("bytedance/seedream-4", {"sequential_image_generation": "auto", "max_images": 5}, 0.15),
        ("bytedance/seedream-5-lite", {"max_images": 5}, 0.035),
        ("ideogram-ai/ideogram-v3-turbo", {}, 0.03),
        ("ideogram-ai/ideogram-v3-balanced", {}, 0.06),
        ("ideogram-ai/ideogram-v3-quality", {}, 0.09),
        ("qwen/qwen-image", {}, 0.025),
        ("luma/photon", {}, 0.03),
        ("luma/photon-flash", {}, 0.01),
        ("minimax/image-01", {"number_of_images": 9}, 0.09),
        ("prunaai/p-image", {}, 0.005),
        ("bria/image-3.2", {}, 0.04),
        ("recraft-ai/recraft-v3", {}, 0.04),
        ("google/imagen-4", {}, 0.04),
        ("google/imagen-4-fast", {}, 0.02),
        ("google/imagen-4-ultra", {}, 0.06),
    ],
)
def test_published_prices_are_exact(model: str, given: dict[str, Any], price: float) -> None:
    """Every tier of every model, and what a request with these inputs is estimated at."""
    assert known(model).estimate({"prompt": "x", **given}) == price


@pytest.mark.parametrize(
    ("model", "given", "price"),
    [
        (NANO, {"resolution": "8K"}, 0.151),
        (PRO, {"input_images": ["https://example.com/fox.png"]}, 0.015 + 9 * 0.015 + 0.015),
        (PRO, {"input_images": [file(None, None)]}, 0.015 + 9 * 0.015 + 0.015),
        (PRO, {"aspect_ratio": "match_input_image", "resolution": "match_input_image"}, 0.015 + 4 * 0.015),
        (PRO, {"aspect_ratio": "custom", "width": 2048, "height": 1025}, 0.015 + 3 * 0.015),
        (PRO, {"aspect_ratio": "custom", "width": 2048}, 0.015 + 4 * 0.015),
        (DEV, {"aspect_ratio": "match_input_image"}, 2 * 0.012),
    ],
)
def test_an_estimate_errs_on_the_dear_side(model: str, given: dict[str, Any], price: float) -> None:
    """An unknown tier is the dearest, a file of unknown size a large one, an open size the largest that is made."""
    assert known(model).estimate({"prompt": "https://is.text/here", **given}) == pytest.approx(price)


def test_what_came_is_what_is_paid_for() -> None:
    """After a run the sizes of its images count, those that are missing as asked for, and the reply's metrics."""
    pro = known(PRO)
    assert pro.cost({"resolution": "4 MP"}, 1, [(1024, 1024)]) == 0.030
    assert pro.cost({"resolution": "1 MP"}, 1, [(2048, 1024)]) == 0.045
    assert pro.cost({"resolution": "2 MP"}, 2, [(1024, 1024)]) == 0.060
    assert known("black-forest-labs/flux-schnell").cost({"num_outputs": 4}, 3) == 0.009
    assert unknown_spec("a/b").cost({}, 1) is None
    seconds = unknown_spec("a/b").with_price({"metrics": {"predict_time": 0.0014}})
    assert seconds.estimate({}) is None
    assert seconds.cost({}, 1, [(512, 512)], {"predict_time": 10.0}) == 0.014
    assert [seconds.cost({}, 1, (), metrics) for metrics in (None, {}, {"predict_time": "x"}, [])] == [None] * 4
    words = known("openai/gpt-5-mini")
    assert words.estimate({"prompt": "x"}) is None
    assert words.cost({"prompt": "x"}, 0, (), {"input_token_count": 1_000_000, "output_token_count": 500_000}) == 1.25


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (0.04, "$0.04 an image"),
        (0, "$0.00 an image"),
        ({"run": 0.01, "image": 0.005}, "$0.01 a run + 0.005 an image"),
        ({"image": {"by": "q", "prices": {"low": 0.012, "high": 0.128}}}, "$0.012 to 0.128 an image by q"),
        ({"metrics": {"predict_time": 0.000975}}, "$0.000975 a second"),
        ({"output_mp": 0.06, "mp_step": 0}, "$0.06 an output megapixel"),
        ({"run": 0.04, "input_mp": 0.03, "output_mp": 0.03}, "$0.04 a run + 0.03 a megapixel in and out"),
        (
            {"metrics": {"input_token_count": 2.5e-07, "output_token_count": 2e-06}},
            "$0.25 a million tokens in + 2.00 a million out",
        ),
        ({"metrics": {"pixel_count": 2e-06}}, "$2.00 a million of pixel_count"),
    ],
)
def test_a_price_is_told_in_words(rule: Any, words: str) -> None:
    """A rule reads as a person would say it."""
    price = read_price("a/b", rule)
    assert price is not None
    assert price.words == words


@pytest.mark.parametrize(
    "rule",
    [
        -1,
        float("nan"),
        True,
        "0.04",
        [],
        {},
        {"per_run": 0.1},
        {"image": "0.1"},
        {"image": {}},
        {"image": {"by": "quality"}},
        {"image": {"by": "quality", "prices": {}}},
        {"image": {"by": "quality", "prices": {"low": "x"}}},
        {"image": {"by": "quality", "prices": {"low": 1}, "default": "low"}},
        {"image": {"by": "qality", "prices": {"low": 1}}},
        {"metrics": 3},
        {"metrics": {}},
        {"image": 0.1, "mp_step": "1"},
    ],
)
def test_what_is_no_price_is_one_clear_error(rule: Any) -> None:
    """A bad figure, an unknown term and an input that the model has not: named with the model, before anything."""
    with pytest.raises(InputError) as caught:
        known("openai/gpt-image-2").with_price(rule)
    assert "openai/gpt-image-2" in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    if "qality" in str(rule):
        assert "goes by 'qality', which is no input of it" in caught.value.message
        assert caught.value.hint == "Did you mean quality?"


def test_a_rule_goes_by_values_of_any_type() -> None:
    """Truth values, numbers and text are keys as JSON writes them; Python's own are taken for those too."""
    rule = {
        "image": {"by": "fast", "prices": {True: 1, False: 2}},
        "run": {"by": "steps", "prices": {"4": 0.5, 8.0: 0.25}},
    }
    spec = unknown_spec("a/b").with_price(rule)
    assert spec.estimate({"fast": True, "steps": 4}) == 1.5
    assert spec.estimate({"fast": False, "steps": 8}) == 2.25
    assert spec.estimate({"fast": "maybe"}) == 2.5


def test_ten_million_requests_are_priced_at_once() -> None:
    """A plan's cost is a closed form over the axes that decide it, and equals the sum over its requests."""
    axes: dict[str, Any] = {"a": list(map(str, range(1000))), "b": list(map(str, range(1000)))}
    made = plan("{a} {b}", model=PRO, repeat=5, **axes, resolution=["1 MP", "4 MP"])
    assert len(made) == 10_000_000
    began = time.thread_time()  # what others on the machine take is not counted
    assert made.cost == pytest.approx(5e6 * (0.030 + 0.075))
    assert time.thread_time() - began < 0.02
    few = plan("{a}", model=[PRO, NANO], a=["x", "y"], aspect_ratio=["1:1", "16:9"], repeat=2, resolution=None)
    assert few.cost == pytest.approx(sum(known(each.model).estimate(each.input) or 0 for each in few))
    some = plan("{a}", model=PRO, a=axes["a"], resolution=["1 MP", "4 MP"], sample=100)
    assert some.cost == pytest.approx(sum(known(PRO).estimate(each.input) or 0 for each in some))
    assert plan("{a}", model=[PRO, "openai/gpt-5-mini"], a=["x", "y"]).cost is None


@pytest.mark.parametrize(
    ("given", "reply", "note"),
    [
        ({}, {}, None),
        ({"aspect_ratio": "16:9"}, {"sizes": [(1408, 768)]}, None),
        ({"aspect_ratio": "21:9"}, {"sizes": [(1536, 640)]}, None),
        ({"aspect_ratio": "16:9"}, {"sizes": [(1024, 1024)]}, "1024x1024 pixels came, 16:9 was asked for"),
        ({"resolution": "4K"}, {"sizes": [(4096, 1755)]}, None),
        ({"resolution": "4K"}, {"sizes": [(2048, 2048)]}, "2048x2048 pixels came, 4K was asked for"),
        ({"resolution": "2 MP"}, {"sizes": [(1888, 1056)]}, None),
        ({"resolution": "2 MP"}, {"sizes": [(1024, 1024)]}, "1024x1024 pixels came, 2 MP was asked for"),
        ({"size": "1365x1024"}, {"sizes": [(1344, 1024)]}, None),
        ({"size": "1365x1024"}, {"sizes": [(1024, 1024)]}, "1024x1024 pixels came, 1365x1024 was asked for"),
        ({"num_outputs": 4}, {"count": 3, "sizes": [(9, 9)]}, "3 images came, 4 were asked for"),
        ({}, {"count": 2}, "2 images came, 1 was asked for"),
        ({"sequential_image_generation": "auto", "max_images": 5}, {"count": 2}, None),
        ({}, {"answered_by": "bytedance/seedream-5-lite"}, "bytedance/seedream-5-lite answered in place of a/b"),
        ({}, {"answered_by": "A/B"}, None),
        ({}, {"answered_by": "f" * 64}, None),
        ({}, {"metrics": {"resolution": "fallback"}}, "a fallback model answered in place of a/b"),
    ],
)
def test_the_reply_has_its_own_word(given: dict[str, Any], reply: dict[str, Any], note: str | None) -> None:
    """Another model, count or size than asked for is said; what models round is not."""
    properties = {name: {"type": "string"} for name in ("prompt", "aspect_ratio", "resolution", "size")}
    spec = from_schema("a/b", {"components": {"schemas": {"Input": {"properties": properties}}}})
    said = {"answered_by": "a/b", "count": 1, "sizes": (), "metrics": {}, **reply}
    assert spec.reply_note({"prompt": "x", **given}, **said) == note
