"""Two runs side by side, with what differs in their prompts and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagen_nb.records import Rendering, Run
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, picture
from imagen_nb.views.words import Chip, Why, chip, clip, dollars, dot_list, is_simulated, seconds, terminal_text, why

PAIR_BOX = 420


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of the prompts: in both (`same`), in the first only (`removed`) or in the second only (`added`)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting whose values differ; None where a run does not have it."""

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


def comparison(
    a: Run,
    b: Run,
    prompt_diff: Sequence[Change],
    params_diff: Sequence[Difference],
    thumb: Thumb,
    *,
    same: Sequence[tuple[str, str]] = (),
    link: Link | None = None,
) -> Rendering:
    """Two runs side by side, each within 420 CSS pixels. `same` holds the settings they share, as text."""
    sides = [_side("A", a, thumb, link), _side("B", b, thumb, link)]
    html = fill(
        "comparison.html",
        sides=sides,
        changes=prompt_diff,
        is_same_prompt=all(change.kind == "same" for change in prompt_diff),
        differences=[(each.name, _shown(each.a), _shown(each.b)) for each in params_diff],
        same=dot_list(f"{name}={text}" for name, text in same),
    )
    return {"text/plain": _text(sides, prompt_diff, params_diff), "text/html": html}


def _side(letter: str, run: Run, thumb: Thumb, link: Link | None) -> Side:
    box = PAIR_BOX if len(run.images) == 1 else PAIR_BOX // 2 - 4
    pictures = [picture(image, thumb, box=box, link=link) for image in run.images]
    parts = [run.request.model, seconds(run.total_s), dollars(run.cost), "simulated" if is_simulated(run) else ""]
    return Side(letter, run.id, pictures, chip(run), why(run), dot_list(parts))


def _shown(text: str | None) -> str:
    return "not set" if text is None else clip(text, 200)


_MARKS = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}


def _text(sides: Sequence[Side], changes: Sequence[Change], differences: Sequence[Difference]) -> str:
    """The comparison for a terminal; the prompts' difference as `git diff --word-diff` writes it."""
    lines = []
    for side in sides:
        lines.append(f"{side.letter}  {dot_list([side.run_id, side.chip.word, side.figures])}")
        lines += [f"   {each.file}" for each in side.pictures]
        lines += [f"   {side.why.text}"] if side.why else []
    lines.append("prompt  " + "".join(_MARKS[change.kind].format(change.text) for change in changes))
    lines += [f"{each.name}  {_shown(each.a)} -> {_shown(each.b)}" for each in differences]
    return terminal_text(lines)
