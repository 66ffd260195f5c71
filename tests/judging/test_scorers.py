"""Scorers: what the built-in ones say of known pictures, and how anybody's own come into the log and the frame."""

from __future__ import annotations

import io
import signal
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imagen_nb.errors import InputError
from imagen_nb.frames import scores
from imagen_nb.frames.read import read_log
from imagen_nb.frames.runs import runs_of, settings_columns
from imagen_nb.judging import scorers
from imagen_nb.notebook import live
from imagen_nb.records import Run
from imagen_nb.shared import set_default_workspace
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
PICTURES = {
    "black": Image.new("RGB", (400, 300)),
    "white": Image.new("RGB", (400, 300), "white"),
    "noise": NOISE,
    "soft": NOISE.filter(ImageFilter.GaussianBlur(3)),
    "grey": NOISE.convert("L").convert("RGB"),
    "dot": Image.new("RGB", (1, 1), "red"),
}


def test_built_in_scorers_tell_known_pictures_apart() -> None:
    """Blurred is less sharp, grey has no colour, one colour is blank; each figure is within its range."""
    seen = {name: {**scorers.looks(each), "blank": scorers.blank(each)} for name, each in PICTURES.items()}
    assert seen["noise"]["sharpness"] > 10 * seen["soft"]["sharpness"] > 0
    assert seen["black"]["sharpness"] == seen["dot"]["sharpness"] == 0.0
    assert [seen[name]["brightness"] for name in ("black", "white")] == [0.0, 1.0]
    assert seen["noise"]["contrast"] > seen["soft"]["contrast"] > seen["white"]["contrast"] == 0.0
    assert seen["noise"]["colourfulness"] > seen["soft"]["colourfulness"] > seen["grey"]["colourfulness"] == 0.0
    assert [name for name in seen if seen[name]["blank"]] == ["black", "white", "dot"]
    hashes = {name: int(scorers.dhash(each), 16) for name, each in PICTURES.items()}
    assert (hashes["noise"] ^ hashes["grey"]).bit_count() < 16 < (hashes["noise"] ^ hashes["black"]).bit_count()


def paint(*_: Any, prompt: str, variation: str, **__: Any) -> bytes:
    """A small picture that says which prompt and which of several it is."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (len(prompt), 40 * int(variation[-1]), 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def ws(home: Path) -> Iterator[Workspace]:
    """A workspace with four runs of one picture, and one that failed."""
    with Simulator(latency=0, paint=paint) as simulator, Workspace(home, provider=simulator.base_url) as opened:
        set_default_workspace(opened)
        opened.run(["a", "bb", "ccc", "dddd", "[fail]"], experiment="x")
        yield opened


def test_a_picture_is_scored_once_by_the_same_scorer(ws: Workspace, tmp_path: Path) -> None:
    """The column is in the frame and the log's own, typed; another version scores anew, and is the newest."""
    frame, calls = ws.frame(), []

    def red(image: Image.Image, prompt: str, run: Run, *, reference: Image.Image | None = None) -> int:
        calls.append((prompt, run.id, reference))
        assert image.mode == "RGB"
        return image.getpixel((0, 0))[0]  # type: ignore[index,return-value] # of RGB it is a tuple

    scored = frame.imagen.score(red)
    assert "score_red" not in frame
    assert scored["score_red"].tolist()[:4] == [1.0, 2.0, 3.0, 4.0]
    assert scored["score_red"].isna().tolist() == [False] * 4 + [True]
    assert scored["score_red"].dtype == "float64"
    assert sorted(calls) == sorted((run.request.prompt, run.id, None) for run in ws.log.runs(status="succeeded"))
    pd.testing.assert_frame_equal(frame.imagen.score(red), scored)
    assert len(calls) == 4
    pd.testing.assert_frame_equal(ws.frame(), scored)
    assert settings_columns(scored) == settings_columns(frame)
    assert "score_red" in scored.imagen.table().text
    later = frame.imagen.score(lambda params: {"n": len(params), "ok": True, "word": "x"}, name="red", version="2")
    assert later.columns.tolist()[-3:] == ["score_red_n", "score_red_ok", "score_red_word"]
    assert [str(later[name].dtype) for name in later.columns[-3:]] == ["float64", "boolean", "string"]
    assert "score_red" not in ws.frame()
    assert len(frame.imagen.score(red).columns) == len(frame.columns) + 1
    for file in ("log.csv", "log.parquet"):
        later.imagen.export(tmp_path / file)
        pd.testing.assert_series_equal(read_log(tmp_path / file)["score_red_ok"], later["score_red_ok"])
    assert frame.set_index("prompt", append=True).imagen.score(red).index.names == ["run_id", "prompt"]


def test_a_run_of_several_pictures_has_their_mean(ws: Workspace) -> None:
    """Numbers have a mean; of all else it is the first."""
    ws.generate("e", model="black-forest-labs/flux-schnell", num_outputs=3)
    frame = ws.frame(last=1)
    assert frame.imagen.score(lambda image: image.getpixel((0, 0))[1], name="green")["score_green"].tolist() == [40.0]
    assert frame.imagen.score(lambda image: image.getpixel((0, 0))[1] > 0, name="is")["score_is"].tolist() == [False]
    assert ws.frame()["score_green"].tolist()[-1] == 40.0
    assert len(ws.scores()) == 6


def test_what_a_scorer_cannot_say_is_no_score_and_is_tried_again(ws: Workspace) -> None:
    """A crash, nothing, NaN and a damaged file have a reason in their row, and cost no other picture its score."""
    frame, calls = ws.frame(), []
    Path(frame["image"].iloc[3]).write_bytes(b"no picture")

    def wild(image: Image.Image, prompt: str) -> float | None:
        calls.append(prompt)
        return {"a": 1.5, "bb": None, "ccc": float("nan")}[prompt] if image else None

    assert frame.imagen.score(wild)["score_wild"].isna().tolist() == [False, True, True, True, True]
    reasons = ws.scores().set_index("sha256")["reason"]
    assert [reasons[each] for each in frame["sha256"][1:3]] == ["the scorer gave nothing", "the scorer gave nan"]
    assert reasons[frame["sha256"].iloc[3]].startswith("the picture cannot be read: cannot identify image file")
    frame.imagen.score(wild)
    assert sorted(calls) == ["a", "bb", "bb", "ccc", "ccc"]
    frame.imagen.score(lambda prompt: 1 / (len(prompt) - 2), name="crash")
    told = ws.scores().query("scorer == 'crash'").set_index("sha256")
    assert told.loc[frame["sha256"].iloc[1], "reason"] == "ZeroDivisionError: division by zero"
    assert told["value"].notna().sum() == 3
    columns = [name for name in ws.frame() if name.startswith("score_")]
    assert frame.imagen.score(lambda prompt: {"n": len(prompt)}, name="crash")["score_crash_n"].tolist()[1] == 2.0
    assert [name for name in ws.frame() if name.startswith("score_")] == [*columns, "score_crash_n"]
    assert not ws.scores().query("scorer == 'crash'")["value"].isna().any()


def test_a_slot_that_is_called_like_a_score_has_a_column_of_its_own(ws: Workspace) -> None:
    """As it has beside every other column of the log; it varies, is shown, and is no score."""
    ws.run("{score_a}", score_a=["x", "yy"], experiment="slots")
    frame = ws.frame("slots")
    assert frame["slot_score_a"].tolist() == ["x", "yy"]
    assert not [name for name in frame if name.startswith("score_")]
    assert [run.request.slots for run in runs_of(frame)] == [{"score_a": "x"}, {"score_a": "yy"}]
    assert "slot_score_a" in frame.imagen.table().text


WRONG = {
    "unknown arguments": (
        lambda imge: imge,
        {"name": "x"},
        r"asks for imge, which nobody can give; there are image, path",
    ),
    "a list": (lambda image: [image], {"name": "x"}, "neither a number, a bool, a text nor a dict"),
    "no name": (lambda image: image.width, {}, "has no name of its own"),
    "no such scorer": ("sharpnes", {}, "no scorer 'sharpnes'"),
    "no function": (3, {}, "3 is no scorer"),
    "no text": (lambda image: image.width, {"name": 3}, "name cannot be 3"),
    "a model that paints": (scorers.ask("google/imagen-4", "Is it?"), {"name": "x"}, "makes pictures, and a judge"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_scorer_is_said_in_two_lines(ws: Workspace, case: str) -> None:
    """Nothing is written then; no more is it where nothing can be scored."""
    scorer, given, match = WRONG[case]
    with pytest.raises(InputError, match=match) as raised:
        ws.frame().imagen.score(scorer, **given)
    assert len(str(raised.value).splitlines()) == 2
    with pytest.raises(InputError, match="none of 1 run has a picture"):
        ws.frame(status="failed").imagen.score("blank")
    assert ws.scores().empty


def test_an_interrupt_keeps_what_was_scored(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on scores the rest."""
    calls: list[str] = []
    may_go_on = threading.Event()

    def slow(prompt: str) -> int:
        calls.append(prompt)
        if len(calls) == 3:
            until = time.monotonic() + 60
            while len(ws.scores()) < 2 and time.monotonic() < until:
                time.sleep(0.01)
            signal.raise_signal(signal.SIGINT)
        if len(calls) >= 3:
            may_go_on.wait(60)
        return 1

    monkeypatch.setattr(scores, "WRITE_S", 0.0)
    frame = ws.frame()
    with pytest.raises(KeyboardInterrupt):
        frame.imagen.score(slow)
    may_go_on.set()
    kept = set(ws.scores()["sha256"])
    assert len(kept) == 2
    done = len(calls)
    assert frame.imagen.score(slow)["score_slow"].notna().sum() == 4
    assert len(calls) == done + 2


def test_installed_packages_offer_scorers_by_name(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry point of the group `imagen_nb.scorers`; one that cannot be loaded is said in two lines."""
    (tmp_path / "plugged.py").write_text("def width(image):\n    return image.width\n", "utf-8")
    folder = tmp_path / "plugged-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n", "utf-8")
    points = "[imagen_nb.scorers]\nwide = plugged:width\nbroken = plugged:gone\n"
    (folder / "entry_points.txt").write_text(points, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert ws.frame().imagen.score("wide")["score_wide"].tolist()[:4] == [64.0] * 4
    with pytest.raises(InputError, match="the scorer broken cannot be loaded: AttributeError"):
        ws.frame().imagen.score("broken")
    with pytest.raises(InputError, match="broken, colourfulness, contrast, dhash, sharpness, text, wide"):
        ws.frame().imagen.score("narrow")


def test_a_line_says_how_far_it_is(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody looks; nothing of it stays, and in a script there is none."""
    terminal = io.StringIO()
    monkeypatch.setattr(live, "choose_output", lambda _: live.TerminalOutput(terminal, 100))
    monkeypatch.setattr(live, "SLICE_S", 0.0)
    ws.frame().imagen.score("blank")
    shown = terminal.getvalue().split("\r")
    assert "[######" in shown[1]
    assert "1 of 4 done" in shown[1]
    assert "4 of 4 done" in shown[-2]
    assert shown[-1] == "\x1b[J"


def write_words(words: str) -> Image.Image:
    picture = Image.new("RGB", (640, 160), "white")
    ImageDraw.Draw(picture).text((30, 45), words, fill="black", font=ImageFont.load_default(size=48))
    return picture


@pytest.mark.skipif(not find_spec("rapidocr"), reason="needs the extra [ocr], which is larger than all else together")
def test_words_in_pictures_are_read() -> None:
    """The share of wrong characters; other words beside them do not count, and without words to read there is none."""
    picture = write_words("OPEN LATE today")
    assert scorers.text(picture, 'a sign that says "Open late"').value == 0.0
    wrong = scorers.text(picture, 'a sign that says "Open gate"')
    assert wrong.value == pytest.approx(1 / 8)
    assert str(wrong.reason).casefold().startswith("read: 'open late")
    assert scorers.text(picture, "a sign") == scorers.Score(None, "the prompt has no words in quotes")


def test_reading_words_says_what_it_needs(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """In two lines, and nothing is written, so that it goes on once that is installed."""
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr(scorers, "_readers", [])
    ws.generate('a sign "hello"')
    with pytest.raises(InputError, match=r"needs an extra\npip install 'imagen-nb\[ocr\]'"):
        ws.frame(last=1).imagen.score("text")
    assert ws.scores().empty
