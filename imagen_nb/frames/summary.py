"""Figures per group: how many runs, how many worked, how long they took, and what they cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from imagen_nb.frames.runs import Names, column, column_names, names_of, need, values
from imagen_nb.judging.intervals import wilson
from imagen_nb.records import SCORE_PREFIX, Status

_TERMINAL = [str(status) for status in Status if status.is_terminal]
_UNHASHABLE = (list, dict, set)


def summary(frame: pd.DataFrame, by: Names = "model") -> pd.DataFrame:
    """One row a group, in the order in which groups appear; only groups that occur, one of them for missing values.

    `runs` counts all. `success_rate` and `blocked_rate` are shares of the runs that ended, NaN where none did.
    `median_s` and `p95_s` are seconds of those that succeeded, `cost_usd` the sum of known costs, NaN where none is
    known; `success_low success_high blocked_low blocked_high` are the rates' intervals of 95 %. Where any run has one,
    `rating` and each `score_…` are means. `by` is a column or several; an empty list makes one row of everything, even
    where that is nothing.
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
    keys = [] if names else [pd.Series(["all"] * len(frame), name="group")]
    for name in names:
        key = column(frame, name)
        if isinstance(key.dtype, pd.CategoricalDtype):
            key = key.astype(object)
        elif key.dtype == object:  # one cannot group by lists and the like, but by their text
            key = key.map(lambda item: str(item) if isinstance(item, _UNHASHABLE) or hasattr(item, "shape") else item)
        keys.append(key.rename(name))
    groups = measures.groupby(keys, observed=True, dropna=False, sort=False)
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
    for name in ("success", "blocked"):
        table[f"{name}_low"], table[f"{name}_high"] = wilson(table[f"{name}_rate"], of_ended)
    for name in ("rating", *(name for name in column_names(frame) if name.startswith(SCORE_PREFIX))):
        if not (figures := _numbers(frame, name)).isna().all():
            table[name] = figures.groupby(keys, observed=True, dropna=False, sort=False).mean()
    if not names and not len(frame):
        table = table.reindex(pd.Index(["all"], name="group")).assign(runs=0)
    return table


def _numbers(frame: pd.DataFrame, name: str) -> Any:
    return pd.to_numeric(pd.Series(values(frame, name), dtype=object), errors="coerce").astype("float64")
