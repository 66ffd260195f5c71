"""Frames whose index is not the plain `run_id`: set to another column, of several levels, or joined from two homes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from imagen_nb import read_log
from imagen_nb.frames.runs import with_levels
from imagen_nb.records import Run

FILES = pytest.mark.parametrize("name", ["log.csv", "log.parquet", "folder"])


@pytest.fixture
def two(log: pd.DataFrame) -> pd.DataFrame:
    """Two homes in one frame, told apart by a level of the index, and the ids by the other."""
    other = log.rename(index=lambda each: f"x{each}")
    return pd.concat([log, other], keys=["h1", "h2"], names=["home", "run_id"])


@FILES
def test_every_level_of_the_index_is_exported(two: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """Where a run comes from and which one it is are in the file, whatever kind it is."""
    there = two[two["image"].notna()]
    back = read_log(there.imagen.export(tmp_path / name))
    assert back.index.tolist() == there.index.get_level_values("run_id").tolist()
    assert back["home"].tolist() == there.index.get_level_values("home").tolist()


@FILES
def test_a_column_that_became_the_index_is_exported(log: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """A slot is not lost because the frame is indexed by it."""
    there = log[log["image"].notna()].reset_index().set_index("animal")
    back = read_log(there.imagen.export(tmp_path / name))
    assert back["animal"].tolist() == there.index.tolist()
    assert back.index.tolist() == there["run_id"].tolist()


def test_a_parquet_file_of_several_levels_is_read(two: pd.DataFrame, tmp_path: Path) -> None:
    """What pandas itself wrote keeps its levels as well."""
    two.assign(images=None).to_parquet(tmp_path / "log.parquet")
    back = read_log(tmp_path / "log.parquet")
    assert back["home"].tolist() == two.index.get_level_values("home").tolist()
    assert back.index.name == "run_id"


def test_levels_name_runs_and_span_grids(two: pd.DataFrame, runs: list[Run]) -> None:
    """A run is found by its id, and a level is an axis and a group like any column."""
    assert two.imagen.compare(runs[0].id, f"x{runs[3].id}").b.id == f"x{runs[3].id}"
    assert "h2" in two.imagen.grid(rows="home", cols="animal").text
    assert two.iloc[:12].imagen.grid(rows="run_id", cols=[]).text.count("1 image") == 11
    assert two.imagen.summary("home")["runs"].to_dict() == {"h1": 16, "h2": 16}


def test_a_level_that_is_a_column_already_is_not_taken_twice(log: pd.DataFrame) -> None:
    """The column stays as it is, a level without a name goes, and the usual frame is not even copied."""
    twice = with_levels(log.set_index("animal", drop=False))
    assert list(twice.columns) == list(log.columns)
    kept = with_levels(log.assign(run_id=[f"own{n}" for n in range(16)]))
    assert kept["run_id"].iloc[0] == "own0"
    assert with_levels(pd.concat([log], keys=["h1"])).index.equals(log.index)
    assert with_levels(log) is log
