"""Exports read back: the frame as it was, whichever way it was written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.files import absolute_path
from imagen_nb.frames import export as csvtext
from imagen_nb.frames.export import NUMBER, read_lines
from imagen_nb.frames.runs import paths_in, plain, values, with_levels
from imagen_nb.log.frame import STATUSES
from imagen_nb.records import INDEX, LOG_COLUMNS
from imagen_nb.views.words import value_text


def read_log(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A frame from a `.csv`, a `.parquet` or a folder that `df.imagen.export` wrote, with the log's types.

    A CSV or Parquet file from elsewhere is read as well as its types can be told. Raises `InputError` for a file that
    is not there or cannot be read.
    """
    source = absolute_path(path, "read from")
    if source.is_dir():
        return _from_folder(source)
    try:
        return _from_parquet(source) if source.suffix.lower() in (".parquet", ".pq") else _from_csv(source)
    except ImportError:
        raise InputError("Parquet needs the package pyarrow", "pip install pyarrow, or read a .csv.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"it is not what its name says ({type(error).__name__})"
        raise InputError(
            f"{source} cannot be read: {reason}", "Give a file or folder that df.imagen.export wrote."
        ) from None


def _from_csv(source: Path) -> pd.DataFrame:
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = csvtext.read(file.read())
    header = [str(name) for name in next(rows, [])]
    table = [(*row, *[None] * (len(header) - len(row)))[: len(header)] for row in rows]
    return typed(dict(zip(header, zip(*table, strict=True) if table else [()] * len(header), strict=True)))


def _from_parquet(source: Path) -> pd.DataFrame:
    frame = with_levels(pd.read_parquet(source, engine="pyarrow"))
    names = [INDEX] if frame.index.name == INDEX else []
    return typed({name: values(frame, name) for name in [*names, *map(str, frame.columns)]})


def _from_folder(folder: Path) -> pd.DataFrame:
    """One row a run again: the lines of its images, in the order of their numbers, are one.

    A number that the row has already begins another, since a row may have been in the frame several times.
    """
    rows: dict[Any, dict[str, Any]] = {}
    for line_number, line in enumerate(read_lines(folder)):
        number, image = line.pop(NUMBER, 1), line.pop("image")
        again = count()
        key = (line.get(INDEX) or line_number, next(again))
        while key in rows and number in rows[key]["images"]:
            key = (key[0], next(again))
        rows.setdefault(key, {**line, "image": image, "images": {}})["images"][number] = image
    for row in rows.values():
        row["images"] = tuple(image for _, image in sorted(row["images"].items()))
    names = _ordered(dict.fromkeys(name for row in rows.values() for name in row))
    return typed({name: [row.get(name) for row in rows.values()] for name in names})


def _ordered(names: Iterable[str]) -> list[str]:
    """The names with `image` and `images` where the log has them."""
    others = [name for name in names if name not in ("image", "images")]
    place = others.index("width") if "width" in others else len(others)
    return [*others[:place], "image", "images", *others[place:]]


# ----------------------------------------------------------------------------------------------------
# Columns that came from a file, typed as the log types them.

_MOST_INT = 2**63
_TIMES = frozenset({"created_at", "started_at", "completed_at"})
_FLOATS = frozenset({"total_s", "predict_s", "cost_usd"})
_WHOLE = frozenset({"repeat", "width", "height", "bytes", "rating"})
_TEXTS = LOG_COLUMNS.keys() - _TIMES - _FLOATS - _WHOLE - {"status", "images"}


def typed(columns: dict[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame of these columns with the log's types, indexed by `run_id` where that is among them.

    A slot or parameter has the narrowest type that holds all its values: boolean, Int64, float64, else string.
    """
    cells = {name: [plain(item) for item in items] for name, items in columns.items()}
    ids = cells.pop(INDEX, None)
    index = None if ids is None else pd.Index([None if item is None else value_text(item) for item in ids], name=INDEX)
    made: pd.DataFrame = pd.DataFrame({name: _column(name, items) for name, items in cells.items()})
    return made if index is None else made.set_index(index)


def _column(name: str, items: list[Any]) -> Any:
    if name == "status":
        words = [item if item in STATUSES.categories else None for item in items]
        return pd.Categorical(words, dtype=STATUSES)
    if name in _TIMES:
        return pd.to_datetime(pd.Series(items, dtype=object), utc=True, errors="coerce", format="ISO8601").astype(
            "datetime64[us, UTC]"
        )
    if name in _FLOATS:
        return _numbers(items).astype("float64")
    if name in _WHOLE:
        return _numbers(items).round().astype("Int64")
    if name == "images":
        return _tuples([paths_in(item) for item in items])
    return _texts(items) if name in _TEXTS else _narrowed(items)


def _numbers(items: list[Any]) -> Any:
    return pd.to_numeric(pd.Series(items, dtype=object), errors="coerce").astype("Float64")


def _tuples(items: list[list[str]]) -> Any:
    column = np.empty(len(items), dtype=object)
    column[:] = [tuple(each) if each else pd.NA for each in items]
    return column


def _texts(items: list[Any]) -> Any:
    return pd.array([None if item is None else value_text(item) for item in items], dtype="string")


def _narrowed(items: list[Any]) -> Any:
    kinds = {type(item) for item in items if item is not None}
    if kinds == {bool}:
        return pd.array(items, dtype="boolean")
    if kinds == {int} and all(item is None or -_MOST_INT <= item < _MOST_INT for item in items):
        return pd.array(items, dtype="Int64")
    if kinds and kinds <= {int, float} and kinds != {int}:
        return np.array([np.nan if item is None else item for item in items], dtype="float64")
    return _texts(items)
