r"""The template grammar: text into literal parts and slots, and back into a prompt.

    {name}              a slot; the value comes from outside
    {oil|ink}           alternatives: a slot that brings its values, named slot_1, slot_2, … in order
    {style=oil|ink}     the same with a name; `{style}` elsewhere in the template is the same slot
    {{  }}              literal braces

Any other brace group is literal text, whole and with everything in it: one that holds a quote, a colon, a line break
or another brace, and an empty one. So a prompt written as JSON passes unchanged, its closing `}}` included, and a slot
inside JSON is written with the outer braces doubled: `{{"subject": "{animal}"}}`. A brace without its partner is
literal too.

Spaces around a name or an alternative do not count. An alternative may be empty (`a {red|} fox`) and a single named
value is allowed (`{style=oil}`). `\|` is a bar within an alternative, and so is one within `[ ]` or `( )`; see
`values.split_bars`. An apostrophe inside or at the end of a word is not a quote (`{a fox's den|a cave}`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from imagen_nb.errors import InputError
from imagen_nb.planning.values import json_end, split_bars

_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)")
_NOT_ALTERNATIVES = re.compile(r"""["“”:\n\r{}]|(?<!\w)'""")
_BRACE = re.compile(r"\{\{|\}\}|[{}]")
_LOOKS_LIKE_SLOT = re.compile(
    r"""\{\s*(?:[^\W\d]\w*\s*(?:[.[(][^{}\n]*)? | [^\W\d][\w -]* | (?![^{}]*["']\s*:)[^{}\n]*\|[^{}\n]*)\}""",
    re.VERBOSE,
)
"""A name, or an expression that begins with one; words; and what a bar parts, but for JSON."""
_JSON_OBJECT = re.compile(r'\{\s*["}]')


@dataclass(frozen=True, slots=True)
class Slot:
    """A named hole in a template. `alternatives` are the values it brings itself, or None."""

    name: str
    alternatives: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: `text` as it was typed, `parts` literal strings and slots in order.

    `slots` has each slot once, in the order of first appearance.
    """

    text: str
    parts: tuple[str | Slot, ...]
    slots: tuple[Slot, ...] = ()

    def render(self, values: Mapping[str, Any]) -> str:
        """The prompt: every slot replaced by its value as text. Raises `KeyError` for a slot without a value."""
        return "".join([part if isinstance(part, str) else str(values[part.name]) for part in self.parts])


def parse(template: str) -> Template:
    """The template's literal parts and slots.

    Raises `InputError` for a slot that brings two different sets of alternatives.
    """
    if "{" not in template and "}" not in template:
        return literal(template)
    pieces = [piece for piece in _pieces(template) if piece]
    taken = {piece.name for piece in pieces if isinstance(piece, Slot)}
    numbered = (name for number in count(1) if (name := f"slot_{number}") not in taken)
    parts: list[str | Slot] = []
    slots: dict[str, Slot] = {}
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        slot = piece if piece.name else Slot(next(numbered), piece.alternatives)
        parts.append(slot)
        known = slots.get(slot.name)
        if known is None or known.alternatives is None:
            slots[slot.name] = slot
        elif slot.alternatives not in (None, known.alternatives):
            raise InputError(
                f"the slot {slot.name} brings two different sets of alternatives",
                f"Write them once, and {{{slot.name}}} wherever else the slot stands.",
            )
    return Template(template, tuple(parts), tuple(slots.values()))


def literal(text: str) -> Template:
    """A template without slots: the text as it stands."""
    return Template(text, (text,) if text else ())


def escape(text: str) -> str:
    """The template that renders to exactly this text."""
    return text.replace("{", "{{").replace("}", "}}")


def look_alikes(template: str) -> list[str]:
    """The brace groups that look like slots and are literal text, as `{animal.upper()}` and `{(red:1.2)|(blue:0.8)}`.

    A name within a group that is literal is one, as in `{"subject": "{animal}"}`; JSON as such is none.
    """
    literal_groups = (template[start:end] for start, end, slot in _groups(template) if slot is None)
    return [found[0] for group in literal_groups for found in _LOOKS_LIKE_SLOT.finditer(group)]


def _pieces(template: str) -> Iterator[str | Slot]:
    """Slots, and the literal text between them, from left to right; alternatives without a name have the name ""."""
    text, at = "", 0
    for start, end, slot in _groups(template):
        text += template[at:start].replace("{{", "{").replace("}}", "}")
        at = end
        if slot:
            yield text
            yield slot
            text = ""
        else:
            text += template[start:end]
    yield text + template[at:].replace("{{", "{").replace("}}", "}")


def _groups(template: str) -> Iterator[tuple[int, int, Slot | None]]:
    """The outermost brace groups: where each begins and ends, and the slot that it is; doubled braces are none."""
    partners: dict[int, int] = {}  # where each opening brace is closed, by counting alone
    waiting: list[int] = []
    for at, mark in enumerate(template):
        if mark == "{":
            waiting.append(at)
        elif mark == "}" and waiting:
            partners[waiting.pop()] = at

    at = 0
    while found := _BRACE.search(template, at):
        start, at = found.span()
        if found[0] in ("{{", "}}"):
            continue
        if _JSON_OBJECT.match(template, start) and (end := json_end(template, start, strict=False)):
            at = end  # braces inside its strings do not count
            yield start, at, None
        elif start in partners:
            at = partners[start] + 1
            yield start, at, _slot(template[start + 1 : at - 1])


def _slot(inside: str) -> Slot | None:
    """What a brace group means, or None when it is literal text."""
    if inside.strip().isidentifier():
        return Slot(inside.strip())
    if _NOT_ALTERNATIVES.search(inside):
        return None
    named = _NAMED.fullmatch(inside)
    name, values = (named[1], named[2]) if named else ("", inside)
    alternatives = tuple(value.strip() for value in split_bars(values))
    if not any(alternatives) or (not name and len(alternatives) == 1):
        return None
    return Slot(name, alternatives)
