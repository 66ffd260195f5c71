"""Names with values: what was given, sorted into slots and parameters and made into blocks, and what varies in these.

Everything a user can get wrong in a plan is found here, once per axis and not once per request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from imagen_nb.errors import InputError, brief, closest, comma_list, did_you_mean
from imagen_nb.planning.blocks import Block, Choices, Dimension
from imagen_nb.planning.habits import HABITS, OPTIONS, advice, as_keyword
from imagen_nb.planning.inputs import ParamSpec, take_files
from imagen_nb.planning.models import ModelSpec, empty_prompt
from imagen_nb.planning.template import Slot, Template
from imagen_nb.planning.values import VARIABLE, axis_values, check_distinct, is_missing, slot_value
from imagen_nb.records import LATER_COLUMNS, LOG_COLUMNS, InputFile

_KEYWORDS = frozenset(("namespace", "params", "raw", "sample", "sample_seed", "slots", "zipped"))
"""What `plan` takes for itself, and so no slot by that name."""

_ZIPPED_HINT = 'It looks like zipped=[("animal", "place")].'

Groups = tuple[tuple[str, ...], ...]
"""The names of each group of axes that move together."""

ReadFile = Callable[..., InputFile | str]
"""Gives the file, kept, that a path, bytes, a picture or a run names or holds; an address stays one.

For the files of a table it is called with `beside`, the folder in which that lies.
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A name with several values. `zipped_with` are the axes that move together with it.

    A plan from rows has the axis `row`, whose values count from 1, beside those that all rows share.
    """

    name: str
    kind: Literal["model", "prompt", "slot", "param", "row"]
    values: Sequence[Any]
    zipped_with: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class GivenValues:
    """Values by name, as they were given: one value, or a list that is an axis."""

    slots: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def __or__(self, other: GivenValues) -> GivenValues:
        """Both together. Raises `InputError` for a name that both have."""
        for name in (*(self.slots.keys() & other.slots.keys()), *(self.params.keys() & other.params.keys())):
            raise InputError(f"{name} is given twice", "Give it once.")
        return GivenValues({**self.slots, **other.slots}, {**self.params, **other.params})


def sort_names(
    names: Mapping[str, Any],
    templates: Sequence[Template],
    specs: Sequence[ModelSpec],
    explicit: GivenValues,
) -> GivenValues:
    """Each name a slot if a template has it, else a parameter if a model has it; `explicit` says which it is.

    Raises `InputError` for a name that is neither, or given twice.
    """
    slots = slot_names(templates)
    sorted_names = GivenValues(
        {name: value for name, value in names.items() if name in slots},
        {name: value for name, value in names.items() if name not in slots},
    )
    for name, value in sorted_names.params.items():
        check_name(name, value, templates, specs)
    for name in explicit.slots:
        if name not in slots:
            raise InputError(
                f"the prompt has no slot {name!r}; it has {comma_list(slots)}",
                did_you_mean(name, slots, f"Write {{{name}}} where it belongs, or leave it out."),
            )
    both = sorted_names | explicit
    if "prompt" in both.params:
        raise InputError("the prompt is given twice", "Give it once, as the first argument or as a column.")
    for name in both.slots:
        if name in both.params:
            raise InputError(f"{name} is given as a slot and as a parameter", "Rename the slot in the prompt.")
    return both


def slot_names(templates: Iterable[Template]) -> tuple[str, ...]:
    """The names of the templates' slots, each once, in order."""
    return tuple(dict.fromkeys(slot.name for template in templates for slot in template.slots))


def check_name(
    name: str,
    value: object,
    templates: Sequence[Template],
    specs: Sequence[ModelSpec],
    write: Callable[[str, Any], str] = as_keyword,
) -> None:
    """Raise `InputError` for a name that is no slot and that no model has, or that looks like a misspelt slot.

    A model that may have more inputs than it lists has any name but such a one. `write` is how a word of ours is
    written where this one was given, for the hint.
    """
    slots = slot_names(templates)
    if name in slots or any(name in spec.params for spec in specs):
        return
    if name == "input" and isinstance(value, Mapping):
        named = {"model": templates[0].text, **{each: given for each, given in value.items() if each != "prompt"}}
        words = ", ".join([brief(value.get("prompt", "a red fox")), *(as_keyword(*each) for each in named.items())])
        raise InputError("here the prompt comes first, and each input is a keyword of its own", f"Write run({words}).")
    is_misspelt = closest(name, slots) is not None
    if not is_misspelt and any(spec.param(name) for spec in specs):
        return
    params = tuple(dict.fromkeys(param for spec in specs for param in spec.params if param != "prompt"))
    hint = None if is_misspelt else advice(name, value, specs, write)
    if name in OPTIONS and write is as_keyword:
        hint = "Give it to run(), which takes a template as well as a plan."
    elif any(f"{{{name}}}" in template.text for template in templates):
        hint = (
            f"{{{name}}} stands inside braces that are literal text: double the outer ones, {{{{ … {{{name}}} … }}}}."
        )
    elif hint is None or name not in HABITS:
        otherwise = f"Write {{{name}}} in the prompt to make it a slot{f'; {hint}' if hint else ', or leave it out.'}"
        hint = did_you_mean(
            name, () if hint else (*slots, *params), otherwise if name.isidentifier() else "Leave it out, or rename it."
        )
    has_slots = f"the slots are {comma_list(slots)}" if slots else "the prompt has no slots"
    models = " and ".join(spec.name for spec in specs)
    raise InputError(f"nothing is called {name!r}: {has_slots}, and {models} takes {comma_list(params)}", hint)


def zip_groups(zipped: Any, known: Sequence[str]) -> Groups:
    """The names that move together: `[("a", "b")]`, or `("a", "b")` for a single group; None is none.

    Raises `InputError` for a group of fewer than two names, a name that is no axis, and one that is in two groups.
    """
    listing = list(zipped) if isinstance(zipped, list | tuple) else [zipped] * (zipped is not None)
    if not listing:
        return ()
    groups = [tuple(listing)] if all(isinstance(each, str) for each in listing) else listing
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


def make_blocks(
    specs: Iterable[ModelSpec],
    templates: Sequence[Template],
    given: GivenValues,
    *,
    groups: Groups,
    namespace: Mapping[str, Any] | None,
    repeat: int,
    read_file: ReadFile | None = None,
) -> Iterator[Block]:
    """The requests of each model with each template; what several of them share is read and checked once.

    A slot takes what was given, else its own alternatives, else what `namespace` has; `read_file` gives what an input
    that takes a file holds. Raises `InputError` for whatever
    is wrong with any of the requests.
    """
    zipped = frozenset(chain.from_iterable(groups))
    slots: dict[Slot, Choices] = {}
    for spec in specs:
        params: list[Choices] = []
        for template in templates:
            spec.expect_param("prompt")
            for slot in template.slots:
                if slot.name in LOG_COLUMNS.keys() - LATER_COLUMNS:
                    raise InputError(
                        f"a slot cannot be called {slot.name}: the log has a column of that name",
                        f"Rename it in the prompt, as in {{my_{slot.name}}}.",
                    )
                if slot.name in spec.params:
                    raise InputError(
                        f"{slot.name} is both a slot of the prompt and a parameter of {spec.name}",
                        f"Rename the slot, as in {{my_{slot.name}}}.",
                    )
            for slot in template.slots:
                if slot not in slots:
                    slots[slot] = Choices(slot.name, True, _slot_values(slot, given, namespace or {}))
                    _check_values(slots[slot], zipped)
            if not params:
                for name, value in given.params.items():
                    params.append(Choices(name, False, _param_values(spec, name, value, namespace or {}, read_file)))
                    _check_values(params[-1], zipped)
            yield _make_block(spec, template, [*(slots[slot] for slot in template.slots), *params], groups, repeat)


def axes_of(blocks: Iterable[Block], only: Collection[str] | None = None) -> tuple[list[Axis], dict[str, Any]]:
    """The slots and then the parameters that vary over the blocks, and the values of those that do not.

    `only` are the names to look at (default: all). Where blocks differ in an axis, it has the values of all of them.
    """
    # Blocks mostly share their values, and what is shared is kept as it is: it may be a range of ten million.
    found: dict[tuple[str, bool], dict[object, Sequence[Any]]] = {}
    partners: dict[tuple[str, bool], tuple[str, ...]] = {}
    for block in blocks:
        standing = [Choices(name, True, (value,)) for name, value in block.slots.items()]
        standing += [Choices(name, False, (value,)) for name, value in block.params.items()]
        for dimension in (*(Dimension((each,)) for each in standing), *block.dimensions):
            for each in dimension.members:
                if only is None or each.name in only:
                    key = id(each.values) if len(each.values) > 1 else repr(each.values)
                    found.setdefault((each.name, each.is_slot), {}).setdefault(key, each.values)
                    others = tuple(other.name for other in dimension.members if other is not each)
                    partners[each.name, each.is_slot] = partners.get((each.name, each.is_slot)) or others
    axes: list[Axis] = []
    fixed: dict[str, Any] = {}
    for (name, is_slot), sources in sorted(found.items(), key=lambda item: not item[0][1]):
        values = next(iter(sources.values()))
        if len(sources) > 1:
            values = tuple({repr(value): value for each in sources.values() for value in each}.values())
        if len(values) > 1:
            axes.append(Axis(name, "slot" if is_slot else "param", values, partners[name, is_slot]))
        else:
            fixed[name] = values[0]
    return axes, fixed


def _slot_values(slot: Slot, given: GivenValues, namespace: Mapping[str, Any]) -> Sequence[Any]:
    """The values of a slot: texts and numbers."""
    name = slot.name
    if name in given.slots:
        value = given.slots[name]
    elif slot.alternatives is not None:
        return slot.alternatives
    elif name in namespace:
        value = namespace[name]
    else:
        known = [*given.slots, *given.params, *(each for each in namespace if not each.startswith("_"))]
        hint = f"{name}= is an option of plan(); give the slot as slots={{{name!r}: …}}."
        if name not in _KEYWORDS:
            otherwise = f"Assign it, vary it ({name}=first|second), or write {{{{{name}}}}} for the braces themselves."
            hint = did_you_mean(name, known, otherwise)
        raise InputError(
            f"the slot {{{name}}} has no value: no variable, no axis and no alternatives of that name", hint
        )
    values = axis_values(name, value)
    if isinstance(values, range):
        return values
    return tuple(slot_value(name, each) for each in ((value,) if values is None else values))


def _param_values(
    spec: ModelSpec, name: str, value: Any, namespace: Mapping[str, Any], read_file: ReadFile | None
) -> Sequence[Any]:
    """The values of a parameter as they are sent; None is "not given". A list for an array parameter is one value.

    Where a file is taken, `{name}` is a variable of the notebook.
    """
    try:
        param = spec.expect_param(name)
    except InputError as error:
        raise InputError(error.message, advice(name, value, [spec]) or error.hint) from None

    def read(source: Any) -> InputFile | str:
        try:
            assert read_file is not None  # noqa: S101 - else this is not asked
            return read_file(_fill(source, param, namespace))
        except InputError as error:
            raise InputError(f"{name}: {error.message}", error.hint) from None

    value = _fill(value, param, namespace)
    values = axis_values(name, value)
    if values is None:
        values = (value,)
    elif param.type == "array":
        items = [each for each in values if not is_missing(each)]
        if not items or not all(isinstance(each, list | tuple) or hasattr(each, "tolist") for each in items):
            values = (values,)
    try:
        if isinstance(values, range) and param.enum is None and param.type in ("integer", "any"):
            list(map(param.coerce, (*values[:1], *values[-1:])))  # a range lies between its ends
            return values
        taken = (take_files(param, each, read if read_file else None) for each in values)
        return tuple(None if is_missing(each) else param.coerce(each) for each in taken)
    except InputError as error:
        raise InputError(f"{spec.name}: {error.message}", error.hint) from None


def _fill(given: Any, param: ParamSpec, namespace: Mapping[str, Any]) -> Any:
    """The variable that `{name}` is where a file is taken; anything else as it is, and all where there are none."""
    variable = VARIABLE.fullmatch(given) if namespace and param.is_file and isinstance(given, str) else None
    if variable is None:
        return given
    if variable[1] not in namespace:
        hint = did_you_mean(variable[1], namespace, "Assign it, or write a path.")
        raise InputError(f"{param.name}: there is no variable {given}", hint)
    return namespace[variable[1]]


def _check_values(choices: Choices, zipped: Collection[str]) -> None:
    """Raise `InputError` where there is no value, and for one that comes twice; zipped ones may."""
    if not len(choices.values):
        raise InputError(f"{choices.name} has no values", "Give it at least one, or leave it out.")
    if choices.name not in zipped:
        check_distinct(choices.name, choices.values)


def _make_block(spec: ModelSpec, template: Template, choices: Iterable[Choices], groups: Groups, repeat: int) -> Block:
    """The block of these choices: single values stand, the others are a dimension each, or one for a zipped group."""
    zipped = frozenset(chain.from_iterable(groups))
    slots: dict[str, Any] = {}
    params: dict[str, Any] = {}
    moving: dict[str, Choices] = {}
    for each in choices:
        if len(each.values) > 1 or each.name in zipped:
            moving[each.name] = each
        elif each.is_slot:
            slots[each.name] = each.values[0]
        elif each.values[0] is not None:
            params[each.name] = each.values[0]
    always = {"prompt", *params}
    for each in moving.values():
        if not each.is_slot and (isinstance(each.values, range) or None not in each.values):
            always.add(each.name)
    block = Block(spec, template, slots, params, tuple(_dimensions(moving, groups)), repeat)
    spec.check_required(always)
    if block.may_be_blank():
        raise empty_prompt("one of the prompts" if template.slots else "the prompt")
    return block


def _dimensions(moving: Mapping[str, Choices], groups: Groups) -> Iterator[Dimension]:
    """One dimension an axis, and one a zipped group, where its first member stands."""
    waiting = dict(moving)
    for name in moving:
        group = next((group for group in groups if name in group), (name,))
        members = tuple(waiting.pop(each) for each in group if each in waiting)
        if len({len(member.values) for member in members}) > 1:
            sizes = " and ".join(f"{member.name} has {len(member.values):,}" for member in members)
            raise InputError(f"zipped axes need as many values each: {sizes}", "Add or remove values until they match.")
        if len(members) > 1:
            together = list(zip(*(member.values for member in members), strict=True))
            check_distinct(" and ".join(member.name for member in members), together)
        if members:
            yield Dimension(members)
