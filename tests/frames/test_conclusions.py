"""Rankings, effects and alarms of a frame of the log: real sweeps of the simulator, real votes."""

from __future__ import annotations

import io
import math
import pickle
import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markup import Markup
from PIL import Image as Pillow

from imagen_nb.errors import InputError
from imagen_nb.records import Vote
from imagen_nb.simulator import Simulator, painter
from imagen_nb.workspace import Workspace

TASTE = {"oil": 0.0, "ink": 2.5, "wash": 2.3}
ANIMALS = ["fox", "owl", "cat", "dog", "hare", "crow", "newt", "lynx"]


def small(width: int, height: int, fmt: str, **words: Any) -> bytes:
    """What the simulator paints, at a quarter of the size asked for."""
    return painter.paint(width // 4, height // 4, fmt, **words)


def opened(home: Path, simulator: Simulator) -> Workspace:
    return Workspace(home=home, provider=simulator.base_url, token="none")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Eight animals in three styles, twice, and a vote on each pair of styles by two raters with one taste."""
    with Simulator(latency=0.0, paint=small) as simulator:
        workspace = opened(tmp_path_factory.mktemp("judged") / "runs", simulator)
        plan = workspace.plan("a {animal} in {style}", animal=ANIMALS, style=list(TASTE), repeat=2)
        workspace.run(plan, experiment="styles")
        frame, dice = workspace.frame(), random.Random(5)  # noqa: S311 - the same votes each time
        for _, rows in frame.groupby(["animal", "repeat"], sort=False):
            for (one, first), (other, second) in combinations(rows.iterrows(), 2):
                gap = TASTE[first["style"]] - TASTE[second["style"]]
                choice = "a" if dice.random() < 1 / (1 + math.exp(-gap)) else "b"
                workspace.vote(str(one), str(other), choice, by="style", rater=dice.choice(["ann", None]))
        yield workspace
        workspace.close()


def test_a_ranking_is_of_the_votes_on_runs_of_the_frame(judged: Workspace) -> None:
    """The sentence first, then what it rests on, then the table; a picture for a notebook; part of a frame is part."""
    frame = judged.frame()
    made = frame.imagen.ranking(by="style")
    assert made.level.iloc[-1] == "oil"
    assert made.attrs["groups"] == 8
    assert made.sentence.startswith(f"{made.level.iloc[0]} beats oil (chance 0.")
    assert f"{made.level.iloc[1]} is as good as {made.level.iloc[0]} as far as 8 prompts tell" in made.sentence
    assert repr(made).startswith(f"{made.sentence}\n48 votes by 2 raters on 8 prompts · ")
    html = made._repr_html_()
    assert Markup.of(made.html).is_balanced
    assert html.index("imagen-nb-findings") < html.index("<table")
    assert frame[frame["animal"].isin(ANIMALS[:4])].imagen.ranking(by="style").attrs["votes"] == 24
    assert frame.imagen.ranking(by="style", rater="ann").attrs["votes"] < 48
    assert type(made.copy()) is pd.DataFrame
    assert pickle.loads(pickle.dumps(made)).sentence == made.sentence  # noqa: S301 - our own


def test_effects_hold_the_prompt_equal(judged: Workspace) -> None:
    """Of votes as the ranking has them; of seconds; of a rating; of a score by its name; of what succeeded."""
    frame = judged.frame()
    ranked = frame.imagen.ranking(by="style").set_index("level")
    votes = frame.imagen.effects("votes")
    assert list(votes.index.names) == ["factor", "level"]
    assert votes.loc["style"].effect.to_dict() == pytest.approx(ranked.strength.to_dict())
    assert votes.loc["style"].low.to_dict() == pytest.approx(ranked.low.to_dict())
    assert "style: oil lowers the strength by " in votes.sentence
    rated = frame.assign(rating=[5 if style == "ink" else 3 for style in frame["style"]])
    rated["score_depth"] = rated["rating"] / 10
    assert rated.imagen.effects("rating").effect["style", "ink"] == pytest.approx(4 / 3)
    assert rated.imagen.effects("depth", "style").effect["style", "ink"] == pytest.approx(2 / 15)
    assert rated.imagen.effects("rating").groups.eq(8).all()
    assert rated.imagen.effects("total_s", ["animal"]).index.get_level_values("factor").unique().tolist() == ["animal"]
    assert frame.imagen.effects("succeeded").sentence.startswith("style: no difference to the success rate as far as 8")


def test_votes_of_several_questions_and_of_models_are_kept_apart(judged: Workspace) -> None:
    """Two questions have to be told apart; a model's votes count where it is asked for, or alone."""
    from imagen_nb.log.judgements import add_vote
    from imagen_nb.log.log import Log

    frame = judged.frame()
    a, b = (str(each) for each in frame.index[frame["animal"] == "fox"][[0, 2]])
    with Log(judged.home) as log:
        add_vote(log, Vote(a, b, "a", "style", "oil", "ink", "Which is better?", "g", "m/x", chosen_by="both orders"))
        assert frame.imagen.ranking(by="style").attrs["votes"] == 48
        assert frame.imagen.ranking(by="style", rater="m/x").attrs["votes"] == 1
        add_vote(log, Vote(a, b, "a", "style", "oil", "ink", "Which is darker?", "g", "ann"))
    with pytest.raises(InputError, match="these votes answer 2 questions"):
        frame.imagen.ranking(by="style")
    assert frame.imagen.ranking(by="style", question="Which is darker?").attrs["votes"] == 1


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda frame: frame.imagen.ranking(by="stile"), "not a column"),
        (lambda frame: frame.imagen.ranking(by="animal"), "no votes on animal"),
        (lambda frame: frame[frame["style"] == "oil"].imagen.ranking(by="style"), "style has 1 level"),
        (lambda frame: frame.head(2).imagen.effects("votes", "style"), "style has 1 level"),
        (lambda frame: frame.head(1).imagen.effects("total_s"), "nothing varies"),
        (lambda frame: frame.imagen.ranking(by="style", rater="eve"), "no votes with rater='eve'"),
        (lambda frame: frame.imagen.effects("rating"), "no run of this frame has a figure in rating"),
        (lambda frame: frame.imagen.effects("beauty"), "nothing that this frame has a figure of"),
        (lambda frame: frame.iloc[[0, 8]].imagen.effects("votes"), "no votes between runs"),
        (lambda frame: frame[["model"]].imagen.alarms(), "no column prompt"),
    ],
)
def test_what_cannot_be_concluded_is_said_in_two_lines(judged: Workspace, ask: Any, match: str) -> None:
    """One level, no votes, a column that is not there, a rater nobody heard of."""
    with pytest.raises(InputError, match=match) as refused:
        ask(judged.frame())
    assert len(str(refused.value).splitlines()) == 2


# -- alarms ------------------------------------------------------------------------------------------------------------


def test_an_honest_sweep_says_nothing_and_an_ignored_slot_is_one_line(home: Path) -> None:
    """A provider that never reads the last word of a prompt is told of at the end of the sweep, and in the frame."""

    def deaf(width: int, height: int, fmt: str, *, prompt: str, **words: Any) -> bytes:
        return small(width, height, fmt, prompt=prompt if "no." in prompt else prompt.rpartition(" ")[0], **words)

    with Simulator(latency=0.0, paint=deaf) as simulator, opened(home, simulator) as workspace:
        swept: dict[str, Any] = {"animal": ANIMALS[:4], "style": list(TASTE), "repeat": 2}
        runs = workspace.run("a {animal} in {style}", experiment="deaf", **swept)
        assert runs.alarms() == (
            "1 alarm: style (oil, ink, wash) made no difference to the pictures in 4 groups; "
            "df.imagen.alarms() names the runs"
        )
        copied = pickle.loads(pickle.dumps(runs))  # noqa: S301 - our own
        for rendering in (runs._repr_mimebundle_(), copied._repr_mimebundle_()):
            assert all(rendering[kind].count("1 alarm: style") == 1 for kind in ("text/plain", "text/html"))
        made = workspace.frame("deaf").imagen.alarms()
        assert made["alarm"].tolist() == ["ignored"]
        assert set(made["runs"][0]) == {run.id for run in runs}
        honest = workspace.run("a {animal} no. {style}", experiment="honest", **swept)
        assert honest.alarms() == ""
        assert "alarm" not in honest._repr_mimebundle_()["text/plain"]
        found = workspace.frame("honest").imagen.alarms(most=10)
        assert repr(found) == "No alarms.\n24 runs; 10 of 24 pictures looked at"
        assert "<table" not in found._repr_html_()


def test_looking_for_alarms_costs_no_sweep(home: Path) -> None:
    """Files that are gone or damaged, and pictures that show nothing; a short sweep is not looked at."""

    def plain(*_size: Any, **_words: Any) -> bytes:
        file = io.BytesIO()
        Pillow.new("RGB", (64, 64), "#808080").save(file, "JPEG")
        return bytes(file.getvalue())

    with Simulator(latency=0.0, paint=plain) as simulator, opened(home, simulator) as workspace:
        runs = workspace.run("a fox", repeat=8)
        assert runs.alarms().startswith("2 alarms: 8 runs gave a picture that shows nothing, and 1 more; ")
        assert workspace.run("an owl", repeat=7).alarms() == ""
        gone = workspace.run("a cat", repeat=9)
        for path in {image.path for run in gone for image in run.images}:
            path.write_bytes(b"no picture")
        kept = workspace.frame(last=9).imagen.alarms()
        assert kept["alarm"].tolist()[-1] == "repeats"  # the bytes' hash says so
