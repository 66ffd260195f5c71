"""What each factor does to a figure: least squares within groups, with intervals that leave one group out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from imagen_nb.errors import InputError, brief, comma_list
from imagen_nb.judging.findings import Findings, join_words
from imagen_nb.judging.intervals import LEAST_GROUPS, holm, jackknife_error, t_quantile, t_two_sided
from imagen_nb.judging.strengths import Tally, fit

_ALIKE = 1e-9


def effects(
    frame: pd.DataFrame,
    *,
    of: str,
    factors: str | Sequence[str],
    group: str | Sequence[str],
    unit: str = "group",
    called: str | None = None,
) -> Findings:
    """What each level of each factor does to the figure in column `of`, against the mean of the factor's levels.

    One row a level, indexed by `factor` and `level`: `effect low high` in the figure's own unit (a bool counts as 0 and
    1, so there it is a rate), `groups` and `n` (in how many groups and rows the level stands). Each group has a mean of
    its own, so what its prompt does to all levels alike does not count. The interval of 95 % leaves one group out at a
    time, and is missing with fewer than 3 groups; an effect is missing where the factor varies within no group, as then
    it cannot be told from the groups'. Rows without a figure are left out. `.attrs` has the sentence that says it, for
    all statements together right in 95 of 100 studies; there `unit` is what a group is called, and `called` the figure.
    Raises `InputError`.
    """
    names, by = [[each] if isinstance(each, str) else list(each) for each in (factors, group)]
    for name in (of, *names, *by):
        if name not in frame:
            raise InputError(
                f"the frame has no column {brief(name)}; it has {comma_list(list(map(str, frame.columns)))}",
                "Name a figure, the factors, and what is held equal.",
            )
    figures = pd.to_numeric(frame[of].astype(object), errors="coerce").astype(float)
    rows = frame[figures.notna()]
    if rows.empty:
        raise InputError(f"no row has a figure in {of}", "Judge, score or rate some runs first.")
    groups, _ = pd.factorize(pd.MultiIndex.from_frame(rows[by].astype(object)), use_na_sentinel=False)
    count = int(groups.max()) + 1

    # One column a level; within its group each column, and the figure, is taken from its mean.
    marks, levels = _mark([rows[name].astype(object) for name in names], names)
    figure = figures[figures.notna()].to_numpy()
    values = np.column_stack([marks, figure])
    means = np.zeros((count, values.shape[1]))
    np.add.at(means, groups, values)
    within = values - (means / np.bincount(groups, minlength=count)[:, None])[groups]
    products = np.zeros((count, len(levels), len(levels) + 1))
    np.add.at(products, groups, within[:, :-1, None] * within[:, None, :])
    total = products.sum(axis=0)

    def solve(sums: Any) -> Any:
        return (np.linalg.pinv(sums[..., :-1], hermitian=True, rcond=1e-9) @ sums[..., -1:])[..., 0]

    counts = [len(set(groups[marks[:, place] > 0])) for place in range(len(levels))], marks.sum(axis=0).astype(int)
    varies = (np.abs(within[:, :-1]) > 0).any(axis=0)
    return _as_table(levels, solve(total), solve(total - products), varies, counts, called or of, unit)


def vote_effects(votes: pd.DataFrame, factors: Sequence[str], *, unit: str = "group") -> Findings:
    """The same for votes: what each level adds to the strength of a picture, in log-odds; `n` counts votes.

    `votes` has `choice`, `group`, and for each factor two columns, `<factor>_a` and `<factor>_b`. A pair of pictures
    may differ in several factors at once: the model is that of `ranking`, with a strength a level of each factor.
    """
    sides = {side: list(zip(*(votes[f"{name}_{side}"] for name in factors), strict=True)) for side in "ab"}
    tally = Tally.of(
        votes.assign(level_a=pd.Series(sides["a"], votes.index), level_b=pd.Series(sides["b"], votes.index))
    )
    columns = [pd.Series([cell[place] for cell in tally.levels], dtype=object) for place in range(len(factors))]
    design, levels = _mark(columns, list(factors))
    effect = fit(tally.total, design=design)
    took_part = tally.wins.sum(axis=2) + tally.wins.sum(axis=1) > 0
    counts = [int((took_part @ mark > 0).sum()) for mark in design.T], np.zeros(len(levels), dtype=int)
    for place, (name, level) in enumerate(levels):
        counts[1][place] = sum(((votes[f"{name}_a"] == level) | (votes[f"{name}_b"] == level)).astype(int))
    varies = [
        bool((votes[f"{name}_a"].astype(object) != votes[f"{name}_b"].astype(object)).any()) for name, _ in levels
    ]
    return _as_table(levels, effect, tally.refit(effect, design), np.array(varies), counts, "the strength", unit)


def _mark(columns: Sequence[Any], names: Sequence[str]) -> tuple[Any, list[tuple[str, Any]]]:
    """A column of zeros and ones for each level of each factor, and which they are."""
    found = [pd.factorize(column, use_na_sentinel=False) for column in columns]
    marks = np.concatenate([np.eye(len(levels))[codes] for codes, levels in found], axis=1)
    return marks, [(name, level) for name, (_, levels) in zip(names, found, strict=True) for level in levels]


def _as_table(  # noqa: PLR0917 - private, called in two places
    levels: list[tuple[str, Any]],
    effect: Any,
    refits: Any,
    varies: Any,
    counts: tuple[Any, Any],
    figure: str,
    unit: str,
) -> Findings:
    """The effects about the mean of their factor, with intervals from the refits; missing for what does not vary."""
    count, half = len(refits), np.full(len(levels), np.nan)
    is_said = np.zeros(len(levels), dtype=bool)
    factors = list(dict.fromkeys(name for name, _ in levels))
    for name in factors:
        mine = [place for place, (of_name, _) in enumerate(levels) if of_name == name]
        for each in (effect, refits):
            each[..., mine] -= each[..., mine].mean(axis=-1, keepdims=True)
    if count >= LEAST_GROUPS:
        # Where all groups agree to the letter, as rates do, no error is left: then it is what the sign test allows.
        least = np.abs(effect) / t_quantile(count - 1, 1.0 - 2.0 ** (1 - count))
        error = jackknife_error(refits)
        error = np.where(error > _ALIKE * np.abs(effect), error, least)
        half = t_quantile(count - 1) * error
        distance = np.abs(effect) / np.where(error > 0, error, 1.0)
        is_said[varies] = holm(t_two_sided(distance[varies], count - 1))
    effect = np.where(varies, effect, np.nan)
    table: Findings = Findings(
        {"effect": effect, "low": effect - half, "high": effect + half, "groups": counts[0], "n": counts[1]},
        index=pd.MultiIndex.from_tuples(levels, names=["factor", "level"]),
    )
    rows = list(zip(levels, table[["effect", "low", "high"]].to_numpy().tolist(), is_said, strict=True))
    parts = []
    for name in factors:
        said = [
            f"{level} {'raises' if value > 0 else 'lowers'} {figure} by {abs(value):.3g} "
            f"({min(abs(low), abs(high)):.2g} to {max(abs(low), abs(high)):.2g})"
            for (of_name, level), (value, low, high), is_clear in rows
            if of_name == name and is_clear
        ]
        of_groups = f"{count} {unit}{'s' * (count != 1)}"
        if not varies[[of_name == name for of_name, _ in levels]].any():
            parts.append(f"{name} varies within no {unit}, so its effect cannot be told")
        elif count < LEAST_GROUPS:
            parts.append(f"{of_groups} tell nothing of {name}: at least {LEAST_GROUPS} are needed")
        else:
            none = f"no difference to {figure} as far as {of_groups} tell"
            parts.append(f"{name}: {join_words(said) if said else none}")
    table.attrs = {
        "sentence": "; ".join(parts) + ".",
        "bars": [(name, [(str(level), *three) for (of, level), three, _ in rows if of == name]) for name in factors],
    }
    return table
