"""Tables of prompts: a DataFrame, a CSV file or a list of mappings, each row a template with values of its own."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError, brief, closest, comma_list
from imagen_nb.planning.axes import GivenValues, Groups, make_blocks, slot_names, sort_names
from imagen_nb.planning.blocks import Block
from imagen_nb.planning.models import ModelSpec, check_model_name
from imagen_nb.planning.template import Template
from imagen_nb.planning.values import is_missing, read_literal, whole_number
from imagen_nb.records import LOG_COLUMNS, canonical

if TYPE_CHECKING:
    import pandas as pd

_OWN = ("prompt", "template", "model", "repeat")
_NO_COLUMNS = LOG_COLUMNS.keys() - {"width", "height"}
"""What no column may be called: the log's own columns, but for those that some models take as parameters."""
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its number from 1, its template, and what else it says; None for a model or repeat it does not name.

    Where `is_typed`, its values are texts as somebody wrote them: 7 and true are read as on a command line.
    """

    number: int
    template: Template
    names: Mapping[str, Any]
    model: str | None = None
    repeat: int | None = None
    is_typed: bool = False

    def blocks(
        self,
        shared: GivenValues,
        specs: Sequence[ModelSpec],
        *,
        groups: Groups,
        namespace: Mapping[str, Any] | None,
        repeat: int,
    ) -> list[Block]:
        """The row's requests for each model, with what all rows share. Raises `InputError` that names the row."""
        with _naming_row(self.number):
            own = sort_names(self.names, [self.template], specs, GivenValues())
            if self.is_typed:
                own = GivenValues(
                    own.slots, {name: _read_param(name, text, specs) for name, text in own.params.items()}
                )
            mine = slot_names([self.template])
            fitting = GivenValues({name: shared.slots[name] for name in mine if name in shared.slots}, shared.params)
            given, count = fitting | own, self.repeat or repeat
            return list(make_blocks(specs, [self.template], given, groups=groups, namespace=namespace, repeat=count))


def read_table(source: Any, read_template: Callable[[str], Template]) -> list[TableRow] | None:
    """The rows of a DataFrame, of a path to a CSV file, or of a list of mappings; None for anything else.

    A text counts as a path only where it ends in `.csv` and has no line break. A CSV file is UTF-8 with a header line,
    parted by commas, semicolons or tabs; its values stay the text they are, and an empty one is missing. In a
    DataFrame, whole numbers that became floats because others are missing are whole again. Raises `InputError` for a
    file that cannot be read, for columns that cannot be told apart, and for what is wrong with a row.
    """
    is_csv_name = isinstance(source, str) and source.lower().endswith(".csv") and "\n" not in source
    is_file = isinstance(source, os.PathLike) or is_csv_name
    if is_file:
        records: Iterable[Mapping[str, Any]] = _read_csv(Path(source))
    elif hasattr(source, "columns") and hasattr(source, "to_dict"):
        records = _read_frame(source)
    elif isinstance(source, list | tuple) and source and all(isinstance(each, Mapping) for each in source):
        records = source
    else:
        return None
    rows = []
    read_once = cache(read_template)
    for number, record in enumerate(records, 1):
        with _naming_row(number):
            rows.append(_read_row(number, record, read_once, is_file))
    if not rows:
        raise InputError("the table has no rows", "Give at least one row with a prompt.")
    return rows


def check_rows_differ(blocks: Iterable[Block]) -> None:
    """Raise `InputError` when two rows ask for the very same requests."""
    seen: set[str] = set()
    for block in blocks:
        moving = [[each.name, list(each.values)] for dimension in block.dimensions for each in dimension.members]
        key = canonical([block.spec.name, block.template.text, block.slots, block.params, moving])
        if key in seen:
            raise InputError(
                f"the table has the same request twice: {brief(block.template.text)}",
                "Drop the duplicate (df.drop_duplicates()), or ask for several with repeat.",
            )
        seen.add(key)


@contextmanager
def _naming_row(number: int) -> Iterator[None]:
    """Add the row's number to an `InputError`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"row {number}: {error.message}", error.hint) from None


def _read_row(
    number: int, record: Mapping[str, Any], read_template: Callable[[str], Template], is_typed: bool
) -> TableRow:
    given = {name: value for name, value in record.items() if not is_missing(value)}
    names = {name: value for name, value in given.items() if name not in _OWN}
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"the column {name!r} has no name", "Name the columns after slots and parameters.")
        if name in _NO_COLUMNS:
            raise InputError(
                f"the column {name} is the log's own, and no slot or parameter",
                "Select the columns to use, as in df[['template', 'animal', 'aspect_ratio']].",
            )
    columns = [name for name in ("template", "prompt") if name in given]
    if len(columns) > 1:
        raise InputError("both a template and a prompt are given", "Drop one of the two columns.")
    if not columns:
        needed = "Every row needs text in the column prompt or template."
        if "template" in record or "prompt" in record:
            raise InputError("the prompt is missing", needed)
        guess = next((found for name in record if (found := closest(name, ("prompt", "template")))), None)
        raise InputError(
            f"there is no column prompt or template; there are {comma_list(list(record))}",
            f"Did you mean {guess}?" if guess else needed,
        )
    text = given[columns[0]]
    if not isinstance(text, str):
        raise InputError(f"the {columns[0]} is {brief(text)}, not text", "Make the column text, or drop the row.")
    template = read_template(text)
    model = check_model_name(given["model"]) if "model" in given else None
    repeat = given.get("repeat")
    if repeat is not None:
        repeat = whole_number("repeat", read_literal(repeat) if isinstance(repeat, str) else repeat)
    return TableRow(number, template, names, model, repeat, is_typed)


def _read_param(name: str, value: Any, specs: Sequence[ModelSpec]) -> Any:
    """The value of a parameter that somebody wrote, by the first model that has it."""
    param = next((param for spec in specs if (param := spec.param(name)) is not None), None)
    return param.parse(value) if param is not None and isinstance(value, str) else value


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """The rows below the header. A first column without a name is an index that was saved along, and is left out."""
    try:
        with path.expanduser().open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = next((mark for mark in _DELIMITERS if mark in first), ",")
            header, *lines = [*csv.reader(file, delimiter=delimiter, strict=True)] or [[]]
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", "Give the path of a CSV file with a column `prompt`.") from None
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as CSV: {type(error).__name__}", "Save it as UTF-8 text with a header line."
        ) from None
    names = [name.strip() for name in header]
    _check_columns_differ([name for name in names if name], str(path))
    rows = []
    for number, values in enumerate(filter(any, lines), 1):
        if any(values[len(names) :]):
            raise InputError(
                f"{path}: row {number} has more values than there are columns",
                'Put a text with commas in it between double quotes: "a fox, in snow".',
            )
        rows.append({name: value or None for name, value in zip(names, values, strict=False) if name})
    return rows


def _read_frame(frame: pd.DataFrame) -> list[dict[str, Any]]:
    if frame.columns.nlevels > 1:
        raise InputError("the table's columns have several levels", "Give each column one name: df.columns = […].")
    names = [str(name) for name in frame.columns]
    _check_columns_differ(names, "the table")
    columns = []
    for name in frame.columns:
        column = frame[name]
        values = column.tolist()
        # pandas makes floats of whole numbers where one is missing
        if column.dtype.kind == "f" and column.isna().any() and all(map(float.is_integer, column.dropna().tolist())):
            values = [None if value != value else int(value) for value in values]  # noqa: PLR0124 - NaN is not itself
        columns.append(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _check_columns_differ(names: Sequence[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{where} has the column {twice[0]!r} twice", "Rename or drop one of the two.")
