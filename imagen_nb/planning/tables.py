"""A table of prompts: each row a template with values of its own."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError, brief, closest, comma_list
from imagen_nb.planning.axes import Block, Draft, Given, Groups, sort_names
from imagen_nb.planning.models import ModelSpec, check_model_name
from imagen_nb.planning.template import Template
from imagen_nb.planning.values import is_missing, read_literal, whole
from imagen_nb.records import LOG_COLUMNS, canonical

if TYPE_CHECKING:
    import pandas as pd

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
            own = sort_names(self.names, [self.template], specs)
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
                f"the table has the same request twice: {brief(block.template.text)}",
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
            f"there is no column prompt or template; there are {comma_list(list(row))}",
            f"Did you mean {guess}?" if guess else "Every row needs text in the column prompt or template.",
        )
    text = given[columns[0]]
    if not isinstance(text, str):
        raise InputError(f"the {columns[0]} is {brief(text)}, not text", "Make the column text, or drop the row.")
    return text


def _repeat(value: Any) -> int:
    return whole("repeat", read_literal(value) if isinstance(value, str) else value)


def _parsed(name: str, value: Any, specs: Sequence[ModelSpec]) -> Any:
    """The value of a parameter that somebody wrote, by the first model that has it."""
    param = next((param for spec in specs if (param := spec.param(name)) is not None), None)
    return param.parse(value) if param is not None and isinstance(value, str) else value


def _check_columns(names: Iterable[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"the column {name!r} has no name", "Name the columns after slots and parameters.")
        if name in LOG_COLUMNS.keys() - {"width", "height"}:
            raise InputError(
                f"the column {name} is the log's own, and no slot or parameter",
                "Select the columns to use, as in df[['template', 'animal', 'aspect_ratio']].",
            )


# ----------------------------------------------------------------------------------------------------
# Tables of prompts: a DataFrame or a CSV file as the rows of a plan, and a plan as a DataFrame.

_DELIMITERS = ",;\t"
_HEADS, _TAILS = ("model", "prompt", "template"), ("repeat", "cost_usd")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table. Where `is_typed`, every value is a text as somebody wrote it, and is read as such."""

    rows: list[dict[str, Any]]
    is_typed: bool = False


def table_of(source: Any) -> Table | None:
    """The rows of a DataFrame, of a path to a CSV file, or of a list of mappings; None for anything else.

    A text counts as a path only where it ends in `.csv` and has no line break. A CSV file is UTF-8 with a header line,
    parted by commas, semicolons or tabs; its values stay the text they are, and an empty one is missing. In a
    DataFrame, whole numbers that became floats because others are missing are whole again. Raises `InputError` for a
    file that cannot be read, and for columns that cannot be told apart.
    """
    if isinstance(source, os.PathLike) or _is_csv_name(source):
        return Table(_read(Path(source)), is_typed=True)
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return Table(_records(source))
    if isinstance(source, list | tuple) and source and all(isinstance(each, Mapping) for each in source):
        return Table([dict(each) for each in source])
    return None


def plan_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a plan as a DataFrame, one row a request; columns that only some requests have stand in place too."""
    import pandas as pd

    made = list(rows)
    names = dict.fromkeys(name for row in made for name in row)
    between = [name for name in names if name not in (*_HEADS, *_TAILS)]
    frame: pd.DataFrame = pd.DataFrame.from_records(made, columns=[*_HEADS, *between, *_TAILS])
    return frame


def _is_csv_name(source: Any) -> bool:
    return isinstance(source, str) and source.lower().endswith(".csv") and "\n" not in source


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        with path.expanduser().open(newline="", encoding="utf-8-sig") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            return list(_rows(csv.reader(file, delimiter=delimiter, strict=True), path))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", "Give the path of a CSV file with a column `prompt`.") from None
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as CSV: {type(error).__name__}", "Save it as UTF-8 text with a header line."
        ) from None


def _delimiter(header: str) -> str:
    """What parts the columns: a comma, or where the header has none, the semicolon or the tab that it has."""
    return next((mark for mark in _DELIMITERS if mark in header), ",")


def _rows(lines: Iterator[list[str]], path: Path) -> Iterator[dict[str, Any]]:
    """The rows below the header. A first column without a name is an index that was saved along, and is left out."""
    header = [name.strip() for name in next(lines, [])]
    _check_names([name for name in header if name], str(path))
    for number, values in enumerate(filter(any, lines), 1):
        if any(values[len(header) :]):
            raise InputError(
                f"{path}: row {number} has more values than there are columns",
                'Put a text with commas in it between double quotes: "a fox, in snow".',
            )
        yield {name: value or None for name, value in zip(header, values, strict=False) if name}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    if frame.columns.nlevels > 1:
        raise InputError("the table's columns have several levels", "Give each column one name: df.columns = […].")
    names = [str(name) for name in frame.columns]
    _check_names(names, "the table")
    columns = [_values(frame[column]) for column in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pd.Series[Any]) -> list[Any]:
    """A column's values; pandas makes floats of whole numbers where one is missing, and here they are whole again."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f" and column.isna().any() and all(map(float.is_integer, column.dropna().tolist())):
        return [None if value != value else int(value) for value in values]  # noqa: PLR0124 - NaN differs from itself
    return values


def _check_names(names: Sequence[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{where} has the column {twice[0]!r} twice", "Rename or drop one of the two.")
