"""Rows of a frame back into runs, and the columns of a frame, whichever it has; so that a frame from anywhere shows."""

from __future__ import annotations

import ast
import json
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image as Pillow

from imagen_nb.errors import InputError, brief, comma_list, did_you_mean
from imagen_nb.log.images import find_file
from imagen_nb.planning.template import parse
from imagen_nb.planning.values import plain
from imagen_nb.records import (
    IMAGE_MIMES,
    INDEX,
    LEADING_COLUMNS,
    SHOWN_DIGITS,
    TRAILING_COLUMNS,
    Image,
    InputFile,
    Request,
    Run,
    Status,
    is_own_column,
)
from imagen_nb.views.pictures import home_of, sha256_of
from imagen_nb.views.thumbnails import open_picture

Names = str | Iterable[str] | None
"""What a user may give for columns: one name, several, or none."""

_MIMES = {".jpg": IMAGE_MIMES["JPEG"], **{f".{name.lower()}": mime for name, mime in IMAGE_MIMES.items()}}


_OF_FILE = re.compile(rf" [0-9a-f]{{{SHOWN_DIGITS}}}(\Z|\")")
"""In the text of a file that a request needs."""

_ORIENTATION = 0x0112
"""EXIF's; from 5 on the sides of a picture are exchanged."""


def runs_of(frame: pd.DataFrame) -> list[Run]:
    """A run for each row, in order. What the frame lacks is missing; files are looked at only where sizes are."""
    settings = settings_columns(frame)
    names = [INDEX, *LEADING_COLUMNS, *settings, *TRAILING_COLUMNS]
    rows = zip(*(values(frame, name) for name in names), strict=True)
    homes = homes_of(frame)
    return [_run(dict(zip(names, row, strict=True)), settings, place, homes) for place, row in enumerate(rows)]


def _run(row: Mapping[str, Any], settings: Sequence[str], place: int, homes: tuple[Path, ...]) -> Run:
    prompt = _text(row["prompt"]) or ""
    template = _text(row["template"]) or prompt
    inputs = {name: row[name] for name in settings if row[name] is not None}
    own = {name: f"slot_{name}" if is_own_column(name) else name for name in slot_names(template)}
    request = Request(
        model=_text(row["model"]) or "",
        slots={name: inputs.pop(column) for name, column in own.items() if column in inputs},
        input={"prompt": prompt, **{input_name(name): with_files(item, homes) for name, item in inputs.items()}},
        template=template,
        repeat=_integer(row["repeat"]) or 1,
    )
    try:
        status = Status(row["status"])
    except ValueError:
        status = Status.UNKNOWN
    return Run(
        id=_text(row[INDEX]) or str(place),
        request=request,
        status=status,
        error=_text(row["error"]),
        error_code=_text(row["error_code"]),
        prediction_id=_text(row["prediction_id"]),
        images=_images(row),
        cost=_number(row["cost_usd"]),
        cost_source=_text(row["cost_source"]),
        created_at=_time(row["created_at"]),
        started_at=_time(row["started_at"]),
        completed_at=_time(row["completed_at"]),
        total_s=_number(row["total_s"]),
        predict_s=_number(row["predict_s"]),
        provider=_text(row["provider"]),
        experiment=_text(row["experiment"]),
        tag=_text(row["tag"]),
        rating=_integer(row["rating"]),
        note=_text(row["note"]),
        favourite=row["favourite"] is True,
        text=_text(row["text"]),
        parent=_text(row["parent"]),
    )


def _images(row: Mapping[str, Any]) -> tuple[Image, ...]:
    """The run's images. The columns of sizes speak of the first; of the others the files do."""
    images = []
    known = [_integer(row[name]) or 0 for name in ("width", "height", "bytes")]
    digest = _text(row["sha256"])
    for path in paths_of(row):
        width, height, size = known if all(known) else _measure(str(path))
        mime = _MIMES.get(path.suffix.lower(), "application/octet-stream")
        images.append(Image(path, sha256_of(path) or digest or "", width, height, size, mime))
        known, digest = [0], None  # of all others nothing is known
    return tuple(images)


def homes_of(frame: pd.DataFrame) -> tuple[Path, ...]:
    """The homes that the frame's images lie in."""
    paths = (Path(item) for item in values(frame, "image") if isinstance(item, str))
    return tuple(dict.fromkeys(home for path in paths if (home := home_of(path))))


def file_words(texts: Iterable[str], homes: tuple[Path, ...]) -> dict[str, str]:
    """Those of the texts that name input files in fewer words, `fox.png` for `fox.png 1a2b3c4d`.

    Only texts that stay apart from all others so are in it.
    """
    every = list(dict.fromkeys(texts))
    short = {}
    for text in every:
        found = with_files(text, homes)
        several = found if isinstance(found, list) else [found]
        if found != text:
            short[text] = ", ".join(each.name if isinstance(each, InputFile) else str(each) for each in several)
    times = Counter([*short.values(), *(text for text in every if text not in short)])
    return {text: words for text, words in short.items() if times[words] == 1}


def with_files(item: Any, homes: tuple[Path, ...]) -> Any:
    """An input's value with the files that its text names (`fox.png 1a2b3c4d`, several as JSON), if a home has them."""
    if not isinstance(item, str) or not _OF_FILE.search(item):
        return item
    try:
        several = json.loads(item) if item.startswith("[") else None
    except ValueError:
        several = None
    if several is None:
        return _file(item, homes)
    found = [_file(each, homes) if isinstance(each, str) else each for each in several]
    return found if any(isinstance(each, InputFile) for each in found) else item


@lru_cache(maxsize=4096)
def _file(text: str, homes: tuple[Path, ...]) -> InputFile | str:
    path = next(filter(None, (find_file(home, text) for home in homes)), None)
    if path is None:
        return text
    width, height, size = _measure(str(path))
    mime = _MIMES.get(path.suffix.lower(), "application/octet-stream")
    return InputFile(path.stem, text.rpartition(" ")[0], path, size, mime, width or None, height or None)


@lru_cache(maxsize=4096)
def _measure(path: str) -> tuple[int, int, int]:
    """Width, height, as one sees them, and bytes from the file's head; zeros where there is no such image."""
    exif = Pillow.Exif()
    try:
        with open_picture(Path(path)) as image:
            exif.load(image.info.get("exif") or b"")
            sides = image.size[::-1] if exif.get(_ORIENTATION) in (5, 6, 7, 8) else image.size
            return (*sides, Path(path).stat().st_size)
    except (OSError, ValueError, SyntaxError, struct.error, Pillow.DecompressionBombError):
        return 0, 0, 0


def paths_of(row: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files of a run: `images`, else `image`. A list that a CSV turned into text is read again."""
    many = paths_in(row.get("images"))
    one = row.get("image")
    return tuple(Path(path).absolute() for path in (many or ([one] if isinstance(one, str) and one else [])))


def paths_in(item: Any) -> list[str]:
    """Paths from a cell of `images`: a list of any kind, or the text (JSON, a Python literal) that CSV made of one."""
    if isinstance(item, str):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(item)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            item = found if isinstance(found, list | tuple) else []
            break
        else:
            item = [item]
    return [path for path in item if isinstance(path, str) and path] if hasattr(item, "__iter__") else []


def input_name(column: str) -> str:
    """The input that a column holds: `input_status` that of `status`, which as a column is the log's own."""
    short = column.removeprefix("input_")
    return short if is_own_column(short) else column


@lru_cache(maxsize=4096)
def slot_names(template: str) -> tuple[str, ...]:
    """The names of a template's slots; none for a text that is no template."""
    try:
        return tuple(slot.name for slot in parse(template).slots)
    except InputError:
        return ()


def _text(item: Any) -> str | None:
    return None if item is None else str(item)


def _number(item: Any) -> float | None:
    try:
        number = float(item)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _integer(item: Any) -> int | None:
    number = _number(item)
    return int(number) if number is not None and math.isfinite(number) else None


def _time(item: Any) -> datetime | None:
    """A time from a timestamp or an ISO text; without a zone it is UTC."""
    if item is None or isinstance(item, int | float):
        return None
    try:
        found = pd.Timestamp(item)
    except (ValueError, TypeError):
        return None
    if found is pd.NaT:
        return None
    when: datetime = found.to_pydatetime(warn=False)
    return when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when


# -- the columns of a frame ------------------------------------------------------------------------------------------


def with_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every named level of its index as a column, but for `run_id`, which alone is the index.

    A level that is a column already is left out, so is one without a name; a frame as the log gives it is returned as
    it is. `pd.concat` with `keys=` and `set_index` make such levels.
    """
    names = list(frame.index.names)
    if names == [None] or (names == [INDEX] and INDEX not in frame.columns):
        return frame
    fresh = [name for name in dict.fromkeys(names) if isinstance(name, str) and name not in frame.columns]
    made: pd.DataFrame = frame.reset_index(level=[names.index(name) for name in fresh]) if fresh else frame
    made = made.reset_index(drop=True)
    return made.set_index(INDEX) if INDEX in fresh else made


def settings_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of slots and parameters, in their order: all that the log does not name itself."""
    return [name for name in frame.columns if isinstance(name, str) and not is_own_column(name)]


def need(frame: pd.DataFrame, *names: str) -> None:
    """Raise `InputError` where the frame lacks one of the columns that make it a log."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(
            f"this frame has no column {comma_list(missing)}",
            "df.imagen works on frames with the columns of imagen_nb.frame(): keep them, or select rows only.",
        )


def names_of(frame: pd.DataFrame, given: Names, role: str) -> list[str]:
    """The column names that were asked for, as a list. Raises `InputError` for one that the frame lacks."""
    if given is None:
        return []
    names = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    known = column_names(frame)
    for name in names:
        if not (isinstance(name, str) and name in known):
            there = f"The columns are {comma_list(known)}."
            hint = did_you_mean(name, known, there) if isinstance(name, str) else there
            raise InputError(f"{role}={brief(name)} is not a column of this frame", hint)
    return [str(name) for name in names]


def column_names(frame: pd.DataFrame) -> list[str]:
    """Names that one can group by: the columns and, where it has one, the index's name."""
    columns = [name for name in frame.columns if isinstance(name, str)]
    return [*columns, INDEX] if frame.index.name == INDEX and INDEX not in columns else columns


def column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column by its name; `run_id` may also be the index. Of several with one name, the first."""
    if name not in frame.columns and frame.index.name == name:
        return frame.index.to_series().reset_index(drop=True)
    found = frame[name]
    return (found.iloc[:, 0] if isinstance(found, pd.DataFrame) else found).reset_index(drop=True)


def values(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain Python values, None where it is missing; all None where there is no such column."""
    is_there = name in frame.columns or frame.index.name == name
    return plain_values(column(frame, name)) if is_there else [None] * len(frame)


def plain_values(series: pd.Series[Any]) -> list[Any]:
    """The series as plain Python values; NA, NaT, NaN and None are None."""
    items, gone = series.tolist(), series.isna()
    if series.dtype == object:  # of any other column pandas makes plain values itself
        items = [plain(item) for item in items]
    return [None if is_gone else item for item, is_gone in zip(items, gone, strict=True)] if gone.any() else items
