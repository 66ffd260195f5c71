"""Model specs: read from schemas of every shape, and exact about what may be sent."""

from __future__ import annotations

import json
import math
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_nb.errors import InputError
from imagen_nb.planning import models
from imagen_nb.planning.inputs import ParamSpec, split_values
from imagen_nb.planning.models import (
    ModelSpec,
    catalogue_names,
    catalogue_spec,
    check_model_name,
    from_schema,
    unknown_spec,
)
from imagen_nb.planning.plan import plan

IMAGEN = "google/imagen-4"
SCHNELL = "black-forest-labs/flux-schnell"
SEEDREAM = "bytedance/seedream-4"
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers())


def known(name: str) -> ModelSpec:
    spec = catalogue_spec(name)
    assert spec is not None
    return spec


def refusal(call: Any, *args: Any, **names: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        call(*args, **names)
    assert caught.value.message
    assert "None" not in str(caught.value)
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def sent(spec: ModelSpec, prompt: str = "x", /, **params: Any) -> dict[str, Any]:
    """The input of the one request that a plan makes of these parameters, lists being values and no axes."""
    values = {name: [value] if isinstance(value, list) else value for name, value in params.items()}
    (request,) = plan(prompt, lambda _: spec, raw=True, model=spec.name, params=values)
    return dict(request.input)


# -- the catalogue


def test_the_default_model_is_as_its_page_says() -> None:
    """imagen-4 has the documented inputs, defaults first, and its list price."""
    spec = known(IMAGEN)
    assert list(spec.params)[:4] == ["prompt", "aspect_ratio", "output_format", "safety_filter_level"]
    assert spec.params["aspect_ratio"].enum == ("1:1", "9:16", "16:9", "3:4", "4:3")
    assert spec.defaults["safety_filter_level"] == "block_only_high"
    assert (spec.estimate({}), spec.price_source, spec.is_strict) == (0.04, "list price", True)
    assert (spec.retired_on, spec.successor) == ("2026-08-17", "google/nano-banana-2")
    assert "image_size" not in known("google/imagen-4-fast").params


@pytest.mark.parametrize("name", catalogue_names())
def test_every_file_of_the_catalogue_is_whole(name: str) -> None:
    """A model is one file: with a prompt, a price, an output, a source, and defaults that its own schema allows."""
    file = files("imagen_nb.planning").joinpath("catalogue", f"{name.replace('/', '--')}.json")
    entry = json.loads(file.read_text("utf-8"))
    needed = {"source", "price", "typical_s", "output", "input"}
    assert needed <= entry.keys() <= needed | {"partial", "retired_on", "successor"}
    assert len(file.read_text("utf-8")) < 2500
    spec = known(name)
    assert check_model_name(name) == name
    assert entry["source"].startswith("Inputs")
    assert spec.output in ("picture", "pictures", "text")
    assert spec.price is not None
    assert spec.price.is_known_before == (spec.output != "text")
    assert spec.with_price(spec.price).price == spec.price  # it goes by inputs that the model has
    assert spec.typical_s is None or 0 < spec.typical_s < 120
    assert (spec.retired_on is None) == (spec.successor is None)
    if spec.retired_on and spec.successor:
        assert date.fromisoformat(spec.retired_on) < date(2026, 12, 1)
        assert known(spec.successor).retired_on is None
    assert spec.params["prompt"].required
    assert all(param.type != "any" and param.description for param in spec.params.values())
    assert all(param.item_type == "string" for param in spec.params.values() if param.type == "array" and param.is_file)
    for figure in spec.price.terms.values():
        assert not figure.by or set(figure.prices) == set(map(str, spec.params[figure.by].enum or ("true", "false")))
    assert sent(spec, **spec.defaults).keys() == {"prompt", *spec.defaults}


def test_the_catalogue_has_living_models_first() -> None:
    """Those that make pictures, then those that answer in text, then those that were shut down; each file is one."""
    specs = [known(name) for name in catalogue_names()]
    kinds = [(spec.retired_on is not None, spec.output == "text") for spec in specs]
    assert kinds == sorted(kinds)
    assert len(set(kinds)) == 3
    stored = {file.name for file in files("imagen_nb.planning").joinpath("catalogue").iterdir()}
    assert {f"{spec.name.replace('/', '--')}.json" for spec in specs} == stored


def test_a_model_is_added_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file and no code: its inputs are checked, it is priced, and no other file is read for it."""
    entry = {
        "source": "Inputs: made up.",
        "price": {"image": {"by": "fine", "prices": {"true": 0.5, "false": 0.25}}},
        "typical_s": None,
        "output": "pictures",
        "input": {
            "prompt": {"required": True},
            "fine": {"type": "boolean", "default": False},
            "n": {"type": "integer"},
        },
    }
    (tmp_path / "me--my-model-1.5.json").write_text(json.dumps(entry))
    (tmp_path / "me--broken.json").write_text("{")
    caches = (models.catalogue_names, models.catalogue_spec, models._names)
    try:
        for cached in caches:
            cached.cache_clear()
        monkeypatch.setattr(models, "_FOLDER", tmp_path)
        made = plan("a fox", model="me/my-model-1.5", fine=["yes", "no"], n=2)
        assert made.cost == 1.5
        assert [request.params for request in made] == [{"fine": True, "n": 2}, {"fine": False, "n": 2}]
    finally:
        for cached in caches:
            cached.cache_clear()


def test_which_inputs_take_files() -> None:
    """A file, or several and how many, is told from the schema in the catalogue's form and in the API's own."""
    takes = {name: param.most for name, param in known("google/nano-banana-2").params.items() if param.is_file}
    assert takes == {"image_input": 14}
    uri = {"type": "string", "format": "uri"}
    spec = from_schema(
        "a/b", schema({"image": uri, "masks": {"type": "array", "items": uri}, "style": {"type": "string"}})
    )
    assert [name for name, param in spec.params.items() if param.is_file] == ["image", "masks"]


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ({"type": "string", "format": "uri"}, "picture"),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, "pictures"),
        ({"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}, "text"),
        ({"type": "string"}, "text"),
        ({"type": "object"}, "picture"),
        (None, None),
    ],
)
def test_what_a_model_answers_with(output: Any, kind: str | None) -> None:
    """The schema's Output says whether it is a picture, several, or text."""
    more = {} if output is None else {"Output": output}
    assert from_schema("a/b", schema({"prompt": {"type": "string"}}, **more)).output == kind


def test_a_model_that_is_not_in_the_catalogue_is_none() -> None:
    """A version of a known model, too, is not taken for the model itself."""
    assert catalogue_spec("some/model") is None
    assert catalogue_spec(f"{IMAGEN}:{'0' * 64}") is None


# -- schemas


def schema(properties: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    return {"components": {"schemas": {"Input": {"properties": properties}, **schemas}}}


def test_enums_behind_references_are_followed() -> None:
    """`allOf` and `anyOf` with `$ref` give the enum and the type; the property's own default and order stand."""
    spec = from_schema(
        "a/b",
        schema(
            {
                "size": {"allOf": [{"$ref": "#/components/schemas/size"}], "default": 512, "x-order": 1},
                "style": {"anyOf": [{"$ref": "#/components/schemas/style"}, {"type": "null"}], "x-order": 0},
                "seed": {"type": ["integer", "null"], "x-order": 2},
            },
            size={"enum": [256, 512], "type": "integer", "description": "An enumeration."},
            style={"enum": ["oil", "ink"], "type": "string"},
        ),
    )
    assert list(spec.params) == ["style", "size", "seed"]
    assert (spec.params["size"].type, spec.params["size"].enum, spec.params["size"].default) == (
        "integer",
        (256, 512),
        512,
    )
    assert (spec.params["style"].type, spec.params["style"].enum) == ("string", ("oil", "ink"))
    assert spec.params["seed"].type == "integer"
    assert not any(param.required for param in spec.params.values())


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"components": None},
        {"components": {"schemas": []}},
        schema({}),
        {"components": {"schemas": {"Input": {"properties": 3, "required": "prompt"}}}},
    ],
)
def test_a_schema_without_inputs_is_no_description(broken: Any) -> None:
    """Nothing readable means an unvalidated model, never an exception."""
    spec = from_schema("a/b", broken)
    assert not spec.is_validated
    assert sent(spec, whatever=[1]) == {"prompt": "x", "whatever": [1]}


@given(
    st.recursive(
        st.none() | st.text(max_size=4) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["allOf", "anyOf", "$ref", "type", "enum", "items"]), inner)
        ),
        max_leaves=10,
    )
)
def test_a_strange_property_is_read_somehow(shape: Any) -> None:
    """Whatever stands where a property should, the other inputs are still there."""
    spec = from_schema("a/b", schema({"odd": shape, "prompt": {"type": "string"}}))
    assert set(spec.params) == {"odd", "prompt"}


def test_a_reference_to_itself_ends() -> None:
    """A schema that refers to itself is read without end or error."""
    loop = {"allOf": [{"$ref": "#/components/schemas/loop"}]}
    assert from_schema("a/b", schema({"x": loop}, loop=loop)).params["x"].type == "any"


# -- coercion


@pytest.mark.parametrize(
    ("kind", "given", "sent"),
    [
        ("integer", "3", 3),
        ("integer", " 3 ", 3),
        ("integer", 3.0, 3),
        ("integer", np.int64(3), 3),
        ("number", "3.5", 3.5),
        ("number", 3, 3.0),
        ("number", np.float32(0.5), 0.5),
        ("boolean", "yes", True),
        ("boolean", "False", False),
        ("boolean", 0, False),
        ("boolean", np.True_, True),
        ("boolean", 1.0, True),
        ("string", "x", "x"),
        ("string", 1, "1"),
        ("string", 0.25, "0.25"),
        ("string", 1.0, "1"),
        ("array", "https://a/b,c", ["https://a/b,c"]),
        ("array", '["a", "b"]', ["a", "b"]),
        ("array", ("a", "b"), ["a", "b"]),
        ("array", [], []),
        ("object", '{"a": 1}', {"a": 1}),
        ("object", {"a": 1}, {"a": 1}),
        ("any", "3", "3"),
        ("any", [1], [1]),
    ],
)
def test_values_become_what_the_schema_asks_for(kind: str, given: Any, sent: Any) -> None:
    """Text, Python and numpy values become the JSON value of the parameter's type."""
    made = ParamSpec("x", kind).coerce(given)
    assert made == sent
    assert type(made) is type(sent)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("integer", "3.5"),
        ("integer", 3.5),
        ("integer", True),
        ("integer", "three"),
        ("integer", math.inf),
        ("integer", "9" * 5000),
        ("number", "nan"),
        ("number", math.inf),
        ("number", True),
        ("number", 10**400),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("string", ["a"]),
        ("string", True),
        ("object", "[1]"),
        ("object", "{"),
        ("array", "[1"),
        ("array", "[" * 100_000),
    ],
)
def test_a_wrong_type_is_refused_by_name(kind: str, given: Any) -> None:
    """The error names the parameter, the value in short, and what is wanted."""
    error = refusal(ParamSpec("seed", kind).coerce, given)
    assert error.message.startswith("seed cannot be ")
    assert len(error.message) < 200


def test_a_forbidden_value_comes_with_the_allowed_ones_and_a_guess() -> None:
    """The two lines name parameter, value, allowed values, and the likeliest one."""
    error = refusal(sent, known(IMAGEN), aspect_ratio="16x9")
    assert error.message == "google/imagen-4: aspect_ratio cannot be '16x9'; allowed: 1:1, 9:16, 16:9, 3:4, 4:3"
    assert error.hint == "Did you mean 16:9?"


def test_limits_are_kept() -> None:
    """A number outside its limits is refused, the limits themselves are allowed."""
    spec = known(SCHNELL)
    assert [sent(spec, num_outputs=n)["num_outputs"] for n in (1, 4)] == [1, 4]
    for wrong in (0, 5):
        assert "a whole number from 1 to 4" in refusal(sent, spec, num_outputs=wrong).message


def test_unknown_names_are_refused_where_the_schema_is_whole() -> None:
    """A strict model guesses what was meant; a partial or unknown one passes the value on."""
    error = refusal(sent, known(IMAGEN), aspectratio="1:1")
    assert "no parameter 'aspectratio'" in error.message
    assert error.hint == "Did you mean aspect_ratio?"
    assert sent(known(SEEDREAM), watermark=False) == {"prompt": "x", "watermark": False}
    assert sent(unknown_spec("a/b"), foo={"a": 1}) == {"prompt": "x", "foo": {"a": 1}}


@pytest.mark.parametrize("missing", [None, math.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_a_missing_value_is_not_given(missing: Any) -> None:
    """None, NaN and pandas' own leave the parameter out; they are never sent."""
    assert sent(known(IMAGEN), aspect_ratio=missing) == {"prompt": "x"}


def test_defaults_are_not_filled_in() -> None:
    """What was not asked for is not sent."""
    assert sent(known(SCHNELL)) == {"prompt": "x"}


def test_a_prompt_is_needed() -> None:
    """A prompt of nothing but space is refused."""
    assert "the prompt is empty" in refusal(sent, known(IMAGEN), " \n").message


@pytest.mark.parametrize("missing", [{}, {"image": None}])
def test_a_required_input_is_needed(missing: dict[str, Any]) -> None:
    """An input that the schema requires is asked for by name, with what it may be."""
    shape = {"properties": {"prompt": {"type": "string"}, "image": {"type": "string"}}, "required": ["prompt", "image"]}
    spec = from_schema("a/b", {"components": {"schemas": {"Input": shape}}})
    error = refusal(sent, spec, **missing)
    assert "needs image" in error.message
    assert "image: text" in error.hint
    assert sent(spec, image="x.png") == {"prompt": "x", "image": "x.png"}


@given(st.sampled_from(sorted(known(SCHNELL).params.keys() - {"prompt"})), ANYTHING)
def test_a_value_ends_in_json_or_in_an_input_error(name: str, value: Any) -> None:
    """Any value either becomes JSON that is sent as it is when it is given again, or is refused."""
    spec = known(SCHNELL)
    try:
        made = sent(spec, **{name: value})
    except InputError:
        return
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert sent(spec, **{each: made[each] for each in made if each != "prompt"}) == made


# -- text from a command line


def test_text_is_typed_by_the_schema() -> None:
    """`-p NAME=VALUE` becomes the parameter's type; without a schema, the JSON literal that it looks like.

    A text that looks like one is written as a JSON string; quotes around words are part of the text.
    """
    spec = known(SCHNELL)
    assert [spec.params[name].parse(text) for name, text in (("seed", "7"), ("go_fast", "no"))] == [7, False]
    free = unknown_spec("a/b").param("x")
    assert free is not None
    typed = [free.parse(text) for text in ("3", "0.5", "true", "[1]", "two words", "null", "NaN", "1e999")]
    assert typed == [3, 0.5, True, [1], "two words", "null", "NaN", "1e999"]
    for param in (free, known(IMAGEN).params["prompt"]):
        assert [param.parse(text) for text in ('"3"', '"[1]"', '"two words"')] == ["3", "[1]", '"two words"']


def test_lists_of_values_are_parted_with_respect_for_the_schema() -> None:
    """Commas part an enum's values but not a list's; `|` parts both; a slot's values stay text."""
    spec = known(SEEDREAM)
    assert split_values("1:1, 16:9", known(IMAGEN).params["aspect_ratio"]) == ["1:1", "16:9"]
    assert split_values("a,b", ParamSpec("words", "array")) == [["a,b"]]
    assert split_values('["a", "b"]|c', ParamSpec("words", "array"), "|") == [["a", "b"], ["c"]]
    assert split_values("1|2", spec.params["max_images"], "|") == [1, 2]
    assert split_values("1 | |two", None, "|") == ["1", "", "two"]
    assert split_values("a,b", ParamSpec("size", "string", enum=("a,b", "c"))) == ["a,b"]


@pytest.mark.parametrize(
    ("text", "one", "several"),
    [
        ("@my fox.png", Path("my fox.png"), [Path("my fox.png")]),
        ("fox,owl.png", Path("fox,owl.png"), [Path("fox,owl.png")]),
        ("@a.png,@b.png", Path("a.png,@b.png"), [Path("a.png"), Path("b.png")]),
        ('["@a.png", "https://e.org/b.png"]', None, [Path("a.png"), "https://e.org/b.png"]),
        ("https://e.org/a.png", "https://e.org/a.png", ["https://e.org/a.png"]),
        ("data:image/png;base64,AA==", "data:image/png;base64,AA==", ["data:image/png;base64,AA=="]),
        ("{fox}", "{fox}", "{fox}"),
    ],
)
def test_a_text_for_a_file_is_a_path_an_address_or_a_variable(text: str, one: Any, several: Any) -> None:
    """An input of one file takes the text whole; one of several parts it at commas that have an @ behind them."""
    if one is not None:
        assert ParamSpec("image", "string", is_file=True).parse(text) == one
    assert ParamSpec("images", "array", item_type="string", is_file=True).parse(text) == several


def test_only_a_mark_makes_a_file_of_a_text_where_nothing_is_known() -> None:
    """`@path` is a file for an input nobody described, and a JSON string is the text; a text input takes text."""
    assert ParamSpec("x").parse("@fox.png") == Path("fox.png")
    assert ParamSpec("x").parse('["@fox.png", "owl.png"]') == [Path("fox.png"), "owl.png"]
    assert ParamSpec("x").parse('"@fox.png"') == "@fox.png"
    assert ParamSpec("x").parse("fox.png") == "fox.png"
    assert ParamSpec("x", "string").parse("@fox.png") == "@fox.png"


def test_an_empty_value_in_a_list_is_refused() -> None:
    """`-p`-like lists with nothing between two marks name the parameter."""
    assert (
        "max_images has an empty value"
        in refusal(split_values, "1||2", known(SEEDREAM).params["max_images"], "|").message
    )
    refusal(split_values, "1:1,,16:9", known(IMAGEN).params["aspect_ratio"])


# -- names


@pytest.mark.parametrize("name", [IMAGEN, " google/imagen-4 ", f"a.b/c_d:{'0f' * 32}", "0f" * 32])
def test_good_names_pass(name: str) -> None:
    """`owner/name`, with a version, and a version alone, without surrounding space."""
    assert check_model_name(name) == name.strip()


@pytest.mark.parametrize(
    "name",
    ["", "imagen 4", "../x", "a/b/c", "a/b:123", "a/b?x=1", "a/..", "https://a/b", "a/b\n/c", "0F" * 32, 5, None],
)
def test_bad_names_are_refused(name: Any) -> None:
    """Nothing that could become another path passes, and nothing that is not text."""
    refusal(check_model_name, name)


def test_a_name_without_its_owner_gets_a_guess() -> None:
    """`imagen-4` is answered with google/imagen-4."""
    assert refusal(check_model_name, "imagen-4").hint == "Did you mean google/imagen-4?"


# -- money


def test_estimates_count_the_images_asked_for() -> None:
    """Price times number of outputs; several related images count only where they are switched on."""
    assert known(IMAGEN).estimate({"prompt": "x"}) == 0.04
    assert known(SCHNELL).estimate({"num_outputs": 3}) == 0.009
    assert known(SEEDREAM).estimate({"max_images": 5}) == 0.03
    assert known(SEEDREAM).estimate({"max_images": 5, "sequential_image_generation": "auto"}) == 0.15
    assert unknown_spec("a/b").estimate({"num_outputs": 2}) is None
    assert unknown_spec("a/b").with_price(0.5).estimate({"num_outputs": 2}) == 1.0


def test_an_own_price_replaces_the_list_price() -> None:
    """`with_price` says where the figure is from, and refuses what is no price."""
    spec = known(IMAGEN).with_price(0.1)
    assert (spec.price_source, spec.estimate({})) == ("prices setting", 0.1)
    for wrong in (-1, math.nan, "0.1", True):
        refusal(spec.with_price, wrong)


def test_a_guess_begins_like_what_was_typed() -> None:
    """16:10 was meant as 16:9, although 1:1 has more of its characters."""
    assert refusal(sent, known(IMAGEN), aspect_ratio="16:10").hint == "Did you mean 16:9?"
