"""Which pictures of a frame can be judged in pairs, what is equal in a pair, and what may be said of one blindly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.frames.grid import distinct, slots_of
from imagen_nb.frames.runs import Names, names_of, need, runs_of, settings_columns, values
from imagen_nb.judging.pairs import Pair, find_pairs
from imagen_nb.planning.template import parse
from imagen_nb.records import Run, Status, is_own_column
from imagen_nb.views.words import count, value_text

BLANK = "___"
"""Stands in a prompt for what is compared."""

_TEXTS = ("prompt", "template")


@dataclass(frozen=True, slots=True)
class Candidates:
    """The runs whose first picture can be shown, by their ids, to be compared by the levels of the column `by`.

    `texts` are their prompts without what is compared: "a fox in ___", and "" where it is the prompt itself. `table`
    has the levels, what is held equal (`within`) and the repeat of each; `left_out` counts the frame's other runs.
    """

    by: str
    within: Sequence[str]
    runs: Mapping[str, Run]
    texts: Mapping[str, str]
    table: pd.DataFrame
    left_out: int

    def pairs(self, *run_ids: str) -> list[Pair]:
        """Every pair of two levels that are equal in all else; with ids, of these runs alone.

        Raises `InputError` where there is none.
        """
        return find_pairs(self.table.loc[list(run_ids)] if run_ids else self.table, self.by, self.within)

    def text(self, pair: Pair) -> str:
        """What both pictures were asked for, as far as that does not tell them apart."""
        one, other = self.texts[pair.run_a], self.texts[pair.run_b]
        return one if one == other else ""


def candidates(frame: pd.DataFrame, by: str, within: Names = None) -> Candidates:
    """The frame's runs to be compared by `by`; `within` are the columns to be held equal.

    By default that is everything that varies, but for `by`, what goes with it (a slot zipped to it), `repeat` and
    `experiment`, and for what no two levels share (a random seed): the prompt, with the compared slot left blank, and
    the other settings. Raises `InputError` for a column that is not there, and where no run can be shown.
    """
    need(frame, "prompt", "status", "image")
    names = names_of(frame, by, "by")
    if len(names) != 1:
        raise InputError(f"pictures are compared by one column, and by= names {len(names)}", "Name one as by=.")
    every = runs_of(frame)
    runs = {run.id: run for run in every if run.status is Status.SUCCEEDED and _has_picture(run)}
    if not runs:
        gone = sum(run.status is Status.SUCCEEDED for run in every)
        raise InputError(
            f"none of {count(len(every), 'run')} can be shown: {len(every) - gone} did not succeed,"
            f" and the pictures of {gone} are missing",
            "Judge a frame whose runs have pictures on the disk.",
        )
    levels = [None if item is None else value_text(item) for item in values(frame, names[0])]
    slots = slots_of(frame)
    columns = {f"slot_{name}" if is_own_column(name) else name: name for name in slots}
    others = [name for name in (*settings_columns(frame), "model") if name in frame and name != by]
    varying = {name: items for name in others if distinct(items := values(frame, name)) > 1}
    tied = {name for name, items in varying.items() if _goes_with(levels, items)}
    hidden = {columns.get(name) for name in (by, *tied)}
    if within is None:
        text = [name for name in columns if name in varying] if by in _TEXTS else ["prompt"]
        rest = [name for name, items in varying.items() if name not in columns and _is_shared(levels, items)]
        held = [name for name in (*text, *rest) if name not in tied]
    else:
        held = names_of(frame, within, "within")
    texts = {} if by in _TEXTS else {run_id: _blank(run, hidden) for run_id, run in runs.items()}
    shown = {name: [_said(name, item) for item in values(frame, name)] for name in held}
    if "prompt" in shown and texts:
        shown["prompt"] = [texts.get(run.id, "") for run in every]
    repeats = {"repeat": [run.request.repeat for run in every]} if by != "repeat" else {}
    table = pd.DataFrame({**repeats, **shown, by: levels}, index=[run.id for run in every])
    table = table[~table.index.duplicated() & table.index.isin(list(runs))]
    return Candidates(by, held, runs, defaultdict(str, texts), table, len(frame) - len(table))


def _has_picture(run: Run) -> bool:
    return bool(run.images) and run.images[0].path.is_file()


def _said(name: str, item: Any) -> str:
    """A value that is held equal, as a part of the group's text."""
    if item is None:
        return f"no {name}"
    return item if isinstance(item, str) else f"{name} {value_text(item)}"


def _blank(run: Run, hidden: set[str | None]) -> str:
    """The prompt with the hidden slots left blank."""
    if not run.request.slots:
        return run.request.prompt
    told = {name: value_text(item) for name, item in run.request.slots.items() if name not in hidden}
    return parse(run.request.template).render(defaultdict(lambda: BLANK, told))


def _goes_with(levels: Sequence[str | None], items: Sequence[Any]) -> bool:
    """Whether each level has one value of the column only."""
    found: dict[str, set[str]] = defaultdict(set)
    for level, item in zip(levels, items, strict=True):
        if level is not None:
            found[level].add(repr(item))
    return all(len(each) == 1 for each in found.values())


def _is_shared(levels: Sequence[str | None], items: Sequence[Any]) -> bool:
    """Whether two levels have a value of the column in common."""
    found: dict[str, set[str | None]] = defaultdict(set)
    for level, item in zip(levels, items, strict=True):
        if item is not None:
            found[repr(item)].add(level)
    return any(len(each - {None}) > 1 for each in found.values())
