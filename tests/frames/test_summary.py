from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_runs import frame, run, unseen
from statsmodels.stats.proportion import proportion_confint

from imagen_nb.errors import InputError
from imagen_nb.records import Status

COLUMNS = [
    *("runs", "success_rate", "blocked_rate", "median_s", "p95_s", "cost_usd"),
    *("success_low", "success_high", "blocked_low", "blocked_high"),
]


def test_figures_are_per_model_by_default(log: pd.DataFrame) -> None:
    """One row a model, with rates of what ended, seconds of what succeeded, and the sum of known costs."""
    table = log.imagen.summary()
    assert list(table.columns) == COLUMNS
    assert table.index.name == "model"
    row = table.loc["google/imagen-4"]
    seconds = log.loc[log["status"] == "succeeded", "total_s"]
    assert row["runs"] == 16
    assert row["success_rate"] == pytest.approx(15 / 16)
    assert row["blocked_rate"] == pytest.approx(1 / 16)
    assert row["median_s"] == pytest.approx(seconds.median())
    assert row["p95_s"] == pytest.approx(np.percentile(seconds, 95))
    assert row["cost_usd"] == pytest.approx(0.60)


def test_groups_are_those_that_occur_in_the_order_they_appear(log: pd.DataFrame) -> None:
    """Several columns group together; a category that no run has makes no row."""
    table = log.assign(style=pd.Categorical(log["style"], ["wax", "ink", "oil"])).imagen.summary(["animal", "style"])
    assert list(table.index) == [("fox", "oil"), ("fox", "ink"), ("owl", "oil"), ("owl", "ink")]
    assert table["runs"].tolist() == [4, 4, 4, 4]
    assert log.imagen.summary("status")["runs"].to_dict() == {"succeeded": 15, "failed": 1}


def test_one_row_of_everything(log: pd.DataFrame) -> None:
    """Without a column to group by there is one row."""
    assert log.imagen.summary([])["runs"].tolist() == [16]
    nothing = log.iloc[:0].imagen.summary([])
    assert nothing["runs"].tolist() == [0]
    assert nothing.drop(columns="runs").isna().all(axis=None)
    assert nothing.index.tolist() == log.imagen.summary([]).index.tolist()
    pd.testing.assert_series_equal(nothing.dtypes, log.imagen.summary([]).dtypes)


def test_what_is_missing_is_missing() -> None:
    """Unknown costs and times are NaN and not zero; runs that have not ended count in no rate."""
    runs = [
        run(images=[unseen()], cost=None, total_s=None),
        run(status=Status.PROCESSING, model="a/b"),
        run(status=Status.UNKNOWN, model="a/b"),
    ]
    table = frame(runs).imagen.summary()
    assert table["success_rate"].iloc[0] == 1.0
    assert math.isnan(table["cost_usd"].iloc[0])
    assert math.isnan(table["median_s"].iloc[0])
    assert table.loc["a/b", "runs"] == 2
    assert math.isnan(table.loc["a/b", "success_rate"])


def test_a_missing_value_is_a_group_of_its_own(log: pd.DataFrame) -> None:
    """No run is dropped because its group is not known."""
    table = log.assign(tag=["a"] * 10 + [None] * 6).imagen.summary("tag")
    assert table["runs"].tolist() == [10, 6]
    assert table.index.isna().tolist() == [False, True]


def test_a_frame_from_plain_csv_has_the_same_figures(log: pd.DataFrame) -> None:
    """Lost types do not change a figure."""
    back = pd.read_csv(io.StringIO(log.to_csv()))
    pd.testing.assert_frame_equal(back.imagen.summary(), log.imagen.summary(), check_index_type=False)


def test_lists_can_be_grouped_by() -> None:
    """A column of lists groups by its text."""
    log = frame([run(), run()]).assign(sizes=[[1, 2], [1, 2]])
    assert log.imagen.summary("sizes")["runs"].tolist() == [2]


@pytest.mark.parametrize("kind", [list, tuple, pd.Index, pd.Series, np.array, iter])
def test_names_come_in_anything_that_holds_several(log: pd.DataFrame, kind: Callable[[list[str]], Any]) -> None:
    """An index, a series or an array of names is as good as a list."""
    assert log.imagen.summary(kind(["animal", "style"])).index.names == ["animal", "style"]
    assert log.imagen.grid(rows=kind(["animal"]), cols=kind(["style"])).text == log.imagen.grid("animal", "style").text


@pytest.mark.parametrize("by", [1, 2.5, len, [1], [["animal"]], True, b"ab", ("animal", None), {"animal": len}.items()])
def test_what_is_no_name_is_one_line(log: pd.DataFrame, by: Any) -> None:
    """A number, a function or a nested list is named as what it is, and what there is instead is said."""
    for ask in (log.imagen.summary, log.imagen.grid):
        with pytest.raises(InputError, match="is not a column of this frame") as caught:
            ask(by)
        assert "animal" in caught.value.hint


def test_a_wrong_column_is_one_line(log: pd.DataFrame) -> None:
    """The likeliest column is offered."""
    with pytest.raises(InputError) as caught:
        log.imagen.summary("stlye")
    assert caught.value.hint == "Did you mean style?"


def test_rates_have_wilsons_intervals_and_marks_have_means(log: pd.DataFrame) -> None:
    """As statsmodels has them; where no run is rated or scored there is no such column."""
    rated = log.assign(rating=[3, 5, *[None] * 14], score_sharpness=1.5)
    row = rated.imagen.summary().loc["google/imagen-4"]
    assert row[["success_low", "success_high"]].tolist() == pytest.approx(proportion_confint(15, 16, method="wilson"))
    assert row[["blocked_low", "blocked_high"]].tolist() == pytest.approx(proportion_confint(1, 16, method="wilson"))
    assert row[["rating", "score_sharpness"]].tolist() == [4.0, 1.5]
