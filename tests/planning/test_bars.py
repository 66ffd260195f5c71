"""A bar parts alternatives, and there is a way to have one within them, whichever way they come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_nb.planning.cells import cell_text
from imagen_nb.planning.models import unknown_spec
from imagen_nb.planning.options import cell_prompt, parse_line
from imagen_nb.planning.plan import Plan, plan
from imagen_nb.planning.template import Slot, parse
from imagen_nb.planning.values import escape_bars, split_bars
from imagen_nb.records import Request

MODEL = "a/b"
MANY = settings(max_examples=300)
# What may stand in a slot's alternatives: no quotes, colons, line breaks or braces.
ALTERNATIVES = st.lists(
    st.text("ab|\\ ,'-=", min_size=1, max_size=6)
    .map(str.strip)
    .filter(lambda text: bool(text) and "'" not in text[:1] and not any(f"{mark}'" in text for mark in "|\\ ,'-=")),
    min_size=2,
    max_size=4,
    unique=True,
)


def written(values: list[str]) -> str:
    return "|".join(escape_bars(text, is_last=text is values[-1]) for text in values)


def planned(line: str, body: str | None = None) -> Plan:
    """What the magic makes of a line, or of a cell's first line and its body."""
    options, prompt = parse_line(line)
    prompt = prompt if body is None else cell_prompt(body)
    keywords = {"model": MODEL, **options.plan_keywords(prompt, lambda _: unknown_spec(MODEL))}
    return plan([prompt], unknown_spec, **keywords)


def again(request: Request) -> Request:
    """The request that the cell makes which a request is written back as."""
    head, _, body = cell_text(request).partition("\n")
    (made,) = planned(head.removeprefix("%%imagen"), body)
    return made


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("oil|ink", ["oil", "ink"]),
        (r"a\|b|c", ["a|b", "c"]),
        (r"a\\|b", ["a\\", "b"]),
        (r"a\b|c\n", [r"a\b", r"c\n"]),
        ("(a|b)|c", ["(a|b)", "c"]),
        ("a [x|(y|z)] w|c", ["a [x|(y|z)] w", "c"]),
        ("(a|b", ["(a", "b"]),
        ("a|b)", ["a", "b)"]),
        ("]a|b[", ["]a", "b["]),
        ('say "a|b"|c', ['say "a|b"', "c"]),
        ("'a|b'|c", ["'a|b'", "c"]),
        ("“a|b”|c", ["“a|b”", "c"]),
        ("it's|the foxes' den|he's", ["it's", "the foxes' den", "he's"]),
        ('6" wide|5" wide', ['6" wide', '5" wide']),
        ('["a|b", "]"]|["c"]', ['["a|b", "]"]', '["c"]']),
        ("|", ["", ""]),
        ("", [""]),
    ],
)
def test_what_a_bar_parts(text: str, values: list[str]) -> None:
    """Bars that are escaped, or within quotes or brackets that are closed, belong to the alternative."""
    assert split_bars(text) == values


@given(ALTERNATIVES)
@MANY
def test_any_alternative_can_be_written(values: list[str]) -> None:
    """In a prompt, behind --vary, and quoted there, alternatives with bars and backslashes are just these."""
    text = written(values)
    assert parse(f"a {{style={text}}}").slots == (Slot("style", tuple(values)),)
    quoted = "|".join(json.dumps(value) for value in values)
    for line in (f"-- a {{style={text}}}", f"--vary {json.dumps(f'style={text}')} a {{style}}"):
        assert [request.slots["style"] for request in planned(line)] == values
    assert [request.slots["style"] for request in planned(f"--vary style={quoted} a {{style}}")] == values
    assert [request.params["style"] for request in planned(f"--vary {json.dumps(f'style={text}')} a fox")] == values


@given(ALTERNATIVES)
@MANY
def test_what_was_chosen_comes_back_from_its_cell(values: list[str]) -> None:
    """A request of such a prompt, or of such a parameter, is written as a cell that makes it again."""
    for line in (f"-- a {{style={written(values)}}}", f"--vary {json.dumps(f'look={written(values)}')} a fox"):
        for request in planned(line):
            made = again(request)
            assert (made.model, made.input) == (request.model, request.input)


def test_quotes_around_all_values_part_nothing_less() -> None:
    """Quotes that hold a whole option, or all its values, only keep the spaces; those around one value its bars too."""
    for line in ('--vary "s=a b|c" {s}', '--vary s="a b|c" {s}', '--vary s="a b"|"c" {s}'):
        assert [request.prompt for request in planned(line)] == ["a b", "c"]
    assert [request.prompt for request in planned('--vary s="a|b"|c {s}')] == ["a|b", "c"]
    assert planned('-p s="a|b"|c x')[0].params == {"s": "a|b|c"}


def test_a_table_says_it_as_a_prompt_does(tmp_path: Path) -> None:
    """In a column of templates a bar within an alternative is written the same way; in any other it is only text."""
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,look\n" + r"a {red\|blue|(x|y)} fox,oil|ink" + "\n", encoding="utf-8")
    made = plan(path, unknown_spec, model=MODEL)
    assert [request.prompt for request in made] == ["a red|blue fox", "a (x|y) fox"]
    assert {request.params["look"] for request in made} == {"oil|ink"}
