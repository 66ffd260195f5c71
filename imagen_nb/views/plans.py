"""A plan before anything is sent: how many requests, along which axes, for how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from imagen_nb.planning.axes import Axis
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Rendering
from imagen_nb.views.pages import fill
from imagen_nb.views.words import TIMES, clip, count, dollars, dot_list, one_line, value_texts, terminal_text, value_text

MOST_VALUES, MOST_PROMPTS, LOOKED_AT = 12, 3, 60
SEND = "Nothing has been sent. Take --dry-run away to send it; in Python, imagen_nb.run(plan)."


@dataclass(frozen=True, slots=True)
class AxisRow:
    """An axis as a line of the table."""

    name: str
    kind: str
    count: int
    values: Sequence[str]
    hidden: int


def plan(asked: Plan, *, step: str = SEND, notes: Sequence[str] = ()) -> Rendering:
    """The plan as a table of its axes, its first prompts and its estimated cost; as quick for ten million requests.

    `step` says what to do next; `notes` are further lines before it.
    """
    axes = [_axis(axis) for axis in asked.axes]
    total = dot_list([count(len(asked), "request"), _price(asked.cost)])
    looked_at = asked.preview(LOOKED_AT)
    prompts = list(dict.fromkeys(one_line(request.prompt, 240) for request in looked_at))
    settings = dot_list(f"{name}={text}" for name, text in _constant(asked))
    html = fill(
        "plan.html",
        total=total,
        axes=axes,
        product=_product(asked),
        prompts=prompts[:MOST_PROMPTS],
        settings=settings,
        hidden=len(prompts) > MOST_PROMPTS or len(asked) > LOOKED_AT,
        notes=notes,
        step=step,
    )
    about = [text for text in (_product(asked), settings) if text]
    return {"text/plain": _text(total, axes, prompts[:MOST_PROMPTS], about, [*notes, step]), "text/html": html}


def resume_note(asked: Plan, left: Plan) -> str:
    """What resuming sends of a plan, `left` being those of its requests that have not succeeded."""
    price = f", about {dollars(left.cost)}" if left.cost else ""
    rest = f"{len(left):,}{price}" if len(left) else "none"
    done = len(asked) - len(left)
    return f"{done:,} of the {len(asked):,} requests are in the log already; --resume sends {rest}."


_KINDS = {"param": "parameter", "row": "rows of a table"}


def _axis(axis: Axis) -> AxisRow:
    shown = [clip(value_text(item), 80) for item in axis.values[:MOST_VALUES]]
    kind = dot_list([_KINDS.get(axis.kind, axis.kind), *(f"with {name}" for name in axis.zipped_with)])
    return AxisRow(axis.name, kind, len(axis), shown, len(axis) - len(shown))


def _price(cost: float | None) -> str:
    return "the price is not known" if cost is None else f"about {dollars(cost)}"


def _product(asked: Plan) -> str:
    """How the total comes about (two times three = 6), where it is such a product; of a sample, what it is one of."""
    factors = {frozenset({axis.name, *axis.zipped_with}): len(axis) for axis in asked.axes}
    total = prod(factors.values()) * (asked.repeat or 0)
    repeats = [count(asked.repeat, "repeat")] if asked.repeat and asked.repeat > 1 else []
    parts = [*(f"{number:,}" for number in factors.values()), *repeats]
    said = f"{f' {TIMES} '.join(parts)} = {asked.total:,}" if len(parts) > 1 and total == asked.total else ""
    sample = f"a random {len(asked):,} of {asked.total:,}" if asked.chosen is not None else ""
    return dot_list([said, sample])


def _constant(asked: Plan) -> list[tuple[str, str]]:
    """The model, slots and parameters that are the same in every request."""
    model = {"model": asked.models[0]} if len(asked.models) == 1 else {}
    return value_texts({**model, **asked.fixed})


def _text(
    total: str, axes: Sequence[AxisRow], prompts: Sequence[str], about: Sequence[str], steps: Sequence[str]
) -> str:
    """The plan for a terminal."""
    width = max((len(axis.name) for axis in axes), default=0)
    lines = [total]
    for axis in axes:
        more = f" and {axis.hidden:,} more" if axis.hidden else ""
        lines.append(f"  {axis.name.ljust(width)}  {axis.count:>3,}  {', '.join(axis.values)}{more}")
    lines += [f"  {each}" for each in about]
    lines += [f"  > {one_line(prompt, 110)}" for prompt in prompts]
    return terminal_text([*lines, *steps])
