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
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image as Pillow

from imagen_nb.errors import InputError, comma_list, encodable
from imagen_nb.files import absolute_path, replace_file, write_errors
from imagen_nb.frames.runs import Names, column_names, names_of, need, paths_in, runs_of, values
from imagen_nb.records import INDEX
from imagen_nb.views.names import Pairs, image_names
from imagen_nb.views.pictures import home_of
from imagen_nb.views.thumbnails import open_picture
from imagen_nb.views.words import value_text

OTHER_FILES = re.compile(
    r"\.(json|jsonl|ndjson|tsv|tab|txt|md|rst|tex|xml|yaml|yml|toml"
    r"|xls|xlsx|xlsm|ods|doc|docx|odt|html|htm|pdf|ipynb|py|log"
    r"|gz|bz2|xz|zst|lz4|br|zip|tar|tgz|tbz2|txz|7z|rar"
    r"|feather|arrow|ipc|orc|avro|h5|hdf5|hdf|npy|npz|dta|sav"
    r"|pkl|pickle|joblib|db|sqlite|sqlite3|duckdb|sql"
    r"|png|jpg|jpeg|webp|gif|avif|bmp|tif|tiff|heic|svg|ico|mp4)"
)
"""Endings of files, so that a name with one of them is not taken for a folder's."""

METADATA = "metadata.jsonl"
MARK = ".imagen_nb.json"
FILE_NAME, NUMBER = "file_name", "image_number"
_TAKEN = re.compile(r"(.*_)?file_names?|image_number")
"""Columns that `datasets` takes for names of files, wherever they end so, and one of our own."""

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - full-width signs start a formula in some programs


def export(frame: pd.DataFrame, path: str | os.PathLike[str], *, names: Names = None) -> Path:
    """Write the frame to `path`: `.csv`, `.parquet`, or a folder that image datasets load. Returns the absolute path.

    `names` are the columns that name a folder's files, by default what varies. The whole file or folder appears at
    once, or nothing does. Raises `InputError` for another kind of file, for a place that cannot be written, and for a
    folder that holds something else.
    """
    need(frame, "prompt", "status")
    target = absolute_path(path)
    ending = target.suffix.lower()
    if OTHER_FILES.fullmatch(ending):
        other = "df.imagen.report(path) writes HTML; " if ending in (".html", ".htm") else ""
        hint = f"{other}export writes .csv, .parquet, or a folder (a name without an ending)."
        raise InputError(f"no export to {ending}", hint)
    if ending == ".csv":
        write_csv(frame, target)
    elif ending in (".parquet", ".pq"):
        write_parquet(frame, target)
    else:
        write_folder(frame, target, names)
    return target


def write_csv(frame: pd.DataFrame, target: Path) -> None:
    """UTF-8 text without a mark at its beginning, the run ids first; a line is as `csv_line` makes it."""
    names = _names(frame)
    columns = [_lists(values(frame, name)) if name == "images" else values(frame, name) for name in names]
    with (
        write_errors(target),
        replace_file(target) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(csv_line(items) for items in (names, *zip(*columns, strict=True)))


def csv_line(items: Iterable[Any]) -> str:
    """A line of CSV that a spreadsheet cannot run and that reads back as it was.

    Text stands in quotes; numbers, booleans and what is missing do not, so types need no guessing. (The csv module
    writes what is missing unquoted only from Python 3.12 on.)
    """
    return ",".join(_cell(item) for item in items) + "\r\n"


def guard(text: str) -> str:
    """The text so that no spreadsheet takes it for a formula (`= + - @`, a tab or a line break first).

    Such a text gets an apostrophe in front, and so does one that begins with apostrophes and then such a character:
    taking one apostrophe away is always right.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(text: str) -> str:
    """The text that `guard` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write_parquet(frame: pd.DataFrame, target: Path) -> None:
    """Types kept, image paths as lists; a column of mixed types becomes text."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("Parquet needs the package pyarrow", "pip install pyarrow, or export to .csv.")
    table: pd.DataFrame = frame.loc[:, ~frame.columns.duplicated()].rename(columns=lambda name: encodable(str(name)))
    for name in [name for name in table.columns if table[name].dtype == object]:
        items = values(table, name)
        kinds = {type(item) for item in items if item is not None}
        if name == "images":
            table[name] = _lists(items)
        elif len(kinds) > 1 or kinds & {list, tuple, dict, set}:
            texts = [None if item is None else encodable(value_text(item)) for item in items]
            table[name] = pd.array(texts, dtype="string")
        else:
            table[name] = [encodable(item) if isinstance(item, str) else item for item in items]
    with write_errors(target), replace_file(target) as temporary:
        table.to_parquet(temporary, engine="pyarrow")


def write_folder(frame: pd.DataFrame, target: Path, names: Names = None) -> None:
    """Copy every image and describe it in a line of `metadata.jsonl`, as Hugging Face's `imagefolder` has it.

    A run without an image has no place in such a folder. A hidden note of what was written lets the folder be read back
    with its types and written again, and a folder that someone else filled is never touched. A warning says from which
    folders pictures came that no home and no export has, since a frame from a file may name any. Raises `InputError`
    for such a folder, and for images that are no longer there or are none.
    """
    if "images" not in frame.columns:
        need(frame, "image")
    _check_replaceable(target)
    told = _metadata_names([name for name in _names(frame) if name not in ("image", "images")])
    lines = list(_image_lines(frame, told, names_of(frame, names, "names")))
    if not lines:
        raise InputError("no run in this frame has an image", "A folder of images needs some; a .csv needs none.")
    sources = list(dict.fromkeys(source for source, _ in lines))
    _check_pictures(sources)
    strange = {each.parent for each in sources if home_of(each) is None and not (each.parent / MARK).is_file()}
    if strange:
        said = f"pictures are copied into {target} from {comma_list(sorted(map(str, strange)), shown=3)}"
        warnings.warn(f"{said}, as the frame names them", stacklevel=4)
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".", suffix=".part") as temporary:
            folder, old = Path(temporary) / "new", Path(temporary) / "old"
            folder.mkdir()
            for source, line in lines:
                shutil.copyfile(source, folder / line[FILE_NAME])
            text = "".join(json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n" for _, line in lines)
            (folder / METADATA).write_text(text, "utf-8")
            files = [*(line[FILE_NAME] for _, line in lines), METADATA]
            renamed = {new: old for old, new in told.items() if new != old}
            note = {"made_by": "imagen_nb", "format": 1, "files": files, "renamed": renamed}
            (folder / MARK).write_text(json.dumps(note), "utf-8")
            # Into the old one's place; that comes back when this fails.
            if target.is_dir():
                target.rename(old)
            try:
                folder.rename(target)
            except OSError:
                with contextlib.suppress(OSError):
                    old.rename(target)
                raise


def _check_pictures(sources: Sequence[Path]) -> None:
    """Raise `InputError` for files that are missing, and for those that are no picture, whatever they are named."""
    gone = [source for source in sources if not source.exists()]
    others = []
    for source in sources:
        try:
            with open_picture(source):
                pass
        except (OSError, ValueError, Pillow.DecompressionBombError):
            others.append(source)
    for wrong, what in ((gone, "are missing"), (others, "are no pictures")):
        if wrong:
            raise InputError(
                f"{len(wrong)} of the image files {what}, the first {wrong[0]}",
                "Leave their rows out, or export to .csv or .parquet, which keep only the paths.",
            )


def _names(frame: pd.DataFrame) -> list[str]:
    """The names of the columns, that of the run ids first."""
    return sorted(column_names(frame), key=lambda name: name != INDEX)


def _lists(items: Iterable[Any]) -> list[Any]:
    return [paths_in(item) or None for item in items]


def _cell(item: Any) -> str:
    if item is None:
        return ""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return repr(item)
    if isinstance(item, datetime):
        utc = item.astimezone(timezone.utc) if item.tzinfo else item
        item = f"{utc:%Y-%m-%dT%H:%M:%S.%fZ}"
    elif isinstance(item, list | tuple | dict) or getattr(item, "ndim", False):
        item = json.dumps(item if isinstance(item, dict) else list(item), ensure_ascii=False, default=str)
    return '"' + guard(encodable(str(item))).replace('"', '""') + '"'


def _check_replaceable(target: Path) -> None:
    """Only a place that is free, empty, or all our own is written to."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is not a folder", "Name another one, or export to .csv or .parquet.")
    there = {path.name for path in target.iterdir()} if target.is_dir() else set()
    try:
        ours = {str(name) for name in json.loads((target / MARK).read_text("utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    strange = sorted(there - ours - {MARK})
    if strange:
        raise InputError(
            f"{target} holds {strange[0]!r}, which no export put there", "Name a new folder, or empty this one first."
        )


def _image_lines(
    frame: pd.DataFrame, told: Mapping[str, str], by: Sequence[str]
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """For each image its file and its line, the file's new name first, then the columns that have a name in `told`.

    The names are by the columns `by`, where there are any, else by what varies.
    """
    pairs: list[Pairs] | None = None
    if by:
        rows = zip(*(values(frame, name) for name in by), strict=True)
        pairs = [[(name, item) for name, item in zip(by, row, strict=True) if item is not None] for row in rows]
    columns = {name: values(frame, name) for name in _names(frame)}
    for place, (run, files) in enumerate(zip(runs := runs_of(frame), image_names(runs, pairs), strict=True)):
        line = {new: _json_value(columns[name][place]) for name, new in told.items()} if files else {}
        for number, (image, file) in enumerate(zip(run.images, files, strict=True), 1):
            yield image.path, {FILE_NAME: file, **line, NUMBER: number}


def _metadata_names(names: Sequence[str]) -> dict[str, str]:
    """The columns' names in the metadata, with a word behind those that `datasets` would take for something else."""
    made: dict[str, str] = {}
    for name in names:
        told = encodable(name)
        while _TAKEN.fullmatch(told) or told in made.values() or (told != name and told in names):
            told = f"{told}_column"
        made[name] = told
    return made


def _json_value(item: Any) -> Any:
    """A value as JSON has it; times as ISO text, lists and maps as their JSON text, as in the log's own frame."""
    if isinstance(item, float) and not math.isfinite(item):
        return None
    if isinstance(item, int | float | bool) or item is None:
        return item
    if isinstance(item, list | tuple | dict):
        return encodable(value_text(item))
    return item.isoformat() if hasattr(item, "isoformat") else encodable(str(item))
