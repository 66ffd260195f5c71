"""A frame as a file that outlives the notebook: CSV, Parquet, or a folder of images with their metadata."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.files import absolute_path, replace_file, write_errors
from imagen_nb.frames.runs import known_names, need, paths_in, paths_of, plain, values
from imagen_nb.records import INDEX
from imagen_nb.views.words import value_text

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
    target = absolute_path(path)
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
        write_errors(target),
        replace_file(target) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace", newline="") as file,
    ):
        file.writelines(written(names, zip(*columns, strict=True)))


def write_parquet(frame: pd.DataFrame, target: Path) -> None:
    """Types kept, image paths as lists; a column of mixed types becomes text."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("Parquet needs the package pyarrow", "pip install pyarrow, or export to .csv.")
    with write_errors(target), replace_file(target) as temporary:
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
    return pd.array([None if item is None else value_text(item) for item in items], dtype="string")


# ----------------------------------------------------------------------------------------------------
# A folder of images that Hugging Face `datasets` loads as an `imagefolder`: one line of metadata an image. The
# folder appears whole. It carries a hidden note of what was written, so that it can be read back with its types
# and written again, and so that a folder that someone else filled is never touched.

METADATA = "metadata.jsonl"
MARK = ".imagen_nb.json"
FILE_NAME, NUMBER = "file_name", "image_number"
_SAFE = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LEFT_OUT = frozenset({"image", "images"})
_RENAMED = {FILE_NAME: f"run_{FILE_NAME}", NUMBER: f"run_{NUMBER}"}


def write_folder(frame: pd.DataFrame, target: Path) -> None:
    """Copy every image and describe it in `metadata.jsonl`; a run without an image has no place in such a folder.

    Raises `InputError` for a folder that holds anything else, and for images that are no longer there.
    """
    if "images" not in frame.columns:
        need(frame, "image")
    _check_replaceable(target)
    lines = list(_lines(frame))
    if not lines:
        raise InputError("no run in this frame has an image", "A folder of images needs some; a .csv needs none.")
    _check_there([source for source, _ in lines])
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".", suffix=".part") as made:
            folder = Path(made) / "new"
            folder.mkdir()
            _fill(folder, lines)
            _swap(folder, target, Path(made) / "old")


def read_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The metadata of each image, with its absolute path as `image`. Raises `InputError` where there is none."""
    try:
        text = (folder / METADATA).read_text("utf-8")
        for line in text.splitlines():
            found = json.loads(line)
            found["image"] = str(folder / found.pop(FILE_NAME))
            yield found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder} is no folder that was exported", f"It has no readable {METADATA}.") from None


def _lines(frame: pd.DataFrame) -> Iterator[tuple[Path, dict[str, Any]]]:
    """For each image its file and its line, the file's new name first."""
    names = known_names(frame)
    ordered = [INDEX, *(name for name in names if name != INDEX)] if INDEX in names else names
    taken: set[str] = set()
    for place, row in enumerate(zip(*(values(frame, name) for name in ordered), strict=True)):
        cells = dict(zip(ordered, row, strict=True))
        told = {_RENAMED.get(name, name): _storable_line(item) for name, item in cells.items() if name not in _LEFT_OUT}
        for number, path in enumerate(paths_of(cells), 1):
            name = _named(str(cells.get(INDEX) or ""), place, number, path.suffix.lower(), taken)
            yield path, {FILE_NAME: name, **told, NUMBER: number}


def _named(run_id: str, place: int, number: int, ending: str, taken: set[str]) -> str:
    """A plain file name: the run's id, or its place in the frame where the id is missing, odd or used already."""
    stem = run_id if _SAFE.fullmatch(run_id) else f"row-{place}"
    name = f"{stem}-{number}" if number > 1 else stem
    if name.lower() in taken:
        name = f"row-{place}-{number}"
    taken.add(name.lower())
    return name + (ending if re.fullmatch(r"\.[a-z0-9]{1,5}", ending) else "")


def _storable_line(item: Any) -> Any:
    """A value as JSON has it; times as ISO text."""
    if isinstance(item, float) and not math.isfinite(item):
        return None
    if isinstance(item, str | int | float | bool) or item is None:
        return item
    if isinstance(item, list | tuple | dict):
        return json.loads(json.dumps(item, default=str))
    return item.isoformat() if hasattr(item, "isoformat") else str(item)


def _check_replaceable(target: Path) -> None:
    """Only a place that is free, empty, or all our own is written to."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is not a folder", "Name another one, or export to .csv or .parquet.")
    there = {path.name for path in target.iterdir()} if target.is_dir() else set()
    strange = sorted(there - _ours(target) - {MARK})
    if strange:
        raise InputError(
            f"{target} holds {strange[0]!r}, which no export put there", "Name a new folder, or empty this one first."
        )


def _ours(target: Path) -> set[str]:
    try:
        return {str(name) for name in json.loads((target / MARK).read_text("utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _check_there(sources: Sequence[Path]) -> None:
    gone = [path for path in dict.fromkeys(sources) if not path.is_file()]
    if gone:
        raise InputError(
            f"{len(gone)} of the image files are missing, the first {gone[0]}",
            "Leave their rows out, or export to .csv or .parquet, which keep only the paths.",
        )


def _fill(folder: Path, lines: Sequence[tuple[Path, dict[str, Any]]]) -> None:
    for source, line in lines:
        shutil.copyfile(source, folder / line[FILE_NAME])
    text = "".join(json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n" for _, line in lines)
    (folder / METADATA).write_text(text, "utf-8")
    files = [line[FILE_NAME] for _, line in lines] + [METADATA]
    (folder / MARK).write_text(json.dumps({"made_by": "imagen_nb", "format": 1, "files": files}), "utf-8")


def _swap(folder: Path, target: Path, old: Path) -> None:
    """Put the new folder in the old one's place; the old one comes back when that fails."""
    folder.chmod(0o755)
    if target.is_dir():
        target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            old.rename(target)
        raise


# ----------------------------------------------------------------------------------------------------
# CSV that a spreadsheet cannot run and that reads back as it was: quotes mark text, so types need no guessing.
# Text stands in quotes; numbers, booleans and what is missing do not. A text that a spreadsheet would take for
# a formula (`= + - @`, a tab or a line break first) gets an apostrophe in front, and so does one that begins
# with apostrophes and then such a character, so that taking one apostrophe away is always right.

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - full-width signs start a formula in some programs
_GUARDED = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - as above
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|\Z)')
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_MOST_INT = 2**63
_WORDS = {
    "": None,
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def written(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of the file, each with its end."""
    for row in (header, *rows):
        yield ",".join(_cell(item) for item in row) + "\r\n"


def read(text: str) -> Iterator[list[Any]]:
    """The rows of a CSV text, ours or anyone's: str, int, float, bool and None."""
    row: list[Any] = []
    at, end = 0, len(text)
    while at < end or row:
        found = _CELL.match(text, at)
        if found is None:  # a stray quote inside a bare cell: take the line as far as its next comma
            found = re.compile(r"()([^,\r\n]*)(,|\r\n|\n|\r|\Z)").match(text, at)
            assert found is not None  # noqa: S101 - the pattern matches anywhere
        quoted, bare, stop = found.groups()
        row.append(_bare(bare) if quoted is None or found[0][:1] != '"' else unguarded(quoted.replace('""', '"')))
        at = found.end()
        if stop != ",":
            if row != [None]:
                yield row
            row = []


def guarded(text: str) -> str:
    """The text so that no spreadsheet runs it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if _GUARDED.match(text) else text


def _cell(item: Any) -> str:
    if isinstance(item, list | tuple) or getattr(item, "ndim", False):
        item = json.dumps(list(item), ensure_ascii=False, default=str)
    item = plain(item)
    if item is None:
        return ""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return repr(item)
    if isinstance(item, datetime):
        item = _stamp(item)
    elif isinstance(item, dict):
        item = json.dumps(item, ensure_ascii=False, default=str)
    return '"' + guarded(str(item)).replace('"', '""') + '"'


def _stamp(when: datetime) -> str:
    """UTC with microseconds, and a `Z`."""
    stamp = pd.Timestamp(when)
    utc = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return str(utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _bare(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text) and -_MOST_INT <= int(text) < _MOST_INT:  # what a column of Int64 holds
        return int(text)
    try:
        return float(text)
    except ValueError:
        return unguarded(text)
