"""The log as a DataFrame: its columns, their order and their types."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import NOON, PROVIDER, prediction, published, request, succeeded

from imagen_nb.errors import InputError
from imagen_nb.log.frame import events, frame
from imagen_nb.log.log import Log
from imagen_nb.log.schema import images, runs
from imagen_nb.records import LEADING_COLUMNS, TRAILING_COLUMNS, Image, Request, Status

TYPES = {
    **dict.fromkeys(("experiment", "tag", "model", "provider", "prompt", "template"), "string"),
    **dict.fromkeys(("error", "error_code", "prediction_id", "cost_source", "image", "sha256", "note"), "string"),
    **dict.fromkeys(("text", "parent"), "string"),
    **dict.fromkeys(("repeat", "width", "height", "bytes", "rating"), "Int64"),
    **dict.fromkeys(("created_at", "started_at", "completed_at"), "datetime64[us, UTC]"),
    **dict.fromkeys(("total_s", "predict_s", "cost_usd"), "float64"),
    "status": "category",
    "favourite": "bool",
    "images": "object",
}
ORDER = (
    "experiment tag model provider prompt template repeat status error error_code prediction_id created_at started_at "
    "completed_at total_s predict_s cost_usd cost_source image images width height bytes sha256 rating note "
    "favourite text parent"
)


def types(table: pd.DataFrame) -> dict[str, str]:
    return {name: str(kind) for name, kind in table.dtypes.items()}


def intended(log: Log, *requests: Request, **options: Any) -> list[str]:
    return log.intend(requests, provider=PROVIDER, **options)


def test_an_empty_log_has_all_columns(log: Log) -> None:
    """In the documented order, with their types, and no row."""
    table = frame(log)
    assert list(table.columns) == ORDER.split()
    assert types(table) == TYPES
    assert table.index.name == "run_id"
    assert len(table) == 0
    assert list(events(log).columns) == ["run_id", "at", "status", "detail"]


def test_a_finished_run_fills_its_row(log: Log, home: Path) -> None:
    """Every column has its value, of its type."""
    (run_id,) = intended(log, request(slots={"animal": "fox"}, template="a red {animal}"), experiment="e", tag="t")
    log.accept(run_id, prediction())
    image = published(home)
    log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(), images=[image, image], cost=0.04, cost_source="list")
    log.rate(run_id, rating=4, note="good", favourite=True)
    table = frame(log)
    assert list(table.columns) == [*LEADING_COLUMNS, "animal", "aspect_ratio", "output_format", *TRAILING_COLUMNS]
    expected = {
        "experiment": "e",
        "tag": "t",
        "model": "google/imagen-4",
        "provider": PROVIDER,
        "prompt": "a red fox",
        "template": "a red {animal}",
        "animal": "fox",
        "aspect_ratio": "1:1",
        "output_format": "jpg",
        "repeat": 1,
        "status": "succeeded",
        "error": pd.NA,
        "error_code": pd.NA,
        "prediction_id": "p1",
        "created_at": pd.Timestamp(NOON),
        "started_at": pd.Timestamp(NOON + timedelta(seconds=1)),
        "completed_at": pd.Timestamp(NOON + timedelta(seconds=9)),
        "total_s": 9.0,
        "predict_s": 8.5,
        "cost_usd": 0.04,
        "cost_source": "list",
        "image": str(image.path),
        "images": (str(image.path), str(image.path)),
        "width": 64,
        "height": 48,
        "bytes": image.bytes,
        "sha256": image.sha256,
        "rating": 4,
        "note": "good",
        "favourite": True,
        "text": pd.NA,
        "parent": pd.NA,
    }
    row = table.loc[run_id]
    for name, value in expected.items():
        assert row[name] is value if value is pd.NA else row[name] == value, name
    assert types(table) == {**TYPES, "animal": "string", "aspect_ratio": "string", "output_format": "string"}


def test_missing_is_missing(log: Log) -> None:
    """A row that was only intended has no zeros and no empty texts."""
    intended(log, request())
    row = frame(log).iloc[0]
    given_names = {"model", "provider", "prompt", "template", "aspect_ratio", "repeat", "status", "favourite"}
    assert {name for name, value in row.items() if value is not pd.NA and pd.notna(value)} == given_names


def test_rows_are_in_the_order_of_the_log(log: Log) -> None:
    """Newest last, and `last` keeps the newest."""
    run_ids = intended(log, *[request(str(number)) for number in range(5)])
    log.settle(run_ids[0], Status.FAILED)
    assert list(frame(log).index) == run_ids
    assert list(frame(log, last=2).index) == run_ids[3:]
    assert list(frame(log, ids=[run_ids[3], run_ids[1]]).index) == [run_ids[1], run_ids[3]]
    assert list(frame(log, status="failed").index) == run_ids[:1]
    assert list(frame(log, status=["failed", "unknown"]).index) == run_ids[:1]
    assert len(frame(log, last=0)) == 0
    with pytest.raises(InputError, match="no status 'done'"):
        frame(log, status="done")


def test_a_filtered_frame_has_only_its_own_columns(log: Log, home: Path) -> None:
    """Slots and inputs of other experiments do not show, and each row has its own image."""
    (first,) = intended(log, request(slots={"animal": "fox"}, seed=1), experiment="one")
    (second,) = intended(log, request(slots={"style": "oil"}, steps=2), experiment="two")
    pictures = [published(home), published(home, b"another")]
    for run_id, picture in zip([first, second], pictures, strict=True):
        log.settle(run_id, Status.SUCCEEDED, images=[picture])
    one, both = frame(log, experiment="one"), frame(log)
    assert [name for name in one if name not in TYPES] == ["animal", "aspect_ratio", "seed"]
    assert [name for name in both if name not in TYPES] == ["animal", "style", "aspect_ratio", "seed", "steps"]
    assert list(both.image) == [str(picture.path) for picture in pictures]
    assert list(frame(log, experiment="two").image) == [str(pictures[1].path)]
    assert len(frame(log, experiment=["one", "two"])) == 2


def test_inputs_are_typed(log: Log) -> None:
    """Whole numbers, truth values and decimals keep their kind, what is mixed becomes text."""
    values = {"n": (1, 2), "on": (True, False), "scale": (1, 2.5), "mixed": (1, "one"), "big": (2**70, 1)}
    values |= {"shape": ([1, 2], {"a": None}), "absent": (None, None), "flag": (True, 1)}
    rows = [{name: pair[place] for name, pair in values.items()} for place in (0, 1)]
    intended(log, *[Request("m", {"prompt": "p", **row}, template="p") for row in [*rows, {}]])
    table = frame(log)
    assert {name: str(table[name].dtype) for name in values} == {
        "n": "Int64",
        "on": "boolean",
        "scale": "float64",
        "mixed": "string",
        "big": "string",
        "shape": "string",
        "absent": "string",
        "flag": "string",
    }
    assert list(table.n)[:2] == [1, 2]
    assert list(table["mixed"])[:2] == ["1", "one"]
    assert list(table["shape"])[:2] == ["[1, 2]", '{"a": null}']
    assert all(pd.isna(table[name].iloc[2]) for name in values)


def test_inputs_show_what_was_sent_before_what_was_echoed(log: Log) -> None:
    """Defaults that the reply filled in are there, and the prompt is no input column."""
    (run_id,) = intended(log, request(seed=7))
    log.accept(run_id, prediction(input={"prompt": "x", "output_format": "png", "seed": 0, "aspect_ratio": "9:16"}))
    row = frame(log).iloc[0]
    assert (row.seed, row.aspect_ratio, row.output_format, row.prompt) == (7, "1:1", "png", "a red fox")
    assert [name for name in frame(log) if name not in TYPES] == ["aspect_ratio", "seed", "output_format"]


def test_a_slot_and_an_input_of_one_name_share_a_column(log: Log) -> None:
    """In whichever rows they stand, the values are in one place."""
    intended(log, request(slots={"style": "oil"}), request(style="ink"), request())
    table = frame(log)
    assert [name for name in table if name not in TYPES] == ["style", "aspect_ratio"]
    assert list(table["style"].fillna("")) == ["oil", "ink", ""]


def test_names_of_the_logs_own_columns_are_kept_apart(log: Log) -> None:
    """An input called width, a slot called status: both are there, under their own names."""
    intended(log, request(slots={"status": "asleep", "run_id": 1}, width=512, image="in.png"))
    table = frame(log)
    assert [name for name in table if name not in TYPES] == [
        *("slot_status", "slot_run_id", "aspect_ratio", "input_width", "input_image")
    ]
    assert table.columns.is_unique
    assert (table.slot_status.iloc[0], table.input_width.iloc[0], table.status.iloc[0]) == ("asleep", 512, "intent")


def test_a_damaged_text_in_the_file_does_not_break_the_frame(log: Log) -> None:
    """JSON that is cut, of the wrong kind, or no JSON at all leaves its cells missing, and the other rows whole."""
    run_ids = intended(log, *[request(str(number), slots={"n": number}) for number in range(6)])
    broken = ['{"n": ', "[1]", "nothing", "", '{"n":1},{"n":2}', "[" * 5000]
    with log._database.writing() as conn:
        for run_id, text in zip(run_ids[1:], broken, strict=False):
            values = {"slots": text, "echo": text, "params": text, "of": run_id}
            conn.execute(
                sa.text("UPDATE runs SET slots = :slots, echo = :echo, params = :params WHERE run_id = :of"), values
            )
    table = frame(log)
    assert len(table) == 6
    assert table.n.iloc[0] == 0
    assert table.n.iloc[1:].isna().all()
    assert log.get(run_ids[1]).request.slots == {}


def test_half_a_surrogate_pair_can_be_written_to_any_file(log: Log, tmp_path: Path) -> None:
    """The log keeps it, the frame shows the replacement character, also in names."""
    half = "\ud83d half"
    intended(log, request(half, slots={half: half}, style=half), experiment=half, tag=half)
    table = frame(log)
    assert table.prompt.iloc[0] == table["style"].iloc[0] == table["\ufffd half"].iloc[0] == "\ufffd half"
    table.to_csv(tmp_path / "log.csv")
    table.drop(columns="images").to_parquet(tmp_path / "log.parquet")
    assert log.runs()[0].request.prompt == half


def test_a_frame_survives_parquet(log: Log, home: Path, tmp_path: Path) -> None:
    """Types and values come back."""
    (run_id,) = intended(log, request(seed=3, on=True))
    log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(), images=[published(home)])
    table = frame(log).drop(columns="images")
    table.to_parquet(tmp_path / "log.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "log.parquet"), table)


def test_events_are_one_row_a_change(log: Log) -> None:
    """With UTC times, in the provider's own words, for all runs or some."""
    first, second = intended(log, request(), request("2"), experiment="e")
    log.accept(first, prediction(seen_status="queued"))
    log.settle(second, Status.FAILED, error="no credit")
    table = events(log)
    assert list(zip(table.run_id, table.status, strict=True)) == [
        (first, "intent"),
        (second, "intent"),
        (first, "queued"),
        (second, "failed"),
    ]
    assert types(table) == {"run_id": "string", "at": "datetime64[us, UTC]", "status": "string", "detail": "string"}
    assert table.detail.iloc[3] == "no credit"
    assert len(events(log, ids=[first])) == 2
    assert len(events(log, experiment="none")) == 0


def test_a_file_outside_the_home_has_its_own_path(log: Log, tmp_path: Path) -> None:
    """Not one under the home."""
    (run_id,) = intended(log, request())
    path = tmp_path / "elsewhere.jpg"
    log.settle(run_id, Status.SUCCEEDED, images=[Image(path, "ab" * 32, 1, 1, 1, "image/jpeg")])
    assert frame(log).image.iloc[0] == str(path)


names = st.text(max_size=5) | st.sampled_from(["status", "width", "prompt", "n"])
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())


@given(st.lists(st.tuples(st.dictionaries(names, values), st.dictionaries(names, values)), max_size=5))
@settings(max_examples=60)
def test_any_log_makes_a_frame(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    """Whatever slots and inputs hold: one row each, unique columns, the fixed ones in their order."""
    with Log(tmp_path_factory.mktemp("home")) as log:
        intended(log, *[Request("m", inputs, template="t", slots=slots) for slots, inputs in rows])
        table = frame(log)
    assert len(table) == len(rows)
    assert table.columns.is_unique
    assert [name for name in table if name in TYPES] == ORDER.split()
    assert {name: kind for name, kind in types(table).items() if name in TYPES} == TYPES


def test_ten_thousand_runs_are_read_whole(log: Log) -> None:
    """A large log is read row by row in the right order, each with its own image."""
    run_ids = intended(log, *[request(str(number), slots={"n": number % 7}) for number in range(10_000)])
    with log._database.writing() as conn:
        echo = json.loads('{"output_format": "jpg"}')
        conn.execute(sa.update(runs).values(status="succeeded", created_at=NOON, echo=echo, cost=0.04))
        rows = range(1, len(run_ids) + 1)
        size = {"width": 1, "height": 1, "bytes": 1, "mime": "image/jpeg", "position": 0}
        pictures = [{"run": row, "sha256": f"{row:064x}", "file": f"images/00/{row:064x}.jpg", **size} for row in rows]
        conn.execute(sa.insert(images), pictures)
    table = frame(log)
    assert list(table.index) == run_ids
    assert len(table) == table.image.nunique() == 10_000
