"""The template grammar: what is a slot, what is text, and that text survives it."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagen_nb.errors import InputError
from imagen_nb.planning.template import Slot, Template, escape, literal, parse

MANY = settings(max_examples=200)
BRACED = st.text(alphabet="{}|=ab' \":\n,", max_size=24)
JSON_VALUES = st.recursive(
    st.text(alphabet="{}|ab\\\"'", max_size=6) | st.integers() | st.booleans() | st.none(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text("{}ab", max_size=3), children, max_size=3)
    ),
    max_leaves=8,
)


def test_a_template_without_braces_is_one_literal() -> None:
    """Plain text has no slots and renders to itself."""
    made = parse("a red fox, 5' tall")
    assert made == literal("a red fox, 5' tall")
    assert made.slots == ()
    assert made.render({}) == "a red fox, 5' tall"


def test_a_name_in_braces_is_a_slot() -> None:
    """`{name}` is filled from outside, with text or a number."""
    made = parse("{count} {animal}s")
    assert made.slots == (Slot("count"), Slot("animal"))
    assert made.render({"count": 3, "animal": "fox"}) == "3 foxs"


def test_alternatives_bring_their_values() -> None:
    """`{a|b}` is numbered in order, `{style=oil|ink}` has a name, and spaces around a value do not count."""
    made = parse("{fox|owl} in { style = oil paint | ink } at {dawn|dusk}")
    assert made.slots == (
        Slot("slot_1", ("fox", "owl")),
        Slot("style", ("oil paint", "ink")),
        Slot("slot_2", ("dawn", "dusk")),
    )
    assert made.render({"slot_1": "fox", "style": "ink", "slot_2": "dusk"}) == "fox in ink at dusk"


def test_numbering_goes_past_names_in_use() -> None:
    """A slot that is called slot_1 already is not shadowed by an unnamed one."""
    assert [slot.name for slot in parse("{a|b} {slot_1} {c|d}").slots] == ["slot_2", "slot_1", "slot_3"]


def test_the_same_name_is_the_same_slot() -> None:
    """A slot that stands twice is one axis, whichever of the two places has the alternatives."""
    for template in ("{style=oil|ink}, {style}", "{style}, {style=oil|ink}", "{style=oil|ink}, {style=oil|ink}"):
        made = parse(template)
        assert made.slots == (Slot("style", ("oil", "ink")),)
        assert made.render({"style": "ink"}) == "ink, ink"


def test_two_sets_of_alternatives_for_one_name_are_refused() -> None:
    """One name with different values is a mistake and says so."""
    with pytest.raises(InputError, match="style brings two different sets") as caught:
        parse("{style=oil|ink} {style=oil|pen}")
    assert "{style}" in caught.value.hint


def test_an_alternative_may_be_empty() -> None:
    """`{red|}` is a word that may be absent; nothing but emptiness is text."""
    assert parse("a {red|}fox").slots == (Slot("slot_1", ("red", "")),)
    assert parse("{|}").slots == ()


@pytest.mark.parametrize(
    "template",
    [
        "{}",
        "{ }",
        "{0}",
        "{a b}",
        "{a, b}",
        "{a.b}",
        "{16:9|1:1}",
        '{"a"|"b"}',
        "{'a'|'b'}",
        "{“a”|b}",
        "{a|\nb}",
        "{a|{b|c}}",
        "{ {a} }",
        "{a",
        "a}",
        "}{",
        "|",
    ],
)
def test_what_is_no_slot_is_text(template: str) -> None:
    """A group that is neither a name nor alternatives, and a brace without a partner, stay as typed."""
    made = parse(template)
    assert made.slots == ()
    assert made.render({}) == template


def test_an_apostrophe_is_no_quote() -> None:
    """`{a fox's den|the foxes' cave}` is two alternatives."""
    assert parse("{a fox's den|the foxes' cave}").slots == (Slot("slot_1", ("a fox's den", "the foxes' cave")),)


def test_doubled_braces_are_single_ones() -> None:
    """`{{` and `}}` are literal braces, also right beside a slot."""
    made = parse("{{x}} {{{name}}} }} {{")
    assert made.slots == (Slot("name"),)
    assert made.render({"name": "fox"}) == "{x} {fox} } {"


def test_names_may_be_in_any_script() -> None:
    """Whatever Python takes for an identifier is a slot's name."""
    assert [slot.name for slot in parse("{größe} {動物} {_x1}").slots] == ["größe", "動物", "_x1"]


def test_slots_inside_json_need_doubled_outer_braces() -> None:
    """JSON is text with everything in it, unless its outer braces are doubled."""
    assert parse('{"subject": "{animal}"}').slots == ()
    assert parse('{{"subject": "{animal}"}}').render({"animal": "fox"}) == '{"subject": "fox"}'


@given(st.dictionaries(st.text("{}ab", max_size=3), JSON_VALUES, max_size=4), st.sampled_from([None, 1]))
@example({"a": "}}"}, None)
@example({"a": "{{"}, None)
@example({"a": {"b": {"c": 1}}}, None)
@MANY
def test_json_passes_unchanged(value: dict[str, object], indent: int | None) -> None:
    """Any JSON object, compact or indented, braces in its strings included, is the same text after parsing."""
    text = json.dumps(value, indent=indent)
    assert parse(text).render({}) == text
    assert parse(f"make this: {text} please").render({}) == f"make this: {text} please"


@given(BRACED)
@MANY
def test_escaped_text_comes_back(text: str) -> None:
    """The template `escape` makes has no slots and renders to exactly the text."""
    made = parse(escape(text))
    assert made.slots == ()
    assert made.render({}) == text


@given(BRACED, BRACED)
@MANY
def test_rendered_text_escaped_again_is_the_same_prompt(text: str, value: str) -> None:
    """Whatever a template renders to, its escaped form renders to that again."""
    try:
        made = parse(text)
    except InputError:
        return
    prompt = made.render({slot.name: value for slot in made.slots})
    assert parse(escape(prompt)).render({}) == prompt


@given(BRACED)
@MANY
def test_parsing_loses_nothing(text: str) -> None:
    """Any text parses, its slots are in its parts, and every literal stretch is whole."""
    try:
        made = parse(text)
    except InputError:
        return
    assert isinstance(made, Template)
    assert made.text == text
    assert {part.name for part in made.parts if isinstance(part, Slot)} == {slot.name for slot in made.slots}
    neighbours = zip(made.parts, made.parts[1:], strict=False)
    assert not any(isinstance(first, str) and isinstance(second, str) for first, second in neighbours)


def test_a_long_row_of_open_braces_is_quick() -> None:
    """Forty thousand braces without partners are text, found in one pass."""
    text = '{"a":' * 20_000
    assert parse(text).render({}) == text
    assert parse("{ " * 20_000).slots == ()


def test_literal_takes_every_brace_as_such() -> None:
    """`literal` has no slots, whatever the text holds."""
    assert literal("{a|b} {{x}}").render({}) == "{a|b} {{x}}"
    assert literal("{a|b}").slots == ()
