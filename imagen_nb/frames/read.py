"""Exports read back: the frame as it was, whichever way it was written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.files import absolute_path
from imagen_nb.frames.export import FILE_NAME, MARK, METADATA, NUMBER, unguard
from imagen_nb.frames.runs import paths_in, values, with_levels
from imagen_nb.log.frame import narrowest, statuses
from imagen_nb.records import INDEX, LOG_COLUMNS
from imagen_nb.views.words import value_text

_CELL = re.compile(r'("[^"]*(?:""[^"]*)*"|[^,\r\n]*)(,|\r\n|\n|\r|\Z)')
_WORDS = {"": None, "nan": None, "true": True, "false": False}


def read_log(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A log's frame again, from a `.csv`, a `.parquet` or a folder that `df.imagen.export` wrote.

    It has the columns of `imagen_nb.frame()` with their types, is indexed by `run_id` and has `.imagen`, so whatever
    is done with the log of a workspace can be done with it. From a `.csv` or `.parquet` every row comes back as it
    was; from a folder one row for each run that has images, with the paths of the folder's own copies.

    A file from elsewhere is read as well as its types can be told: columns that the log does not name itself become
    boolean, Int64, float64 or string, whichever is the narrowest that holds them; a log's own column whose values are
    none (a word for a number, an unknown status) is missing there. Raises `InputError` for a file that is not there or
    cannot be read, and for Parquet without pyarrow.
    """
    source = absolute_path(path, "read from")
    if source.is_dir():
        return _read_folder(source)
    try:
        if source.suffix.lower() in (".parquet", ".pq"):
            frame = with_levels(pd.read_parquet(source, engine="pyarrow"))
            index = [INDEX] if frame.index.name == INDEX else []
            return log_frame({name: values(frame, name) for name in [*index, *map(str, frame.columns)]})
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = csv_rows(file.read())
        header = [str(name) for name in next(rows, [])]
        table = [(*row, *[None] * (len(header) - len(row)))[: len(header)] for row in rows]
        columns = zip(*table, strict=True) if table else [()] * len(header)
        return log_frame(dict(zip(header, columns, strict=True)))
    except ImportError:
        raise InputError("Parquet needs the package pyarrow", "pip install pyarrow, or read a .csv.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"it is not what its name says ({type(error).__name__})"
        hint = "Give a file or folder that df.imagen.export wrote."
        raise InputError(f"{source} cannot be read: {reason}", hint) from None


def csv_rows(text: str) -> Iterator[list[Any]]:
    """The rows of a CSV text, ours or anyone's: str, int, float, bool and None.

    Quotes tell text from all else, as `csv_line` writes it. No reader of Python or pandas says which cells had them,
    so this one looks for itself; in a file from elsewhere a bare cell is what it looks like.
    """
    row: list[Any] = []
    for cell, stop in _CELL.findall(text):
        row.append(_value(cell))
        if stop != ",":
            if row != [None]:
                yield row
            row = []


def _value(cell: str) -> Any:
    if cell.startswith('"'):
        return unguard(cell[1:-1].replace('""', '"'))
    if cell.lower() in _WORDS:
        return _WORDS[cell.lower()]
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return unguard(cell)


def _read_folder(folder: Path) -> pd.DataFrame:
    """One row a run again: the lines of its images, in the order of their numbers, are one.

    A number that the row has already begins another, since a row may have been in the frame several times.
    """
    try:
        lines = [json.loads(line) for line in (folder / METADATA).read_text("utf-8").splitlines()]
        paths = [str(folder / line.pop(FILE_NAME)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder} is no folder that was exported", f"It has no readable {METADATA}.") from None
    renamed: dict[str, str] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        renamed = dict(json.loads((folder / MARK).read_text("utf-8"))["renamed"])
    rows: dict[Any, dict[str, Any]] = {}
    images: dict[Any, dict[int, str]] = {}
    for place, (line, path) in enumerate(zip(lines, paths, strict=True)):
        number = line.pop(NUMBER, 1)
        run_id = line.get(INDEX) or place
        key = next(key for again in count() if number not in images.get(key := (run_id, again), ()))
        rows.setdefault(key, {renamed.get(name, name): item for name, item in line.items()})
        images.setdefault(key, {})[number] = path
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    columns: dict[str, Sequence[Any]] = {name: [row.get(name) for row in rows.values()] for name in names}
    files = [tuple(path for _, path in sorted(each.items())) for each in images.values()]
    # Where the log has them.
    at = names.index("width") if "width" in names else len(names)
    before, after = names[:at], names[at:]
    columns |= {"image": [each[0] for each in files], "images": files}
    return log_frame({name: columns[name] for name in (*before, "image", "images", *after)})


def log_frame(columns: dict[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame of these columns with the log's types, indexed by `run_id` where that is among them.

    A slot or parameter has the narrowest type that holds all its values: boolean, Int64, float64, else string.
    """
    cells = dict(columns)
    ids = cells.pop(INDEX, None)
    frame: pd.DataFrame = pd.DataFrame({name: _column(name, items) for name, items in cells.items()})
    if ids is not None:
        frame.index = pd.Index([None if item is None else value_text(item) for item in ids], name=INDEX)
    return frame


def _column(name: str, items: Sequence[Any]) -> Any:  # noqa: PLR0911 - one for each kind
    kind = LOG_COLUMNS.get(name)
    if kind == "status":
        return statuses([item if isinstance(item, str) else None for item in items])
    if kind == "time":
        times = pd.to_datetime(pd.Series(items, dtype=object), utc=True, errors="coerce", format="ISO8601")
        return times.astype("datetime64[us, UTC]")
    if kind in ("number", "whole"):
        numbers = pd.to_numeric(pd.Series(items, dtype=object), errors="coerce").astype("Float64")
        return numbers.round().astype("Int64") if kind == "whole" else numbers.astype("float64")
    if kind == "truth":
        return np.array([item is True for item in items], dtype="bool")
    if kind == "paths":
        column = np.empty(len(items), dtype=object)
        column[:] = [tuple(paths) if (paths := paths_in(item)) else pd.NA for item in items]
        return column
    if kind is None and {type(item) for item in items} <= {bool, int, float, str, type(None)}:
        return narrowest(list(items))
    return pd.array([None if item is None else value_text(item) for item in items], dtype="string")
