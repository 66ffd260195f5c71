"""Axes, templates and repeats into ordered requests: counted, priced and checked before any of them exists.

Order: models, then templates, then slots as they appear, then parameters as they were given, then repeats; the last
moves fastest. A plan from rows goes row by row, and within a row in that same order.
"""

from __future__ import annotations

import hashlib
import operator
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate, count, islice
from typing import TYPE_CHECKING, Any, overload

from imagen_nb.errors import ConfirmationError, InputError, brief
from imagen_nb.planning.axes import (
    Axis,
    GivenValues,
    ReadFile,
    axes_of,
    make_blocks,
    slot_names,
    sort_names,
    zip_groups,
)
from imagen_nb.planning.blocks import Block, sum_known
from imagen_nb.planning.models import ModelSpec, catalogue_spec, check_model_name, unknown_spec
from imagen_nb.planning.tables import check_rows_differ, csv_path, read_table
from imagen_nb.planning.template import Template, literal, parse
from imagen_nb.planning.values import axis_values, check_distinct, mapping, whole_number
from imagen_nb.records import Rendering, Request, name_files

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Plan(Sequence[Request]):
    """Ordered requests. `len()`, `cost` and an index cost next to nothing, however many there are.

    `axes` are what varies, `fixed` the slots and parameters that do not, `repeat` how often each request is made (None
    where rows differ). `chosen` are the indices of a random sample among all requests, ascending, or None. `file` is
    the name of the file that the rows stand in, or None.
    """

    blocks: tuple[Block, ...]
    axes: tuple[Axis, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    chosen: tuple[int, ...] | None = None
    file: str | None = field(default=None, compare=False)

    def __hash__(self) -> int:
        return hash((self.models, self.templates, self.total, self.chosen))

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
        costs: dict[str, list[float | None]] = {}
        starts = [0, *self._ends]
        for block, start, end in zip(self.blocks, starts, self._ends, strict=False):
            mine = costs.setdefault(block.spec.name, [])
            if self.chosen is None:
                mine.append(block.cost())
                continue
            chosen = self.chosen[bisect_right(self.chosen, start - 1) : bisect_right(self.chosen, end - 1)]
            if block.is_even:
                each = block.spec.estimate(block.params)
                mine.append(None if each is None else each * len(chosen))
            else:
                mine += [block.spec.estimate(block.at(index - start).input) for index in chosen]
        return {name: sum_known(each) for name, each in costs.items()}

    @property
    def cost(self) -> float | None:
        """The estimate in US dollars, as the models' prices say it. None where any price is unknown."""
        return sum_known(self.costs.values())

    @property
    def price_words(self) -> str:
        """The estimate in words; what the simulator makes is no money to be paid, and called simulated."""
        is_simulated = all(block.spec.price_source == "simulated" for block in self.blocks)
        words = "price unknown" if self.cost is None else f"about ${self.cost:,.2f}"
        return f"{words}, simulated" if is_simulated and self.cost is not None else words

    def confirm(self, limit: int | None, yes: bool = False) -> None:
        """Raise `ConfirmationError` for a plan of more than `limit` requests that is not confirmed with `yes`."""
        if yes or limit is None or len(self) <= limit:
            return
        price = "at an unknown price" if self.cost is None else f"for {self.price_words}"
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
                **{name: name_files(value) for name, value in request.params.items()},
                "repeat": request.repeat,
                "cost_usd": specs[request.model].estimate(request.input),
            }

    def frame(self) -> pd.DataFrame:
        """The plan as a DataFrame, one row a request; columns that only some requests have stand in place too."""
        import pandas as pd

        rows = list(self.rows())
        first, last = ("model", "prompt", "template"), ("repeat", "cost_usd")
        names = dict.fromkeys(name for row in rows for name in row if name not in (*first, *last))
        frame: pd.DataFrame = pd.DataFrame.from_records(rows, columns=[*first, *names, *last])
        return frame

    def show(self) -> None:
        """Display it here: as a cell's output in a notebook, as text elsewhere."""
        from imagen_nb.notebook.live import show

        show(self)

    def __repr__(self) -> str:
        sizes = [f"{axis.name} {len(axis):,}" for axis in self.axes]
        if self.repeat is not None and self.repeat > 1:
            sizes.append(f"repeat {self.repeat:,}")
        what = f" = {' × '.join(sizes)}" if sizes else ""  # noqa: RUF001 - the sign is meant
        sample = f", {len(self):,} of them sampled" if self.chosen is not None else ""
        read = f" from {self.file}" if self.file else ""
        return f"Plan({self.total:,} request{'s' * (self.total != 1)}{what}{read}{sample}, {self.price_words})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol's
        from imagen_nb.views.plans import render_plan

        return render_plan(self)

    @cached_property
    def _ends(self) -> list[int]:
        """Where each block ends, counted in requests from the start."""
        return list(accumulate(block.size for block in self.blocks))

    def _at(self, index: int) -> Request:
        number = bisect_right(self._ends, index)
        return self.blocks[number].at(index - (self._ends[number - 1] if number else 0))


def plan(
    source: Any,
    find_spec: Callable[[str], ModelSpec] | None = None,
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
    namespace: Mapping[str, Any] | None = None,
    read_file: ReadFile | None = None,
    **names: Any,
) -> Plan:
    """The ordered requests of a template, of several, or of a table of them, over its slots and parameters.

    A keyword is a slot if a template has it, else a parameter of the model; `slots` and `params` say which it is. A
    list, tuple, range, Series or array is an axis, except that a list for an array parameter is one value; None or NaN
    for a parameter leaves it out. `model` is a name or a list of names. `namespace` holds the notebook's variables, for
    slots that nothing else fills. `raw` sends the text as it stands. `zipped` names axes that move together,
    `[("animal", "place")]`. `sample` takes that many requests at random, the same ones for the same `sample_seed`.
    `find_spec` gives what is known of a model, by default the catalogue.

    A table is a DataFrame, a CSV file (as a `Path`, or as the name of one that is there), or a list of mappings. Each
    row has a `prompt` or a `template`, the same thing under two names; its other columns are slots of that template, or
    parameters. `model` and `repeat` may be columns and then stand before the arguments of that name; all other
    arguments hold for every row.

    Raises `InputError` for whatever is wrong, before any request exists; it names a table's row, counted from 1, or
    a file's line, as an editor counts it.
    """
    if not isinstance(raw, bool):
        raise InputError(
            f"raw cannot be {brief(raw)}; allowed: True or False", "Give a slot of that name as slots={'raw': …}."
        )
    # What there is: templates, or the rows of a table, and the models; a row may name its own.
    read_template = literal if raw else parse
    find_spec = find_spec or (lambda name: catalogue_spec(name) or unknown_spec(name))
    path = csv_path(source, is_raw=raw)
    rows = read_table(path or source, read_template)
    if rows is None:
        templates = _read_templates(source, read_template)
    else:
        templates = list({row.template.text: row.template for row in rows}.values())
    row_specs = {name: find_spec(name) for name in dict.fromkeys(row.model for row in rows or ()) if name}
    is_model_needed = rows is None or model is not None or any(row.model is None for row in rows)
    specs = [find_spec(name) for name in _model_names(model)] if is_model_needed else []

    # What was given for them: names with values, those that move together, and how often.
    explicit = GivenValues(mapping("slots", slots), mapping("params", params))
    given = sort_names(names, templates, [*specs, *row_specs.values()], explicit)
    own_names = [name for row in rows or () for name in row.names]
    groups = zip_groups(zipped, tuple(dict.fromkeys([*slot_names(templates), *given.params, *own_names])))
    shared: dict[str, Any] = {"groups": groups, "namespace": namespace, "repeat": whole_number("repeat", repeat)}
    # A file that a table names is looked for in the working folder, then beside the table.
    shared["read_file"] = partial(read_file, beside=path.parent) if read_file and path else read_file

    # What that makes, and what varies in it, the slowest first.
    blocks: list[Block] = []
    if rows is None:
        blocks += make_blocks(specs, templates, given, **shared)
        axes, fixed = axes_of(blocks)
    else:
        for row in rows:
            blocks += row.blocks(given, [row_specs[row.model]] if row.model else specs, **shared)
        check_rows_differ(blocks)
        axes, fixed = axes_of(blocks, only={*given.slots, *given.params})
    slowest = (
        Axis("row", "row", range(1, len(rows or ()) + 1)),
        Axis("model", "model", tuple(spec.name for spec in specs)),
        Axis("prompt", "prompt", tuple(template.text for template in templates) if rows is None else ()),
    )

    varying = (*(axis for axis in slowest if len(axis) > 1), *axes)
    made = Plan(tuple(blocks), varying, fixed, file=None if path is None else str(path))
    if made.total > sys.maxsize:
        raise InputError("the plan has more requests than can be counted", "Take values out of its axes.")
    if sample is None:
        return made
    size = whole_number("sample", sample, most=made.total)
    return replace(made, chosen=sample_indices(made.total, size, sample_seed))


def _read_templates(template: Any, read_template: Callable[[str], Template]) -> list[Template]:
    """The templates, parsed. Raises `InputError` for what is not text, an empty one, and one that comes twice."""
    texts = axis_values("the prompt", template)
    texts = [template] if texts is None else list(texts)
    if not texts:
        raise InputError("there are no prompts in the list", "Give at least one.")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"the prompt is {brief(text)}, not text", "Give text, or a list of texts.")
    check_distinct("the list of prompts", texts)
    return list(map(read_template, texts))


def _model_names(model: Any) -> list[str]:
    """The names of the models asked for. Raises `InputError` for none, a bad name, and one that comes twice."""
    names = axis_values("model", model)
    names = [model] if names is None else list(names)
    if not names or names == [None]:
        raise InputError("no model is named", "Give model=, for example google/imagen-4.")
    checked = [check_model_name(name) for name in names]
    check_distinct("model", checked)
    return checked


def sample_indices(total: int, count: int, seed: int) -> tuple[int, ...]:
    """`count` different indices below `total`, ascending, each subset as likely as any other.

    The same arguments give the same indices on every machine and Python version. Work and memory are proportional to
    `count` alone (R. W. Floyd's algorithm).
    """
    chosen: set[int] = set()
    for top, drawn in zip(range(total - count, total), _draw(seed), strict=False):
        candidate = drawn % (top + 1)
        chosen.add(top if candidate in chosen else candidate)
    return tuple(sorted(chosen))


def _draw(seed: int) -> Iterator[int]:
    """An endless row of numbers of 128 bits, so many that taking a remainder leaves no bias to be seen."""
    for number in count():
        digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
        yield int.from_bytes(digest[:16], "big")
        yield int.from_bytes(digest[16:], "big")
