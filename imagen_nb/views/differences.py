"""What differs between two runs: word by word, setting by setting, and the two side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from imagen_nb.records import Rendering, Run
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, picture
from imagen_nb.views.words import (
    Chip,
    Why,
    chip,
    clip,
    dollars,
    dot_list,
    is_simulated,
    seconds,
    terminal_text,
    value_text,
    why,
)

SIDE_BOX = 420
_WORDS = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|\W")
_LONG = 2_000
_MARKS = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of two texts: in both (`same`), in the first only (`removed`) or in the second only (`added`)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting whose values differ, as texts; None where a run does not have it."""

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, as the template shows it."""

    letter: str
    run_id: str
    pictures: Sequence[Picture]
    chip: Chip
    why: Why | None
    figures: str


def word_changes(a: str, b: str) -> tuple[Change, ...]:
    """The way from one text to the other, word by word.

    The pieces that are not `added` join to `a`, those that are not `removed` to `b`.
    """
    before, after = _WORDS.findall(a), _WORDS.findall(b)
    matcher = SequenceMatcher(None, before, after, autojunk=max(len(before), len(after)) > _LONG)
    changes: list[Change] = []
    removed = added = ""
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        left, right = "".join(before[a0:a1]), "".join(after[b0:b1])
        is_change = bool(removed or added)
        # A space that stayed between two changed words belongs to the change around it.
        if tag == "equal" and not (is_change and left.isspace() and a1 < len(before) and b1 < len(after)):
            changes += [Change("removed", removed), Change("added", added), Change("same", left)]
            removed = added = ""
        else:
            removed, added = removed + left, added + right
    changes += [Change("removed", removed), Change("added", added)]
    return tuple(change for change in changes if change.text)


def settings_of(run: Run) -> dict[str, Any]:
    """Model, slots and parameters of a run, by their names."""
    return {"model": run.request.model, **run.request.slots, **run.request.params}


def setting_differences(a: Run, b: Run) -> tuple[Difference, ...]:
    """The settings that differ, in their order."""
    first, second = _setting_texts(a), _setting_texts(b)
    pairs = [(name, first.get(name), second.get(name)) for name in {**first, **second}]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def render_comparison(a: Run, b: Run, thumb: Thumb, *, link: Link | None = None) -> Rendering:
    """Two runs side by side, each within 420 CSS pixels, what differs between them, and the settings they share."""
    sides = [_side("A", a, thumb, link), _side("B", b, thumb, link)]
    told, second = _what_differs(a, b), _setting_texts(b)
    same = dot_list(f"{name}={text}" for name, text in _setting_texts(a).items() if text == second.get(name))
    html = fill("comparison.html", sides=sides, same=same, **told)
    lines = []
    for side in sides:
        lines.append(f"{side.letter}  {dot_list([side.run_id, side.chip.word, side.figures])}")
        lines += [f"   {each.file}" for each in side.pictures]
        lines += [f"   {side.why.text}"] if side.why else []
    # As `git diff --word-diff` writes it.
    lines.append("prompt  " + "".join(_MARKS[change.kind].format(change.text) for change in told["changes"]))
    lines += [f"{name}  {first} -> {then}" for name, first, then in told["differences"]]
    return {"text/plain": terminal_text(lines), "text/html": html}


def render_differences(a: Run, b: Run) -> str:
    """What differs between two runs as HTML alone, for where their pictures are shown by something else."""
    return fill("differences.html", **_what_differs(a, b))


def _what_differs(a: Run, b: Run) -> Mapping[str, Any]:
    """The values of `differences.html`."""
    changes = word_changes(a.request.prompt, b.request.prompt)
    differences = [
        (each.name, *("not set" if text is None else clip(text, 200) for text in (each.a, each.b)))
        for each in setting_differences(a, b)
    ]
    is_same = all(change.kind == "same" for change in changes)
    return {"changes": changes, "is_same_prompt": is_same, "differences": differences}


def _side(letter: str, run: Run, thumb: Thumb, link: Link | None) -> Side:
    box = SIDE_BOX if len(run.images) == 1 else SIDE_BOX // 2 - 4
    pictures = [picture(image, thumb, box=box, link=link) for image in run.images]
    parts = [run.request.model, seconds(run.total_s), dollars(run.cost), "simulated" if is_simulated(run) else ""]
    return Side(letter, run.id, pictures, chip(run), why(run), dot_list(parts))


def _setting_texts(run: Run) -> dict[str, str]:
    """As text, since a whole number may have come back from a file as a float."""
    return {name: value_text(item) for name, item in settings_of(run).items() if item is not None}
