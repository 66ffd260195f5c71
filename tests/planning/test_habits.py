"""The words of other tools get ours, in Python, in the magic and in the command line."""

from __future__ import annotations

from typing import Any

import pytest

from imagen_nb.errors import InputError
from imagen_nb.planning.habits import HABITS, OPTIONS
from imagen_nb.planning.models import catalogue_names, catalogue_spec, unknown_spec
from imagen_nb.planning.options import TABLE, parse_line, prompt_notes
from imagen_nb.planning.plan import plan

FLUX = "black-forest-labs/flux-schnell"


def refusal_in_python(template: str = "a fox", **names: Any) -> InputError:
    with pytest.raises(InputError) as raised:
        plan(template, **{"model": "google/imagen-4", **names})
    return raised.value


def read(line: str) -> dict[str, Any]:
    """What a magic's line asks for."""
    options, prompt = parse_line(line)
    return options.plan_keywords(prompt, lambda name: catalogue_spec(name or "google/imagen-4") or unknown_spec("a/b"))


def refusal_in_magic(line: str) -> InputError:
    with pytest.raises(InputError) as raised:
        read(line)
    return raised.value


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ({"n": 4}, "Write repeat=4 in run() or plan()"),
        ({"num_images": 4}, "Write repeat=4 in run() or plan()"),
        ({"num_images_per_prompt": 4}, "Write repeat=4 in run() or plan()"),
        ({"size": "1920x1080"}, "Write aspect_ratio='16:9'."),
        ({"size": "1000x700"}, "It is aspect_ratio here: 1:1, "),
        ({"response_format": "png"}, "Write output_format='png'."),
        ({"model": FLUX, "steps": 2}, "Write num_inference_steps=2."),
        ({"model": FLUX, "generator": 2}, "Write seed=2."),
        ({"seed": 3}, "seed=3 works with "),
        ({"seed": 3}, FLUX[:17]),
        ({"params": {"seed": 3}}, "seed=3 works with "),
        ({"negative_prompt": "text"}, "stability-ai/stable-diffusion-3.5-large"),
        ({"wait": True}, "with background=True"),
        ({"api_key": "x"}, "A token comes from"),
        ({"experiment": "x"}, "Give it to run()"),
        ({"dry_run": True}, "plan() shows"),
        ({"image_input": "fox.png"}, "image_input='fox.png' works with bytedance/seedream-4"),
        ({"style": "oil"}, "Write {style} in the prompt to make it a slot; style='oil' works with recraft-ai"),
        ({"template": "in {step}", "steps": 3}, "Did you mean step?"),
    ],
)
def test_python(names: dict[str, Any], hint: str) -> None:
    """A keyword of another tool gets the keyword for it here, or the models that have such an input."""
    assert hint in refusal_in_python(**names).hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--n 3 a fox", "Write -n 3."),
        ("--n=3 a fox", "Write -n 3."),
        ("n=4 a fox", "Write -n 4."),
        ("repeat=4 a fox", "Write -n 4."),
        ("-q n=4 a fox", "Write -n 4."),
        ("-p num_images=4 a fox", "Write -n 4."),
        ("--ar 16:9 a fox", "Write -a 16:9."),
        ("--size 1024x768 a fox", "Write -a 4:3."),
        ("--seed 3 a fox", "-p seed=3 works with "),
        ("--negative-prompt text a fox", "-p negative_prompt=text works with "),
        ("seed=3 a fox", "-p seed=3 works with "),
        ("--nowait a fox", "Write --background."),
        ("--concurrency 3 a fox", "Write -j 3."),
        ("--expe x a fox", "Did you mean --experiment?"),
    ],
)
def test_magic(line: str, hint: str) -> None:
    """An option of another tool gets the option for it here, and so does one in Python's spelling."""
    error = refusal_in_magic(line)
    assert hint in error.hint
    assert len(f"{error.message}\n{error.hint}") < 300


def test_a_name_that_is_known_keeps_its_meaning() -> None:
    """A slot, an input of the model and what a model nobody described may have are taken as they are."""
    assert plan("a fox", model=FLUX, num_outputs=2)[0].params == {"num_outputs": 2}
    assert [each.prompt for each in plan("{n} foxes", model="a/b", n=[1, 2])] == ["1 foxes", "2 foxes"]
    assert plan("a fox", model="a/b", n=2)[0].params == {"n": 2}
    for prompt in ("-- n=4 a fox", 'text="SALE" on a banner', "text=SALE", "mood=calm fox", 'name="Ida" on a cup'):
        assert parse_line(prompt)[1] == prompt.removeprefix("-- ")


@pytest.mark.parametrize("model", ["google/imagen-4", "a/b"])
def test_replicates_call_gets_the_right_one(model: str) -> None:
    """`run(model, input={...})` is answered with the call that does it, in two lines."""
    error = refusal_in_python("owner/name", input={"prompt": "a fox", "seed": 3}, model=model)
    assert error.hint == "Write run('a fox', model='owner/name', seed=3)."


def test_every_answer_of_the_table_exists() -> None:
    """What the table answers with is an option, an input of a known model, or a sentence."""
    inputs = {name for model in catalogue_names() if (spec := catalogue_spec(model)) for name in spec.params}
    for ours in set(HABITS.values()):
        assert ours.endswith(".") or {*ours.split()} & (inputs | OPTIONS), ours
    assert not {option.name for option in TABLE} & HABITS.keys() - {"output", "dry_run"}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a {animal.upper()}", "{animal.upper()} is sent as text"),
        ("{animals[0]} and {f(x)}", "{animals[0]}, {f(x)} are sent as text"),
        ("{(red:1.2)|(blue:0.8)}", "{(red:1.2)|(blue:0.8)} is sent as text"),
        ('{"subject": "{animal}"}', "{animal} is sent as text"),
        ("{style: oil|ink}", "{style: oil|ink} is sent as text"),
        ("\N{EN DASH}n 3 a fox", "\N{EN DASH}n is sent as text"),
        ("\N{EM DASH}model x a fox", "\N{EM DASH}model is sent as text"),
        ("a fox --ar 16:9", "--ar is sent as text"),
        ("a fox -n 4", "-n is sent as text"),
        ("a {fox|owl} in {style}, {{animal.x}}", None),
        ('{"a": {"b": "x|y"}}', None),
        ("a well-known fox -- on ice \N{EN DASH} at dawn, grade -a, -40 degrees", None),
    ],
)
def test_what_looks_like_a_slot_or_an_option_is_named(prompt: str, said: str | None) -> None:
    """What is sent literally and looks like more is said in one line; what is meant literally is not."""
    (note,) = prompt_notes(prompt) or [None]
    assert note is None if said is None else said in str(note)
    assert prompt_notes("{animal.upper()}", is_raw=True) == []
