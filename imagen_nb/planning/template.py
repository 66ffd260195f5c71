"""The template grammar: text into literal parts and slots, and back into a prompt.

    {name}              a slot; the value comes from outside
    {oil|ink}           alternatives: a slot that brings its values, named slot_1, slot_2, … in order
    {style=oil|ink}     the same with a name; `{style}` elsewhere in the template is the same slot
    {{  }}              literal braces

Any other brace group is literal text, whole and with everything in it: one that holds a quote, a colon, a line break
or another brace, and an empty one. So a prompt written as JSON passes unchanged, its closing `}}` included, and a slot
inside JSON is written with the outer braces doubled: `{{"subject": "{animal}"}}`. A brace without its partner is
literal too.

Spaces around a name or an alternative do not count. An alternative may be empty (`a {red|} fox`) and a single named
value is allowed (`{style=oil}`). An apostrophe inside or at the end of a word is not a quote (`{a fox's den|a cave}`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imagen_nb.errors import InputError

_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)")
_NOT_ALTERNATIVES = re.compile(r"""["“”:\n\r{}]|(?<!\w)'""")
_BRACE = re.compile(r"\{\{|\}\}|[{}]")
_JSON_OBJECT = re.compile(r'\{\s*["}]')
_DECODER = json.JSONDecoder(strict=False)


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
    parts = _named(_merged(_pieces(template)))
    return Template(template, parts, _unique(parts))


def literal(text: str) -> Template:
    """A template without slots: the text as it stands."""
    return Template(text, (text,) if text else ())


def escape(text: str) -> str:
    """The template that renders to exactly this text."""
    return text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True, slots=True)
class _Group:
    """A brace group that is a slot; `name` is None for alternatives without one."""

    name: str | None
    alternatives: tuple[str, ...] | None = None


def _pieces(template: str) -> Iterator[str | _Group]:
    """Literal stretches and slot groups, from left to right."""
    partner = _partners(template)
    at = 0
    while found := _BRACE.search(template, at):
        start = found.start()
        yield template[at:start]
        if found.group() in ("{{", "}}"):
            yield template[start]
            at = found.end()
        elif found.group() == "{" and (end := _json_end(template, start)):
            yield template[start:end]
            at = end
        elif start in partner:
            at = partner[start] + 1
            yield _group(template[start + 1 : at - 1]) or template[start:at]
        else:
            yield template[start]
            at = start + 1
    yield template[at:]


def _partners(template: str) -> dict[int, int]:
    """Where each opening brace is closed, by counting alone."""
    partners: dict[int, int] = {}
    waiting: list[int] = []
    for at, mark in enumerate(template):
        if mark == "{":
            waiting.append(at)
        elif mark == "}" and waiting:
            partners[waiting.pop()] = at
    return partners


def _json_end(template: str, start: int) -> int | None:
    """Where the JSON object that starts here ends, or None: braces inside its strings do not count."""
    if not _JSON_OBJECT.match(template, start):
        return None
    try:
        return _DECODER.raw_decode(template, start)[1]
    except (ValueError, RecursionError):
        return None


def _group(inside: str) -> _Group | None:
    """What a brace group means, or None when it is literal text."""
    if inside.strip().isidentifier():
        return _Group(inside.strip())
    if _NOT_ALTERNATIVES.search(inside):
        return None
    named = _NAMED.fullmatch(inside)
    name, values = (named[1], named[2]) if named else (None, inside)
    alternatives = tuple(value.strip() for value in values.split("|"))
    if not any(alternatives) or (name is None and len(alternatives) == 1):
        return None
    return _Group(name, alternatives)


def _merged(pieces: Iterator[str | _Group]) -> list[str | _Group]:
    """The pieces with neighbouring literals joined and empty ones left out."""
    merged: list[str | _Group] = []
    run: list[str] = []
    for piece in (*pieces, None):
        if isinstance(piece, str):
            run.append(piece)
            continue
        if text := "".join(run):
            merged.append(text)
        run = []
        if piece is not None:
            merged.append(piece)
    return merged


def _named(pieces: list[str | _Group]) -> tuple[str | Slot, ...]:
    """Slots for groups; those without a name are numbered, past any name that the template uses itself."""
    taken = {piece.name for piece in pieces if isinstance(piece, _Group)}
    numbered = (name for number in range(1, len(pieces) + len(taken) + 1) if (name := f"slot_{number}") not in taken)
    return tuple(
        piece if isinstance(piece, str) else Slot(piece.name or next(numbered), piece.alternatives) for piece in pieces
    )


def _unique(parts: tuple[str | Slot, ...]) -> tuple[Slot, ...]:
    slots: dict[str, Slot] = {}
    for slot in parts:
        if isinstance(slot, str):
            continue
        known = slots.get(slot.name)
        if known is None or known.alternatives is None:
            slots[slot.name] = slot
        elif slot.alternatives not in (None, known.alternatives):
            raise InputError(
                f"the slot {slot.name} brings two different sets of alternatives",
                f"Write them once, and {{{slot.name}}} wherever else the slot stands.",
            )
    return tuple(slots.values())
