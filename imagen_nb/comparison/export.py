"""A frame as a file that outlives the notebook: CSV, Parquet, or a folder of images with their metadata."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.comparison.columns import INDEX, known_names, need, values
from imagen_nb.comparison.csvtext import written
from imagen_nb.comparison.files import mapped, place, replaced
from imagen_nb.comparison.folder import write_folder
from imagen_nb.comparison.rows import listed as paths_in
from imagen_nb.errors import InputError
from imagen_nb.view.words import value

OTHER_FILES = frozenset(
    [
        *(
            ".json",
            ".jsonl",
            ".ndjson",
            ".tsv",
            ".tab",
            ".txt",
            ".md",
            ".rst",
            ".tex",
            ".xml",
            ".yaml",
            ".yml",
            ".toml",
        ),
        *(".xls", ".xlsx", ".xlsm", ".ods", ".doc", ".docx", ".odt", ".html", ".htm", ".pdf", ".ipynb", ".py", ".log"),
        *(".gz", ".bz2", ".xz", ".zst", ".lz4", ".br", ".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar"),
        *(".feather", ".arrow", ".ipc", ".orc", ".avro", ".h5", ".hdf5", ".hdf", ".npy", ".npz", ".dta", ".sav"),
        *(".pkl", ".pickle", ".joblib", ".db", ".sqlite", ".sqlite3", ".duckdb", ".sql"),
        *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff", ".heic", ".svg", ".ico", ".mp4"),
    ]
)
"""Endings of files, so that a name with one of them is not taken for a folder's."""


def export(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write the frame to `path`: `.csv`, `.parquet`, or a folder that image datasets load. Returns the absolute path.

    The whole file or folder appears at once, or nothing does. Raises `InputError` for another kind of file, for a
    place that cannot be written, and for a folder that holds something else.
    """
    need(frame, "prompt", "status")
    target = place(path)
    _writer(target)(frame, target)
    return target


def _writer(target: Path) -> Callable[[pd.DataFrame, Path], None]:
    ending = target.suffix.lower()
    if ending == ".csv":
        return write_csv
    if ending in (".parquet", ".pq"):
        return write_parquet
    if ending in OTHER_FILES:
        other = "df.imagen.report(path) writes HTML; " if ending in (".html", ".htm") else ""
        raise InputError(
            f"no export to {ending}", f"{other}export writes .csv, .parquet, or a folder (a name without an ending)."
        )
    return write_folder


def write_csv(frame: pd.DataFrame, target: Path) -> None:
    """UTF-8 text without a mark at its beginning; see `csvtext` for quotes and formulas."""
    names, columns = _columns(frame)
    with (
        replaced(target) as temporary,
        mapped(target),
        temporary.open("w", encoding="utf-8", errors="replace", newline="") as file,
    ):
        file.writelines(written(names, zip(*columns, strict=True)))


def write_parquet(frame: pd.DataFrame, target: Path) -> None:
    """Types kept, image paths as lists; a column of mixed types becomes text."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("Parquet needs the package pyarrow", "pip install pyarrow, or export to .csv.")
    with replaced(target) as temporary, mapped(target):
        _storable(frame).to_parquet(temporary, engine="pyarrow")


def _columns(frame: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """Names and values with the run ids first."""
    names = known_names(frame)
    ordered = [INDEX, *(name for name in names if name != INDEX)] if INDEX in names else names
    return ordered, [_as_lists(name, values(frame, name)) for name in ordered]


def _as_lists(name: str, items: list[Any]) -> list[Any]:
    return [paths_in(item) or None for item in items] if name == "images" else items


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every object column of one type throughout."""
    single: pd.DataFrame = frame.loc[:, ~frame.columns.duplicated()].rename(columns=str)
    for name in [name for name in single.columns if single[name].dtype == object]:
        single[name] = _uniform(name, values(single, name))
    return single


def _uniform(name: str, items: Sequence[Any]) -> Any:
    if name == "images":
        return [paths_in(item) or None for item in items]
    kinds = {type(item) for item in items if item is not None}
    if len(kinds) <= 1 and not kinds & {list, tuple, dict, set}:
        return items
    return pd.array([None if item is None else value(item) for item in items], dtype="string")
