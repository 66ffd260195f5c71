"""Votes and scores in the log: who said what of which pictures, and what a scorer made of them; conclusions never.

A score is of an image, by its SHA-256, a scorer and a version, so that the same picture is not scored twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

import pandas as pd
import sqlalchemy as sa

from imagen_nb.errors import InputError, brief, comma_list, encodable
from imagen_nb.log.log import Log
from imagen_nb.log.queries import among
from imagen_nb.log.schema import runs
from imagen_nb.log.schema import scores as scores_table
from imagen_nb.log.schema import votes as votes_table
from imagen_nb.records import CHOICES, SCORE_PREFIX, Vote

VOTE_COLUMNS = (
    *("at", "rater", "question", "by", "level_a", "level_b", "group", "run_a", "run_b", "choice", "seconds"),
    "chosen_by",
)
SCORE_COLUMNS = ("sha256", "scorer", "version", "part", "value", "reason", "at")


def add_vote(log: Log, vote: Vote) -> Vote:
    """Write a vote; it is on the disk when this returns. Raises `InputError` for runs that are not in the log."""
    if vote.choice not in CHOICES:
        raise InputError(f"the choice is {brief(vote.choice)}; allowed: {comma_list(CHOICES)}", "Say which is better.")
    with log.writing() as conn:
        ids = [vote.run_a, vote.run_b]
        known = set(conn.execute(sa.select(runs.c.run_id).where(among(runs.c.run_id, ids))).scalars())
        if missing := [each for each in ids if each not in known]:
            raise InputError(f"there is no run {brief(missing[0])} in this log", "Vote on runs of frame().")
        values = asdict(replace(vote, at=vote.at or datetime.now(timezone.utc)))
        values.pop("id")
        place = conn.execute(sa.insert(votes_table).returning(votes_table.c.id), values).scalar_one()
    return replace(vote, id=place, at=values["at"])


def take_back(log: Log, vote: Vote) -> None:
    """Remove a vote that was just given."""
    with log.writing() as conn:
        conn.execute(sa.delete(votes_table).where(votes_table.c.id == vote.id))


def read_votes(log: Log, **equal: Any) -> list[Vote]:
    """The votes, oldest first, that have these values in these columns."""
    query = sa.select(votes_table).where(*(votes_table.c[name] == value for name, value in equal.items()))
    with log.reading() as conn:
        return [Vote(**row) for row in conn.execute(query.order_by(votes_table.c.id)).mappings()]


def votes_frame(log: Log, **equal: Any) -> pd.DataFrame:
    """The votes as a DataFrame, one row a vote, oldest first: `VOTE_COLUMNS`."""
    rows = [[_shown(getattr(vote, name)) for name in VOTE_COLUMNS] for vote in read_votes(log, **equal)]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(VOTE_COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    frame["seconds"] = frame["seconds"].astype(float)
    return frame


def add_scores(log: Log, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write scores, `sha256 scorer version part value reason` each, all parts of one at once.

    They take the place of what the same scorer and version said of the image before.
    """
    if rows:
        now, same = datetime.now(timezone.utc), ("sha256", "scorer", "version")
        before = [scores_table.c[name] == sa.bindparam(f"of_{name}") for name in same]
        with log.writing() as conn:
            conn.execute(
                sa.delete(scores_table).where(*before), [{f"of_{name}": row[name] for name in same} for row in rows]
            )
            conn.execute(sa.insert(scores_table), [{**row, "at": now} for row in rows])


def find_scores(log: Log, scorer: str, version: str, hashes: Iterable[str]) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Value and reason of each part, by the image's SHA-256, where it was scored before."""
    of = scores_table.c
    query = sa.select(scores_table).where(of.scorer == scorer, of.version == version, among(of.sha256, list(hashes)))
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    with log.reading() as conn:
        for row in conn.execute(query):
            found.setdefault(row.sha256, {})[row.part] = (row.value, row.reason)
    return found


def scores_frame(log: Log) -> pd.DataFrame:
    """All scores as a DataFrame, one row a figure of an image, oldest first: `SCORE_COLUMNS`."""
    with log.reading() as conn:
        rows = conn.execute(sa.select(scores_table).order_by(scores_table.c.at)).mappings().all()
    frame: pd.DataFrame = pd.DataFrame(
        [[_shown(row[name]) for name in SCORE_COLUMNS] for row in rows], columns=list(SCORE_COLUMNS)
    )
    return frame


def find_scored(
    log: Log, hashes: Iterable[str] | None = None, scorer: str | None = None, version: str | None = None
) -> dict[str, dict[str, Any]]:
    """By the column `score_<scorer>`, or `score_<scorer>_<part>`, the value of each image by its SHA-256.

    Only of these images, this scorer and version where they are given; else of the version that each scorer last had.
    """
    of = scores_table.c
    query = sa.select(of.sha256, of.scorer, of.version, of.part, of.value).order_by(of.at)
    query = query if hashes is None else query.where(among(of.sha256, list(hashes)))
    query = query if scorer is None else query.where(of.scorer == scorer)
    query = query if version is None else query.where(of.version == version)
    with log.reading() as conn:
        rows = conn.execute(query).all()
    newest = {row.scorer: row.version for row in rows}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row.version == newest[row.scorer]:
            found.setdefault(row.scorer, {}).setdefault(row.part, {})[row.sha256] = row.value
    columns: dict[str, dict[str, Any]] = {}
    for name, parts in found.items():
        for part, values in parts.items():
            if part or len(parts) == 1 or any(value is not None for value in values.values()):
                columns[encodable(f"{SCORE_PREFIX}{name}_{part}" if part else f"{SCORE_PREFIX}{name}")] = values
    return columns


def merge_scores(values: Iterable[Any]) -> Any:
    """The figure of a run with several images: the mean of numbers, else the first there is."""
    told = [value for value in values if value is not None]
    if len(told) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        return sum(told) / len(told)
    return told[0] if told else None


def _shown(value: Any) -> Any:
    """The value as a frame holds it, in text that any file can hold."""
    return encodable(value) if isinstance(value, str) else value
