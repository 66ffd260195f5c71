"""Tables of prompts: a DataFrame or a CSV file as the rows of a plan, and a plan as a DataFrame."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def rows_of(source: Any) -> list[dict[str, Any]] | None:
    """The rows of a DataFrame, of a path to a CSV file, or of a list of mappings; None for anything else.

    A text counts as a path only where it ends in `.csv` and has no line break. Columns without a value in a row are
    missing values (NaN), as pandas reads them. Raises `InputError` for a file that cannot be read.
    """
    if isinstance(source, os.PathLike) or _is_csv_name(source):
        return _records(_read(Path(source)))
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return _records(source)
    if isinstance(source, list | tuple) and source and all(isinstance(each, Mapping) for each in source):
        return [dict(each) for each in source]
    return None


def plan_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a plan as a DataFrame, one row a request."""
    import pandas as pd

    frame: pd.DataFrame = pd.DataFrame.from_records(list(rows))
    return frame


def _is_csv_name(source: Any) -> bool:
    return isinstance(source, str) and source.endswith(".csv") and "\n" not in source


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame: pd.DataFrame = pd.read_csv(path.expanduser())
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", "Give the path of a CSV file with a column `prompt`.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as CSV: {type(error).__name__}", "Save it as UTF-8 text with a header line."
        ) from None
    return frame


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
