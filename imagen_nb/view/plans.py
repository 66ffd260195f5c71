"""A plan before anything is sent: how many requests, along which axes, for how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from imagen_nb.core.records import Rendering, Request
from imagen_nb.view.pages import fill
from imagen_nb.view.words import clip, count, dollars, joined, one_line, pairs, value

MOST_VALUES, MOST_PROMPTS = 12, 3
SEND = "Nothing has been sent. Take --dry-run away to send it; in Python, ws.run(plan)."


class AxisLike(Protocol):
    """What is shown of an axis: its name, what it varies (`slot`, `param`, `model`, `prompt`), and its values."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def values(self) -> Sequence[Any]: ...


class PlanLike(Protocol):
    """What is shown of a plan; `core.plan.Plan` has it."""

    def __len__(self) -> int: ...
    @property
    def axes(self) -> Sequence[AxisLike]: ...
    @property
    def cost(self) -> float | None: ...
    def preview(self, n: int, /) -> Sequence[Request]: ...


@dataclass(frozen=True, slots=True)
class AxisRow:
    """An axis as a line of the table."""

    name: str
    kind: str
    count: int
    values: Sequence[str]
    hidden: int


def plan(asked: PlanLike, *, step: str = SEND, notes: Sequence[str] = ()) -> Rendering:
    """The plan as a table of its axes, its first prompts and its estimated cost.

    `step` says what to do next; `notes` are further lines (a budget, a confirmation that is needed).
    """
    axes = [_axis(axis) for axis in asked.axes]
    total = joined([count(len(asked), "request"), _price(asked.cost)])
    first = asked.preview(MOST_PROMPTS) if len(asked) else []
    prompts = list(dict.fromkeys(one_line(request.prompt, 240) for request in first))
    settings = joined(f"{name}={text}" for name, text in _constant(first, {axis.name for axis in axes}))
    html = fill(
        "plan.html",
        total=total,
        axes=axes,
        product=_product(axes, len(asked)),
        prompts=prompts,
        settings=settings,
        hidden=max(len(asked) - len(first), 0),
        notes=notes,
        step=step,
    )
    return {"text/plain": _text(total, axes, prompts, settings, [*notes, step]), "text/html": html}


def _axis(axis: AxisLike) -> AxisRow:
    shown = [clip(value(item), 80) for item in axis.values[:MOST_VALUES]]
    kind = "parameter" if axis.kind == "param" else axis.kind
    return AxisRow(axis.name, kind, len(axis.values), shown, len(axis.values) - len(shown))


def _price(cost: float | None) -> str:
    return "the price is not known" if cost is None else f"about {dollars(cost)}"


def _product(axes: Sequence[AxisRow], total: int) -> str:
    """`2 x 3 x 4 repeats = 24`, where the numbers do multiply to the total."""
    numbers = [axis.count for axis in axes]
    product = 1
    for number in numbers:
        product *= number
    if len(numbers) + (product != total) < 2 or not product or total % product:  # noqa: PLR2004 - one factor says nothing
        return ""
    repeats = [f"{total // product:,} repeats"] if total != product else []
    return " × ".join([*(f"{number:,}" for number in numbers), *repeats]) + f" = {total:,}"  # noqa: RUF001 - a real times sign


def _constant(first: Sequence[Request], varied: set[str]) -> list[tuple[str, str]]:
    """The model and the parameters that are the same in every request."""
    if not first:
        return []
    every = {"model": first[0].model, **first[0].params}
    return [(name, text) for name, text in pairs(every) if name not in varied]


def _text(total: str, axes: Sequence[AxisRow], prompts: Sequence[str], settings: str, steps: Sequence[str]) -> str:
    """The plan for a terminal."""
    width = max((len(axis.name) for axis in axes), default=0)
    lines = [total]
    for axis in axes:
        more = f" and {axis.hidden:,} more" if axis.hidden else ""
        lines.append(f"  {axis.name.ljust(width)}  {axis.count:>3}  {', '.join(axis.values)}{more}")
    lines += [f"  {settings}"] if settings else []
    lines += [f"  > {one_line(prompt, 110)}" for prompt in prompts]
    return "\n".join([*lines, *steps])
