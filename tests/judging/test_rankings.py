"""Rankings of votes and effects of factors: equal to other people's programs, and true as often as they say."""

from __future__ import annotations

import math
from typing import Any

import choix
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from imagen_nb import judging
from imagen_nb.errors import InputError
from imagen_nb.judging.factors import vote_effects
from imagen_nb.judging.intervals import holm, t_quantile, t_two_sided
from imagen_nb.judging.strengths import Tally

STYLES = ("oil", "pencil", "watercolour", "ink")
SPREAD = np.linspace(-0.6, 0.6, 4)


def vote(dice: Any, prompts: int, per_pair: int = 1, *, tastes: float = 0.8, true: Any = SPREAD) -> pd.DataFrame:
    """A study of four styles; each prompt has tastes of its own, and at even strength one vote in five is a tie."""
    one, other = np.triu_indices(4, 1)
    strengths = true + dice.normal(0, tastes, (prompts, 4))
    chance = np.repeat(1 / (1 + np.exp(strengths[:, other] - strengths[:, one])), per_pair, axis=1)
    is_tie, is_first = (dice.random(chance.shape) < each for each in (0.8 * chance * (1 - chance), chance))
    return pd.DataFrame(
        {
            "level_a": np.tile(np.repeat(np.array(STYLES, dtype=object)[one], per_pair), prompts),
            "level_b": np.tile(np.repeat(np.array(STYLES, dtype=object)[other], per_pair), prompts),
            "choice": np.where(is_tie, "tie", np.where(is_first, "a", "b")).ravel(),
            "group": np.repeat([f"prompt {prompt}" for prompt in range(prompts)], 6 * per_pair),
        }
    )


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 11, 24, 499])
def test_students_t_is_scipys(freedom: int) -> None:
    """Quantiles to four digits, chances to nine."""
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-5)
    for t in (0.0, 0.3, -2.0, 5.0):
        assert t_two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), abs=1e-9)


def test_holm_says_what_the_book_says() -> None:
    """The smallest chance is held to a quarter of the level, the next to a third, until one fails."""
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == [True, False, False, True]
    assert holm([0.02, 0.02, 0.02]).tolist() == [False, False, False]


@pytest.mark.parametrize("seed", range(5))
def test_strengths_are_choixs(seed: int) -> None:
    """To four decimals, with ties as half a win for each; its `alpha` is half of our precision."""
    votes = vote(np.random.default_rng(seed), 12)
    tally = Tally.of(votes)
    place = {level: number for number, level in enumerate(tally.levels)}
    wins = []
    for one, other, choice in zip(votes.level_a, votes.level_b, votes.choice, strict=True):
        forth, back = (place[one], place[other]), (place[other], place[one])
        wins += {"a": [forth, forth], "b": [back, back], "tie": [forth, back]}[choice]
    # Each vote stands twice there, so its prior has to count twice as well.
    assert tally.strengths == pytest.approx(choix.opt_pairwise(4, wins, alpha=0.1, tol=1e-9), abs=5e-5)


def count_held(prompts: int, per_pair: int, tastes: float, studies: int) -> tuple[float, float]:
    """Of many studies: the share of intervals that hold the true strength, and of null studies that say "better"."""
    many = Tally.of(vote(np.random.default_rng(1), 3000, tastes=tastes))
    true = dict(zip(many.levels, many.strengths, strict=True))
    dice, held, wrong = np.random.default_rng(2), [], 0
    for _ in range(studies):
        made = judging.ranking(vote(dice, prompts, per_pair, tastes=tastes))
        held += [low <= true[level] <= high for level, low, high in zip(made.level, made.low, made.high, strict=True)]
        null = judging.ranking(vote(dice, prompts, per_pair, tastes=tastes, true=np.zeros(4)))
        wrong += any(map(len, null.said))
    return float(np.mean(held)), wrong / studies


@pytest.mark.parametrize(("prompts", "per_pair"), [(5, 1), (12, 1), (12, 3)])
def test_intervals_hold_what_they_say(prompts: int, per_pair: int) -> None:
    """Prompts with tastes of their own, many votes on one prompt: 95 % of the intervals hold; a null says nothing."""
    held, wrong = count_held(prompts, per_pair, 0.8, 80)
    assert 0.93 <= held <= 0.995
    assert wrong <= 0.075


def test_a_ranking_says_it_in_words() -> None:
    """The best first; what is sure, what is not, and about how many more prompts would tell."""
    votes = vote(np.random.default_rng(3), 60, tastes=0.3, true=2 * SPREAD)
    made = judging.ranking(votes, unit="prompt")
    assert made.level.iloc[0] == "ink"
    assert "oil" in made.said.iloc[0]
    assert made.sentence.startswith("ink beats ")
    assert made.columns.tolist() == [
        *("level", "strength", "low", "high", "beats_average", "votes", "wins", "ties", "neither", "said"),
        *("leverage", "hangs_on", "enough", "more_groups"),
    ]
    assert made.strength.sum() == pytest.approx(0.0, abs=1e-6)
    assert made.votes.sum() == 2 * len(votes)
    assert made.wins.sum() == (votes.choice != "tie").sum()
    assert repr(made).startswith(made.sentence)
    assert type(made[["level"]]) is pd.DataFrame


@pytest.mark.parametrize("groups", [3, 4, 5])
def test_few_votes_that_agree_are_no_proof(groups: int) -> None:
    """One vote a group, all for the same: leaving one out changes nothing, and nothing is said all the same."""
    votes = pd.DataFrame({"level_a": "ink", "level_b": "oil", "choice": "a", "group": range(groups)})
    made = judging.ranking(votes)
    assert made.said.tolist() == [[], []]
    assert (made.high - made.low > 0.5).all()
    frame = pd.DataFrame({"style": ["ink", "oil"] * groups, "blocked": [True, False] * groups})
    told = judging.effects(
        frame.assign(prompt=np.repeat(range(groups), 2)), of="blocked", factors="style", group="prompt"
    )
    assert (told.low < 0).all()
    assert (told.high > 0).all()


def test_many_that_agree_are() -> None:
    """A dozen groups that say the same are enough, for votes and for a rate."""
    votes = pd.DataFrame({"level_a": "ink", "level_b": "oil", "choice": "a", "group": range(12)})
    assert judging.ranking(votes).said.tolist() == [["oil"], []]
    frame = pd.DataFrame(
        {"style": ["ink", "oil"] * 12, "blocked": [True, False] * 12, "prompt": np.repeat(range(12), 2)}
    )
    assert judging.effects(frame, of="blocked", factors="style", group="prompt").low["style", "ink"] > 0


def test_flips_are_what_taking_groups_away_shows() -> None:
    """As many groups as said, and no fewer, change the level on top when they are taken away."""
    votes = pd.concat(
        [
            pd.DataFrame({"level_a": "ink", "level_b": "oil", "choice": choice, "group": f"{choice}{n}"}, index=[0])
            for choice, times in (("a", 7), ("b", 4))
            for n in range(times)
        ],
        ignore_index=True,
    )
    made = judging.ranking(votes)
    assert made.attrs["flips"] == 4
    assert judging.ranking(votes[~votes.group.isin(["a0", "a1", "a2"])]).level.iloc[0] == "ink"


def test_few_groups_have_no_interval_and_one_counts_its_votes() -> None:
    """Two prompts say nothing of others; one prompt's votes hold for it alone, and the sentence says so."""
    votes = vote(np.random.default_rng(4), 2)
    two = judging.ranking(votes, unit="prompt")
    assert two.low.isna().all()
    assert two.sentence.endswith("2 prompts tell nothing: at least 3 are needed.")
    many = pd.concat([votes[votes.group == "prompt 0"]] * 20, ignore_index=True)
    one = judging.ranking(many, unit="prompt")
    assert one.low.notna().all()
    assert one.sentence.endswith("this holds for the one prompt alone.")
    assert one.equals(judging.ranking(many.drop(columns="group")))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"choice": "left"}, "'left' is no choice"),
        ({"level_b": "oil", "level_a": "oil"}, "nothing to rank"),
        ({"level_a": None}, "nothing to rank"),
    ],
)
def test_votes_that_are_none_are_said(change: dict[str, Any], match: str) -> None:
    """A choice nobody knows, one level, a missing one."""
    with pytest.raises(InputError, match=match):
        judging.ranking(vote(np.random.default_rng(5), 3).assign(**change))
    with pytest.raises(InputError, match="no column 'choice'"):
        judging.ranking(pd.DataFrame({"level_a": ["x"], "level_b": ["y"]}))


# -- effects -----------------------------------------------------------------------------------------------------------


def measure(dice: Any, prompts: int, *, missing: float = 0.0) -> pd.DataFrame:
    """A figure of three styles, two shapes and two repeats; each prompt has a level and tastes of its own."""
    base, own = dice.normal(0, 3, (prompts, 1, 1, 1)), dice.normal(0, 0.8, (prompts, 3, 1, 1))
    styles, shapes = np.array([-0.5, 0, 0.5]).reshape(3, 1, 1), np.array([-0.2, 0.2]).reshape(2, 1)
    figures = base + own + styles + shapes + dice.normal(0, 0.5, (prompts, 3, 2, 2))
    cells = pd.MultiIndex.from_product([range(prompts), ["s0", "s1", "s2"], ["a0", "a1"], [1, 2]])
    frame = cells.to_frame(index=False, name=["prompt", "style", "shape", "repeat"]).assign(figure=figures.ravel())
    return frame[dice.random(len(frame)) >= missing]


def test_effects_are_statsmodels() -> None:
    """Least squares within groups, also where some figures are missing."""
    frame = measure(np.random.default_rng(6), 10, missing=0.2)
    made = judging.effects(frame, of="figure", factors=["style", "shape"], group="prompt")
    fitted = smf.ols("figure ~ C(style, Sum) + C(shape, Sum) + C(prompt)", frame).fit().params
    assert made.effect["style", "s0"] == pytest.approx(fitted["C(style, Sum)[S.s0]"])
    assert made.effect["shape", "a0"] == pytest.approx(fitted["C(shape, Sum)[S.a0]"])
    assert made.loc["style"].effect.sum() == pytest.approx(0.0)
    assert made.n.groupby("factor").sum().tolist() == [len(frame)] * 2


def count_held_effects(prompts: int, studies: int) -> float:
    """Of many studies: the share of intervals of effects that hold the true one."""
    dice, held = np.random.default_rng(7), []
    true = {"s0": -0.5, "s1": 0.0, "s2": 0.5, "a0": -0.2, "a1": 0.2}
    for _ in range(studies):
        made = judging.effects(measure(dice, prompts), of="figure", factors=["style", "shape"], group="prompt")
        held += [low <= true[level] <= high for (_, level), low, high in made[["low", "high"]].itertuples()]
    return float(np.mean(held))


@pytest.mark.parametrize("prompts", [5, 12])
def test_intervals_of_effects_hold(prompts: int) -> None:
    """At least 93 % of them, over 150 studies."""
    assert count_held_effects(prompts, 150) >= 0.93


def test_effects_are_said_in_words() -> None:
    """What is clear by name and figure, what is not, and what could not be told from few prompts."""
    frame = measure(np.random.default_rng(6), 12)
    made = judging.effects(frame, of="figure", factors=["style", "shape"], group="prompt", unit="prompt")
    assert made.sentence == (
        "style: s0 lowers figure by 0.719 (0.36 to 1.1) and s2 raises figure by 0.681 (0.28 to 1.1); "
        "shape: a0 lowers figure by 0.211 (0.15 to 0.27) and a1 raises figure by 0.211 (0.15 to 0.27)."
    )
    few = judging.effects(frame[frame.prompt < 2], of="figure", factors="style", group="prompt", unit="prompt")
    assert few.sentence == "2 prompts tell nothing of style: at least 3 are needed."
    none = judging.effects(frame, of="repeat", factors="style", group="prompt", called="the number")
    assert none.sentence == "style: no difference to the number as far as 12 groups tell."


def test_what_cannot_be_told_from_the_groups_is_missing() -> None:
    """A factor that never varies within a group has no effect that one could tell; a rate is an effect of booleans."""
    frame = measure(np.random.default_rng(8), 8)
    frame["season"] = frame["prompt"].map(lambda prompt: "winter" if prompt % 2 else "summer")
    frame["is_high"] = frame["figure"] > frame["figure"].groupby(frame["prompt"]).transform("median")
    made = judging.effects(frame, of="is_high", factors=["season", "style"], group="prompt")
    assert made.loc["season"].effect.isna().all()
    assert made.loc["style"].effect.abs().max() < 1.0
    assert judging.effects(frame[frame.prompt < 2], of="figure", factors="style", group="prompt").low.isna().all()
    for wrong in ({"of": "taste"}, {"factors": ["color"]}, {"group": "chapter"}):
        with pytest.raises(InputError, match="no column"):
            judging.effects(frame, **{"of": "figure", "factors": ["style"], "group": "prompt", **wrong})
    with pytest.raises(InputError, match="no row has a figure"):
        judging.effects(frame.assign(figure=math.nan), of="figure", factors="style", group="prompt")


def test_effects_of_votes_part_two_factors() -> None:
    """Pictures that differ in style and shape at once: each level's share of the strength is told apart."""
    dice, rows = np.random.default_rng(9), []
    styles, shapes = {"oil": -0.5, "ink": 0.5, "wash": 0.0}, {"wide": 0.3, "tall": -0.3}
    for prompt in range(60):
        for _ in range(12):
            (one, first), (other, second) = ((dice.choice(list(styles)), dice.choice(list(shapes))) for _ in "ab")
            gap = styles[one] + shapes[first] - styles[other] - shapes[second]
            choice = "a" if dice.random() < 1 / (1 + math.exp(-gap)) else "b"
            rows.append((one, other, first, second, choice, prompt))
    votes = pd.DataFrame(rows, columns=["style_a", "style_b", "shape_a", "shape_b", "choice", "group"])
    made = vote_effects(votes, ["style", "shape"])
    for (factor, level), effect, low, high in made[["effect", "low", "high"]].itertuples():
        true = {"style": styles, "shape": shapes}[factor][level]
        assert low <= true <= high
        assert effect == pytest.approx(true, abs=0.3)
    alone = vote_effects(votes.assign(level_a=votes.style_a, level_b=votes.style_b), ["style"]).effect["style"]
    ranked = judging.ranking(votes.assign(level_a=votes.style_a, level_b=votes.style_b)).set_index("level").strength
    assert alone.sort_index().tolist() == pytest.approx(ranked.sort_index().tolist())
