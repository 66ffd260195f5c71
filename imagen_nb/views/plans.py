"""A plan before anything is sent: how many requests, along which axes, for how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from imagen_nb.planning.axes import Axis
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Rendering
from imagen_nb.views.pages import fill
from imagen_nb.views.words import (
    TIMES,
    clip,
    count,
    dot_list,
    one_line,
    terminal_text,
    value_text,
    value_texts,
)

MOST_VALUES, MOST_PROMPTS, LOOKED_AT = 12, 3, 60
SEND = "Nothing has been sent. Take --dry-run away to send it; in Python, imagen_nb.run(plan)."
_KINDS = {"param": "parameter", "row": "rows of a table"}


@dataclass(frozen=True, slots=True)
class AxisRow:
    """An axis as a line of the table."""

    name: str
    kind: str
    count: int
    values: Sequence[str]
    hidden: int


def render_plan(plan: Plan, *, step: str = SEND, notes: Sequence[str] = ()) -> Rendering:
    """The plan as a table of its axes, its first prompts and its estimated cost; as quick for ten million requests.

    `step` says what to do next; `notes` are further lines before it.
    """
    total = dot_list([count(len(plan), "request"), plan.price_words])
    notes = [f"The prompts are read from the file {one_line(plan.file, 240)}.", *notes] if plan.file else notes
    axes = [_axis_row(axis) for axis in plan.axes]
    same = {"model": plan.models[0]} if len(plan.models) == 1 else {}
    settings = dot_list(f"{name}={text}" for name, text in value_texts({**same, **plan.fixed}))
    product = _product(plan)
    prompts = list(dict.fromkeys(one_line(request.prompt, 240) for request in plan.preview(LOOKED_AT)))
    html = fill(
        "plan.html",
        total=total,
        axes=axes,
        product=product,
        prompts=prompts[:MOST_PROMPTS],
        settings=settings,
        hidden=len(prompts) > MOST_PROMPTS or len(plan) > LOOKED_AT,
        notes=notes,
        step=step,
    )
    lines = [total]
    width = max((len(axis.name) for axis in axes), default=0)
    for axis in axes:
        more = f" and {axis.hidden:,} more" if axis.hidden else ""
        lines.append(f"  {axis.name.ljust(width)}  {axis.count:>3,}  {', '.join(axis.values)}{more}")
    lines += [f"  {text}" for text in (product, settings) if text]
    lines += [f"  > {one_line(prompt, 110)}" for prompt in prompts[:MOST_PROMPTS]]
    return {"text/plain": terminal_text([*lines, *notes, step]), "text/html": html}


def resume_note(asked: Plan, left: Plan) -> str:
    """What resuming sends of a plan, `left` being those of its requests that have not succeeded."""
    price = f", {left.price_words}" if left.cost else ""
    rest = f"{len(left):,}{price}" if len(left) else "none"
    done = len(asked) - len(left)
    return f"{done:,} of the {len(asked):,} requests are in the log already; --resume sends {rest}."


def _axis_row(axis: Axis) -> AxisRow:
    texts = [clip(value_text(item), 80) for item in axis.values[:MOST_VALUES]]
    kind = dot_list([_KINDS.get(axis.kind, axis.kind), *(f"with {name}" for name in axis.zipped_with)])
    return AxisRow(axis.name, kind, len(axis), texts, len(axis) - len(texts))


def _product(plan: Plan) -> str:
    """How the total comes about (two times three = 6), where it is such a product; of a sample, what it is one of."""
    factors = {frozenset({axis.name, *axis.zipped_with}): len(axis) for axis in plan.axes}
    total = prod(factors.values()) * (plan.repeat or 0)
    repeats = [count(plan.repeat, "repeat")] if plan.repeat and plan.repeat > 1 else []
    parts = [*(f"{number:,}" for number in factors.values()), *repeats]
    equation = f"{f' {TIMES} '.join(parts)} = {plan.total:,}" if len(parts) > 1 and total == plan.total else ""
    sample = f"a random {len(plan):,} of {plan.total:,}" if plan.chosen is not None else ""
    return dot_list([equation, sample])
