"""The accessor on frames that a real log gave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markup import Markup
from sample_runs import image

from imagen_nb import read_log
from imagen_nb.errors import InputError
from imagen_nb.frames.runs import runs_of
from imagen_nb.log.frame import frame
from imagen_nb.log.log import Log
from imagen_nb.planning.plan import plan
from imagen_nb.records import Prediction, Request, Run, Status

WHEN = datetime(2025, 3, 1, 12, tzinfo=timezone.utc)


def carried_out(log: Log, requests: Sequence[Request], *, blocked: int, experiment: str = "animals") -> list[Run]:
    """Every request answered by a reply with defaults filled in and an image, but for one that is refused."""
    runs = []
    for place, run_id in enumerate(log.intend(requests, provider="kkiai", experiment=experiment)):
        reply = answer(requests[place], f"{experiment}{place}")
        log.accept(run_id, reply)
        more: dict[str, Any] = {"error": "Flagged. (E005)", "error_code": "blocked"}
        if place != blocked:
            more = {"images": [image(log.home, place), image(log.home, place + 100)], "cost": 0.08}
        status = Status.FAILED if place == blocked else Status.SUCCEEDED
        runs.append(log.settle(run_id, status, prediction=reply, **more))
    return runs


def answer(request: Request, name: str) -> Prediction:
    return Prediction(
        id=f"prediction-{name}",
        status=Status.SUCCEEDED,
        input={**request.input, "output_format": "jpg"},
        created_at=WHEN,
        completed_at=WHEN + timedelta(seconds=9.5),
    )


@pytest.fixture
def done(home: Path) -> tuple[list[Run], pd.DataFrame]:
    asked = plan("a {animal} in {oil|ink}", model="google/imagen-4", animal=["fox", "owl"], repeat=2)
    with Log(home) as log:
        return carried_out(log, list(asked), blocked=3), frame(log)


def test_a_logs_frame_gives_back_its_runs(done: tuple[list[Run], pd.DataFrame]) -> None:
    """Every run comes back as the log itself has it, with what the reply filled in beside what was sent."""
    runs, log = done
    for found, run in zip(runs_of(log), runs, strict=True):
        assert found.request.prompt == run.request.prompt
        assert found.request.slots == run.request.slots
        assert found.request.params == {"output_format": "jpg"}
        for name in ("id", "status", "error", "error_code", "images", "cost", "total_s", "created_at", "experiment"):
            assert getattr(found, name) == getattr(run, name), name


def test_a_log_shows_as_a_grid_of_its_slots(done: tuple[list[Run], pd.DataFrame]) -> None:
    """The axes are the plan's own; repeats and a refusal stand in their cell."""
    shown = done[1].imagen.grid()
    assert Markup.of(shown.html).tags.count("img") == 14
    assert shown.text.splitlines() == [
        "     oil       ink",
        "fox  4 images  2 images, 1 blocked",
        "owl  4 images  4 images",
    ]


def test_a_logs_exports_read_back_as_its_frame(done: tuple[list[Run], pd.DataFrame], tmp_path: Path) -> None:
    """CSV and Parquet give back the very frame that the log gave, types and all."""
    log = done[1]
    for name in ("log.csv", "log.parquet"):
        pd.testing.assert_frame_equal(read_log(log.imagen.export(tmp_path / name)), log)
    folder = read_log(log.imagen.export(tmp_path / "set"))
    pd.testing.assert_series_equal(folder["prompt"], log.loc[log["image"].notna(), "prompt"])
    assert folder["images"].map(len).tolist() == [2] * 7


def test_two_homes_are_one_frame(done: tuple[list[Run], pd.DataFrame], tmp_path: Path) -> None:
    """Logs of different experiments, put together with pandas, show, sum up and export together."""
    asked = plan("a {mood} tree", model="black-forest-labs/flux-schnell", mood=["calm", "wild"], params={"seed": 7})
    with Log(tmp_path / "other" / "imagen_runs") as other:
        carried_out(other, list(asked), blocked=-1, experiment="trees")
        both = pd.concat([done[1], frame(other)])
    assert Markup.of(both.imagen.gallery().html).tags.count("img") == 18
    assert both.imagen.summary("experiment")["runs"].to_dict() == {"animals": 8, "trees": 2}
    assert both.imagen.grid("animal", "mood").html
    assert len(read_log(both.imagen.export(tmp_path / "both.parquet"))) == 10
    assert [each.name for each in both.imagen.compare(0, -1).params_diff] == [
        "model",
        "animal",
        "slot_1",
        "mood",
        "seed",
    ]


def test_thumbnails_are_kept_in_the_home_they_are_of(done: tuple[list[Run], pd.DataFrame], home: Path) -> None:
    """The next look costs next to nothing."""
    done[1].imagen.gallery()
    assert len(list((home / "thumbnails").glob("*.webp"))) == 14


def test_a_status_is_a_word_or_anything_that_holds_several(home: Path, done: tuple[list[Run], pd.DataFrame]) -> None:
    """A series of words filters as a list does, and an empty word is no status."""
    with Log(home) as log:
        assert frame(log, status=pd.Series(["failed"])).index.equals(frame(log, status=["failed"]).index)
        assert list(frame(log, status="failed").index) == [done[0][3].id]
        assert len(frame(log, status=[])) == 0
        with pytest.raises(InputError, match="there is no status ''"):
            frame(log, status="")
