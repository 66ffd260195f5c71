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

from imagen_nb.errors import brief

ALIKE_BITS = 4
"""Pictures whose 64-bit difference hashes differ in so many bits at most look the same."""

SHAPE = 0.1
"""A file may be so much wider or narrower than its aspect ratio says: models round to multiples of 64 pixels."""

GROUPS, REPEATS = 4, 2
"""A parameter is called ignored with so many groups and repeats at least."""

SURE = 0.01
"""An alarm that may be chance is given where chance makes it in one of a hundred frames at most."""

CHANCE = 0.035
"""A parameter is called ignored where shuffled levels do as well in so large a part of all cases at least."""

_SHUFFLES = 400
COLUMNS = ("alarm", "runs", "sure", "said")

Hashes = Mapping[str, int]
"""The 64-bit difference hash of each picture, by its SHA-256."""


def find_alarms(
    frame: pd.DataFrame, factors: Sequence[str], hashes: Hashes, blanks: Sequence[str] = ()
) -> pd.DataFrame:
    """The alarms of a frame with the log's columns, one row each: `alarm runs sure said`.

    `factors` are the columns that vary, the prompt among them; `blanks` the SHA-256 of pictures that show nothing.
    """
    done = frame[frame["status"].astype(object) == "succeeded"]
    found = [
        *_wrong_shapes(done),
        *_blank_pictures(done, set(blanks)),
        *_same_pictures(done, factors, hashes),
        *_ignored_factors(done, factors, hashes),
        *_failing_levels(frame, factors),
    ]
    made: pd.DataFrame = pd.DataFrame(found, columns=list(COLUMNS))
    return made


Found = tuple[str, list[str], str, str]


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


def _same_pictures(done: pd.DataFrame, factors: Sequence[str], hashes: Hashes) -> Iterator[Found]:
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
    near = [(sha256, hashes[sha256]) for sha256 in by_hash if sha256 in hashes]
    values = np.array([value for _, value in near], dtype=np.uint64)
    for place in range(len(near)):
        for other in np.flatnonzero(_bits(values[place + 1 :] ^ values[place]) <= ALIKE_BITS) + place + 1:
            one, two = by_hash[near[place][0]], by_hash[near[int(other)][0]]
            is_repeat = inputs[one[0]] == inputs[two[0]]
            kinds.setdefault(("repeats" if is_repeat else "same", "likely"), []).extend([*one, *two])
    words = {
        "repeats": "{} of one request gave the same picture: a cache, or a fixed seed",
        "same": "{} with different inputs gave the same picture",
    }
    for (kind, sure), runs in kinds.items():
        if several := list(dict.fromkeys(runs)):
            yield kind, several, sure, words[kind].format(_count(len(several)))


def _ignored_factors(done: pd.DataFrame, factors: Sequence[str], hashes: Hashes) -> Iterator[Found]:
    """Factors whose levels make no more difference to the pictures than repeats do, in all groups together.

    Within a group the levels are shuffled: where the pictures of a level are as far apart as shuffled ones, the
    factor did nothing.
    """
    rows = done[done["sha256"].isin(hashes)]
    for factor in factors:
        if factor in ("prompt", "template") or rows[factor].nunique() < 2:  # noqa: PLR2004 - what does not vary
            continue
        groups = rows.groupby(_keys(rows, [each for each in factors if each != factor]), sort=False)
        scores = [score for _, group in groups if (score := _closeness(group, factor, hashes)) is not None]
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
                f"{factor} ({levels}) made no difference to the pictures in {len(scores)} groups",
            )


def _closeness(group: pd.DataFrame, factor: str, hashes: Hashes) -> tuple[float, float, float] | None:
    """How far apart pictures of one level are, in bits; and mean and variance of that with shuffled levels."""
    levels, _ = pd.factorize(group[factor].astype(object), use_na_sentinel=False)
    counts = np.bincount(levels)
    if len(counts) < 2 or counts.max() < REPEATS:  # noqa: PLR2004 - a level alone
        return None
    values = np.array([hashes[each] for each in group["sha256"]], dtype=np.uint64)
    first, second = np.triu_indices(len(values), 1)
    apart = _bits(values[first] ^ values[second]).astype(float)
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
    tests = [(factor, level) for factor in factors for level in ended[factor].dropna().unique()]
    for factor, level in tests:
        mine = (ended[factor] == level).to_numpy(dtype=bool)
        failed, total = int(is_failed[mine].sum()), int(mine.sum())
        others, rest = int(is_failed[~mine].sum()), int((~mine).sum())
        if not rest or not failed or failed / total < others / rest + 0.25:  # a small difference is not "far"
            continue
        chance = _at_least(failed, total, failed + others, total + rest)
        if chance < SURE / len(tests):
            runs = list(ended.index[mine & is_failed.to_numpy()])
            said = f"{factor} {brief(str(level))}: {failed} of {total} failed, and {others} of the {rest} others"
            yield "failing", runs, f"by chance in {chance:.2g}", said


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


def _bits(values: Any) -> Any:
    """How many bits are set in each of these 64-bit numbers."""
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(*values.shape, 8)
    return np.unpackbits(octets, axis=-1).sum(axis=-1)


def _count(number: int) -> str:
    return f"{number:,} run{'s' * (number != 1)}"
