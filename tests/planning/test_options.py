"""The option grammar: what is read off a line, what is left exactly as typed, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_nb.errors import InputError
from imagen_nb.planning import grammar
from imagen_nb.planning.cells import cell_text
from imagen_nb.planning.grammar import Parsed, ShellWords, cursor_place
from imagen_nb.planning.models import ModelSpec, catalogue_spec, unknown_spec
from imagen_nb.planning.options import (
    TABLE,
    Options,
    cell_prompt,
    log_manual,
    manual,
    option_lines,
    parse_line,
    parse_log,
)
from imagen_nb.planning.plan import plan
from imagen_nb.records import Request

_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))

VERBATIM = [
    "'tis the season",
    'a "red" fox',
    "it's  two   spaces",
    "costs $5 and {x} and $x",
    "back\\slash \\n and \\",
    "a fox --ar 16:9 -n 4",
    '{"subject": "fox"}',
    "- a list item",
    "tab\there",
    "狐 in snow 🦊",
    '"""',
    "why not?",
]


@pytest.mark.parametrize("prompt", VERBATIM)
@pytest.mark.parametrize("options", ["", "-n 2 ", "-a16:9 -q ", "--vary 'style=oil paint|ink' ", "-- "])
def test_prompt_is_kept_as_typed(options: str, prompt: str) -> None:
    """Whatever stands behind the options arrives letter by letter."""
    assert parse_line(options + prompt)[1] == prompt


@given(st.text(min_size=1).filter(lambda text: not text[0].isspace()))
def test_any_text_behind_two_dashes_is_kept(prompt: str) -> None:
    """Behind `--` every text is a prompt, a dash at its beginning included."""
    assert parse_line(f"-n 3 -- {prompt}") == (Options(repeat=3), prompt)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-a 16:9", {"aspect_ratio": "16:9"}),
        ("-a16:9", {"aspect_ratio": "16:9"}),
        ("--aspect-ratio=16:9", {"aspect_ratio": "16:9"}),
        ("--aspect-ratio 16:9,1:1", {"aspect_ratio": "16:9,1:1"}),
        ('-a "16:9, 1:1"', {"aspect_ratio": "16:9, 1:1"}),
        ("-m a/b,c/d -f png", {"model": ("a/b", "c/d"), "output_format": "png"}),
        ("-p seed=3 -p 'style=two words'", {"param": (("seed", "3"), ("style", "two words"))}),
        ('-p style="two words"', {"param": (("style", "two words"),)}),
        (r'-p style="say \"hi\"\n, | é"', {"param": (("style", 'say "hi"\n, | é'),)}),
        (r'-p path="C:\dir x"', {"param": (("path", r"C:\dir x"),)}),
        ("-p style=it's", {"param": (("style", "it's"),)}),
        ("-p style=", {"param": (("style", ""),)}),
        ("-p size=a=b", {"param": (("size", "a=b"),)}),
        ('--vary "style=oil paint|ink"', {"vary": (("style", "oil paint|ink"),)}),
        ('--vary style="oil paint|ink"', {"vary": (("style", "oil paint|ink"),)}),
        ('--vary style="oil paint"|"pen, ink"|x', {"vary": (("style", "oil paint|pen, ink|x"),)}),
        ("--vary=style=oil|ink", {"vary": (("style", "oil|ink"),)}),
        ("--vary adjective=red|", {"vary": (("adjective", "red|"),)}),
        ("-n4 -j 8 --budget 1.5 --timeout=30", {"repeat": 4, "jobs": 8, "budget": 1.5, "timeout": 30.0}),
        ("-e animals -t 'first try' -o r", {"experiment": "animals", "tag": "first try", "output": "r"}),
        ("--dry-run --yes --resume", {"dry_run": True, "yes": True, "resume": True}),
        ("--background --raw -q", {"background": True, "raw": True, "quiet": True}),
        ("-h", {"help": True}),
        ("", {}),
    ],
)
def test_forms_of_options(line: str, expected: dict[str, object]) -> None:
    """Short, joined, long and quoted forms all give the same values, with and without a prompt behind them."""
    assert parse_line(line) == (Options(**expected), "")
    assert parse_line(f"{line} a fox") == (Options(**expected), "a fox")


@pytest.mark.parametrize(
    ("line", "mistake", "hint"),
    [
        ("--mod x a fox", "unknown option --mod", "--model"),
        ("-model x a fox", "unknown option -model", "--model"),
        ("--aspect_ratio 1:1 a", "unknown option --aspect_ratio", "--aspect-ratio"),
        ("--abc a fox", "unknown option --abc", "-m, --model"),
        ("-x a fox", "unknown option -x", "--"),
        ("-5 degrees", "unknown option -5", "behind --"),
        ("-m", "-m, --model needs a value: NAME", "the model"),
        ("-m -n 2 a fox", "-m, --model needs a value", "the model"),
        ("--model= a fox", "-m, --model needs a value", "the model"),
        ("-e --", "-e, --experiment needs a value", "group"),
        ("-n two a fox", "'two' is not a whole number", "--repeat N"),
        ("-n 0 a fox", "'0' is not a whole number", "--repeat N"),
        ("--budget -5 a fox", "'-5' is not a number above 0", "--budget USD"),
        ("--timeout nan a fox", "'nan' is not a number above 0", "--timeout S"),
        ("-a 16:9, 1:1 a fox", "empty value", "--aspect-ratio V"),
        ("-p seed a fox", "'seed' is not NAME=VALUE", "NAME=VALUE"),
        ("-p prompt=x a fox", "the prompt is no parameter", "NAME=VALUE"),
        ("--vary style= a fox", "style has no values", "NAME=V1|V2"),
        ("-o a.b a fox", "'a.b' cannot be a variable", "Every image is kept by itself"),
        ("-o class a fox", "'class' cannot be a variable", "VAR"),
        ("-q=yes a fox", "-q takes no value", "-q alone"),
        ("-a 1:1 -a 16:9 a fox", "-a, --aspect-ratio is given twice", "commas"),
        ("-n 1 --repeat 2 a fox", "-n, --repeat is given twice", "once"),
        ("-t 'open a fox", "is not closed", "Close it"),
        ("-e '' a fox", "the name is empty", "NAME"),
    ],
)
def test_mistakes_are_named(line: str, mistake: str, hint: str) -> None:
    """A mistake is one line that names it, and a hint at what is allowed."""
    with pytest.raises(InputError) as caught:
        parse_line(line)
    assert mistake in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint
    assert "None" not in str(caught.value)


def test_every_option_is_a_field() -> None:
    """The table and the parsed value have the same names, in the same order, and no letter is used twice."""
    assert [option.name for option in TABLE] == [field.name for field in fields(Options)]
    forms = [form for option in TABLE for form in option.forms]
    assert len(forms) == len(set(forms))


def test_manual_names_every_option() -> None:
    """The manual lists each option with its forms, within a readable width."""
    text = manual()
    assert all(form in text for option in TABLE for form in option.forms)
    assert max(map(len, option_lines())) <= 100
    assert "{name}" in text
    assert "{{ and }}" in text
    assert "--status" in log_manual()


def test_command_line_words() -> None:
    """The words of a command line mean the same: the shell has dealt with quotes, and what is left is the prompt."""
    words = ["-a16:9", "--vary", "style=oil paint|it's", "--tag=a b", "a", "red fox", "-n"]
    parsed = grammar.parse(ShellWords(words), TABLE)
    options, prompt = Options(**parsed.values), parsed.rest
    assert options == Options(aspect_ratio="16:9", vary=(("style", "oil paint|it's"),), tag="a b")
    assert prompt == "a red fox -n"
    assert grammar.parse(ShellWords(["-n", "2", "--", "-5", "degrees"]), TABLE) == Parsed({"repeat": 2}, "-5 degrees")


def test_command_line_can_leave_options_out() -> None:
    """A table without an option refuses it."""
    with pytest.raises(InputError, match="unknown option -o"):
        grammar.parse(ShellWords(["-o", "r", "fox"]), [option for option in TABLE if option.name != "output"])


def _spec(name: str | None) -> ModelSpec:
    known = catalogue_spec(name or "google/imagen-4")
    return known or unknown_spec(str(name))


def test_plan_keywords() -> None:
    """Comma lists and --vary become axes, a --vary name is a slot where the template has it, else a parameter."""
    options, prompt = parse_line(
        "-m black-forest-labs/flux-schnell,google/imagen-4 -a 16:9 -f png,jpg -p seed=1 -n 2 "
        "--vary style=oil|ink --vary num_inference_steps=1|2 a fox in {style}"
    )
    assert options.plan_keywords(prompt, _spec) == {
        "model": ["black-forest-labs/flux-schnell", "google/imagen-4"],
        "repeat": 2,
        "raw": False,
        "slots": {"style": ["oil", "ink"]},
        "params": {
            "aspect_ratio": "16:9",
            "output_format": ["png", "jpg"],
            "seed": 1,
            "num_inference_steps": [1, 2],
        },
    }


def test_raw_has_no_slots() -> None:
    """With --raw a brace is a brace, so a --vary name can only be a parameter."""
    options, prompt = parse_line("-m x/y --raw --vary style=oil|ink a {style}")
    keywords = options.plan_keywords(prompt, _spec)
    assert (keywords["slots"], keywords["params"]) == ({}, {"style": ["oil", "ink"]})


def test_inputs_of_a_model_nobody_described() -> None:
    """Without a schema a value is read as the JSON it looks like, else as text; a list is one value, and no axis."""
    options, prompt = parse_line('-m x/y -p seed=3 -p hint=soft -p sizes="[1, 2]" --vary fast=true|false a fox')
    assert options.plan_keywords(prompt, _spec)["params"] == {
        "seed": 3,
        "hint": "soft",
        "sizes": [[1, 2]],
        "fast": [True, False],
    }


def test_forbidden_value() -> None:
    """A value that the model's schema forbids is named with those it allows."""
    options, prompt = parse_line("-a 1:1,16:10 a fox")
    with pytest.raises(InputError, match="aspect_ratio cannot be '16:10'; allowed: 1:1, 9:16"):
        options.plan_keywords(prompt, _spec)


def test_models_vary_by_their_own_option() -> None:
    """--vary model=… points at -m, unless the prompt has a slot of that name."""
    options, _ = parse_line("--vary model=a/b|c/d a fox")
    with pytest.raises(InputError, match="-m NAME,NAME"):
        options.plan_keywords("a fox", _spec)
    assert options.plan_keywords("a {model}", _spec)["slots"] == {"model": ["a/b", "c/d"]}


def test_a_name_given_twice() -> None:
    """The same parameter from two options is refused, since only one could win."""
    options, prompt = parse_line("-a 16:9 -p aspect_ratio=1:1 a fox")
    with pytest.raises(InputError, match="aspect_ratio is given twice: '16:9' and '1:1'"):
        options.plan_keywords(prompt, _spec)


def test_run_keywords() -> None:
    """What concerns running and not the requests goes to submit()."""
    options, _ = parse_line("-e x -t y --budget 2 --resume -j 3 --timeout 9 a fox")
    assert options.run_keywords() == {
        "experiment": "x",
        "tag": "y",
        "budget": 2.0,
        "resume": True,
        "jobs": 3,
        "timeout": 9.0,
    }


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        ("a fox\n", "a fox"),
        ("\na fox\n\n", "a fox\n"),
        ("a\r\n  fox\r\n", "a\n  fox"),
        ("  a fox  \n", "  a fox  "),
        (" ", " "),
        ("\n", ""),
    ],
)
def test_cell_body(body: str, prompt: str) -> None:
    """A cell's body is the prompt, but for Windows line ends and one line break at either end."""
    assert cell_prompt(body) == prompt


@pytest.mark.parametrize("model", ["a/b", "black-forest-labs/flux-schnell"])
@given(
    st.dictionaries(
        st.sampled_from(["style", "size", "images"]),
        st.recursive(
            st.none() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
            max_leaves=6,
        ).filter(lambda value: value is not None),
    ),
    _TEXT.filter(lambda text: text.strip() and "\r" not in text),
)
def test_a_run_written_back_as_a_cell(model: str, params: dict[str, Any], prompt: str) -> None:
    """`run.cell()` makes the same request again, whatever its inputs hold: text that looks like a number, a list."""
    request = Request(model, {"prompt": prompt, **params}, prompt)
    head, _, body = cell_text(request).partition("\n")
    options, rest = parse_line(head.removeprefix("%%imagen"))
    assert rest == ""
    keywords = {"model": model, **options.plan_keywords(cell_prompt(body), lambda _: unknown_spec(model))}
    (again,) = plan(cell_prompt(body), unknown_spec, **keywords)
    assert (again.model, again.input) == (request.model, request.input)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ('-p x=["a","b"]', ["a", "b"]),
        ('-p x=["a", "b c"]', ["a", "b c"]),
        ('-px={"a":"x","b":"y"}', {"a": "x", "b": "y"}),
        ('--param=x={"a": [1, {}]}', {"a": [1, {}]}),
        ("-p x=[red]", "[red]"),
        ('-p x={"a":1}s', '{"a":1}s'),
    ],
)
def test_json_is_typed_as_it_is(words: str, value: Any) -> None:
    """A list or an object keeps its quotes and spaces; what only begins like one is text as before."""
    options, prompt = parse_line(f"-m a/b {words} a fox")
    (request,) = plan(prompt, unknown_spec, **options.plan_keywords(prompt, lambda _: unknown_spec("a/b")))
    assert (request.input["x"], prompt) == (value, "a fox")


@pytest.mark.parametrize("model", ["google/imagen-4", "a/b"])
def test_a_misspelt_axis_is_named(model: str) -> None:
    """A --vary name that is nearly a slot is refused with the slots, also where the model may have any input."""
    options, prompt = parse_line(f"-m {model} --vary stile=red|ink a fox in {{style=oil|ink}}")
    with pytest.raises(InputError, match="nothing is called 'stile': the slots are style") as caught:
        options.plan_keywords(prompt, _spec)
    assert caught.value.hint == "Did you mean style?"


@pytest.mark.parametrize(
    ("line", "kind", "option", "fragment"),
    [
        ("", "option", None, ""),
        ("-", "option", None, "-"),
        ("--asp", "option", None, "--asp"),
        ("-n 2 --", "option", None, "--"),
        ("-n 2 ", "option", None, ""),
        ("-m ", "value", "model", ""),
        ("-m fl", "value", "model", "fl"),
        ("-mfl", "value", "model", "fl"),
        ("--aspect-ratio 16:", "value", "aspect_ratio", "16:"),
        ("--aspect-ratio=16:", "value", "aspect_ratio", "16:"),
        ("-a 1:1,16:", "value", "aspect_ratio", "1:1,16:"),
        ("-p seed=1 -p go", "value", "param", "go"),
        ('--vary "style=oil p', "value", "vary", '"style=oil p'),
        ("-q fox", "prompt", None, "fox"),
        ("a red fo", "prompt", None, "fo"),
        ("-- -m", "prompt", None, "-m"),
        ("-n 2 a 'fox -", "prompt", None, "'fox -"),
        ("--nonsense -m", "prompt", None, "-m"),
    ],
)
def test_place_of_the_cursor(line: str, kind: str, option: str | None, fragment: str) -> None:
    """Completion knows what stands at the end of an unfinished line."""
    found = cursor_place(line, TABLE)
    assert (found.kind, found.option and found.option.name, found.fragment) == (kind, option, fragment)


def test_place_remembers_what_was_given() -> None:
    """The options before the cursor are known to completion: a value may depend on the model."""
    assert cursor_place("-m a/b -p x=1 -p ", TABLE).given == {"model": ("a/b",), "param": (("x", "1"),)}


def test_log_options() -> None:
    """%imagen_log reads its own options, and refuses anything else."""
    assert parse_log("--experiment x --status failed --last 5") == {"experiment": "x", "status": "failed", "last": 5}
    assert parse_log("") == {}
    with pytest.raises(InputError, match="'done' is no status; there are intent, starting"):
        parse_log("--status done")
    with pytest.raises(InputError, match="'animals' is not an option of %imagen_log"):
        parse_log("animals")
