"""What was asked for, sorted into slots and parameters, and made into blocks of requests.

Everything a user can get wrong in a plan is found here, once per axis and not once per request.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from imagen_nb.errors import InputError, brief, closest, comma_list, did_you_mean
from imagen_nb.planning.models import ModelSpec, empty_prompt
from imagen_nb.planning.template import Slot, Template
from imagen_nb.planning.values import check_distinct, is_missing, several, slot_value
from imagen_nb.records import LOG_COLUMNS, Request

_KEYWORDS = frozenset(("namespace", "params", "raw", "sample", "sample_seed", "slots", "zipped"))
"""What `plan` takes for itself, and so no slot by that name."""

_ZIPPED_HINT = 'It looks like zipped=[("animal", "place")].'

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Given:
    """Values by name, as they were given: one value, or a list that is an axis."""

    slots: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def __or__(self, other: Given) -> Given:
        """Both together. Raises `InputError` for a name that both have."""
        for name in (*(self.slots.keys() & other.slots.keys()), *(self.params.keys() & other.params.keys())):
            raise InputError(f"{name} is given twice", "Give it once.")
        return Given({**self.slots, **other.slots}, {**self.params, **other.params})


def sort_names(
    names: Mapping[str, Any], templates: Iterable[Template], specs: Sequence[ModelSpec], extra: Given | None = None
) -> Given:
    """Each name a slot if a template has it, else a parameter if a model has it; `extra` says so explicitly.

    Raises `InputError` for a name that is neither, or given twice.
    """
    templates = tuple(templates)
    slots = tuple(dict.fromkeys(slot.name for template in templates for slot in template.slots))
    placed = Given(
        {name: value for name, value in names.items() if name in slots},
        {name: value for name, value in names.items() if name not in slots},
    )
    for name in placed.params:
        check_name(name, templates, specs)
    for name in extra.slots if extra else ():
        if name not in slots:
            raise InputError(
                f"the prompt has no slot {name!r}; it has {comma_list(slots)}",
                did_you_mean(name, slots, f"Write {{{name}}} where it belongs, or leave it out."),
            )
    both = placed | extra if extra else placed
    if "prompt" in both.params:
        raise InputError("the prompt is given twice", "Give it once, as the first argument or as a column.")
    for name in both.slots:
        if name in both.params:
            raise InputError(f"{name} is given as a slot and as a parameter", "Rename the slot in the prompt.")
    return both


def check_name(name: str, templates: Sequence[Template], specs: Sequence[ModelSpec]) -> None:
    """Raise `InputError` for a name that is no slot and that no model has, or that looks like a misspelt slot.

    A model that may have more inputs than it lists has any name but such a one.
    """
    slots = tuple(dict.fromkeys(slot.name for template in templates for slot in template.slots))
    is_listed = name in slots or any(name in spec.params for spec in specs)
    if not is_listed and (closest(name, slots) or not any(spec.param(name) for spec in specs)):
        raise _unknown(name, slots, specs, templates)


def check_names(template: Template, spec: ModelSpec) -> None:
    """Raise `InputError` for a slot that is called like a column of the log or a parameter of the model."""
    for slot in template.slots:
        if slot.name in LOG_COLUMNS:
            raise InputError(
                f"a slot cannot be called {slot.name}: the log has a column of that name",
                f"Rename it in the prompt, as in {{my_{slot.name}}}.",
            )
        if slot.name in spec.params:
            raise InputError(
                f"{slot.name} is both a slot of the prompt and a parameter of {spec.name}",
                f"Rename the slot, as in {{my_{slot.name}}}.",
            )


def zip_groups(zipped: Any, known: Sequence[str]) -> Groups:
    """The names that move together: `[("a", "b")]`, or `("a", "b")` for a single group; None is none.

    Raises `InputError` for a group of fewer than two names, a name that is no axis, and one that is in two groups.
    """
    listing = list(zipped) if isinstance(zipped, list | tuple) else [zipped] * (zipped is not None)
    groups = [tuple(listing)] if listing and all(isinstance(each, str) for each in listing) else listing
    for group in groups:
        if not isinstance(group, list | tuple):
            raise InputError(f"zipped cannot be {brief(zipped)}; allowed: groups of names", _ZIPPED_HINT)
    names = [name for group in groups for name in group]
    for name in names:
        if name not in known:
            raise InputError(
                f"zipped names {name!r}, which is no slot or parameter of this plan; there are {comma_list(known)}",
                did_you_mean(name, known, "Give it values first."),
            )
        if names.count(name) > 1:
            raise InputError(f"zipped names {name} twice", "An axis moves together with one group of others.")
    if any(len(group) < 2 for group in groups):  # noqa: PLR2004 - a pair is two
        raise InputError("zipped needs at least two names in a group", _ZIPPED_HINT)
    return tuple(tuple(group) for group in groups)


class Draft:
    """Makes the blocks of a plan; what several blocks share is read and checked once."""

    def __init__(self, given: Given, groups: Groups, namespace: Mapping[str, Any] | None) -> None:
        self._given = given
        self._groups = groups
        self._namespace = namespace or {}
        self._zipped = frozenset(name for group in groups for name in group)
        self._slots: dict[str, Column] = {}
        self._params: dict[str, list[Column]] = {}

    def block(self, spec: ModelSpec, template: Template, repeat: int) -> Block:
        """The requests of one model and one template. Raises `InputError` for whatever is wrong with them."""
        spec.known("prompt")
        check_names(template, spec)
        columns = [*map(self._slot, template.slots), *self._columns(spec)]
        slots: dict[str, Any] = {}
        params: dict[str, Any] = {}
        moving = []
        for column in columns:
            if len(column.values) > 1 or column.name in self._zipped:
                moving.append(column)
            elif column.is_slot:
                slots[column.name] = column.values[0]
            elif column.values[0] is not None:
                params[column.name] = column.values[0]
        block = Block(spec, template, slots, params, tuple(self._dimensions(moving)), repeat)
        _check_required(block)
        if block.may_be_blank():
            raise empty_prompt("the prompt") if not template.slots else empty_prompt("one of the prompts")
        return block

    def _slot(self, slot: Slot) -> Column:
        if slot.name not in self._given.slots and slot.alternatives is not None:
            return self._checked(Column(slot.name, True, slot.alternatives))
        if slot.name not in self._slots:
            self._slots[slot.name] = self._checked(Column(slot.name, True, self._slot_values(slot.name)))
        return self._slots[slot.name]

    def _slot_values(self, name: str) -> Sequence[Any]:
        for source in (self._given.slots, self._namespace):
            if name in source:
                value = source[name]
                values = several(name, value)
                if isinstance(values, range):
                    return values
                return tuple(slot_value(name, each) for each in ((value,) if values is None else values))
        raise _unfilled(name, self._given, self._namespace)

    def _columns(self, spec: ModelSpec) -> list[Column]:
        if spec.name not in self._params:
            self._params[spec.name] = [
                self._checked(Column(name, False, _param_values(spec, name, value)))
                for name, value in self._given.params.items()
            ]
        return self._params[spec.name]

    def _checked(self, column: Column) -> Column:
        if not len(column.values):
            raise InputError(f"{column.name} has no values", "Give it at least one, or leave it out.")
        if column.name not in self._zipped:
            check_distinct(column.name, column.values)
        return column

    def _dimensions(self, columns: Sequence[Column]) -> Iterator[Dimension]:
        """One dimension an axis, and one a zipped group, where its first member stands."""
        waiting = {column.name: column for column in columns}
        for column in columns:
            group = next((group for group in self._groups if column.name in group), (column.name,))
            members = tuple(waiting.pop(name) for name in group if name in waiting)
            if members:
                _check_zip(members)
                yield Dimension(members)


def _param_values(spec: ModelSpec, name: str, value: Any) -> Sequence[Any]:
    """The values of a parameter as they are sent; None is "not given". A list for an array parameter is one value."""
    param = spec.known(name)
    values = several(name, value)
    if values is None:
        values = (value,)
    elif param.type == "array" and not _is_list_of_lists(values):
        values = (values,)
    try:
        if isinstance(values, range) and param.enum is None and param.type in ("integer", "any"):
            list(map(param.coerce, (*values[:1], *values[-1:])))  # a range lies between its ends
            return values
        return tuple(None if is_missing(each) else param.coerce(each) for each in values)
    except InputError as error:
        raise InputError(f"{spec.name}: {error.message}", error.hint) from None


def _is_list_of_lists(values: Sequence[Any]) -> bool:
    given = [each for each in values if not is_missing(each)]
    return len(given) > 0 and all(isinstance(each, list | tuple) or hasattr(each, "tolist") for each in given)


def _check_zip(members: Sequence[Column]) -> None:
    if len({len(member.values) for member in members}) > 1:
        sizes = " and ".join(f"{member.name} has {len(member.values):,}" for member in members)
        raise InputError(f"zipped axes need as many values each: {sizes}", "Add or remove values until they match.")
    if len(members) > 1:
        names = " and ".join(member.name for member in members)
        check_distinct(names, list(zip(*(member.values for member in members), strict=True)))


def _check_required(block: Block) -> None:
    """Every required input is there, in each combination."""
    always = dict.fromkeys(("prompt", *block.params), True)
    for dimension in block.dimensions:
        for column in dimension.columns:
            if not column.is_slot and (isinstance(column.values, range) or None not in column.values):
                always[column.name] = True
    block.spec.check_required(always)


def _unknown(name: str, slots: Sequence[str], specs: Sequence[ModelSpec], templates: Iterable[Template]) -> InputError:
    params = tuple(dict.fromkeys(param for spec in specs for param in spec.params if param != "prompt"))
    has_slots = f"the slots are {comma_list(slots)}" if slots else "the prompt has no slots"
    models = " and ".join(spec.name for spec in specs)
    otherwise = f"Write {{{name}}} in the prompt to make it a slot, or leave it out."
    hint = did_you_mean(name, (*slots, *params), otherwise if name.isidentifier() else "Leave it out, or rename it.")
    if any(f"{{{name}}}" in template.text for template in templates):
        hint = (
            f"{{{name}}} stands inside braces that are literal text: double the outer ones, {{{{ … {{{name}}} … }}}}."
        )
    return InputError(f"nothing is called {name!r}: {has_slots}, and {models} takes {comma_list(params)}", hint)


def _unfilled(name: str, given: Given, namespace: Mapping[str, Any]) -> InputError:
    known = [*given.slots, *given.params, *(each for each in namespace if not each.startswith("_"))]
    otherwise = f"Give {name}, or write {{{{{name}}}}} (or use --raw) for the braces themselves."
    if name in _KEYWORDS:
        otherwise = f"{name}= is an option of plan(); give the slot as slots={{{name!r}: …}}."
    return InputError(
        f"the slot {{{name}}} has no value: no variable, no axis and no alternatives of that name",
        otherwise if name in _KEYWORDS else did_you_mean(name, known, otherwise),
    )


# ----------------------------------------------------------------------------------------------------
# One model, one template, and every combination of what varies: the part of a plan that is a plain product. A
# combination is counted, found by its index and priced without being expanded.

Chosen = tuple[dict[str, Any], dict[str, Any]]
"""What a combination chose: slots and parameters by name."""

_KEPT = 4096
"""The most combinations that are kept at hand while those before them move on."""


@dataclass(frozen=True, slots=True)
class Column:
    """The values that one slot or one parameter takes, in order; a parameter's None is left out of the input."""

    name: str
    is_slot: bool
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Columns of one length that move together: one axis, or several zipped ones."""

    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def has_slot(self, name: str | None = None) -> bool:
        """Whether it moves a slot: this one, or any."""
        return any(column.is_slot and name in (None, column.name) for column in self.columns)

    def at(self, index: int) -> Chosen:
        """What the value at `index` chooses."""
        slots: dict[str, Any] = {}
        params: dict[str, Any] = {}
        for column in self.columns:
            value = column.values[index]
            if column.is_slot:
                slots[column.name] = value
            elif value is not None:
                params[column.name] = value
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
        return math.prod(len(dimension) for dimension in self.dimensions) * self.repeat

    def requests(self) -> Iterator[Request]:
        """Every request in order, made as it is asked for."""
        outer, inner = self._split()
        kept = list(islice(_combinations(inner), _KEPT + 1))
        for slots, params in _combinations(outer):
            chosen, prompt = self._rendered(slots)
            for _, more in kept if len(kept) <= _KEPT else _combinations(inner):
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
        chosen, prompt = self._rendered(slots)
        return self._request(chosen, prompt, params, repeat + 1)

    def outputs(self) -> int:
        """How many images all its requests ask for, at most; only what that depends on is expanded."""
        telling, others = [], self.repeat
        for dimension in self.dimensions:
            if self._is_telling(dimension):
                telling.append(dimension)
            else:
                others *= len(dimension)
        return others * sum(self.spec.outputs({**self.params, **params}) for _, params in _combinations(tuple(telling)))

    @property
    def is_even(self) -> bool:
        """Whether every request asks for the same number of images."""
        return not any(map(self._is_telling, self.dimensions))

    def may_be_blank(self) -> bool:
        """Whether some combination renders to nothing but space; found without rendering them."""
        if any(part.strip() for part in self.template.parts if isinstance(part, str)):
            return False
        standing = all(_is_blank(value) for name, value in self.slots.items() if self._uses(name))
        return standing and all(self._can_be_blank(dimension) for dimension in self.dimensions)

    def _split(self) -> tuple[tuple[Dimension, ...], tuple[Dimension, ...]]:
        """The dimensions up to the last one that changes the prompt, and those after it."""
        last = max((at for at, dimension in enumerate(self.dimensions) if dimension.has_slot()), default=-1)
        return self.dimensions[: last + 1], self.dimensions[last + 1 :]

    def _rendered(self, slots: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The slots in the template's order, and the prompt."""
        values = {**self.slots, **slots}
        chosen = {slot.name: values[slot.name] for slot in self.template.slots}
        return chosen, self.template.render(chosen)

    def _request(self, slots: dict[str, Any], prompt: str, params: dict[str, Any], repeat: int) -> Request:
        template = self.template.text if slots else prompt
        return Request(self.spec.name, {"prompt": prompt, **self.params, **params}, template, dict(slots), repeat)

    def _is_telling(self, dimension: Dimension) -> bool:
        return any(not column.is_slot and column.name in self.spec.priced_by for column in dimension.columns)

    def _uses(self, name: str) -> bool:
        return any(slot.name == name for slot in self.template.slots)

    def _can_be_blank(self, dimension: Dimension) -> bool:
        """Whether at some position every slot that this dimension moves is blank at once."""
        columns = [column.values for column in dimension.columns if column.is_slot]
        if not columns:
            return True
        numbers = any(isinstance(values, range) for values in columns)
        return not numbers and any(all(map(_is_blank, values)) for values in zip(*columns, strict=True))


def _combinations(dimensions: tuple[Dimension, ...]) -> Iterator[Chosen]:
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
        for more_slots, more_params in _combinations(rest):
            yield {**slots, **more_slots}, {**params, **more_params}


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


# ----------------------------------------------------------------------------------------------------
# What varies in a plan, for people to look at: names with their values, read off its blocks.

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
