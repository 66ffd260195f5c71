"""What a frame's votes and figures tell of what varies in it: rankings, effects, alarms, with the frame's own words.

The computing is in `judging`; here are the columns that vary, the votes of the runs that are in the frame, and how well
the pictures of a frame are looked at for alarms.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image as Pillow

from imagen_nb.errors import InputError, brief, comma_list, did_you_mean
from imagen_nb.frames.grid import EXPERIMENT, UNSET, distinct, slots_of, varying
from imagen_nb.frames.runs import Names, column_names, names_of, need, values
from imagen_nb.judging.alarms import find_alarms, glance
from imagen_nb.judging.factors import effects as figure_effects
from imagen_nb.judging.factors import vote_effects
from imagen_nb.judging.findings import Findings
from imagen_nb.judging.pairs import Pair, self_agreement
from imagen_nb.judging.scorers import blank
from imagen_nb.judging.strengths import ranking as rank
from imagen_nb.records import INDEX, SCORE_PREFIX, Status
from imagen_nb.views.report_page import Finding
from imagen_nb.views.thumbnails import WORKERS, open_picture
from imagen_nb.views.words import count, dot_list, value_text

VOTES, SUCCEEDED, BLOCKED = "votes", "succeeded", "blocked"
_TEXTS = ("prompt", "template")
_ENDED = [str(status) for status in Status if status.is_terminal]
_OF_MODELS = ("both orders", "swayed")
"""How votes that a model gave were chosen."""
_GLANCE_PX, _REPORT_LOOK = 128, 1000


def ranking(frame: pd.DataFrame, votes: pd.DataFrame, by: str, question: str | None, rater: str | None) -> Findings:
    """The levels of `by` by the votes on runs of this frame; arguments as of `df.imagen.ranking`."""
    [name] = names_of(frame, [by], "by")
    _need_levels(frame, name)
    rows = _votes_of(frame, votes, question, rater, by=name)
    if rows.empty:
        raise InputError(
            f"there are no votes on {name} between runs of this frame",
            f"Judge them first: df.imagen.judge(by={name!r}), or Workspace.vote(a, b, 'a', by={name!r}).",
        )
    made = rank(rows, unit=_unit(frame, name))
    flips, groups = made.attrs["flips"], made.attrs["groups"]
    ties = [
        count(int((rows["choice"] == kind).sum()), word) for kind, word in (("tie", "tie"), ("neither", '"neither"'))
    ]
    made.attrs["note"] = dot_list(
        [
            f"{_said_votes(rows)} on {count(groups, _unit(frame, name))}",
            *(words for words in ties if not words.startswith("0 ")),
            _agreement(rows),
            f"without {count(flips, _unit(frame, name))} another would be on top" if flips and groups > 1 else "",
            "strengths in log-odds about their mean, intervals of 95 %",
        ]
    )
    return made


def effects(frame: pd.DataFrame, votes: pd.DataFrame, of: str, factors: Names) -> Findings:
    """What each factor does to `of`; `votes` are those of the frame's log where `of` is "votes"."""
    need(frame, "prompt", "status")
    every = [name for name in varying(frame) if name != EXPERIMENT]
    asked = names_of(frame, factors, "factors")
    for name in asked:
        _need_levels(frame, name)
    group = _group(frame, [name for name in every if name not in asked], is_all=not asked)
    names = [*asked, *(name for name in every if name not in (*asked, *group))]
    if not names:
        raise InputError(
            "nothing varies in this frame but the prompt",
            "Look at a frame in which a slot, a setting or the model varies.",
        )
    unit = "prompt" if group and set(group) <= {*_TEXTS, *slots_of(frame)} else "group" if group else "repeat"
    table = pd.DataFrame(
        {name: list(map(_level, values(frame, name))) for name in dict.fromkeys((*names, *group, "repeat"))},
        index=_ids(frame),
    )
    if of == VOTES:
        rows = _votes_of(frame, votes, None, None)
        one, other = (table.loc[rows[side], group].to_numpy() for side in ("run_a", "run_b"))
        rows = rows[(one == other).all(axis=1)]
        if rows.empty:
            raise InputError(
                "there are no votes between runs of this frame", "Judge them first: df.imagen.judge(by=…)."
            )
        sides = {f"{name}_{side}": table.loc[rows[f"run_{side}"], name].to_list() for name in names for side in "ab"}
        held = [dot_list(map(str, each)) for each in table.loc[rows["run_a"], group].itertuples(index=False)]
        pairs = pd.DataFrame({**sides, "choice": rows["choice"].to_list(), "group": held})
        made = vote_effects(pairs, names, unit=unit if group else "vote")
        note = [_said_votes(rows), "strengths in log-odds"]
    else:
        called = {SUCCEEDED: "the success rate", BLOCKED: "the rate of blocks"}.get(of, of)
        table["figure"] = figures = _figures(frame, of)
        made = figure_effects(table, of="figure", factors=names, group=group or "repeat", unit=unit, called=called)
        note = [f"{called} in {count(sum(each is not None for each in figures), 'run')}"]
    shown = asked or names
    note += ["effects against the mean of the factor's levels, intervals of 95 %"]
    attrs = {**made.attrs, "note": dot_list(note), "bars": [part for part in made.attrs["bars"] if part[0] in shown]}
    kept: Findings = Findings(made[made.index.get_level_values("factor").isin(shown)])
    kept.attrs = attrs
    return kept


def _need_levels(frame: pd.DataFrame, name: str) -> None:
    if (levels := distinct(values(frame, name))) < 2:  # noqa: PLR2004 - one level is nothing to compare
        hint = "Take more runs into the frame, or name another column."
        raise InputError(f"{name} has {count(levels, 'level')} in this frame", hint)


def _group(frame: pd.DataFrame, spare: Sequence[str], *, is_all: bool) -> list[str]:
    """What is held equal: the prompt where it varies by itself, else the slot with the most values, else the rest."""
    texts = [name for name in spare if name in _TEXTS]
    slots = [name for name in spare if name in slots_of(frame)]
    if is_all and len(spare) < 2:  # noqa: PLR2004 - what varies alone is what is looked for
        slots = []
    return texts or sorted(slots, key=lambda name: -distinct(values(frame, name)))[:1]


def _figures(frame: pd.DataFrame, of: str) -> list[Any]:
    """What is measured, of each run; None where it says nothing. Raises `InputError` where no run has any."""
    status = [str(each) for each in values(frame, "status")]
    if of in (SUCCEEDED, BLOCKED):
        codes = values(frame, "error_code")
        is_so = [
            (word == SUCCEEDED) if of == SUCCEEDED else (word != SUCCEEDED and code == BLOCKED)
            for word, code in zip(status, codes, strict=True)
        ]
        return [each if word in _ENDED else None for each, word in zip(is_so, status, strict=True)]
    known = column_names(frame)
    scores = [name for name in known if name.startswith(SCORE_PREFIX)]
    name = next((each for each in (of, f"{SCORE_PREFIX}{of}") if each in known), None)
    if name is None:
        usual = [VOTES, "rating", "total_s", "cost_usd", SUCCEEDED, BLOCKED, *scores]
        raise InputError(
            f"of={brief(of)} is nothing that this frame has a figure of",
            did_you_mean(of, usual, f"There are {comma_list(usual)}."),
        )
    found = pd.to_numeric(pd.Series(values(frame, name), dtype=object), errors="coerce").astype(float)
    figures = [
        None if math.isnan(each) or word != SUCCEEDED else each for each, word in zip(found, status, strict=True)
    ]
    if not any(each is not None for each in figures):
        raise InputError(f"no run of this frame has a figure in {name}", "Judge, score or rate some runs first.")
    return figures


def alarms(frame: pd.DataFrame, most: int | None = None, seconds: float | None = None) -> Findings:
    """What is suspicious in the frame; at most so many pictures are looked at, and no longer than so many seconds."""
    need(frame, "prompt", "status")
    factors = [name for name in varying(frame) if name != EXPERIMENT]
    names = ("error", "error_code", "sha256", "width", "height", "status", "aspect_ratio")
    columns = {name: values(frame, name) for name in names if name != "aspect_ratio" or name in frame}
    columns |= {name: list(map(_level, values(frame, name))) for name in factors}
    rows = pd.DataFrame({name: pd.Series(items, dtype=object) for name, items in columns.items()})
    rows.index = _ids(frame)
    pictures = {
        digest: path
        for digest, path in zip(columns["sha256"], values(frame, "image"), strict=True)
        if isinstance(digest, str) and isinstance(path, str)
    }
    until = None if seconds is None else time.monotonic() + seconds

    def look(path: str) -> tuple[Any, bool] | None:
        return _look(path) if until is None or time.monotonic() < until else None

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="imagen-alarms") as pool:
        wanted = dict(list(pictures.items())[:most])
        looked = dict(zip(wanted, pool.map(look, wanted.values()), strict=True))
    seen = {digest: found for digest, found in looked.items() if found is not None}
    found = find_alarms(
        rows,
        factors,
        {digest: pixels for digest, (pixels, _) in seen.items()},
        [digest for digest, (_, is_blank) in seen.items() if is_blank],
    )
    made: Findings = Findings(found)
    said = [*found["said"][:1], *([f"and {len(found) - 1} more"] if len(found) > 1 else [])]
    made.attrs["sentence"] = f"{count(len(found), 'alarm')}: {', '.join(said)}." if said else "No alarms."
    of_all = f" of {len(pictures):,}" if len(seen) < len(pictures) else ""
    made.attrs["note"] = f"{count(len(frame), 'run')}; {len(seen):,}{of_all} pictures looked at"
    return made


@lru_cache(maxsize=4096)
def _look(path: str) -> tuple[Any, bool] | None:
    """A picture at a glance, and whether it shows nothing; None where it cannot be read."""
    try:
        with open_picture(Path(path)) as image:
            image.draft("RGB", (_GLANCE_PX, _GLANCE_PX))  # a JPEG can be decoded at a fraction of its size
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, MemoryError, Pillow.DecompressionBombError):
        return None
    return glance(small), blank(small)


def conclude(frame: pd.DataFrame, votes: pd.DataFrame | None) -> list[Finding]:
    """What there is to say of a frame above its pictures: alarms, rankings of what was voted on, effects on ratings."""
    found: list[tuple[str, Findings]] = []
    if votes is not None:
        for by, question in votes[["by", "question"]].drop_duplicates().to_numpy().tolist():
            with suppress(InputError):  # votes on other runs
                found.append((f"{question} By {by}", ranking(frame, votes, by, question, None)))
    with suppress(InputError):
        found.append(("What raises the rating", effects(frame, pd.DataFrame(), "rating", None)))
    told: list[Finding] = [(name, made.sentence, made.attrs["bars"], [made.attrs["note"]]) for name, made in found]
    if len(suspicious := alarms(frame, most=_REPORT_LOOK)):
        told.insert(0, ("Alarms", suspicious.sentence, [], suspicious["said"].tolist()[1:]))
    return told


# -- votes -------------------------------------------------------------------------------------------------------------


def _votes_of(
    frame: pd.DataFrame, votes: pd.DataFrame, question: str | None, rater: str | None, by: str | None = None
) -> pd.DataFrame:
    """The votes between runs of the frame; without a rater those of people, where there are any.

    Raises `InputError` where they answer several questions.
    """
    ids = set(_ids(frame))
    rows: pd.DataFrame = votes[votes["run_a"].isin(ids) & votes["run_b"].isin(ids)]
    for name, wanted in (("by", by), ("question", question), ("rater", rater)):
        if wanted is not None:
            there = list(rows[name].dropna().unique())
            rows = rows[rows[name] == wanted]
            if rows.empty and there and name != "by":
                raise InputError(f"there are no votes with {name}={brief(wanted)}", f"There are {comma_list(there)}.")
    if rater is None and not (of_people := rows[~rows["chosen_by"].isin(_OF_MODELS)]).empty:
        rows = of_people
    questions = list(rows["question"].unique())
    if len(questions) > 1:
        raise InputError(
            f"these votes answer {len(questions)} questions: {comma_list(questions)}",
            "Rank the answers to one of them: df.imagen.ranking(by=…, question=…).",
        )
    return rows


def _said_votes(rows: pd.DataFrame) -> str:
    raters = rows["rater"].nunique(dropna=False)
    return count(len(rows), "vote") + (f" by {raters} raters" if raters > 1 else "")


def _agreement(rows: pd.DataFrame) -> str:
    """How often raters gave the same answer when they were asked again."""
    names = ["group", "level_a", "level_b", "run_a", "run_b", "choice"]
    told = [
        self_agreement([(Pair(*pair), choice) for *pair, choice in of_one[names].to_numpy().tolist()])
        for _, of_one in rows.groupby("rater", dropna=False)
    ]
    same, total = map(sum, zip(*told, strict=True))
    return f"the same answer to {same} of {count(total, 'pair')} asked again" if total else ""


def _unit(frame: pd.DataFrame, by: str) -> str:
    """What a group of votes is called: a prompt where nothing else varies."""
    rest = set(varying(frame)) - {by, EXPERIMENT}
    return "prompt" if rest <= {*_TEXTS, *slots_of(frame)} else "group"


def _ids(frame: pd.DataFrame) -> list[str]:
    return [str(run_id) for run_id in values(frame, INDEX)]


def _level(item: Any) -> Any:
    """A value that can be grouped by."""
    return UNSET if item is None else item if isinstance(item, str | int | float | bool) else value_text(item)
