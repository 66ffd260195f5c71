"""What varies in a plan, for people to look at: names with their values, read off its blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imagen_nb.core.blocks import Block
from imagen_nb.core.models import ModelSpec
from imagen_nb.core.prompts import Template

Kind = Literal["model", "prompt", "slot", "param", "row"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A name with several values. `zipped_with` are the axes that move together with it.

    A plan from rows has the axis `row`, whose values count from 1, beside those that all rows share.
    """

    name: str
    kind: Kind
    values: Sequence[Any]
    zipped_with: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)


def heads(
    *, row: Sequence[int] = (), model: Sequence[ModelSpec] = (), prompt: Sequence[Template] = ()
) -> Iterator[Axis]:
    """The axes that move slowest: rows, models, prompts; each only where there are several."""
    if len(row) > 1:
        yield Axis("row", "row", row)
    if len(model) > 1:
        yield Axis("model", "model", tuple(spec.name for spec in model))
    if len(prompt) > 1:
        yield Axis("prompt", "prompt", tuple(template.text for template in prompt))


def axes_of(blocks: Sequence[Block], only: Collection[str] | None = None) -> tuple[list[Axis], dict[str, Any]]:
    """The slots and then the parameters that vary over the blocks, and the values of those that do not.

    `only` are the names to look at (default: all). Where blocks differ in an axis, it has the values of all of them.
    """
    found: dict[tuple[bool, str], _Values] = {}
    for block in blocks:
        for is_slot, name, values, partners in _columns(block):
            if only is None or name in only:
                found.setdefault((is_slot, name), _Values()).add(values, partners)
    axes, fixed = [], {}
    for (is_slot, name), gathered in sorted(found.items(), key=lambda item: not item[0][0]):
        values = gathered.merged()
        if len(values) > 1:
            axes.append(Axis(name, "slot" if is_slot else "param", values, gathered.partners))
        else:
            fixed[name] = values[0]
    return axes, fixed


class _Values:
    """The values of one name, gathered over blocks; blocks mostly share them, and shared ones are kept as they are."""

    def __init__(self) -> None:
        self._sources: dict[object, Sequence[Any]] = {}
        self.partners: tuple[str, ...] = ()

    def add(self, values: Sequence[Any], partners: tuple[str, ...]) -> None:
        self._sources.setdefault(id(values) if len(values) > 1 else repr(values), values)
        self.partners = self.partners or partners

    def merged(self) -> Sequence[Any]:
        if len(self._sources) == 1:
            return next(iter(self._sources.values()))
        unique = {repr(value): value for values in self._sources.values() for value in values}
        return tuple(unique.values())


def _columns(block: Block) -> Iterator[tuple[bool, str, Sequence[Any], tuple[str, ...]]]:
    """Each slot and parameter of a block: whether it is a slot, its name, its values and what it is zipped with."""
    for name, value in block.slots.items():
        yield True, name, (value,), ()
    for name, value in block.params.items():
        yield False, name, (value,), ()
    for dimension in block.dimensions:
        for column in dimension.columns:
            partners = tuple(other.name for other in dimension.columns if other.name != column.name)
            yield column.is_slot, column.name, column.values, partners
