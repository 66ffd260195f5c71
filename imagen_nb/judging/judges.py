"""A model as judge: what it is asked, what its words mean, and how far it can be trusted.

Judges are fooled by position and by surface (arXiv 2505.15249), so each pair is asked in both orders, and agreement
with people stands before everything that a judge says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imagen_nb.judging.intervals import LEAST_GROUPS, jackknife_error, t_quantile

AGREED, SWAYED = "both orders", "swayed"
"""What stands as `chosen_by` in a model's votes: both orders had the same answer, or not, which is a tie."""

CALIBRATED = 20
"""With fewer pairs that people judged too, a judge is not calibrated."""

PAIR_PROMPT = (
    "You are shown two pictures, first A and then B. {question} Look at what the pictures show, not at their order. "
    "Answer with one word first, A, B or TIE, and then a reason in one sentence."
)

QUESTION_PROMPT = "{question} Begin with the answer alone, yes, no or digits, and then a reason in one sentence."

BIAS = 0.05
"""A judge is called biased where chance shows so much bias in one of twenty studies at most."""

_CHOICE = re.compile(r"\W*(a(?! +(?!(?:is|as|because|since|has|shows)\b)[a-z])|b|tie)\b", re.IGNORECASE)


def read_choice(text: str | None) -> str | None:
    """`a`, `b` or `tie` by the first word of an answer; None for anything else, such as one that begins "A fox"."""
    word = _CHOICE.match(text or "")
    return word[1].casefold() if word else None


def read_truth(text: str | None) -> bool | float | None:
    """The yes or no, or the figure, with which an answer begins; None for anything else."""
    word = re.match(r"\W*?(yes\b|no\b|-?\d+(?:\.\d+)?)", (text or "").strip(), re.IGNORECASE)
    if not word:
        return None
    return {"yes": True, "no": False}.get(word[1].casefold()) if word[1].isalpha() else float(word[1])


def combine(forth: str | None, back: str | None) -> tuple[str, bool] | None:
    """The vote of a judge asked in both orders, and whether the order swayed it; None where an answer says nothing.

    `back` is its choice with the sides swapped, in the words of that order.
    """
    if forth is None or back is None:
        return None
    turned = {"a": "b", "b": "a", "tie": "tie"}[back]
    return (forth, False) if forth == turned else ("tie", True)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a judge agrees with people: Cohen's kappa, 0 for chance and 1 for always, over `pairs` both judged."""

    kappa: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        if not self.pairs:
            return "not calibrated: nobody judged the same pairs; rate some with df.imagen.judge() first"
        figures = (
            f"agrees with people at kappa {self.kappa:.2f} ({self.low:.2f} to {self.high:.2f}, {self.pairs} pairs)"
        )
        return figures if self.pairs >= CALIBRATED else f"{figures}; not calibrated: at least {CALIBRATED} are needed"


def measure_agreement(judged: Sequence[tuple[str, str, Any]]) -> Agreement:
    """The agreement over pairs that both judged: the judge's choice, the person's, and the group, which is left out.

    Of one and the same pair the choices are of one order; "neither" counts as a tie.
    """
    words = {"a": 0, "b": 1, "tie": 2, "neither": 2}
    groups = list(dict.fromkeys(group for _, _, group in judged))
    tables = np.zeros((len(groups), 3, 3))
    for judge, person, group in judged:
        tables[groups.index(group), words[judge], words[person]] += 1
    total = tables.sum(axis=0)
    half = math.nan
    if len(groups) >= LEAST_GROUPS:
        half = t_quantile(len(groups) - 1) * float(jackknife_error([_kappa(total - table) for table in tables]))
    kappa = _kappa(total)
    return Agreement(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), len(judged))


def _kappa(table: Any) -> float:
    count = table.sum()
    if not count:
        return math.nan
    alike = np.trace(table) / count
    by_chance = float(table.sum(axis=0) @ table.sum(axis=1)) / count**2
    return 1.0 if by_chance >= 1.0 else float((alike - by_chance) / (1.0 - by_chance))


def find_biases(orders: Sequence[tuple[str, str]], figures: Mapping[str, Sequence[tuple[float, str]]]) -> list[str]:
    """In words, what sways a judge beyond chance: the first or second place, or the higher of a figure.

    `orders` are its choices in both orders, each in the words of its order. `figures` holds, by name, a pair's
    difference of a scorer's figure (A less B) and the judge's vote on it.
    """
    found = []
    first = sum((forth == "a") and (back == "a") for forth, back in orders)
    second = sum((forth == "b") and (back == "b") for forth, back in orders)
    if _chance(max(first, second), first + second) < BIAS:
        place = "first" if first > second else "second"
        found.append(f"prefers the {place} picture: in {max(first, second)} of {len(orders)} pairs, whichever it was")
    for name, pairs in figures.items():
        told = [(gap > 0) == (choice == "a") for gap, choice in pairs if choice in ("a", "b") and gap]
        higher = sum(told)
        if _chance(max(higher, len(told) - higher), len(told)) < BIAS / max(1, len(figures)):
            word = "higher" if higher > len(told) - higher else "lower"
            found.append(
                f"follows {name}: it chose the {word} one in {max(higher, len(told) - higher)} of {len(told)} pairs"
            )
    return found


def _chance(most: int, total: int) -> float:
    """The chance that a fair coin falls so unevenly, or more so, to either side."""
    return (
        min(1.0, 2.0 * sum(math.comb(total, count) for count in range(most, total + 1)) / 2.0**total) if total else 1.0
    )


def pair_votes(votes: pd.DataFrame, judge: str) -> list[tuple[str, str, Any]]:
    """For each pair that this rater and another both judged: its choice, the other's in the same order, the group."""
    mine: dict[frozenset[str], Any] = {}
    rows: list[Any] = list(votes.itertuples())
    for row in rows:
        if row.rater == judge:
            mine.setdefault(frozenset((row.run_a, row.run_b)), row)
    found = []
    for row in rows:
        other = mine.get(frozenset((row.run_a, row.run_b)))
        if row.rater != judge and other is not None:
            is_turned = other.run_a != row.run_a
            choice = {"a": "b", "b": "a"}.get(row.choice, row.choice) if is_turned else row.choice
            found.append((other.choice, choice, row.group))
    return found
