"""Tables of prompts: a DataFrame or a CSV file as the rows of a plan, and a plan as a DataFrame."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

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
