"""Ranking levels by votes of pairs: the model of Bradley and Terry, with intervals that leave one group out.

P(i beats j) = 1 / (1 + exp(s_j - s_i)). A tie is half a win for each, and so is "neither". A weak normal prior
(precision 0.1) keeps the strength of a level that never lost finite; strengths are centred on their mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from imagen_nb.errors import InputError, brief, comma_list
from imagen_nb.judging.findings import Findings, join_words
from imagen_nb.judging.intervals import CONFIDENCE, LEAST_GROUPS, holm, jackknife_error, t_quantile, t_two_sided
from imagen_nb.records import CHOICES

PRECISION = 0.1
"""Of the normal prior on each strength."""

LEAST = 1.3
"""An interval reaches so many of the model's own errors to either side at least: where each group holds one vote, or
all agree, leaving one out changes nothing and would make it as narrow as a point."""

EQUAL = 0.2
"""Two levels are as good as equal when the interval of their difference lies within so many strengths of 0."""

_STEPS, _LONGEST_STEP, _DONE, _MANY = 60, 2.0, 1e-10, 1e6
_DRAWN = ["level", "strength", "low", "high"]
_CELLS = 4_000_000  # of the arrays that are refitted at once


@dataclass(frozen=True)
class Tally:
    """Votes as counted: `wins[g, i, j]` is how often level i beat level j in group g, ties half for each."""

    levels: tuple[Any, ...]
    groups: tuple[Any, ...]
    wins: Any
    is_by_vote: bool = False

    @classmethod
    def of(cls, votes: pd.DataFrame) -> Tally:
        """The tally of a frame with `level_a level_b choice` and perhaps `group`; one group is counted vote by vote."""
        for name in ("level_a", "level_b", "choice"):
            if name not in votes:
                raise InputError(
                    f"the votes have no column {name!r}; they have {comma_list(list(map(str, votes.columns)))}",
                    "A vote has level_a, level_b, choice (a, b, tie or neither) and the group that it was asked in.",
                )
        choice = votes["choice"].astype(object)
        if not (known := choice.isin(CHOICES)).all():
            raise InputError(
                f"{brief(choice[~known].iloc[0])} is no choice; there are {comma_list(CHOICES)}",
                "Mend or leave out those votes.",
            )
        pairs = votes[["level_a", "level_b"]].to_numpy(dtype=object)
        codes, levels = pd.factorize(pairs.ravel(), sort=False)
        if len(levels) < 2 or (codes < 0).any():  # noqa: PLR2004 - one level is nothing to compare
            raise InputError(
                f"there is nothing to rank: {len(votes)} votes between {len(levels)} levels",
                "Judge at least two levels of a column, and give every vote both of them.",
            )
        first, second = codes.reshape(-1, 2).T
        groups, names = pd.factorize(
            votes["group"] if "group" in votes else np.zeros(len(votes)), use_na_sentinel=False
        )
        if is_by_vote := len(names) == 1:
            groups = np.arange(len(votes))
        wins = np.zeros((len(votes) if is_by_vote else len(names), len(levels), len(levels)))
        share = choice.map({"a": 1.0, "b": 0.0, "tie": 0.5, "neither": 0.5}).to_numpy(dtype=float)
        np.add.at(wins, (groups, first, second), share)
        np.add.at(wins, (groups, second, first), 1.0 - share)
        return cls(tuple(levels), tuple(names), wins, is_by_vote)

    @cached_property
    def total(self) -> Any:
        """All wins, whatever the group."""
        return self.wins.sum(axis=0)

    @cached_property
    def strengths(self) -> Any:
        """The strength of each level by all votes."""
        return fit(self.total)

    @cached_property
    def refits(self) -> Any:
        """The strengths without each group, one row a group."""
        return self.refit(self.strengths)

    def refit(self, start: Any, design: Any = None) -> Any:
        """What `fit` gives without each group, one row a group."""
        size = max(1, _CELLS // len(self.levels) ** 2)
        some = [self.wins[first : first + size] for first in range(0, len(self.wins), size)]
        return np.concatenate([fit(self.total - wins, start, design) for wins in some])


def fit(wins: Any, start: Any = 0.0, design: Any = None) -> Any:
    """The most likely strengths, by Newton's method; several tables of wins at once where there are more axes.

    With a `design` of zeros and ones a level's strength is the sum of the parts that its row names, and the parts are
    what is given.
    """
    both = wins + np.swapaxes(wins, -1, -2)
    won = wins.sum(axis=-1)
    prior = PRECISION * np.eye(wins.shape[-1] if design is None else design.shape[1])
    parts = np.zeros((*wins.shape[:-2], len(prior))) + start
    for _ in range(_STEPS):
        strengths = parts if design is None else parts @ design.T
        chance = 1.0 / (1.0 + np.exp(strengths[..., None, :] - strengths[..., :, None]))
        slope, bend = (both * chance).sum(axis=-1) - won, bend_of(both * chance * (1.0 - chance))
        if design is not None:
            slope, bend = slope @ design, design.T @ bend @ design
        slope, bend = slope + PRECISION * parts, bend + prior
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        largest = np.abs(step).max(axis=-1, keepdims=True)
        parts = parts - step * np.minimum(1.0, _LONGEST_STEP / np.maximum(largest, _DONE))
        if largest.max() < _DONE:
            break
    return parts


def bend_of(weight: Any) -> Any:
    """The second derivatives of the likelihood, from the weight of each pair of levels: its votes times p (1 - p)."""
    return weight.sum(axis=-1)[..., None] * np.eye(weight.shape[-1]) - weight


def likelihood_of(wins: Any, strengths: Any) -> Any:
    """The logarithm of the likelihood of the votes, the prior included."""
    gap = strengths[..., :, None] - strengths[..., None, :]
    return -(wins * np.logaddexp(0.0, -gap)).sum(axis=(-1, -2)) - PRECISION / 2.0 * (strengths**2).sum(axis=-1)


def spread_of(wins: Any, strengths: Any) -> Any:
    """The covariances of the strengths by the model alone, as if each vote were by itself."""
    chance = 1.0 / (1.0 + np.exp(strengths[None, :] - strengths[:, None]))
    return np.linalg.inv(bend_of((wins + wins.T) * chance * (1.0 - chance)) + PRECISION * np.eye(len(wins)))


@dataclass(frozen=True)
class Differences:
    """What the refits say of each level against each other, best first; `error[i, j]` is of strength i minus j."""

    strengths: Any
    wins: Any
    error: Any
    own_error: Any
    t: float
    count: int

    @classmethod
    def of(cls, tally: Tally, order: Any) -> Differences:
        refits, strengths, wins = tally.refits[:, order], tally.strengths[order], tally.total[np.ix_(order, order)]
        spread = spread_of(wins, strengths)
        own = np.diag(spread)
        least = np.sqrt(np.maximum(0.0, own[:, None] + own[None, :] - 2.0 * spread))
        t = t_quantile(len(refits) - 1)
        error = np.maximum(jackknife_error(refits[:, :, None] - refits[:, None, :]), least * LEAST / t)
        # A strength is centred: its own error is that of its distance from the mean of all.
        centre = np.eye(len(own)) - 1.0 / len(own)
        each = np.maximum(jackknife_error(refits), np.sqrt(np.diag(centre @ spread @ centre)) * LEAST / t)
        return cls(strengths, wins, error, each, t, len(refits))

    @cached_property
    def gap(self) -> Any:
        """By how much each level is stronger than each other."""
        return self.strengths[:, None] - self.strengths[None, :]

    @cached_property
    def is_better(self) -> Any:
        """Which level is said to be better than which, with Holm's correction for all that is said.

        Refits that hardly differ prove little where the votes are few: so the model with the two of one strength must
        be much the worse one as well (the ratio of their likelihoods).
        """
        upper = np.triu_indices(len(self.strengths), 1)
        chances = t_two_sided(self.gap[upper] / self.error[upper], self.count - 1)
        if len(clear := np.flatnonzero(chances < 1.0 - CONFIDENCE)):
            first, second = (places[clear] for places in upper)
            each = np.arange(len(clear))
            held, start = (np.repeat(given[None], len(clear), axis=0) for given in (self.wins, self.strengths))
            for one, other in ((first, second), (second, first)):
                held[each, one, other] += _MANY  # ties, which leave them no difference
            start[each, first] = start[each, second] = (self.strengths[first] + self.strengths[second]) / 2.0
            ratio = 2.0 * (likelihood_of(self.wins, self.strengths) - likelihood_of(self.wins, fit(held, start)))
            chances[clear] = np.maximum(chances[clear], t_two_sided(np.sqrt(np.maximum(ratio, 0.0)), self.count - 1))
        said = np.zeros_like(self.gap, dtype=bool)
        said[upper] = holm(chances)
        return said

    def is_told(self, first: int, second: int) -> bool:
        """Whether one is said to be better, or they are as good as equal."""
        gap, half = abs(self.gap[first, second]), self.t * self.error[first, second]
        return bool(self.is_better[first, second] or self.is_better[second, first] or gap + half < EQUAL)

    def more(self, first: int, second: int) -> int:
        """About how many more groups would tell the two: the width of an interval shrinks as 1 / √groups."""
        if self.is_told(first, second):
            return 0
        gap, half = abs(self.gap[first, second]), self.t * self.error[first, second]
        needed = max(gap, EQUAL - gap)
        return max(1, math.ceil(self.count * float((half / needed) ** 2 - 1.0)))

    def chances(self, first: int, second: int) -> tuple[float, float, float]:
        """The chance that the first beats the second, and its interval's ends."""
        gap, half = self.gap[first, second], self.t * self.error[first, second]
        low, middle, high = (1.0 / (1.0 + math.exp(-each)) for each in (gap - half, gap, gap + half))
        return middle, low, high


def ranking(votes: pd.DataFrame, *, unit: str = "group") -> Findings:
    """The levels of votes by their strength, the best first, one row each.

    `votes` has `level_a level_b choice` (a, b, tie or neither) and `group`: what was equal in a comparison, usually
    the prompt. The columns: `strength low high` (log-odds, the interval of 95 %), `beats_average` (the chance
    against a level of mean strength), `votes wins ties neither`, `said` (the levels that it is better than, all
    such statements together right in 95 of 100 studies), `leverage` (the largest change of the strength when one
    group is left out) and `hangs_on` (which group that is), `enough` and `more_groups` (about how many more it
    takes to tell the level from the best one). With fewer than 3 groups there are no intervals; votes of one group
    are counted one by one, and the conclusion holds for that group. `.attrs` has what holds for all levels:
    `sentence votes groups`, and `flips`, the fewest groups whose removal changes the level on top. `unit` is what a
    group is called. Raises `InputError` for a frame that holds no such votes.
    """
    tally = Tally.of(votes)
    count, order = len(tally.wins), np.argsort(-tally.strengths, kind="stable")
    levels, strengths = [tally.levels[place] for place in order], tally.strengths[order]
    pairs = Differences.of(tally, order) if count >= LEAST_GROUPS else None
    half = pairs.t * pairs.own_error if pairs else np.full(len(levels), np.nan)
    table = pd.DataFrame({"level": levels, "strength": strengths, "low": strengths - half, "high": strengths + half})
    table["beats_average"] = 1.0 / (1.0 + np.exp(-strengths))
    counts = _count(votes)
    for name in ("votes", "wins", "ties", "neither"):
        table[name] = [int(counts[name].get(level, 0)) for level in levels]
    if pairs is not None:
        table["said"] = [[levels[place] for place in np.flatnonzero(row)] for row in pairs.is_better]
        shifts = np.abs(tally.refits[:, order] - strengths)
        table["leverage"] = shifts.max(axis=0)
        table["hangs_on"] = [None if tally.is_by_vote else tally.groups[place] for place in shifts.argmax(axis=0)]
        rivals = [1, *[0] * (len(levels) - 1)]  # the best is told from the second, all others from the best
        table["enough"] = [pairs.is_told(place, rival) for place, rival in enumerate(rivals)]
        table["more_groups"] = [pairs.more(place, rival) for place, rival in enumerate(rivals)]
    made: Findings = Findings(table)
    made.attrs = {
        "votes": len(votes),
        "groups": len(tally.groups),
        "flips": None if pairs is None else count_flips(tally),
        "sentence": say(levels, pairs, tally, unit),
        "bars": [("", [(str(level), *rest) for level, *rest in table[_DRAWN].itertuples(index=False, name=None)])],
    }
    return made


def _count(votes: pd.DataFrame) -> dict[str, Any]:
    """How many votes each level has, by their outcome."""
    sides = {side: votes[f"level_{side}"] for side in "ab"}
    kinds = {name: votes["choice"] == name for name in CHOICES}
    both = {name: pd.concat([level[kinds[name]] for level in sides.values()]) for name in ("tie", "neither")}
    wins = pd.concat([level[kinds[side]] for side, level in sides.items()])
    parts = {"votes": pd.concat(list(sides.values())), "wins": wins, "ties": both["tie"], "neither": both["neither"]}
    return {name: values.value_counts() for name, values in parts.items()}


def count_flips(tally: Tally) -> int | None:
    """The fewest groups whose removal changes the level on top, as far as taking the weightiest first finds them."""
    top = int(np.argmax(tally.strengths))
    fewest = None
    for rival in range(len(tally.levels)):
        if rival == top:
            continue
        gap = tally.strengths[top] - tally.strengths[rival]
        weights = gap - (tally.refits[:, top] - tally.refits[:, rival])
        order = np.argsort(-weights, kind="stable")
        enough = np.flatnonzero(np.cumsum(weights[order]) >= gap)  # as if what they weigh added up
        if not len(enough):
            continue
        for count in range(max(1, int(enough[0]) - 1), len(order)):
            if fewest is not None and count >= fewest:
                break
            left = fit(tally.total - tally.wins[order[:count]].sum(axis=0))
            if int(np.argmax(left)) != top:
                fewest = count
                break
    return fewest


def say(levels: Sequence[Any], pairs: Differences | None, tally: Tally, unit: str) -> str:
    """What the votes tell, in a sentence."""
    best, count = levels[0], len(tally.groups)
    of_groups = f"{count} {unit}{'s' * (count != 1)}"
    if pairs is None:
        return f"{best} is ahead, but {of_groups} tell nothing: at least {LEAST_GROUPS} are needed."
    parts = []
    if beaten := [place for place in range(1, len(levels)) if pairs.is_better[0, place]]:
        figures = [
            f"{levels[place]} (chance {'{:.2f}, {:.2f} to {:.2f}'.format(*pairs.chances(0, place))})"
            for place in beaten
        ]
        parts.append(f"{best} beats {join_words(figures)}")
    if equal := [place for place in range(1, len(levels)) if place not in beaten]:
        is_far = f" as far as {of_groups if not tally.is_by_vote else f'{len(tally.wins)} votes'} tell"
        names = join_words([str(levels[place]) for place in equal])
        parts.append(f"{names} {'is' if len(equal) == 1 else 'are'} as good as {best}{is_far}")
        if more := max(pairs.more(0, place) for place in equal):
            of_units = ("vote" if tally.is_by_vote else unit) + "s" * (more != 1)
            parts.append(f"about {more:,} more {of_units} would tell")
    if tally.is_by_vote:
        parts.append(f"this holds for the one {unit} alone")
    return "; ".join(parts) + "."
