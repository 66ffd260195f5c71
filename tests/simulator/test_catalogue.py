"""The models, what they accept, and how large their pictures are."""

from __future__ import annotations

from typing import Any

import pytest

from imagen_nb.planning.models import catalogue_names
from imagen_nb.simulator.catalogue import catalogue

MODELS = catalogue()
SCHNELL = MODELS["black-forest-labs/flux-schnell"]


def test_every_model_of_the_catalogue_is_served() -> None:
    """One file there is one model here."""
    assert set(MODELS) == set(catalogue_names())


@pytest.mark.parametrize(
    ("given", "pixels"),
    [
        ({"resolution": "1K"}, (1440, 720)),
        ({"resolution": "4K", "aspect_ratio": "1:8"}, (1440, 11584)),
    ],
)
def test_a_picture_may_be_as_wide_as_the_reference(given: dict[str, Any], pixels: tuple[int, int]) -> None:
    """`match_input_image` takes the first one's ratio, and another ratio does not."""
    spec = MODELS["google/nano-banana-2"]
    assert spec.pixels(spec.echo({"prompt": "x", **given}), (640, 320)) == pixels


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_schema_has_the_services_shape(name: str) -> None:
    """Enums are references to schemas of their own, every input has its place, and every default is allowed."""
    model = MODELS[name]
    schemas = model.schema["components"]["schemas"]
    properties = schemas["Input"]["properties"]
    assert schemas["Input"]["required"] == ["prompt"]
    assert sorted(each["x-order"] for each in properties.values()) == list(range(len(properties)))
    for key, each in properties.items():
        if "allOf" in each:
            assert each["allOf"] == [{"$ref": f"#/components/schemas/{key}"}]
            assert each.get("default", schemas[key]["enum"][0]) in schemas[key]["enum"]
        else:
            assert each["type"]
    assert schemas["Output"]["type"] == ("array" if model.is_list else "string")
    assert model.problems(model.echo({"prompt": "a fox"})) == []


@pytest.mark.parametrize(
    ("given", "kind", "field", "description"),
    [
        ({"prompt": "x", "num_outputs": 0}, "number_gte", "input.num_outputs", "Must be greater than or equal to 1"),
        ({"prompt": "x", "num_outputs": 5}, "number_lte", "input.num_outputs", "Must be less than or equal to 4"),
        (
            {"prompt": "x", "num_outputs": "2"},
            "invalid_type",
            "input.num_outputs",
            "Invalid type. Expected: integer, given: string",
        ),
        (
            {"prompt": "x", "go_fast": 1},
            "invalid_type",
            "input.go_fast",
            "Invalid type. Expected: boolean, given: integer",
        ),
        (
            {"prompt": "x", "seed": True},
            "invalid_type",
            "input.seed",
            "Invalid type. Expected: integer, given: boolean",
        ),
        ({"prompt": None}, "invalid_type", "input.prompt", "Invalid type. Expected: string, given: null"),
        (
            {"prompt": "x", "megapixels": "2"},
            "enum",
            "input.megapixels",
            'megapixels must be one of the following: "1", "0.25"',
        ),
        ({"seed": 1}, "required", "input", "prompt is required"),
        ({"prompt": "x", "images": ["fox.png"]}, "format", "input.images", "Does not match format 'uri'"),
        (
            {"prompt": "x", "images": ["https://a/b.png"] * 6},
            "array_max_items",
            "input.images",
            "Array must have at most 5 items",
        ),
    ],
)
def test_a_bad_input_is_named_as_the_service_names_it(given: Any, kind: str, field: str, description: str) -> None:
    """Kind, field and reason are those of the service's validator."""
    model = MODELS["black-forest-labs/flux-2-klein-4b"] if "images" in given else SCHNELL
    (problem,) = model.problems(given)
    assert (problem.type, problem.field, problem.description) == (kind, field, description)


def test_a_whole_number_may_be_written_as_a_float_and_unknown_inputs_pass() -> None:
    """4.0 counts as an integer, and what the schema does not name is not looked at."""
    assert SCHNELL.problems({"prompt": "x", "num_outputs": 4.0, "surprise": object()}) == []


@pytest.mark.parametrize(
    ("model", "given", "pixels"),
    [
        ("google/imagen-4", {}, (1024, 1024)),
        ("google/imagen-4", {"aspect_ratio": "9:16"}, (768, 1408)),
        ("google/imagen-4", {"aspect_ratio": "16:9"}, (1408, 768)),
        ("google/imagen-4", {"aspect_ratio": "3:4"}, (896, 1280)),
        ("google/imagen-4", {"aspect_ratio": "4:3"}, (1280, 896)),
        ("google/imagen-4-ultra", {"aspect_ratio": "4:3", "image_size": "2K"}, (2560, 1792)),
        ("black-forest-labs/flux-schnell", {"aspect_ratio": "21:9"}, (1536, 640)),
        ("black-forest-labs/flux-schnell", {"megapixels": "0.25"}, (512, 512)),
        ("black-forest-labs/flux-1.1-pro", {"aspect_ratio": "custom", "width": 640, "height": 256}, (640, 256)),
        ("recraft-ai/recraft-v3", {"size": "1365x1024"}, (1365, 1024)),
        ("recraft-ai/recraft-v3", {"size": "1365x1024", "aspect_ratio": "1:1"}, (1024, 1024)),
        ("ideogram-ai/ideogram-v3-quality", {"resolution": "512x1536"}, (512, 1536)),
        ("bytedance/seedream-4", {}, (2048, 2048)),
        ("google/nano-banana-2", {"resolution": "2K", "aspect_ratio": "16:9"}, (2720, 1536)),
        ("google/nano-banana-pro", {}, (2048, 2048)),
        ("black-forest-labs/flux-2-pro", {"resolution": "2 MP", "aspect_ratio": "3:2"}, (1760, 1168)),
        ("black-forest-labs/flux-2-klein-4b", {"output_megapixels": "0.5", "aspect_ratio": "2:1"}, (1024, 512)),
        ("black-forest-labs/flux-1.1-pro-ultra", {}, (2048, 2048)),
        ("bytedance/seedream-5-lite", {"size": "3K"}, (3072, 3072)),
        ("luma/photon", {}, (1360, 768)),
        ("bytedance/seedream-4", {"size": "1K", "aspect_ratio": "4:3"}, (1152, 864)),
    ],
)
def test_pictures_have_the_documented_size(model: str, given: dict[str, Any], pixels: tuple[int, int]) -> None:
    """Aspect ratio, size, resolution and megapixels each decide where the model has them."""
    spec = MODELS[model]
    assert spec.pixels(spec.echo({"prompt": "x", **given})) == pixels


def test_the_number_and_the_format_of_the_pictures_follow_the_input() -> None:
    """`num_outputs`, and `max_images` only in a sequence; the format asked for, else the model's own."""
    seedream = MODELS["bytedance/seedream-4"]
    assert SCHNELL.pictures(SCHNELL.echo({"num_outputs": 3})) == 3
    assert seedream.pictures(seedream.echo({"max_images": 3})) == 1
    assert seedream.pictures(seedream.echo({"max_images": 3, "sequential_image_generation": "auto"})) == 3
    assert SCHNELL.extension(SCHNELL.echo({})) == "webp"
    assert SCHNELL.extension(SCHNELL.echo({"output_format": "png"})) == "png"
