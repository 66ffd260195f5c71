"""Axes, templates and repeats into ordered requests: counted, priced and checked before any of them exists.

Order: models, then templates, then slots as they appear, then parameters as they were given, then repeats; the last
moves fastest. A plan from rows goes row by row, and within a row in that same order.
"""

from __future__ import annotations

import hashlib
import math
import operator
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, overload

from imagen_nb.errors import ConfirmationError, InputError, brief
from imagen_nb.planning.axes import Axis, Block, Draft, Given, axes_of, heads, sort_names, zip_groups
from imagen_nb.planning.models import ModelSpec, catalogue_spec, check_model_name, unknown_spec
from imagen_nb.planning.tables import Row, check_rows_differ, plan_frame
from imagen_nb.planning.template import Template, literal, parse
from imagen_nb.planning.values import check_distinct, several, whole
from imagen_nb.records import Rendering, Request

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Plan(Sequence[Request]):
    """Ordered requests. `len()`, `cost` and an index cost next to nothing, however many there are.

    `axes` are what varies, `fixed` the slots and parameters that do not, `repeat` how often each request is made (None
    where rows differ). `chosen` are the indices of a random sample among all requests, ascending, or None.
    """

    blocks: tuple[Block, ...] = field(repr=False)
    axes: tuple[Axis, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    chosen: tuple[int, ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.total if self.chosen is None else len(self.chosen)

    def __iter__(self) -> Iterator[Request]:
        if self.chosen is not None:
            return map(self._at, self.chosen)
        return (request for block in self.blocks for request in block.requests())

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> list[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | list[Request]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = operator.index(index)
        position += len(self) if position < 0 else 0
        if not 0 <= position < len(self):
            raise IndexError(f"the plan has {len(self)} requests, and none at {index}")
        return self._at(position if self.chosen is None else self.chosen[position])

    @cached_property
    def total(self) -> int:
        """How many requests there are before any sampling."""
        return sum(block.size for block in self.blocks)

    @property
    def models(self) -> tuple[str, ...]:
        """The models asked, each once, in order."""
        return tuple(dict.fromkeys(block.spec.name for block in self.blocks))

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates, each once, in order."""
        return tuple(dict.fromkeys(block.template.text for block in self.blocks))

    @property
    def repeat(self) -> int | None:
        """How often each request is made, or None where rows differ."""
        counts = {block.repeat for block in self.blocks}
        return counts.pop() if len(counts) == 1 else None

    @cached_property
    def costs(self) -> dict[str, float | None]:
        """The estimate in US dollars of each model's requests; None where its price is unknown."""
        prices = {block.spec.name: block.spec.price for block in self.blocks}
        images = dict.fromkeys(prices, 0)
        for block, count in zip(self.blocks, self._outputs(), strict=True):
            images[block.spec.name] += count
        return {name: None if price is None else round(price * images[name], 10) for name, price in prices.items()}

    @property
    def cost(self) -> float | None:
        """The estimate in US dollars: list price times images asked for. None where any price is unknown."""
        known = [cost for cost in self.costs.values() if cost is not None]
        return round(math.fsum(known), 10) if len(known) == len(self.costs) else None

    def confirm(self, limit: int | None, yes: bool = False) -> None:
        """Raise `ConfirmationError` for a plan of more than `limit` requests that is not confirmed with `yes`."""
        if yes or limit is None or len(self) <= limit:
            return
        cost = self.cost
        price = "at an unknown price" if cost is None else f"for about ${cost:,.2f}"
        raise ConfirmationError(
            f"this would send {len(self):,} requests {price}; above {limit:,} needs a yes, and nothing was sent",
            "Repeat with --yes to send them, or with --dry-run to look at the plan.",
        )

    def preview(self, n: int = 10) -> list[Request]:
        """The first `n` requests."""
        return list(islice(self, n))

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a request, columns as in the log: model, prompt, template, slots, parameters, repeat, cost_usd.

        `cost_usd` is the estimate in US dollars, or None.
        """
        specs = {block.spec.name: block.spec for block in self.blocks}
        for request in self:
            yield {
                "model": request.model,
                "prompt": request.prompt,
                "template": request.template,
                **request.slots,
                **request.params,
                "repeat": request.repeat,
                "cost_usd": specs[request.model].estimate(request.input),
            }

    def frame(self) -> pd.DataFrame:
        """The plan as a DataFrame, one row a request."""
        return plan_frame(self.rows())

    def show(self) -> None:
        """Display it here: as a cell's output in a notebook, as text elsewhere."""
        from imagen_nb.notebook.live import show

        show(self)

    def __repr__(self) -> str:
        sizes = [f"{axis.name} {len(axis):,}" for axis in self.axes]
        if self.repeat is not None and self.repeat > 1:
            sizes.append(f"repeat {self.repeat:,}")
        what = f" = {' × '.join(sizes)}" if sizes else ""  # noqa: RUF001 - the sign is meant
        price = "price unknown" if self.cost is None else f"about ${self.cost:,.2f}"
        sample = f", {len(self):,} of them sampled" if self.chosen is not None else ""
        return f"Plan({self.total:,} request{'s' * (self.total != 1)}{what}{sample}, {price})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol's
        from imagen_nb.views.plans import plan

        return plan(self)

    @cached_property
    def _ends(self) -> list[int]:
        """Where each block ends, counted in requests from the start."""
        return list(accumulate(block.size for block in self.blocks))

    def _block_at(self, index: int) -> tuple[Block, int]:
        number = bisect_right(self._ends, index)
        return self.blocks[number], index - (self._ends[number - 1] if number else 0)

    def _at(self, index: int) -> Request:
        block, position = self._block_at(index)
        return block.at(position)

    def _outputs(self) -> list[int]:
        """How many images each block asks for."""
        if self.chosen is None:
            return [block.outputs() for block in self.blocks]
        counts = []
        bounds = [0, *self._ends]
        for block, start, end in zip(self.blocks, bounds, bounds[1:], strict=False):
            mine = self.chosen[bisect_right(self.chosen, start - 1) : bisect_right(self.chosen, end - 1)]
            if block.is_even:
                counts.append(len(mine) * block.spec.outputs(block.params))
            else:
                counts.append(sum(block.spec.outputs(block.at(index - start).input) for index in mine))
        return counts


def plan(
    template: str | Sequence[str],
    /,
    *,
    repeat: int = 1,
    model: str | Sequence[str] | None = None,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    raw: bool = False,
    zipped: Sequence[Any] = (),
    sample: int | None = None,
    sample_seed: int = 0,
    spec: Callable[[str], ModelSpec] | None = None,
    namespace: Mapping[str, Any] | None = None,
    **names: Any,
) -> Plan:
    """The ordered requests of a template, or of several, over its slots and parameters.

    A keyword is a slot if a template has it, else a parameter of the model; `slots` and `params` say which it is. A
    list, tuple, range, Series or array is an axis, except that a list for an array parameter is one value; None or NaN
    for a parameter leaves it out. `model` is a name or a list of names. `namespace` holds the notebook's variables, for
    slots that nothing else fills. `raw` sends the text as it stands. `zipped` names axes that move together,
    `[("animal", "place")]`. `sample` takes that many requests at random, the same ones for the same `sample_seed`.
    `spec` gives what is known of a model, by default the catalogue.

    Raises `InputError` for whatever is wrong, before any request exists.
    """
    templates = _templates(template, _reader(raw))
    specs = _specs(model, spec)
    given = sort_names(names, templates, specs, Given(slots or {}, params or {}))
    draft = Draft(given, zip_groups(zipped, _axis_names(given, templates)), namespace)
    count = whole("repeat", repeat)
    blocks = [draft.block(each, one, count) for each in specs for one in templates]
    axes, fixed = axes_of(blocks)
    return _assembled(blocks, [*heads(model=specs, prompt=templates), *axes], fixed, sample, sample_seed)


def from_rows(
    rows: Iterable[Mapping[str, Any]],
    is_typed: bool = False,
    /,
    *,
    repeat: int = 1,
    model: str | Sequence[str] | None = None,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    raw: bool = False,
    zipped: Sequence[Any] = (),
    sample: int | None = None,
    sample_seed: int = 0,
    spec: Callable[[str], ModelSpec] | None = None,
    namespace: Mapping[str, Any] | None = None,
    **names: Any,
) -> Plan:
    """The ordered requests of a table: each row has a `prompt` or a `template`, the same thing under two names.

    Other columns are slots of the row's template, or parameters; `model` and `repeat` may be columns and then stand
    before the arguments of that name. None and NaN mean "not given". The keyword arguments are those of `plan` and
    hold for every row. Where `is_typed` the values are texts as somebody wrote them, and those of parameters are read
    as on a command line. Raises `InputError` that names the row, counted from 1.
    """
    table = Row.table(rows, _reader(raw), is_typed)
    templates = tuple({row.template.text: row.template for row in table}.values())
    lookup = cache(spec or _known_spec)
    specs = _specs(model, lookup) if model is not None or any(row.model is None for row in table) else ()
    own_specs = {row.model: lookup(row.model) for row in table if row.model is not None}
    given = sort_names(names, templates, (*specs, *own_specs.values()), Given(slots or {}, params or {}))
    known = (*_axis_names(given, templates), *(name for row in table for name in row.names))
    groups, count = zip_groups(zipped, known), whole("repeat", repeat)
    blocks = [
        block
        for row in table
        for block in row.blocks(given, [own_specs[row.model]] if row.model else specs, groups, namespace, count)
    ]
    check_rows_differ(blocks)
    axes, fixed = axes_of(blocks, only={*given.slots, *given.params})
    return _assembled(blocks, [*heads(row=range(1, len(table) + 1), model=specs), *axes], fixed, sample, sample_seed)


def _reader(raw: Any) -> Callable[[str], Template]:
    """What makes a template of a text. Raises `InputError` for a `raw` that is neither True nor False."""
    if not isinstance(raw, bool):
        raise InputError(
            f"raw cannot be {brief(raw)}; allowed: True or False", "Give a slot of that name as slots={'raw': …}."
        )
    return literal if raw else parse


def _templates(template: Any, read: Callable[[str], Template]) -> list[Template]:
    """The templates, parsed. Raises `InputError` for what is not text, an empty one, and one that comes twice."""
    texts = several("the prompt", template)
    texts = [template] if texts is None else list(texts)
    if not texts:
        raise InputError("there are no prompts in the list", "Give at least one.")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"the prompt is {brief(text)}, not text", "Give text, or a list of texts.")
    check_distinct("the list of prompts", texts)
    return list(map(read, texts))


def _specs(model: Any, spec: Callable[[str], ModelSpec] | None) -> tuple[ModelSpec, ...]:
    """What is known of each model asked for. Raises `InputError` for none, a bad name, and one that comes twice."""
    names = several("model", model)
    names = [model] if names is None else list(names)
    if not names or names == [None]:
        raise InputError("no model is named", "Give model=, for example google/imagen-4.")
    checked = [check_model_name(name) for name in names]
    check_distinct("model", checked)
    return tuple(map(spec or _known_spec, checked))


def _known_spec(name: str) -> ModelSpec:
    return catalogue_spec(name) or unknown_spec(name)


def _axis_names(given: Given, templates: Iterable[Template]) -> tuple[str, ...]:
    slots = (slot.name for template in templates for slot in template.slots)
    return tuple(dict.fromkeys((*slots, *given.params)))


def _assembled(
    blocks: Sequence[Block], axes: Sequence[Axis], fixed: Mapping[str, Any], sample: int | None, sample_seed: int
) -> Plan:
    """The plan of these blocks, or of a random sample of their requests.

    Raises `InputError` for a plan too large to be counted, and for a sample that is not a part of it.
    """
    made = Plan(tuple(blocks), tuple(axes), fixed)
    if made.total > sys.maxsize:
        raise InputError("the plan has more requests than can be counted", "Take values out of its axes.")
    if sample is None:
        return made
    count = whole("sample", sample, most=made.total)
    return Plan(made.blocks, made.axes, made.fixed, sample_indices(made.total, count, sample_seed))


# ----------------------------------------------------------------------------------------------------
# A random subset of indices that depends on nothing but its arguments.


def sample_indices(total: int, count: int, seed: int) -> tuple[int, ...]:
    """`count` different indices below `total`, ascending, each subset as likely as any other.

    The same arguments give the same indices on every machine and Python version. Work and memory are proportional to
    `count` alone (R. W. Floyd's algorithm).
    """
    chosen: set[int] = set()
    for top, drawn in zip(range(total - count, total), _draws(seed), strict=False):
        candidate = drawn % (top + 1)
        chosen.add(top if candidate in chosen else candidate)
    return tuple(sorted(chosen))


def _draws(seed: int) -> Iterator[int]:
    """An endless row of numbers of 128 bits, so many that taking a remainder leaves no bias to be seen."""
    number = 0
    while True:
        digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
        yield int.from_bytes(digest[:16], "big")
        yield int.from_bytes(digest[16:], "big")
        number += 1
