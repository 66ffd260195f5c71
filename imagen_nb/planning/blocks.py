"""One model, one template, and every combination of what varies: the part of a plan that is a plain product.

A combination is counted, found by its index and priced without being expanded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from imagen_nb.planning.models import ModelSpec
from imagen_nb.planning.template import Template
from imagen_nb.records import Request

Chosen = tuple[dict[str, Any], dict[str, Any]]
"""What a combination chose: slots and parameters by name."""

_KEPT = 4096
"""The most combinations that are kept at hand while those before them move on."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The values that one slot or one parameter takes, in order; a parameter's None is left out of the input."""

    name: str
    is_slot: bool
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Choices of one length that move together: one axis, or several zipped ones."""

    members: tuple[Choices, ...]

    def __len__(self) -> int:
        return len(self.members[0].values)

    @property
    def has_slot(self) -> bool:
        """Whether it changes the prompt."""
        return any(member.is_slot for member in self.members)

    def at(self, index: int) -> Chosen:
        """What the values at `index` choose."""
        slots: dict[str, Any] = {}
        params: dict[str, Any] = {}
        for member in self.members:
            value = member.values[index]
            if member.is_slot:
                slots[member.name] = value
            elif value is not None:
                params[member.name] = value
        return slots, params


@dataclass(frozen=True, slots=True)
class Block:
    """The requests of one model and one template: `slots` and `params` stand, `dimensions` vary, `repeat` is innermost.

    Later dimensions vary faster, and `repeat` fastest.
    """

    spec: ModelSpec
    template: Template
    slots: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    dimensions: tuple[Dimension, ...] = ()
    repeat: int = 1

    @property
    def size(self) -> int:
        """How many requests there are."""
        return math.prod(map(len, self.dimensions)) * self.repeat

    def requests(self) -> Iterator[Request]:
        """Every request in order, made as it is asked for."""
        # A prompt is rendered once for all that varies behind the last dimension that changes it.
        last = max((at for at, dimension in enumerate(self.dimensions) if dimension.has_slot), default=-1)
        outer, inner = self.dimensions[: last + 1], self.dimensions[last + 1 :]
        kept = list(islice(_combine(inner), _KEPT + 1))
        for slots, params in _combine(outer):
            chosen, prompt = self._render(slots)
            for _, more in kept if len(kept) <= _KEPT else _combine(inner):
                for repeat in range(1, self.repeat + 1):
                    yield self._request(chosen, prompt, {**params, **more}, repeat)

    def at(self, index: int) -> Request:
        """The request at `index`, counted from 0, without making those before it."""
        index, repeat = divmod(index, self.repeat)
        slots: dict[str, Any] = {}
        params: dict[str, Any] = {}
        for dimension in reversed(self.dimensions):
            index, position = divmod(index, len(dimension))
            some_slots, some_params = dimension.at(position)
            slots, params = {**some_slots, **slots}, {**some_params, **params}
        chosen, prompt = self._render(slots)
        return self._request(chosen, prompt, params, repeat + 1)

    def cost(self) -> float | None:
        """The estimate of all its requests in US dollars, or None; only what the price depends on is expanded."""
        deciding, others = [], self.repeat
        for dimension in self.dimensions:
            if self._decides_cost(dimension):
                deciding.append(dimension)
            else:
                others *= len(dimension)
        total = sum_known(self.spec.estimate({**self.params, **params}) for _, params in _combine(tuple(deciding)))
        return None if total is None else others * total

    @property
    def is_even(self) -> bool:
        """Whether every request has the same price."""
        return not any(map(self._decides_cost, self.dimensions))

    def may_be_blank(self) -> bool:
        """Whether some combination renders to nothing but space; found without rendering them."""
        if any(part.strip() for part in self.template.parts if isinstance(part, str)):
            return False
        if not all(map(_is_blank, self.slots.values())):
            return False
        for dimension in self.dimensions:
            columns = [member.values for member in dimension.members if member.is_slot]
            if any(isinstance(values, range) for values in columns):  # numbers are not blank
                return False
            if columns and not any(all(map(_is_blank, values)) for values in zip(*columns, strict=True)):
                return False
        return True

    def _render(self, slots: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The slots in the template's order, and the prompt."""
        values = {**self.slots, **slots}
        chosen = {slot.name: values[slot.name] for slot in self.template.slots}
        return chosen, self.template.render(chosen)

    def _request(self, slots: dict[str, Any], prompt: str, params: dict[str, Any], repeat: int) -> Request:
        template = self.template.text if slots else prompt
        return Request(self.spec.name, {"prompt": prompt, **self.params, **params}, template, dict(slots), repeat)

    def _decides_cost(self, dimension: Dimension) -> bool:
        """Whether the price of a request depends on it."""
        return any(not member.is_slot and member.name in self.spec.priced_by for member in dimension.members)


def sum_known(costs: Iterable[float | None]) -> float | None:
    """The sum of all of them, or None where one is unknown."""
    made = list(costs)
    known = [cost for cost in made if cost is not None]
    return round(math.fsum(known), 10) if len(known) == len(made) else None


def _combine(dimensions: tuple[Dimension, ...]) -> Iterator[Chosen]:
    """Every combination in order, the last dimension fastest."""
    if not dimensions:
        yield {}, {}
        return
    first, rest = dimensions[0], dimensions[1:]
    if not rest:
        yield from map(first.at, range(len(first)))
        return
    for index in range(len(first)):
        slots, params = first.at(index)
        for more_slots, more_params in _combine(rest):
            yield {**slots, **more_slots}, {**params, **more_params}


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()
