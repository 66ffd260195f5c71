"""`df.imagen.judge()` without a browser: what a page is told, what is written, and who goes on where."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from controls import until
from logged import ANIMALS, STYLES, fill_log
from PIL import Image as Pillow

from imagen_nb.errors import InputError
from imagen_nb.log.judgements import read_votes
from imagen_nb.log.log import Log
from imagen_nb.workspace import Workspace

ASKED = "Which looks warmer?"


@pytest.fixture
def log(workspace: Workspace) -> Log:
    fill_log(workspace.log)
    return workspace.log


class Page:
    """What a page of the widget does: it remembers what it was told, and answers."""

    def __init__(self, widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.widget, self.heard, self.pictures = widget, [], []
        self.turn: dict[str, Any] = {}
        self.shown: dict[int, dict[str, Any]] = {}
        self.last: dict[str, str] = {}
        monkeypatch.setattr(widget, "send", self._hear)
        self.say(kind="start", px=400)

    def _hear(self, content: Any, buffers: Any = ()) -> None:
        self.heard.append(content)
        self.pictures.extend(buffers)
        if content["kind"] == "turn":
            self.turn = content
        elif content["kind"] == "pair":
            self.shown[content["at"]] = content
        else:
            self.last[content["kind"]] = content.get("text", content.get("note"))

    def say(self, **content: Any) -> None:
        self.widget._handle_custom_msg(content, [])

    def answer_by_taste(self) -> None:
        """As one who likes each style better than those after it."""
        pair = self.widget._shown[until(lambda: self.turn["at"] in self.shown and [self.turn["at"]])[0]]
        self.answer("a" if STYLES.index(pair.level_a) < STYLES.index(pair.level_b) else "b")

    def answer(self, choice: str) -> None:
        at = until(lambda: self.turn["at"] in self.shown and [self.turn["at"]])[0]
        self.say(kind="vote", at=at, choice=choice, seconds=0.25)


@pytest.fixture
def opened(log: Log, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Page]:
    assert log.run_ids()
    monkeypatch.setattr("imagen_nb.shared._default", workspace)

    def open_one(by: str = "style", **options: Any) -> Page:
        return Page(workspace.frame().imagen.judge(by, question=ASKED, **options), monkeypatch)

    return open_one


def test_nothing_that_is_sent_tells_what_is_compared(opened: Callable[..., Page], log: Log) -> None:
    """No level, run, hash or path in state, messages, saved form or the pictures' own bytes; the end says all."""
    page = opened()
    for number in range(12):
        until(lambda at=number: at in page.shown)
        page.answer_by_taste()
    end = until(lambda: page.last.get("end"))
    told = [each for each in page.heard if each["kind"] != "end"]
    state = {name: value for name, value in page.widget.get_state().items() if name not in ("_esm", "_css")}
    words = json.dumps([told, state, page.widget._repr_mimebundle_(), repr(page.widget)], default=str).encode()
    frame_words = [*STYLES, *log.run_ids(), str(log.home), "images/"]
    hashes = [image.sha256[:8] for run in log.runs() for image in run.images]
    for secret in (*frame_words, *hashes):
        assert secret.encode() not in words
        assert not any(secret.encode() in picture for picture in page.pictures)
    assert all(picture[8:12] == b"WEBP" and not Pillow.open(io.BytesIO(picture)).getexif() for picture in page.pictures)
    assert {each["prompt"] for each in told if each["kind"] == "pair"} == {f"a {animal} in ___" for animal in ANIMALS}
    assert "12 pairs to judge; run this cell again." in page.widget.fallback["text/html"]
    assert end.startswith("12 votes. ")
    assert f" as good as {STYLES[0]} as far as 4 prompts tell; about " in end


def test_enough_is_said_without_a_word_of_which(opened: Callable[..., Page], log: Log) -> None:
    """With ten animals that agree there is a best one: that it is enough is said meanwhile, which it is at the end."""
    fill_log(log, animals=("newt", "stag", "wren", "carp", "lynx", "toad"))
    page = opened()
    while not page.last.get("end"):
        page.answer_by_taste()
        until(lambda: page.last.get("end") or page.turn["at"] in page.shown)
    notes = [each["note"] for each in page.heard if each["kind"] == "note"]
    assert "Enough: more votes would hardly change the result." in notes
    assert page.last["end"].startswith(f"30 votes. {STYLES[0]} beats {STYLES[1]} (chance 0.")


def test_votes_say_what_was_asked_and_go_on(opened: Callable[..., Page], workspace: Workspace, log: Log) -> None:
    """Each answer is in the log at once, Backspace takes it out, and the same rater goes on in another notebook."""
    page = opened(rater="Ann")
    page.answer("a")
    [first] = read_votes(log, rater="Ann")
    assert (first.question, first.by, first.choice, first.seconds) == (ASKED, "style", "a", 0.25)
    assert {first.level_a, first.level_b} < set(STYLES)
    assert first.group.endswith(" in ___")
    assert first.chosen_by in ("random", "least asked", "uncertain")
    page.say(kind="vote", at=0, choice="b", seconds=0.1)  # a key pressed twice
    assert read_votes(log) == [first]
    page.say(kind="back")
    assert (read_votes(log), page.turn["at"], page.turn["place"]) == ([], 0, 1)
    for choice in ("b", "tie", "neither"):
        page.answer(choice)
    other = opened(rater="Bo")
    assert (other.turn["place"], other.turn["goal"]) == (1, 12)
    again = opened(rater="Ann", pairs=5)
    assert (again.turn["place"], again.turn["goal"]) == (4, 5)
    again.answer("a")
    again.answer("b")
    assert until(lambda: again.last.get("end")).startswith("5 votes. ")
    page.answer("a")  # the first notebook is still open, with a pair on show: its answer is kept as well
    votes = workspace.votes()
    assert votes["rater"].tolist() == ["Ann"] * 6
    assert votes["choice"].tolist()[:3] == ["b", "tie", "neither"]
    assert "12 pairs" in opened(rater="Cy").widget.fallback["text/plain"]


def test_a_sitting_can_end_early(opened: Callable[..., Page], log: Log) -> None:
    """Finish shows what the votes say so far, and nothing is taken back or added after that."""
    page = opened()
    page.answer("tie")
    page.say(kind="finish")
    assert "11 pairs left; run this cell again" in until(lambda: page.last.get("end"))
    page.say(kind="back")
    page.say(kind="vote", at=1, choice="a", seconds=1)
    assert [vote.choice for vote in read_votes(log)] == ["tie"]
    empty = opened(rater="nobody yet")
    empty.say(kind="finish")
    assert until(lambda: empty.last.get("end")) == "No votes were given."


def test_a_picture_that_goes_missing_is_in_no_pair(opened: Callable[..., Page], log: Log) -> None:
    """Files deleted in mid-session cost their pairs only, and a log that is gone says so without a name."""
    page = opened()
    for run in log.runs()[:6]:
        run.images[0].path.unlink()
    while not page.last.get("end"):
        page.answer("a")
        until(lambda: page.last.get("end") or page.turn["at"] in page.shown)
    left = {run.id for run in log.runs() if run.images[0].path.exists()}
    late = read_votes(log)[2:]
    assert late
    assert all({vote.run_a, vote.run_b} <= left for vote in late)


def _raises(act: Callable[[], Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        act()
    assert len(str(caught.value).splitlines()) == 2


def test_what_cannot_be_judged_is_said_in_two_lines(workspace: Workspace, log: Log) -> None:
    """One level, no common group, a column that is not there, failed runs, no files: and nothing is written."""
    frame = workspace.frame()
    judge = frame.imagen.judge
    _raises(lambda: judge("stile"), "by='stile' is not a column")
    _raises(lambda: judge("style", within=["stile"]), "within='stile' is not a column")
    _raises(lambda: judge("model"), "model has 1 level")
    _raises(lambda: judge("style", within=["prompt", "run_id"]), "no two pictures differ in style and agree in")
    _raises(lambda: judge("style", pairs=0), "pairs cannot be 0")
    _raises(lambda: judge(["style", "animal"]), "compared by one column")
    _raises(lambda: frame[:0].imagen.judge("style"), "none of 0 runs")
    one, other, third = frame.query("animal == 'fox'").index
    _raises(lambda: workspace.vote(one, other, "left", by="style"), "the choice is 'left'")
    _raises(lambda: workspace.vote(one, one, "a", by="style"), "style has 1 level")
    owl = frame.query("animal == 'owl'").index[1]
    _raises(lambda: workspace.vote(one, owl, "a", by="style"), "no two pictures differ in style and agree in prompt")
    for run in log.runs():
        run.images[0].path.unlink()
    _raises(lambda: judge("style"), "none of 12 runs can be shown: 0 did not succeed, and the pictures of 12 are")
    _raises(lambda: workspace.vote(third, other, "a", by="style"), "none of 12 runs can be shown")
    assert workspace.votes().empty
    failing = Workspace(workspace.home.parent / "other", provider=workspace.settings.provider.base_url)
    with failing:
        fill_log(failing.log, failed=12)
        _raises(lambda: failing.frame().imagen.judge("style"), "none of 12 runs can be shown: 12 did not succeed")


def test_a_vote_from_a_program_is_like_one_from_the_widget(workspace: Workspace, log: Log) -> None:
    """Level and group are found for two runs or ids; the same pair may be voted on twice by the same rater."""
    one, other, _ = workspace.frame().query("animal == 'owl'").index
    for choice in ("b", "tie"):
        vote = workspace.vote(log.get(other), one, choice, by="style", rater="Ann")
        assert (vote.run_a, vote.level_a, vote.level_b, vote.group) == (other, STYLES[1], STYLES[0], "a owl in ___")
    assert workspace.votes()["choice"].tolist() == ["b", "tie"]
    assert workspace.votes()["question"].unique().tolist() == ["Which is better?"]
