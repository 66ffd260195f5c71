"""Figures per group: how many runs, how many worked, how long they took, and what they cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from imagen_nb.frames.runs import Names, column, names_of, need, values
from imagen_nb.records import Status

_TERMINAL = [str(status) for status in Status if status.is_terminal]


def summary(frame: pd.DataFrame, by: Names = "model") -> pd.DataFrame:
    """One row a group, in the order in which groups appear; only groups that occur, one of them for missing values.

    `runs` counts all. `success_rate` and `blocked_rate` are shares of the runs that ended, NaN where none did.
    `median_s` and `p95_s` are seconds of those that succeeded, `cost_usd` the sum of known costs, NaN where none is
    known. `by` is a column or several; an empty list makes one row of everything, even where that is nothing.
    """
    need(frame, "status")
    names = names_of(frame, by, "by")
    status = pd.Series(values(frame, "status"), dtype=object).astype(str)
    succeeded, ended = status == str(Status.SUCCEEDED), status.isin(_TERMINAL)
    is_blocked = pd.Series(values(frame, "error_code"), dtype=object) == "blocked"
    measures = pd.DataFrame(
        {
            "ended": ended.astype(int),
            "succeeded": succeeded.astype(int),
            "blocked": (ended & ~succeeded & is_blocked).astype(int),
            "seconds": _numbers(frame, "total_s").where(succeeded),
            "cost": _numbers(frame, "cost_usd"),
        }
    )
    keys = [_groupable(column(frame, name)).rename(name) for name in names]
    alone = [pd.Series(["all"] * len(frame), name="group")]
    groups = measures.groupby(keys or alone, observed=True, dropna=False, sort=False)
    sums = groups[["ended", "succeeded", "blocked"]].sum()
    of_ended = sums["ended"].where(sums["ended"] > 0)
    table: pd.DataFrame = pd.DataFrame(
        {
            "runs": groups.size(),
            "success_rate": sums["succeeded"] / of_ended,
            "blocked_rate": sums["blocked"] / of_ended,
            "median_s": groups["seconds"].median(),
            "p95_s": groups["seconds"].quantile(0.95),
            "cost_usd": groups["cost"].sum(min_count=1),
        }
    )
    if not names and not len(frame):
        table = table.reindex(pd.Index(["all"], name="group")).assign(runs=0)
    return table


def _numbers(frame: pd.DataFrame, name: str) -> Any:
    return pd.to_numeric(pd.Series(values(frame, name), dtype=object), errors="coerce").astype("float64")


def _groupable(series: pd.Series[Any]) -> pd.Series[Any]:
    """The column as one can group by it: lists and the like as their text."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.astype(object)
    if series.dtype != object:
        return series
    return series.map(lambda item: str(item) if isinstance(item, list | dict | set) or hasattr(item, "shape") else item)
