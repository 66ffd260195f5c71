"""A table of prompts: each row a template with values of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from imagen_nb.core.blocks import Block
from imagen_nb.core.draft import LOG_COLUMNS, Draft, Given, Groups, sorted_names
from imagen_nb.core.models import ModelSpec, check_model_name
from imagen_nb.core.prompts import Template
from imagen_nb.core.records import canonical
from imagen_nb.core.values import is_missing, parsed_literal, whole
from imagen_nb.core.words import closest, listed, shortened
from imagen_nb.errors import InputError

_OWN = ("prompt", "template", "model", "repeat")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number from 1, its template, and what else it says; None for a model or repeat it does not name.

    Where `is_typed`, its values are texts as somebody wrote them: 7 and true are read as on a command line.
    """

    number: int
    template: Template
    names: Mapping[str, Any]
    model: str | None = None
    repeat: int | None = None
    is_typed: bool = False

    @classmethod
    def table(
        cls, rows: Iterable[Mapping[str, Any]], read: Callable[[str], Template], is_typed: bool = False
    ) -> list[Row]:
        """The rows of a table, read. Raises `InputError` for an empty table and for what is wrong with a row."""
        made = []
        read = cache(read)
        for number, row in enumerate(rows, 1):
            with _Located(number):
                made.append(cls._made(number, row, read, is_typed))
        if not made:
            raise InputError("the table has no rows", "Give at least one row with a prompt.")
        return made

    @classmethod
    def _made(cls, number: int, row: Mapping[str, Any], read: Callable[[str], Template], is_typed: bool) -> Row:
        given = {name: value for name, value in row.items() if not is_missing(value)}
        names = {name: value for name, value in given.items() if name not in _OWN}
        _check_columns(names)
        return cls(
            number,
            read(_text(row, given)),
            names,
            check_model_name(given["model"]) if "model" in given else None,
            _repeat(given["repeat"]) if "repeat" in given else None,
            is_typed,
        )

    def blocks(
        self,
        common: Given,
        specs: Sequence[ModelSpec],
        groups: Groups,
        namespace: Mapping[str, Any] | None,
        repeat: int,
    ) -> Iterator[Block]:
        """The row's requests for each model, with what all rows share. Raises `InputError` that names the row."""
        with _Located(self.number):
            mine = {slot.name for slot in self.template.slots}
            shared = Given({name: value for name, value in common.slots.items() if name in mine}, common.params)
            own = sorted_names(self.names, [self.template], specs)
            if self.is_typed:
                own = Given(own.slots, {name: _parsed(name, text, specs) for name, text in own.params.items()})
            draft = Draft(shared | own, groups, namespace)
            for spec in specs:
                yield draft.block(spec, self.template, self.repeat or repeat)


class _Located:
    """Adds the row's number to an `InputError` that leaves the block."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError):
            raise InputError(f"row {self._number}: {error.message}", error.hint) from None


def check_rows_differ(blocks: Iterable[Block]) -> None:
    """Raise `InputError` when two rows ask for the very same requests."""
    seen: set[str] = set()
    for block in blocks:
        moving = [[column.name, list(column.values)] for each in block.dimensions for column in each.columns]
        key = canonical([block.spec.name, block.template.text, block.slots, block.params, moving])
        if key in seen:
            raise InputError(
                f"the table has the same request twice: {shortened(block.template.text)}",
                "Drop the duplicate (df.drop_duplicates()), or ask for several with repeat.",
            )
        seen.add(key)


def _text(row: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The row's template, from whichever of the two columns has it."""
    columns = [name for name in ("template", "prompt") if name in given]
    if len(columns) > 1:
        raise InputError("both a template and a prompt are given", "Drop one of the two columns.")
    if not columns and ("template" in row or "prompt" in row):
        raise InputError("the prompt is missing", "Every row needs text in the column prompt or template.")
    if not columns:
        guess = next((found for name in row if (found := closest(name, ("prompt", "template")))), None)
        raise InputError(
            f"there is no column prompt or template; there are {listed(list(row))}",
            f"Did you mean {guess}?" if guess else "Every row needs text in the column prompt or template.",
        )
    text = given[columns[0]]
    if not isinstance(text, str):
        raise InputError(f"the {columns[0]} is {shortened(text)}, not text", "Make the column text, or drop the row.")
    return text


def _repeat(value: Any) -> int:
    return whole("repeat", parsed_literal(value) if isinstance(value, str) else value)


def _parsed(name: str, value: Any, specs: Sequence[ModelSpec]) -> Any:
    """The value of a parameter that somebody wrote, by the first model that has it."""
    param = next((param for spec in specs if (param := spec.param(name)) is not None), None)
    return param.parse(value) if param is not None and isinstance(value, str) else value


def _check_columns(names: Iterable[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"the column {name!r} has no name", "Name the columns after slots and parameters.")
        if name in LOG_COLUMNS - {"width", "height"}:
            raise InputError(
                f"the column {name} is the log's own, and no slot or parameter",
                "Select the columns to use, as in df[['template', 'animal', 'aspect_ratio']].",
            )
