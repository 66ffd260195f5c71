"""What is suspicious in a frame of runs: a parameter that did nothing, a picture twice, a shape not asked for.

An alarm says what it is, which runs show it, and how sure it is: `certain` for what is read off files and rows, else a
chance of being wrong. In simulated honest sweeps at most one in a hundred has any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image as Pillow

from imagen_nb.errors import brief
from imagen_nb.records import NOT_AS_ASKED
from imagen_nb.views.words import one_line

ALIKE_BITS, ALIKE_LEVELS = 4, 6.0
"""Pictures whose 64-bit difference hashes differ in so many bits, and whose colours in so many of 255 levels, at most
look the same."""

SHAPE = 0.1
"""A file may be so much wider or narrower than its aspect ratio says: models round to multiples of 64 pixels."""

GROUPS, REPEATS = 4, 2
"""A parameter is called ignored with so many groups and repeats at least."""

SURE = 0.01
"""An alarm that may be chance is given where chance makes it in one of a hundred frames at most."""

CHANCE = 0.015
"""A parameter is called ignored where shuffled levels do as well in so large a part of all cases at least."""

NO_LOOK = frozenset(
    ("prompt", "template", "experiment", "output_format", "output_quality", "safety_filter_level", "safety_tolerance")
)
"""Columns that are not called ignored: texts, and what is not meant to change what a picture shows."""

_SHUFFLES = 400
COLUMNS = ("alarm", "runs", "sure", "said")

Looks = Mapping[str, Any]
"""What `glance` gives of each picture, by its SHA-256."""


def glance(image: Pillow.Image) -> Any:
    """The picture as 8 x 9 pixels in red, green and blue: what a difference hash is made of, and its colours."""
    return np.asarray(image.convert("RGB").resize((9, 8), Pillow.Resampling.BOX), dtype=np.int16)


def find_alarms(frame: pd.DataFrame, factors: Sequence[str], looks: Looks, blanks: Sequence[str] = ()) -> pd.DataFrame:
    """The alarms of a frame with the log's columns, one row each: `alarm runs sure said`.

    `factors` are the columns that vary, the prompt among them; `blanks` the SHA-256 of pictures that show nothing.
    """
    done = frame[frame["status"].astype(object) == "succeeded"]
    found = [
        *_other_replies(done),
        *_wrong_shapes(done),
        *_blank_pictures(done, set(blanks)),
        *_same_pictures(done, factors, looks),
        *_ignored_factors(done, factors, looks),
        *_failing_levels(frame, factors),
    ]
    made: pd.DataFrame = pd.DataFrame(found, columns=list(COLUMNS))
    return made


Found = tuple[str, list[str], str, str]


def _other_replies(done: pd.DataFrame) -> Iterator[Found]:
    """Runs whose reply was of another model, count or size than asked for."""
    if "error_code" in done:
        for said, rows in done[done["error_code"].astype(object) == NOT_AS_ASKED].groupby("error"):
            yield "reply", list(rows.index), "certain", f"{_count(len(rows))}: {one_line(str(said), 160)}"


def _wrong_shapes(done: pd.DataFrame) -> Iterator[Found]:
    if "aspect_ratio" not in done:
        return
    asked = done["aspect_ratio"].astype("string").str.extract(r"^\s*(\d+)\s*:\s*(\d+)\s*$").astype(float)
    shape = done["width"].astype(float) / done["height"].astype(float)
    wrong = (shape * asked[1] / asked[0]).map(lambda ratio: abs(math.log(ratio)) > SHAPE if ratio > 0 else False)
    for value, rows in done[wrong].groupby(done["aspect_ratio"].astype(object)):
        row = rows.iloc[0]
        yield (
            "shape",
            list(rows.index),
            "certain",
            f"{_count(len(rows))} asked for {value} and gave {row['width']} x {row['height']} pixels",
        )


def _blank_pictures(done: pd.DataFrame, blanks: set[str]) -> Iterator[Found]:
    rows = done[done["sha256"].isin(blanks)]
    if len(rows):
        yield "blank", list(rows.index), "certain", f"{_count(len(rows))} gave a picture that shows nothing"


def _same_pictures(done: pd.DataFrame, factors: Sequence[str], looks: Looks) -> Iterator[Found]:
    """Pictures that are the same although their inputs differ, and repeats that are the same."""
    rows = done[done["sha256"].notna()]
    inputs = dict(zip(rows.index, _keys(rows, factors), strict=True))
    kinds: dict[tuple[str, str], list[str]] = {}
    by_hash: dict[Any, list[str]] = {}
    for run_id, sha256 in rows["sha256"].items():
        by_hash.setdefault(sha256, []).append(str(run_id))
    for runs in by_hash.values():
        for is_repeat in (True, False):
            like = [a for a in runs if any((inputs[a] == inputs[b]) == is_repeat for b in runs if b != a)]
            kinds.setdefault(("repeats" if is_repeat else "same", "certain"), []).extend(like)
    near = [sha256 for sha256 in by_hash if sha256 in looks]
    values = np.array([looks[sha256] for sha256 in near]).reshape(-1, 8, 9, 3)
    grey = values @ (0.299, 0.587, 0.114)
    bits = (grey[:, :, 1:] > grey[:, :, :-1]).reshape(-1, 64)
    for place, sha256 in enumerate(near):
        is_like = (bits[place + 1 :] != bits[place]).sum(axis=1) <= ALIKE_BITS
        is_like &= np.abs(values[place + 1 :] - values[place]).mean(axis=(1, 2, 3)) <= ALIKE_LEVELS
        for other in np.flatnonzero(is_like) + place + 1:
            one, two = by_hash[sha256], by_hash[near[int(other)]]
            is_repeat = inputs[one[0]] == inputs[two[0]]
            kinds.setdefault(("repeats" if is_repeat else "same", "likely"), []).extend([*one, *two])
    words = {
        "repeats": "{} of one request gave the same picture: a cache, or a fixed seed",
        "same": "{} with different inputs gave the same picture",
    }
    for (kind, sure), runs in kinds.items():
        if several := list(dict.fromkeys(runs)):
            yield kind, several, sure, words[kind].format(_count(len(several)))


def _ignored_factors(done: pd.DataFrame, factors: Sequence[str], looks: Looks) -> Iterator[Found]:
    """Factors whose levels make no more difference to the pictures than repeats do, in all groups together.

    Within a group the levels are shuffled: where the pictures of a level are as far apart as shuffled ones, the
    factor did nothing. One that changes the size of the pictures did something.
    """
    rows = done[done["sha256"].isin(looks)]
    for factor in factors:
        if factor in NO_LOOK or rows[factor].nunique() < 2:  # noqa: PLR2004 - what does not vary
            continue
        sizes = rows.groupby(rows[factor].astype(object))[["width", "height"]].agg(["min", "max"])
        if sizes.drop_duplicates().shape[0] > 1:
            continue
        groups = rows.groupby(_keys(rows, [each for each in factors if each != factor]), sort=False)
        scores = [score for _, group in groups if (score := _closeness(group, factor, looks)) is not None]
        if len(scores) < GROUPS:
            continue
        seen, mean, variance = map(sum, zip(*scores, strict=True))
        deviation = (mean - seen) / math.sqrt(variance) if variance > 0 else 0.0
        chance = 0.5 * math.erfc(deviation / math.sqrt(2.0))
        if chance > CHANCE:
            levels = ", ".join(str(level) for level in rows[factor].dropna().unique()[:4])
            yield (
                "ignored",
                list(rows.index),
                f"as close with shuffled levels in {chance:.0%}",
                f"{factor} ({one_line(levels, 80)}) made no difference to the pictures in {len(scores)} groups",
            )


def _closeness(group: pd.DataFrame, factor: str, looks: Looks) -> tuple[float, float, float] | None:
    """How far apart pictures of one level are, in levels of 255; and mean and variance of that when shuffled."""
    levels, _ = pd.factorize(group[factor].astype(object), use_na_sentinel=False)
    counts = np.bincount(levels)
    if len(counts) < 2 or counts.max() < REPEATS:  # noqa: PLR2004 - a level alone
        return None
    values = np.array([looks[each] for each in group["sha256"]])
    first, second = np.triu_indices(len(values), 1)
    apart = np.abs(values[first] - values[second]).mean(axis=(1, 2, 3))
    dice = np.random.default_rng(0)
    shuffled = np.array([dice.permutation(levels) for _ in range(_SHUFFLES)])
    is_like = shuffled[:, first] == shuffled[:, second]
    by_chance = (is_like @ apart) / is_like.sum(axis=1)
    seen = float(apart[levels[first] == levels[second]].mean())
    return seen, float(by_chance.mean()), float(by_chance.var())


def _failing_levels(frame: pd.DataFrame, factors: Sequence[str]) -> Iterator[Found]:
    """Levels whose runs failed far more often than those of the others, where chance hardly does that."""
    ended = frame[frame["status"].astype(object).isin(["succeeded", "failed", "aborted", "expired"])]
    is_failed = ended["status"].astype(object) != "succeeded"
    tests = [
        (factor, level, rows)
        for factor in factors
        for level, rows in is_failed.groupby(ended[factor].astype(object), sort=False)
    ]
    all_failed, count = int(is_failed.sum()), len(ended)
    for factor, level, rows in tests:
        failed, total = int(rows.sum()), len(rows)
        others, rest = all_failed - failed, count - total
        if not rest or not failed or failed / total < others / rest + 0.25:  # a small difference is not "far"
            continue
        chance = _at_least(failed, total, all_failed, count)
        if chance < SURE / len(tests):
            said = f"{factor} {brief(str(level))}: {failed} of {total} failed, and {others} of the {rest} others"
            yield "failing", list(rows[rows].index), f"by chance in {chance:.2g}", said


def _at_least(failed: int, total: int, all_failed: int, all_total: int) -> float:
    """The chance that of `total` drawn at random from `all_total` at least `failed` are among the failed ones."""
    ways = sum(
        math.comb(all_failed, count) * math.comb(all_total - all_failed, total - count)
        for count in range(failed, min(total, all_failed) + 1)
    )
    return ways / math.comb(all_total, total)


def _keys(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """What a row has in these columns, as one text."""
    return ["\0".join(map(repr, values)) for values in rows[list(columns)].astype(object).itertuples(index=False)]


def _count(number: int) -> str:
    return f"{number:,} run{'s' * (number != 1)}"
