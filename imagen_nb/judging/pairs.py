"""Which two pictures to show next: everything equal but what is compared, and never chosen by what won.

Whoever picks pairs by their outcomes biases the ranking, unless pairs are drawn at random beside them: so a third of
all pairs is plainly random, and how each was chosen stands in its vote.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError, brief, comma_list
from imagen_nb.judging.strengths import Tally
from imagen_nb.records import Vote

RANDOM_SHARE, AGAIN_SHARE = 1.0 / 3.0, 0.1
"""Which share of all pairs is plainly random, and which is one that was asked before, its sides swapped."""

AGAIN_AFTER = 5
"""A pair is asked again after so many others at least."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of one group, `run_a` on the left, and why they were chosen."""

    group: str
    level_a: Any
    level_b: Any
    run_a: str
    run_b: str
    chosen_by: str = "random"

    @property
    def runs(self) -> frozenset[str]:
        """Both, whatever side they are on."""
        return frozenset((self.run_a, self.run_b))

    @property
    def levels(self) -> frozenset[Any]:
        """Both levels, whatever side they are on."""
        return frozenset((self.level_a, self.level_b))

    def swap(self) -> Pair:
        """The same with its sides swapped."""
        sides = {"level_a": self.level_b, "level_b": self.level_a, "run_a": self.run_b, "run_b": self.run_a}
        return replace(self, **sides)

    def vote(self, choice: str, by: str, question: str, rater: str | None, **more: Any) -> Vote:
        """The answer to this pair; `more` are other fields of a `Vote`."""
        about: dict[str, Any] = {
            "by": by,
            "level_a": str(self.level_a),
            "level_b": str(self.level_b),
            "group": self.group,
        }
        return Vote(self.run_a, self.run_b, choice, question=question, rater=rater, **about, **more)


def find_pairs(frame: pd.DataFrame, by: str, within: Sequence[str]) -> list[Pair]:
    """Every pair of two levels of `by` in one group; where repeats fit together, each is paired with its like.

    `frame` has a row a picture that can be shown, its index the run ids; `within` are the columns that make a group.
    Raises `InputError` where there is no such column or no such pair.
    """
    for name in (by, *within):
        if name not in frame:
            raise InputError(
                f"the frame has no column {brief(name)}; it has {comma_list(list(map(str, frame.columns)))}",
                "Name what is compared, as by=, and what is held equal, as within=.",
            )
    levels = frame[by].dropna()
    if levels.nunique() < 2:  # noqa: PLR2004 - one level is nothing to compare
        raise InputError(
            f"{by} has {levels.nunique()} level in the pictures of this frame, and judging compares two",
            "Run more levels of it, or compare by another column.",
        )
    rows = frame.loc[levels.index]
    keys = rows[list(within)].astype(object).agg(describe_group, axis=1) if within else pd.Series("", rows.index)
    repeats = rows["repeat"] if "repeat" in rows and "repeat" not in within else pd.Series(1, rows.index)
    found = []
    for group, ids in keys.groupby(keys, sort=False).groups.items():
        by_level: dict[Any, dict[Any, list[str]]] = {}
        for run_id in ids:
            by_level.setdefault(levels[run_id], {}).setdefault(repeats[run_id], []).append(str(run_id))
        for one, other in combinations(by_level, 2):
            mine, theirs = by_level[one], by_level[other]
            alike = [
                (a, b)
                for number in mine
                if number in theirs
                for a, b in zip(mine[number], theirs[number], strict=False)
            ]
            if not alike:  # each has its own numbers: in their order
                alike = list(zip(*(chain(*side.values()) for side in (mine, theirs)), strict=False))
            found += [Pair(str(group), one, other, a, b) for a, b in alike]
    if not found:
        raise InputError(
            f"no two pictures differ in {by} and agree in {comma_list(list(within))}",
            "Name fewer columns as within=, or run all levels for the same prompts.",
        )
    return found


def describe_group(values: Iterable[Any]) -> str:
    """What the pictures of a group have in common, as text."""
    return " · ".join(str(value) for value in values)


def choose(pairs: Sequence[Pair], asked: Sequence[tuple[Pair, str]], seed: int | str = 0) -> Pair | None:
    """The next pair to ask, its sides at random; None when each was asked and nothing is left.

    `asked` are the pairs of this rater so far with their choices, the oldest first ("" for one on show). The same
    arguments give the same pair.
    """
    dice = random.Random(f"{seed}:{len(asked)}")  # noqa: S311 - for fairness, not for secrets
    counts = Counter(pair.runs for pair, _ in asked)
    fresh = [pair for pair in pairs if not counts[pair.runs]]
    old = [pair for pair, _ in asked[: max(0, len(asked) - AGAIN_AFTER)] if counts[pair.runs] == 1]
    if old and dice.random() < AGAIN_SHARE:
        return replace(dice.choice(old).swap(), chosen_by="again")
    if not fresh:
        return None
    why = "random"
    if dice.random() >= RANDOM_SHARE:
        cells = Counter((pair.group, pair.levels) for pair, _ in asked)
        least = min(cells[pair.group, pair.levels] for pair in fresh)
        fresh = [pair for pair in fresh if cells[pair.group, pair.levels] == least]
        doubts = _doubts(asked)
        most = max(doubts.get(pair.levels, 1.0) for pair in fresh)
        doubtful = [pair for pair in fresh if doubts.get(pair.levels, 1.0) >= most]
        why = "least asked" if len(doubtful) == len(fresh) else "uncertain"
        fresh = doubtful
    pair = dice.choice(fresh)
    return replace(pair if dice.random() < 0.5 else pair.swap(), chosen_by=why)  # noqa: PLR2004 - a coin


def _doubts(asked: Sequence[tuple[Pair, str]]) -> dict[frozenset[Any], float]:
    """How uncertain the outcome is between two levels by the votes so far: 1 for even, towards 0 for sure."""
    answered = [(pair, choice) for pair, choice in asked if choice]
    if not answered:
        return {}
    votes = pd.DataFrame(
        [(pair.level_a, pair.level_b, choice, pair.group) for pair, choice in answered],
        columns=["level_a", "level_b", "choice", "group"],
    )
    tally = Tally.of(votes)
    strengths = dict(zip(tally.levels, tally.strengths, strict=True))
    return {
        frozenset((one, other)): round(1.0 / math.cosh(float(strengths[one] - strengths[other]) / 2.0), 9)
        for one, other in combinations(tally.levels, 2)
    }


def self_agreement(asked: Sequence[tuple[Pair, str]]) -> tuple[int, int]:
    """Of the pairs that were asked again, how many got the same answer, and how many there are."""
    first: dict[frozenset[str], str | None] = {}
    same = total = 0
    for pair, choice in asked:
        winner = {"a": pair.run_a, "b": pair.run_b}.get(choice)
        if pair.runs in first:
            total, same = total + 1, same + (first[pair.runs] == winner)
        first.setdefault(pair.runs, winner)
    return same, total
