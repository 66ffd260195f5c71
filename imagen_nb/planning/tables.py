"""Tables of prompts: a DataFrame, a CSV file or a list of mappings, each row a template with values of its own."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError, brief, closest, comma_list
from imagen_nb.planning.axes import GivenValues, Groups, ReadFile, make_blocks, slot_names, sort_names
from imagen_nb.planning.blocks import Block
from imagen_nb.planning.models import ModelSpec, check_model_name
from imagen_nb.planning.template import Template
from imagen_nb.planning.values import is_missing, read_literal, whole_number
from imagen_nb.records import LATER_COLUMNS, LOG_COLUMNS, SCORE_PREFIX, canonical

if TYPE_CHECKING:
    import pandas as pd

_OWN = ("prompt", "template", "model", "repeat")
_NO_COLUMNS = LOG_COLUMNS.keys() - {"width", "height", "image"} - LATER_COLUMNS
"""What no column may be called: the log's own columns, but for what some models take, or a slot may be called."""
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its template, and what else it says; None for a model or repeat it does not name.

    `place` is where a person finds it: `row 3`, counted from 1, or `prompts.csv, line 4`, as an editor counts. Where
    `is_typed`, its values are texts as somebody wrote them: 7 and true are read as on a command line.
    """

    place: str
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
        read_file: ReadFile | None = None,
    ) -> list[Block]:
        """The row's requests for each model, with what all rows share. Raises `InputError` that names the row."""
        with _name_place(self.place):
            own = sort_names(self.names, [self.template], specs, GivenValues())
            if self.is_typed:
                own = GivenValues(
                    own.slots, {name: _read_param(name, text, specs) for name, text in own.params.items()}
                )
            mine = slot_names([self.template])
            fitting = GivenValues({name: shared.slots[name] for name in mine if name in shared.slots}, shared.params)
            given, count = fitting | own, self.repeat or repeat
            options: dict[str, Any] = {"groups": groups, "namespace": namespace, "read_file": read_file}
            return list(make_blocks(specs, [self.template], given, repeat=count, **options))


def csv_path(source: Any, *, is_raw: bool) -> Path | None:
    """The file that is meant: a path, or a text that is the name of a CSV file that is there; a raw text never is."""
    if isinstance(source, os.PathLike):
        return Path(source)
    may_be_name = isinstance(source, str) and not is_raw and source.lower().endswith(".csv") and "\0" not in source
    return Path(source) if may_be_name and os.path.isfile(os.path.expanduser(source)) else None  # noqa: PTH111,PTH113 - `Path` raises for a long text


def read_table(source: Any, read_template: Callable[[str], Template]) -> list[TableRow] | None:
    """The rows of a DataFrame, of a CSV file given as a `Path`, or of a list of mappings; None for anything else.

    A CSV file is UTF-8 with a header line, parted by commas, semicolons or tabs; its values stay the text they are, but
    for Windows line ends, and an empty one is missing. In a DataFrame, whole numbers that became floats because others
    are missing are whole again. Raises `InputError` for a file that cannot be read, for columns that cannot be told
    apart, and for what is wrong with a row.
    """
    is_file = isinstance(source, Path)
    if is_file:
        records = _read_csv(source)
    elif hasattr(source, "columns") and hasattr(source, "to_dict"):
        records = _number_rows(_read_frame(source))
    elif isinstance(source, list | tuple) and source and all(isinstance(each, Mapping) for each in source):
        records = _number_rows(source)
    else:
        return None
    rows = []
    read_once = cache(read_template)
    for place, record in records:
        with _name_place(place):
            rows.append(_read_row(place, record, read_once, is_file))
    if not rows:
        raise InputError("the table has no rows", "Give at least one row with a prompt.")
    return rows


def _number_rows(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(f"row {number}", record) for number, record in enumerate(records, 1)]


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
def _name_place(place: str) -> Iterator[None]:
    """Add the row's place to an `InputError`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error.message}", error.hint) from None


def _read_row(
    place: str, record: Mapping[str, Any], read_template: Callable[[str], Template], is_typed: bool
) -> TableRow:
    given = {name: value for name, value in record.items() if not is_missing(value)}
    names = {name: value for name, value in given.items() if name not in _OWN}
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"the column {name!r} has no name", "Name the columns after slots and parameters.")
        if name in _NO_COLUMNS or name.startswith(SCORE_PREFIX):
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
    return TableRow(place, template, names, model, repeat, is_typed)


def _read_param(name: str, value: Any, specs: Sequence[ModelSpec]) -> Any:
    """The value of a parameter that somebody wrote, by the first model that has it."""
    param = next((param for spec in specs if (param := spec.param(name)) is not None), None)
    return param.parse(value) if param is not None and isinstance(value, str) else value


def _read_csv(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows below the header, each with its place in the file.

    A first column without a name is an index that was saved along, and is left out.
    """
    text = _read_text(path)
    first = text.lstrip()[: csv.field_size_limit()].partition("\n")[0]
    headers = {mark: [name.strip() for name in next(csv.reader([first], delimiter=mark))] for mark in _DELIMITERS}
    delimiter = max(headers, key=lambda mark: (any(name in headers[mark] for name in _OWN), len(headers[mark])))
    reader = csv.reader(StringIO(text), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    begin = 1
    try:
        for values in reader:
            lines += [(begin, values)] if any(values) else []
            begin = reader.line_num + 1
    except csv.Error as error:
        raise _field_mistake(path, text, delimiter) or InputError(
            f"{path}, line {begin}: {error}", "Save it as CSV again, or correct that line."
        ) from None
    names = [name.strip() for name in lines[0][1]] if lines else []
    _check_columns_differ([name for name in names if name], str(path))
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, values in lines[1:]:
        place = f"{path}, line {number}"
        if any(values[len(names) :]):
            raise InputError(
                f"{place}: there are more values than columns",
                'Put a text with commas in it between double quotes: "a fox, in snow".',
            )
        rows.append((place, {name: text or None for name, text in zip(names, values, strict=False) if name}))
    return rows


def _read_text(path: Path) -> str:
    """The text of a file, its lines ended as Python's are."""
    if not os.path.isfile(path.expanduser()):  # noqa: PTH113 - `Path` raises for a long name
        raise InputError(f"there is no file {path}", "Give the path of a CSV file with a column `prompt`.")
    data = b""
    try:
        data = path.expanduser().read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "Choose another file, or free this one.") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: this is no UTF-8 text", "Save the file as CSV in UTF-8.") from None


def _field_mistake(path: Path, text: str, delimiter: str) -> InputError | None:
    """The first field that `csv` cannot read, by its line and column: one whose quote is wrong, or a too long one."""
    field = re.compile(rf'("[^"]*(?:""[^"]*)*"|[^"{delimiter}\n][^{delimiter}\n]*|)({delimiter}|\n|\Z)')
    longest = csv.field_size_limit()
    names: list[str] = []
    is_header = True
    at = column = 0
    while at < len(text):
        found = field.match(text, at)
        name = str(column + 1) if is_header or column >= len(names) else names[column]
        place = f"{path}, line {text.count(chr(10), 0, at) + 1}, column {name}"
        if found is None:
            hint = 'Write a quote within quotes twice, and one at the end: "a ""red"" fox".'
            return InputError(f"{place}: the quote that this begins with does not end it", hint)
        if len(found[1]) > longest:
            hint = "Shorten it. A quote too many or too few makes one field of many."
            return InputError(f"{place}: this is longer than {longest:,} characters", hint)
        if is_header:
            names.append(found[1].strip('" '))
        at, column = found.end(), column + 1
        if found[2] == "\n":
            is_header, column = False, 0
    return None


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
