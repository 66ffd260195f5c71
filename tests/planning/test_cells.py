"""A request as a cell: what the magic reads from it is the same request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_nb.planning.cells import cell_text
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.planning.models import catalogue_spec, from_schema, unknown_spec
from imagen_nb.planning.options import cell_prompt, parse_line
from imagen_nb.planning.plan import plan
from imagen_nb.records import Request

MANY = settings(max_examples=200)
TEXTS = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=20
) | st.text(alphabet="{}|,\"'\\= \n-$a", min_size=1, max_size=12)
PROMPTS = TEXTS.filter(lambda text: bool(text.strip()))
FREE = from_schema(
    "a/free",
    {
        "components": {
            "schemas": {
                "Input": {
                    "properties": {
                        "prompt": {"type": "string"},
                        "aspect_ratio": {"type": "string"},
                        "negative_prompt": {"type": "string"},
                        "cfg": {"type": "number"},
                        "seed": {"type": "integer"},
                        "fast": {"type": "boolean"},
                        "images": {"type": "array", "items": {"type": "string"}},
                        "extra": {"type": "object"},
                    }
                }
            }
        }
    },
)
INPUTS = st.fixed_dictionaries(
    {"prompt": PROMPTS},
    optional={
        "aspect_ratio": TEXTS,
        "negative_prompt": TEXTS,
        "cfg": st.floats(allow_nan=False, allow_infinity=False),
        "seed": st.integers(),
        "fast": st.booleans(),
        "images": st.lists(TEXTS, max_size=3),
        "extra": st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=2),
    },
)


def read_back(cell: str, spec: Any) -> Request:
    """What the magic makes of a cell: the line and body that IPython hands over, parsed, planned."""
    head, *body = (cell if cell.endswith("\n") else cell + "\n").splitlines(keepends=True)
    assert head.startswith("%%imagen ")
    options, rest = parse_line(head.removeprefix("%%imagen "))
    assert not rest.strip()
    prompt = cell_prompt("".join(body))
    made = plan(prompt, lambda _: spec, **options.plan_keywords(prompt, lambda _: spec))
    assert len(made) == 1
    return made[0]


def test_a_cell_reads_like_one_that_was_typed() -> None:
    """Documented parameters have their own options, others `-p`, and the prompt stands below."""
    request = Request(
        "google/imagen-4",
        {"prompt": "a red fox", "aspect_ratio": "16:9", "output_format": "png", "seed": 3},
        "a red fox",
    )
    assert cell_text(request) == (
        "%%imagen -m google/imagen-4 --aspect-ratio 16:9 --output-format png -p seed=3\na red fox"
    )


def test_braces_ask_for_raw() -> None:
    """A prompt with a brace is sent as it stands, whatever template it came from."""
    assert cell_text(Request("a/b", {"prompt": "{x}"}, "{{x}}")) == "%%imagen -m a/b --raw\n{x}"


@pytest.mark.parametrize(
    "prompt",
    [
        "a 'red' \"fox\"",
        "two\nlines",
        "\nleading",
        "trailing\n",
        "\n\nboth\n\n",
        "  spaces  ",
        "-m is not an option",
        "%%imagen",
        "costs $5 and {name} {{x}}",
        "line\u2028separator\x0bhere",
        "-- dashes",
    ],
)
def test_prompts_survive(prompt: str) -> None:
    """Every prompt comes back exactly, line breaks at its ends included."""
    spec = catalogue_spec("google/imagen-4")
    request = Request("google/imagen-4", {"prompt": prompt}, prompt)
    assert read_back(cell_text(request), spec).input == request.input


@pytest.mark.parametrize(
    ("template", "animal"),
    [
        ("a {animal} in {oil|ink}", "fox"),
        ("a {animal}, {{literal}}", "a 'red' \"fox\""),
        ("{animal}\n", "-n"),
        ('{{"subject": "{animal}"}}', "x|y, z\\"),
        ("a {animal} of {animal}", "[x|y]"),
        ("a {animal}", 3),
    ],
)
def test_slots_stay_slots(template: str, animal: Any) -> None:
    """The template is in the cell, and the value of each of its slots, so that the log has them again."""
    request = plan(template, model="google/imagen-4", animal=animal)[0]
    cell = cell_text(request, "my zoo", "-t")
    assert f"\n{template}" in cell
    options, _ = parse_line(cell.partition("\n")[0].removeprefix("%%imagen "))
    assert (options.experiment, options.tag) == ("my zoo", "-t")
    again = read_back(cell, catalogue_spec("google/imagen-4"))
    assert again.prompt == request.prompt
    assert {name: str(value) for name, value in request.slots.items()} == again.slots


@given(TEXTS | st.just(""))
@MANY
def test_any_value_of_a_slot_gives_its_prompt_again(animal: str) -> None:
    """Where a value cannot be written behind --vary, the cell holds the prompt itself."""
    request = plan("a {animal} fox", model="google/imagen-4", animal=animal)[0]
    assert read_back(cell_text(request), catalogue_spec("google/imagen-4")).prompt == request.prompt


def test_a_carriage_return_becomes_a_line_feed() -> None:
    """Windows line ends in a prompt are written as plain ones."""
    assert cell_text(Request("a/b", {"prompt": "x\r\ny\rz"}, "")) == "%%imagen -m a/b\nx\ny\nz"


@given(INPUTS)
@MANY
def test_any_request_comes_back(given: dict[str, Any]) -> None:
    """Model and input are the same after writing and reading, for every type of parameter."""
    values = {name: [value] if isinstance(value, list) else value for name, value in given.items()}  # a list is no axis
    (request,) = plan(values.pop("prompt"), lambda _: FREE, raw=True, model="a/free", params=values)
    again = read_back(cell_text(request), FREE)
    assert (again.model, again.input) == (request.model, request.input)


@given(st.dictionaries(st.sampled_from(["a", "aspect_ratio"]), st.integers() | st.booleans() | st.text("ab ,'\"{-")))
@MANY
def test_a_model_without_schema_comes_back_too(params: dict[str, Any]) -> None:
    """Numbers, truths and text keep their type where no schema tells it."""
    request = Request("a/b", {"prompt": "x", **params}, "x")
    assert read_back(cell_text(request), unknown_spec("a/b")).input == request.input


@given(st.dictionaries(TEXTS.filter(lambda name: name != "prompt"), TEXTS | st.integers(), max_size=3))
@MANY
def test_an_input_may_have_any_name(params: dict[str, Any]) -> None:
    """However the inputs of a model nobody described are called, their names and values come back."""
    request = Request("a/b", {"prompt": "x", **params}, "x")
    assert read_back(cell_text(request), unknown_spec("a/b")).input == request.input


@pytest.mark.parametrize(
    "name", ["data-type", "x=1 -n 500 --yes -p y", 'x" -n 500 --yes "', "x\n--yes\n", "-n", "--yes"]
)
def test_a_name_is_no_option(name: str) -> None:
    """A name from a provider's schema or a foreign log adds neither an option nor a line to the cell."""
    request = Request("a/b", {"prompt": "x", name: "v"}, "x")
    cell = cell_text(request)
    head, *body = cell.splitlines()
    options, rest = parse_line(head.removeprefix("%%imagen "))
    assert (options.repeat, options.yes, options.param, rest, body) == (1, False, ((name, "v"),), "", ["x"])
    assert read_back(cell, unknown_spec("a/b")).input == request.input


def test_the_first_line_is_one_line() -> None:
    """No value can break the line that the options stand on."""
    value = "a\nb\u2028c\x85d\x1ce"
    cell = cell_text(Request("a/free", {"prompt": "x", "negative_prompt": value}, "x"))
    assert len(cell.splitlines()) == 2
    assert ParamSpec("negative_prompt", "string").coerce(value) == value
    assert read_back(cell, FREE).params == {"negative_prompt": value}
