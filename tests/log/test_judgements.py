"""Votes and scores: durable, shared, and kept beside the rows."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from imagen_nb.errors import InputError
from imagen_nb.log import judgements
from imagen_nb.log.log import Log
from imagen_nb.records import Request, Vote


def _vote(log: Log) -> Vote:
    ids = log.intend([Request("m/x", {"prompt": each}, each) for each in ("a fox", "an owl")], provider="simulator")
    return Vote(*ids, "a", by="style", level_a="oil", level_b="ink", question="Which is better?", group="a fox")


def test_a_vote_is_on_the_disk_when_it_is_given(home: Path) -> None:
    """Another program reads it at once; taken back it is gone, and the others stay."""
    with Log(home) as log:
        vote = _vote(log)
        given = [judgements.add_vote(log, replace(vote, rater=rater, seconds=1.5)) for rater in ("Ann", "Bo\ud83d")]
        with contextlib.closing(sqlite3.connect(home / "log.sqlite")) as file:
            assert file.execute("SELECT choice, seconds FROM votes").fetchall() == [("a", 1.5)] * 2
        assert judgements.read_votes(log, by="style", rater="Bo\ud83d") == [given[1]]
        judgements.take_back(log, given[0])
        frame = judgements.votes_frame(log)
        assert frame.columns.tolist() == list(judgements.VOTE_COLUMNS)
        assert frame["rater"].tolist() == ["Bo\ufffd"]
        assert str(frame["at"].dt.tz) == "UTC"
        assert judgements.votes_frame(log, by="nothing").empty


def test_a_vote_of_nothing_is_refused(home: Path) -> None:
    """Runs that are not in the log, and answers that are none, write nothing."""
    with Log(home) as log:
        vote = _vote(log)
        for wrong, match in (({"run_b": "zz"}, "no run 'zz'"), ({"choice": "left"}, "'left'; allowed: a, b, tie")):
            with pytest.raises(InputError, match=match):
                judgements.add_vote(log, replace(vote, **wrong))
        assert judgements.read_votes(log) == []


def test_scores_are_kept_by_image_scorer_and_version(home: Path) -> None:
    """A value of each kind comes back as it was; a newer one takes the place, and the newest version is the frame's."""
    values = {"": 0.25, "sharp": True, "words": "oil", "none": None}
    with Log(home) as log:
        rows = [
            {"sha256": "f" * 64, "scorer": "mine", "version": "1", "part": part, "value": value, "reason": "so"}
            for part, value in values.items()
        ]
        judgements.add_scores(log, rows)
        found = judgements.find_scores(log, "mine", "1", ["f" * 64, "0" * 64])
        assert found == {"f" * 64: {part: (value, "so") for part, value in values.items()}}
        assert judgements.find_scores(log, "mine", "2", ["f" * 64]) == {}
        judgements.add_scores(log, [{**rows[0], "version": "2", "value": 0.5}])
        assert judgements.find_scored(log, ["f" * 64]) == {"score_mine": {"f" * 64: 0.5}}
        earlier = judgements.find_scored(log, version="1")
        assert [earlier["score_mine"], earlier["score_mine_sharp"]] == [{"f" * 64: 0.25}, {"f" * 64: True}]
        assert len(judgements.scores_frame(log)) == 5
