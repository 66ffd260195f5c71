"""Which columns a log's frame has, which of them are settings, and what to say when one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from imagen_nb.core.words import did_you_mean, listed, shortened
from imagen_nb.errors import InputError
from imagen_nb.store.frame import AFTER, BEFORE

INDEX = "run_id"
FIXED = frozenset({INDEX, *BEFORE, *AFTER})
"""Every column that is neither a slot nor a parameter."""

Names = str | Iterable[str] | None


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
    return [name for name in frame.columns if isinstance(name, str) and name not in FIXED]


def need(frame: pd.DataFrame, *names: str) -> None:
    """Raise `InputError` where the frame lacks one of the columns that make it a log."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(
            f"this frame has no column {listed(missing)}",
            "df.imagen works on frames with the columns of imagen_nb.frame(): keep them, or select rows only.",
        )


def names_of(frame: pd.DataFrame, given: Names, role: str) -> list[str]:
    """The column names that were asked for, as a list. Raises `InputError` for one that the frame lacks."""
    if given is None:
        return []
    names = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    known = known_names(frame)
    for name in names:
        if not (isinstance(name, str) and name in known):
            there = f"The columns are {listed(known)}."
            hint = did_you_mean(name, known, there) if isinstance(name, str) else there
            raise InputError(f"{role}={shortened(name)} is not a column of this frame", hint)
    return [str(name) for name in names]


def known_names(frame: pd.DataFrame) -> list[str]:
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
    if name not in frame.columns and frame.index.name != name:
        return [None] * len(frame)
    return [plain(item) for item in column(frame, name).tolist()]


def plain(item: Any) -> Any:
    """A cell as a plain Python value; NA, NaT, NaN and None are None."""
    if item is None or item is pd.NA or item is pd.NaT or (isinstance(item, float) and item != item):  # noqa: PLR0124 - NaN
        return None
    return item.item() if hasattr(item, "item") and getattr(item, "ndim", 0) == 0 else item


def distinct(items: Iterable[Any]) -> int:
    """How many different values there are, not counting what is missing."""
    return len({repr(item) for item in items if item is not None})
