"""Models that answer in words: the text is in the row, wherever that goes, and no picture is no failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from origin import Origin
from PIL import Image as Picture

from imagen_nb.frames.read import read_log
from imagen_nb.records import Status
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

SEES = "openai/gpt-5-mini"


@pytest.fixture
def api() -> Iterator[Origin]:
    with Origin() as started:
        yield started


@pytest.fixture
def ws(home: Path, api: Origin) -> Iterator[Workspace]:
    with Workspace(home, provider=api.base_url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("output", "text", "images"),
    [
        ("It is a fox.", "It is a fox.", 0),
        (["It is ", "a", " fox.", ""], "It is a fox.", 0),
        ({"caption": "Style: oil", "seed": 7}, "Style: oil", 0),
        (["a fox: ", "FILE", "red"], "a fox: red", 1),
        (["FILE"], None, 1),
    ],
    ids=["one text", "pieces", "an object", "text and a picture", "a picture"],
)
def test_text_is_joined_as_it_comes_and_a_picture_beside_it_is_kept(
    ws: Workspace, api: Origin, output: Any, text: str | None, images: int
) -> None:
    """Pieces are joined without a separator; the run succeeds, in the handle, the log and the frame."""
    file = f"{api.base_url}/files/x.jpg"
    api.answer = lambda _: {"output": [file if each == "FILE" else each for each in output] if images else output}
    run = ws.generate("what is this?", model="some/model")
    assert (run.status, run.error, run.text, len(run.images)) == (Status.SUCCEEDED, None, text, images)
    assert ws.log.get(run.id) == run
    shown = ws.frame()["text"].iloc[0]
    assert shown == text if text else shown is pd.NA


def test_text_from_a_model_that_makes_pictures_is_a_failure_that_repeats_it(ws: Workspace, api: Origin) -> None:
    """It is what such a model says in place of the picture that was asked for."""
    api.answer = lambda _: {"output": "I cannot draw that."}
    run = ws.generate("a fox", model="google/imagen-4")
    assert (run.status, run.error_code, run.images) == (Status.FAILED, "no_output", ())
    assert run.error == "the provider says succeeded, and gives text instead of an image: 'I cannot draw that.'"


def test_what_a_model_says_of_a_picture_comes_back_from_every_export(home: Path, tmp_path: Path) -> None:
    """A model that sees is asked about a file, once: resuming asks nothing again."""
    Picture.new("RGB", (64, 48), "red").save(tmp_path / "fox.png")
    with Simulator(latency=0) as simulator, Workspace(home, provider=simulator.base_url) as ws:
        plan = ws.plan(["Is it red? yes or no", "Say: \"a\", 'b'; =1+1"], model=SEES, image_input=tmp_path / "fox.png")
        runs = ws.run(plan, experiment="seen")
        assert [(run.status, bool(run.text), run.images) for run in runs] == [(Status.SUCCEEDED, True, ())] * 2
        again = ws.run(plan, experiment="seen", resume=True)
        assert [run.id for run in again] == [run.id for run in runs]
        assert len(simulator.predictions) == 2
        frame = ws.frame()
    for name in ("log.csv", "log.parquet"):
        frame.imagen.export(tmp_path / name)
        back = read_log(tmp_path / name)
        assert list(back["text"]) == [run.text for run in runs]
        assert list(back["favourite"]) == [False, False]
    pages = [frame.imagen.report(tmp_path / "report.html").read_text("utf-8"), runs[0]._repr_mimebundle_()["text/html"]]
    assert all(str(runs[0].text).split()[0] in page for page in pages)
