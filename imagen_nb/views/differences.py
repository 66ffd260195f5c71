"""What differs between runs: word by word, setting by setting, and their pictures under a slider or side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from imagen_nb.records import Rendering, Run
from imagen_nb.views.names import image_names
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, pictures_of
from imagen_nb.views.words import (
    Chip,
    Why,
    chip,
    clip,
    cost_text,
    dot_list,
    seconds,
    terminal_text,
    value_text,
    why,
)

LETTERS = "ABCDEF"
"""What runs that are compared are called, in their order."""

SLIDE_BOX, WIDTH, GAP = 820, 860, 16
"""How large a picture is under the slider, how wide all sides are together, and what is between two, in CSS pixels."""

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
    """A setting whose values differ, as texts in the order of the runs; None where a run does not have it."""

    name: str
    values: tuple[str | None, ...]

    @property
    def a(self) -> str | None:
        """The first run's."""
        return self.values[0]

    @property
    def b(self) -> str | None:
        """The second run's."""
        return self.values[1]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs, as the template shows it."""

    letter: str
    run_id: str
    pictures: Sequence[Picture]
    chip: Chip
    why: Why | None
    figures: str
    text: str | None


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


def setting_differences(runs: Sequence[Run]) -> tuple[Difference, ...]:
    """The settings that differ, in their order."""
    texts = [_setting_texts(run) for run in runs]
    names = dict.fromkeys(name for each in texts for name in each)
    found = [Difference(name, tuple(each.get(name) for each in texts)) for name in names]
    return tuple(each for each in found if len(set(each.values)) > 1)


def render_comparison(runs: Sequence[Run], thumb: Thumb, *, link: Link | None = None) -> Rendering:
    """Two to six runs, what differs between them, and the settings they share.

    Two that have pictures are under a slider, which is a range input and a line of script; more, and wherever styles
    and scripts are stripped, stand side by side. Further pictures of a run stand below the first.
    """
    names = image_names(runs)
    has_slider = len(runs) == 2 and all(run.images for run in runs)  # noqa: PLR2004 - left and right
    box = SLIDE_BOX if has_slider else WIDTH // len(runs) - GAP
    sides = []
    for letter, run, own in zip(LETTERS, runs, names, strict=False):
        parts = [run.request.model, seconds(run.total_s), cost_text(run)]
        pictures = pictures_of(run, thumb, box=box, link=link, names=own)
        sides.append(Side(letter, run.id, pictures, chip(run), why(run), dot_list(parts), run.text))
    has_slider = has_slider and all(side.pictures[0].src for side in sides)
    told, texts = _what_differs(runs), [_setting_texts(run) for run in runs]
    same = dot_list(
        f"{name}={text}" for name, text in texts[0].items() if all(text == each.get(name) for each in texts)
    )
    html = fill(
        "comparison.html",
        sides=sides,
        # The pictures under the slider are no links, since clicks move it.
        under=[replace(side.pictures[0], href=None) for side in sides] if has_slider else [],
        # The wider of the two shapes, so that neither picture is cut.
        ratio=round(max(side.pictures[0].width / side.pictures[0].height for side in sides), 4) if has_slider else 0,
        same=same,
        **told,
    )
    lines = []
    for side in sides:
        lines.append(f"{side.letter}  {dot_list([side.run_id, side.chip.word, side.figures])}")
        lines += [f"   {each.file}" for each in side.pictures]
        lines += [f"   {text}" for text in (side.text, side.why and side.why.text) if text]
    # As `git diff --word-diff` writes it.
    for letter, changes in told["prompts"] or [("B", [Change("same", runs[0].request.prompt)])]:
        name = "prompt" if len(runs) == 2 else f"prompt, A to {letter}"  # noqa: PLR2004 - nothing else to name
        lines.append(f"{name}  " + "".join(_MARKS[change.kind].format(change.text) for change in changes))
    lines += [f"{name}  {' -> '.join(values)}" for name, values in told["differences"]]
    return {"text/plain": terminal_text(lines), "text/html": html}


def _what_differs(runs: Sequence[Run]) -> Mapping[str, Any]:
    """The values of `differences.html`: the way from the first prompt to each other one, and settings with values."""
    first, *others = (run.request.prompt for run in runs)
    return {
        "prompt": first,
        "prompts": [
            (letter, word_changes(first, other))
            for letter, other in zip(LETTERS[1:], others, strict=False)
            if other != first
        ],
        "letters": LETTERS[: len(runs)],
        "differences": [
            (each.name, ["not set" if text is None else clip(text, 200) for text in each.values])
            for each in setting_differences(runs)
        ],
    }


def _setting_texts(run: Run) -> dict[str, str]:
    """As text, since a whole number may have come back from a file as a float."""
    return {name: value_text(item) for name, item in settings_of(run).items() if item is not None}
