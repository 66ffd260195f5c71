"""A folder of images that Hugging Face `datasets` loads as an `imagefolder`: one line of metadata an image.

The folder appears whole. It carries a hidden note of what was written, so that it can be read back with its types and
written again, and so that a folder that someone else filled is never touched.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.comparison.columns import INDEX, known_names, need, values
from imagen_nb.comparison.files import mapped
from imagen_nb.comparison.rows import paths_of
from imagen_nb.errors import InputError

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
    with mapped(target):
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
        told = {_RENAMED.get(name, name): _storable(item) for name, item in cells.items() if name not in _LEFT_OUT}
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


def _storable(item: Any) -> Any:
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
