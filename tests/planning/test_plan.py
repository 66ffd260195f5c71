"""Plans: what becomes of a template and its values, in which order, at what price, and what is refused."""

from __future__ import annotations

import enum
import json
import math
import subprocess
import sys
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_nb.errors import ConfirmationError, InputError
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.planning.models import ModelSpec, catalogue_spec
from imagen_nb.planning.plan import Plan, plan, sample_indices

MANY = settings(max_examples=60)
IMAGEN = "google/imagen-4"
FAST = "google/imagen-4-fast"
SCHNELL = "black-forest-labs/flux-schnell"
SEEDREAM = "bytedance/seedream-4"
FEW = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)
HEAVY = {"pandas", "numpy", "IPython", "PIL", "sqlalchemy", "requests", "jinja2"}
U, V = "https://example.com/u.png", "https://example.com/v.png"
REQUIRED = {name: ParamSpec(name, "string", required=True) for name in ("prompt", "image")}


def planned(template: Any, model: Any = IMAGEN, **names: Any) -> Plan:
    return plan(template, model=model, **names)


def prompts(made: Plan) -> list[str]:
    return [request.prompt for request in made]


def refusal(*args: Any, **names: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        planned(*args, **names)
    assert caught.value.hint
    assert "None" not in str(caught.value)
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


# -- what becomes of what was given


def test_the_interfaces_own_example() -> None:
    """Two slots, two ratios and two repeats are sixteen requests with an estimate."""
    made = planned(
        "a {animal} in {style}",
        animal=["fox", "owl"],
        style=["oil", "ink"],
        aspect_ratio=["1:1", "16:9"],
        repeat=2,
    )
    assert len(made) == 16
    assert made.cost == 0.64
    assert [(axis.name, axis.kind, tuple(axis.values)) for axis in made.axes] == [
        ("animal", "slot", ("fox", "owl")),
        ("style", "slot", ("oil", "ink")),
        ("aspect_ratio", "param", ("1:1", "16:9")),
    ]
    assert (made.repeat, made.fixed, made.models, made.templates) == (2, {}, (IMAGEN,), ("a {animal} in {style}",))


def test_one_prompt_is_one_request() -> None:
    """Without slots the template is the prompt itself, and nothing but what was given is in the input."""
    made = planned("a red fox", aspect_ratio="16:9")
    assert len(made) == 1
    assert made[0].input == {"prompt": "a red fox", "aspect_ratio": "16:9"}
    assert (made[0].template, made[0].slots, made[0].repeat) == ("a red fox", {}, 1)
    assert made.fixed == {"aspect_ratio": "16:9"}


def test_order_is_models_templates_slots_parameters_repeats() -> None:
    """The last of them moves fastest, slots in the order of the template, parameters in the order given."""
    made = planned(
        ["{b} {a}", "plain"],
        [IMAGEN, FAST],
        a=["1", "2"],
        b=["x", "y"],
        output_format=["jpg", "png"],
        aspect_ratio=["1:1", "16:9"],
        repeat=2,
    )
    seen = [
        (r.model, r.template, *r.slots.values(), r.params["output_format"], r.params["aspect_ratio"], r.repeat)
        for r in made
    ]
    tails = list(product(["jpg", "png"], ["1:1", "16:9"], [1, 2]))
    expected = [
        row
        for model in (IMAGEN, FAST)
        for row in (
            *((model, "{b} {a}", *head, *tail) for head in product(["x", "y"], ["1", "2"]) for tail in tails),
            *((model, "plain", *tail) for tail in tails),
        )
    ]
    assert seen == expected
    assert [axis.kind for axis in made.axes] == ["model", "prompt", "slot", "slot", "param", "param"]


def test_alternatives_and_notebook_variables_fill_slots() -> None:
    """A keyword stands before alternatives, alternatives before a variable; a list variable is an axis."""
    variables = {"style": "never", "animal": ["fox", "owl"], "unused": object()}
    made = planned("{animal}, {style=oil|ink}, {mood=calm|wild}", mood="eerie", namespace=variables)
    assert prompts(made) == ["fox, oil, eerie", "fox, ink, eerie", "owl, oil, eerie", "owl, ink, eerie"]


@pytest.mark.parametrize(
    "values",
    [
        ["0", "1"],
        ("0", "1"),
        pd.Series(["0", "1"]),
        pd.Index(["0", "1"]),
        np.array(["0", "1"]),
        pd.Categorical(["0", "1"]),
    ],
)
def test_lists_of_every_kind_are_axes(values: Any) -> None:
    """Lists, tuples, columns and arrays are axes alike."""
    assert prompts(planned("{x}", x=values)) == ["0", "1"]


def test_numbers_in_slots_are_plain_numbers() -> None:
    """numpy scalars come out as Python numbers, so that they can be logged."""
    made = planned("{x}", x=np.array([1, 2]))
    assert [type(request.slots["x"]) for request in made] == [int, int]
    assert prompts(planned("{x}", x=range(3))) == ["0", "1", "2"]
    assert prompts(planned("{x}", x=[0.5, np.float64(2)])) == ["0.5", "2.0"]


def test_a_list_for_an_array_parameter_is_a_value() -> None:
    """A list of lists is an axis there; without a schema a list is always one."""
    assert [request.params for request in planned("x", SEEDREAM, image_input=[U, V])] == [{"image_input": [U, V]}]
    assert len(planned("x", SEEDREAM, image_input=[[U], [V]])) == 2
    assert planned("x", SEEDREAM, image_input=[])[0].params == {"image_input": []}
    assert len(planned("x", "some/model", image_input=["u", "v"])) == 2


def test_a_missing_value_leaves_the_parameter_out() -> None:
    """None and NaN are "not given", alone and as one value of an axis."""
    assert planned("x", aspect_ratio=None)[0].params == {}
    made = planned("x", SCHNELL, seed=[None, 1, float("nan")][:2])
    assert [request.params for request in made] == [{}, {"seed": 1}]
    assert planned("x", SCHNELL, seed=math.nan)[0].params == {}


def test_values_are_coerced_for_each_model() -> None:
    """Text becomes what each model's schema asks for."""
    made = planned("x", [SCHNELL, "some/model"], num_outputs=["1", "2"])
    assert [request.params["num_outputs"] for request in made] == [1, 2, "1", "2"]


def test_explicit_slots_and_params_say_which_is_meant() -> None:
    """`slots=` and `params=` name things that are keywords of the function itself."""
    made = planned("a {raw}", SCHNELL, slots={"raw": ["x", "y"]}, params={"seed": [1, 2]})
    assert [(request.prompt, request.params) for request in made] == [
        ("a x", {"seed": 1}),
        ("a x", {"seed": 2}),
        ("a y", {"seed": 1}),
        ("a y", {"seed": 2}),
    ]


def test_seed_is_the_models() -> None:
    """The keyword `seed` is the model's parameter; a sample has a seed of its own."""
    assert [request.params["seed"] for request in planned("x", SCHNELL, seed=[7, 8])] == [7, 8]


def test_raw_takes_braces_as_they_are() -> None:
    """With `raw` a prompt has no slots."""
    assert prompts(planned("{a|b} {x}", raw=True)) == ["{a|b} {x}"]
    assert planned("{a|b} {x}", raw=True)[0].template == "{a|b} {x}"


def test_templates_may_have_different_slots() -> None:
    """Each template takes the values that it has slots for."""
    made = planned(["a {x}", "{y=1|2}", "b"], x=["p", "q"])
    assert prompts(made) == ["a p", "a q", "1", "2", "b"]
    assert {axis.name: tuple(axis.values) for axis in made.axes if axis.kind == "slot"} == {
        "x": ("p", "q"),
        "y": ("1", "2"),
    }


def test_zipped_axes_move_together() -> None:
    """A pair of axes of one length is one dimension, at the place of the first; values may then repeat."""
    made = planned(
        "{animal} {place}", animal=["fox", "fox", "owl"], place=["den", "wood", "barn"], zipped=[("animal", "place")]
    )
    assert prompts(made) == ["fox den", "fox wood", "owl barn"]
    assert [axis.zipped_with for axis in made.axes] == [("place",), ("animal",)]
    mixed = planned("{x} {y}", x=["1", "2"], y=["a", "b"], aspect_ratio=["1:1", "16:9"], zipped=("x", "aspect_ratio"))
    assert [(request.prompt, request.params["aspect_ratio"]) for request in mixed] == [
        ("1 a", "1:1"),
        ("1 b", "1:1"),
        ("2 a", "16:9"),
        ("2 b", "16:9"),
    ]


# -- what is refused


@pytest.mark.parametrize(
    ("template", "names", "message", "hint"),
    [
        ("", {}, "the prompt is empty", ""),
        (" \n\t", {}, "the prompt is empty", ""),
        ("{red|}", {}, "one of the prompts is empty", ""),
        ("{x} {y}", {"x": ["a", " "], "y": ["", "b"]}, "one of the prompts is empty", ""),
        (5, {}, "the prompt is 5, not text", ""),
        (["a", math.nan], {}, "the prompt is nan, not text", ""),
        ([], {}, "no prompts", ""),
        (["a", "a"], {}, "twice", ""),
        ("a {anmal}", {"namespace": {"animal": "fox"}}, "{anmal} has no value", "Did you mean animal?"),
        ("a {animal}", {"animl": "fox"}, "nothing is called 'animl'", "Did you mean animal?"),
        ("a fox", {"aspect": "1:1"}, "nothing is called 'aspect'", "Write aspect_ratio='1:1'."),
        ('{"a": "{animal}"}', {"animal": "fox"}, "nothing is called 'animal'", "double the outer ones"),
        ("a {aspect_ratio}", {"aspect_ratio": "1:1"}, "both a slot of the prompt and a parameter", "{my_aspect_ratio}"),
        ("a {status}", {"status": "x"}, "the log has a column of that name", "{my_status}"),
        ("a {prompt}", {"slots": {"prompt": "x"}}, "the log has a column of that name", "{my_prompt}"),
        ("a fox", {"prompt": "b"}, "the prompt is given twice", ""),
        ("a fox", {"params": {"prompt": "b"}}, "the prompt is given twice", ""),
        ("a {x}", {"x": []}, "x has no values", ""),
        ("a {x}", {"x": range(0)}, "x has no values", ""),
        ("a fox", {"aspect_ratio": ()}, "aspect_ratio has no values", ""),
        ("a {x}", {"x": ["p", "q", "p"]}, "x has the value 'p' twice", "repeat"),
        ("{a|b|a}", {}, "slot_1 has the value 'a' twice", ""),
        ("a fox", {"aspect_ratio": ["1:1", "1:1"]}, "twice", ""),
        ("a fox", {"model": [IMAGEN, IMAGEN]}, "twice", ""),
        ("a fox", {"model": SCHNELL, "seed": [1, "1"]}, "seed has the value 1 twice", ""),
        ("a {x}", {"x": None}, "the slot x cannot be nothing", ""),
        ("a {x}", {"x": math.nan}, "the slot x cannot be nan", ""),
        ("a {x}", {"x": True}, "the slot x cannot be True", ""),
        ("a {x}", {"x": {"a", "b"}}, "x is a set", "list"),
        ("a {x}", {"x": (c for c in "ab")}, "x is a generator", "list"),
        ("a {x}", {"x": pd.DataFrame({"a": [1]})}, "x is a DataFrame", ""),
        ("a {x}", {"namespace": {"x": print}}, "the slot x cannot be a builtin", ""),
        ("a fox", {"aspect_ratio": ["1:1", "16-9", "3:4"]}, "aspect_ratio cannot be '16-9'; allowed: 1:1,", "16:9"),
        ("a fox", {"model": SCHNELL, "num_outputs": range(1, 6)}, "num_outputs cannot be 5", ""),
        ("a fox", {"seed": [1, 2]}, "nothing is called 'seed'", ""),
        ("a fox", {"model": [SCHNELL, IMAGEN], "seed": [1, 2]}, f"{IMAGEN} has no parameter 'seed'", ""),
        ("a fox", {"model": [SCHNELL, IMAGEN], "aspect_ratio": "21:9"}, f"{IMAGEN}: aspect_ratio cannot be '21:9'", ""),
        ("a fox", {"model": "imagen-4"}, "is not a model's name", "google/imagen-4"),
        ("a fox", {"model": []}, "no model is named", ""),
        ("a fox", {"repeat": 0}, "repeat cannot be 0", ""),
        ("a fox", {"repeat": 1.5}, "repeat cannot be 1.5", ""),
        ("a fox", {"repeat": True}, "repeat cannot be True", ""),
        ("a {x}", {"x": "1", "slots": {"x": "2"}}, "x is given twice", ""),
        ("a {x}", {"slots": {"y": "2"}}, "no slot 'y'", ""),
        ("a fox", {"params": {"sed": 2}}, "no parameter 'sed'", ""),
        ("a {x}", {"x": ["1", "2"], "params": {"x": "2"}}, "as a slot and as a parameter", ""),
        ("{x} {y}", {"x": ["1", "2"], "y": ["a"], "zipped": [("x", "y")]}, "x has 2 and y has 1", ""),
        ("{x} {y}", {"x": ["1", "1"], "y": ["a", "a"], "zipped": [("x", "y")]}, "x and y has the value", ""),
        ("{x} {y}", {"x": ["1"], "y": ["a"], "zipped": [("x", "z")]}, "zipped names 'z'", ""),
        ("{x} {y}", {"x": ["1"], "y": ["a"], "zipped": [("x", "y"), ("x", "y")]}, "zipped names x twice", ""),
        ("{x} {y}", {"x": ["1"], "y": ["a"], "zipped": [("x",)]}, "at least two", ""),
        ("{x} {y}", {"x": ["1"], "y": ["a"], "zipped": [1]}, "zipped cannot be [1]; allowed: groups of names", ""),
        ("{x} {y}", {"x": ["1"], "y": ["a"], "zipped": True}, "zipped cannot be True", ""),
        ("a {raw} egg", {"raw": "boiled"}, "raw cannot be 'boiled'; allowed: True or False", "slots={'raw'"),
        ("a {zipped} bag", {"zipped": None}, "the slot {zipped} has no value", "slots={'zipped'"),
        ("a {style}", {"params": {"stile": ["a", "b"]}}, "the slot {style} has no value", "Did you mean stile?"),
        ("a {animal}", {"model": "a/b", "animl": "fox"}, "nothing is called 'animl'", "Did you mean animal?"),
        ("a fox", {"model": "a/b", "x": [1, object()]}, "a/b: x cannot be a object; allowed: any JSON value", ""),
        ("a fox", {"model": "a/b", "x": {"y": math.inf}}, "a/b: x cannot be {'y': inf}", ""),
        ("a fox", {"model": "a/b", "x": {(1, 2): 3}}, "a/b: x cannot be {(1, 2): 3}", ""),
        ("{x}", {"x": ["1", "2"], "sample": 3}, "sample cannot be 3", ""),
        ("{x}", {"x": ["1", "2"], "sample": 0}, "sample cannot be 0", ""),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(
    template: Any, names: dict[str, Any], message: str, hint: str
) -> None:
    """Each mistake is one line that names it, and one that says what to do."""
    error = refusal(template, **names)
    assert message in error.message
    assert hint in error.hint


def test_numbers_and_text_of_types_of_their_own_are_what_they_say() -> None:
    """A float of 32 bits is what it is written as, an enum that is text is its text; so in prompt, slots and inputs."""

    class Style(str, enum.Enum):
        OIL = "oil"

    for value in (np.float32(0.1), [np.float32(0.1)], np.array([0.1], "f4"), pd.Series([0.1], dtype="float32")):
        (request,) = plan("a {x}", model="a/b", x=value, cfg=value)
        assert (request.prompt, request.slots, request.params) == ("a 0.1", {"x": 0.1}, {"cfg": 0.1})
    (request,) = planned("a {style}", style=Style.OIL, aspect_ratio=np.str_("1:1"))
    assert (request.prompt, request.params) == ("a oil", {"aspect_ratio": "1:1"})
    assert type(request.slots["style"]) is str


def test_an_array_is_one_value_of_an_array_input() -> None:
    """Lists, tuples, arrays and Series alike; a list of them is an axis, in which one may be missing."""
    urls = ["http://a", "http://b"]
    for value in (urls, tuple(urls), np.array(urls), pd.Series(urls)):
        (request,) = planned("a", SEEDREAM, image_input=value)
        assert request.params == {"image_input": urls}
        made = planned("a", SEEDREAM, image_input=[value, None, ["http://c"]])
        assert [request.params.get("image_input") for request in made] == [urls, None, ["http://c"]]


def test_no_model_is_no_plan() -> None:
    """The default model is a setting, and the plan knows none."""
    with pytest.raises(InputError, match="no model is named"):
        plan("a fox")


def test_a_required_input_must_be_there_in_every_request() -> None:
    """An axis in which a required input is once left out does not do."""
    spec = ModelSpec("a/b", {"prompt": REQUIRED["prompt"], "image": REQUIRED["image"]})
    for names in ({}, {"image": None}, {"image": ["u", None]}):
        with pytest.raises(InputError, match="a/b needs image"):
            plan("x", lambda _: spec, model="a/b", **names)
    assert len(plan("x", lambda _: spec, model="a/b", image=["u", "v"])) == 2


def test_a_model_that_takes_no_prompt_is_refused() -> None:
    """A described model without a prompt among its inputs cannot be planned for."""
    spec = ModelSpec("a/b", {"image": REQUIRED["image"]})
    with pytest.raises(InputError, match="no parameter 'prompt'"):
        plan("x", lambda _: spec, model="a/b")


# -- counting, pricing, choosing


def test_ten_million_are_counted_and_priced_at_once() -> None:
    """Neither `len`, `cost`, an index nor the refusal expands a plan, an axis of a million seeds included."""
    made = planned("a {x|y}", SCHNELL, seed=range(1_000_000), num_outputs=[1, 4], repeat=5)
    assert len(made) == 20_000_000
    assert made.cost == 20_000_000 * 2.5 * 0.003
    assert made[-1].input == {"prompt": "a y", "seed": 999_999, "num_outputs": 4}
    with pytest.raises(ConfirmationError, match=r"20,000,000 requests for about \$150,000.00; above 20 needs a yes"):
        made.confirm(20)
    assert len(made.preview(3)) == 3


def test_a_plan_beyond_counting_is_refused() -> None:
    """More requests than a machine word holds are an error, not an overflow."""
    names = {f"s{number}": range(10_000) for number in range(6)}
    assert "more requests than can be counted" in refusal("".join(f"{{{name}}}" for name in names), slots=names).message


def test_costs_are_told_by_model() -> None:
    """Each model's share is its own; one unknown price makes the whole unknown."""
    made = planned("x", [IMAGEN, SCHNELL], repeat=2)
    assert made.costs == {IMAGEN: 0.08, SCHNELL: 0.006}
    assert made.cost == 0.086
    unknown = planned("x", [IMAGEN, "some/model"])
    assert unknown.costs == {IMAGEN: 0.04, "some/model": None}
    assert unknown.cost is None
    with pytest.raises(ConfirmationError, match="at an unknown price"):
        unknown.confirm(1)
    unknown.confirm(1, yes=True)
    unknown.confirm(2)
    unknown.confirm(None)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(1, 15), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["auto", "disabled"]), min_size=1, max_size=2, unique=True),
    st.integers(1, 3),
    st.integers(1, 8),
)
@MANY
def test_the_closed_form_equals_the_sum(
    counts: list[int], most: list[int], modes: list[str], repeat: int, sample: int
) -> None:
    """The price of a plan, and of a sample of it, is the sum over its requests."""
    for model, names in (
        (SCHNELL, {"num_outputs": counts, "seed": [1, 2]}),
        (SEEDREAM, {"max_images": most, "sequential_image_generation": modes}),
    ):
        made = planned("{a|b}", model, repeat=repeat, **names)
        spec = catalogue_spec(model)
        assert spec is not None
        for each in (made, planned("{a|b}", model, repeat=repeat, sample=min(sample, len(made)), **names)):
            total = math.fsum(spec.estimate(request.input) or 0 for request in each)
            assert each.cost == pytest.approx(total, abs=1e-9)


@given(FEW, FEW, FEW, st.integers(1, 3), st.booleans())
@MANY
def test_index_length_and_iteration_agree(
    x: list[str], y: list[str], formats: list[str], repeat: int, twice: bool
) -> None:
    """A plan is a sequence: any index gives what iteration gives there, and no request comes twice."""
    templates = ["{x} and {y}", "only {x}"][: 1 + twice]
    names = {"slots": {"x": x, "y": y}, "params": {"format": formats}, "repeat": repeat}
    made = planned(templates, ["some/one", "some/two"], **names)
    listed = list(made)
    assert len(listed) == len(made)
    assert [made[index] for index in range(len(made))] == listed
    assert [made[index - len(made)] for index in range(len(made))] == listed
    assert made[1:3] == listed[1:3]
    assert len({request.key for request in listed}) == len(listed)
    for wrong in (len(made), -len(made) - 1):
        with pytest.raises(IndexError):
            made[wrong]


@given(st.lists(st.sampled_from(["a", "", " "]), min_size=1, max_size=3, unique=True), FEW, st.booleans())
@MANY
def test_blank_prompts_are_found_without_expanding(x: list[str], y: list[str], spaced: bool) -> None:
    """A plan is refused exactly when one of its prompts would be nothing but space."""
    y = ["" if value == "a" else value for value in y]
    template = "{x} {y}" if spaced else "{x}{y}"
    is_blank = any(not f"{a}{b}".strip() for a in x for b in y)
    try:
        made = planned(template, x=x, y=y)
    except InputError as error:
        assert "empty" in error.message  # noqa: PT017 - the other branch is the other half of the promise
        assert is_blank
    else:
        assert not is_blank
        assert all(prompt.strip() for prompt in prompts(made))


def test_a_sample_is_a_part_of_the_plan_in_its_order() -> None:
    """The same seed chooses the same requests, another one others; they keep the plan's order."""
    names: dict[str, Any] = {"x": range(1000), "aspect_ratio": ["1:1", "16:9"]}
    whole = planned("{x}", **names)
    made = planned("{x}", sample=50, **names)
    positions = {request.key: index for index, request in enumerate(whole)}
    chosen = [positions[request.key] for request in made]
    assert len(made) == 50
    assert chosen == sorted(chosen)
    assert [request.key for request in planned("{x}", sample=50, **names)] == [request.key for request in made]
    assert prompts(planned("{x}", sample=50, sample_seed=1, **names)) != prompts(made)
    assert made.cost == 2.0
    assert made[49] == list(made)[49]
    assert "50 of them sampled" in repr(made)


@given(st.integers(1, 300), st.data(), st.integers())
@MANY
def test_samples_are_distinct_and_within(total: int, data: st.DataObject, seed: int) -> None:
    """Any sample has as many different indices as asked for, all below the total."""
    count = data.draw(st.integers(1, total))
    chosen = sample_indices(total, count, seed)
    assert len(set(chosen)) == count
    assert 0 <= min(chosen) <= max(chosen) < total
    assert list(chosen) == sorted(chosen)


def test_samples_are_fair() -> None:
    """Over many seeds each index is chosen about as often as any other."""
    times = [0] * 10
    for seed in range(2000):
        for index in sample_indices(10, 3, seed):
            times[index] += 1
    assert all(500 < count < 700 for count in times)


def test_a_sample_of_a_huge_plan_is_small() -> None:
    """A handful out of a million million is chosen at once."""
    made = planned("{x} {y}", x=range(10**6), y=range(10**6), sample=5)
    assert len(list(made)) == 5


# -- looking at it


def test_rows_are_flat_and_priced() -> None:
    """One mapping a request: model, prompt, template, slots, parameters, repeat, estimate."""
    made = planned("a {x}", SCHNELL, x=["p", "q"], num_outputs=2)
    assert list(made.rows()) == [
        {
            "model": SCHNELL,
            "prompt": f"a {value}",
            "template": "a {x}",
            "x": value,
            "num_outputs": 2,
            "repeat": 1,
            "cost_usd": 0.006,
        }
        for value in ("p", "q")
    ]


def test_a_plan_shows_and_tabulates_itself() -> None:
    """No workspace is needed for it; a terminal gets text."""
    made = planned("a {x}", x=["p", "q"])
    assert "2 requests" in made._repr_mimebundle_()["text/html"]
    assert made.frame()["x"].tolist() == ["p", "q"]


def test_requests_do_not_share_what_can_be_changed() -> None:
    """Whoever changes one request's input changes no other's."""
    first, second = planned("x", SEEDREAM, size="2K", repeat=2)
    assert isinstance(first.input, dict)
    first.input["size"] = "4K"
    assert second.input["size"] == "2K"


def test_the_core_imports_nothing_heavy() -> None:
    """Planning needs neither pandas nor IPython."""
    code = (
        "import sys, json; before = set(sys.modules); import imagen_nb.planning.plan as p; "
        "len(p.plan('a {b|c}', model='google/imagen-4')); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & HEAVY
