"""Exports read back: the frame as it was, whichever way it was written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.comparison import csvtext
from imagen_nb.comparison.columns import INDEX, values, with_levels
from imagen_nb.comparison.dtypes import typed
from imagen_nb.comparison.files import place
from imagen_nb.comparison.folder import NUMBER, read_lines
from imagen_nb.errors import InputError


def read_log(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A frame from a `.csv`, a `.parquet` or a folder that `df.imagen.export` wrote, with the log's types.

    A CSV or Parquet file from elsewhere is read as well as its types can be told. Raises `InputError` for a file that
    is not there or cannot be read.
    """
    source = place(path, "read from")
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
