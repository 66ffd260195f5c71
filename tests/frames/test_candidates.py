"""Which pictures are compared, what is equal in a pair, and what may be said of one."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sample_runs import frame, image, run

from imagen_nb.frames.candidates import candidates
from imagen_nb.records import Run


def made(home: Path, template: str, every: list[dict[str, Any]], **params: list[Any]) -> list[Run]:
    """A run with a picture for each of these slots, each with all of these parameters."""
    runs = []
    for slots, chosen in product(every, product(*params.values())):
        number = len(runs)
        about = {"template": template, "slots": slots, "params": dict(zip(params, chosen, strict=True))}
        runs.append(run(template.format(**slots), [image(home, number)], number=number, **about))
    return runs


def held(table: pd.DataFrame, by: str, within: Any = None) -> tuple[list[str], int, set[str]]:
    """What is held equal, how many pairs there are, and what is said of them."""
    found = candidates(table, by, within)
    pairs = found.pairs()
    return list(found.within), len(pairs), {found.text(pair) for pair in pairs}


def test_all_that_varies_is_equal_but_what_is_compared(log: pd.DataFrame) -> None:
    """A slot is left blank in the prompt; a parameter leaves it whole; repeats pair up; a failure costs its pair."""
    assert held(log, "style") == (["prompt", "aspect_ratio"], 7, {"a fox in ___", "a owl in ___"})
    assert held(log, "aspect_ratio")[:2] == (["prompt"], 7)
    assert held(log, "aspect_ratio")[2] == {f"a {a} in {s}" for a in ("fox", "owl") for s in ("oil", "ink")}
    assert held(log, "prompt") == (["aspect_ratio"], 21, {""})
    assert held(log, "style", ["animal"])[0] == ["animal"]
    groups = {pair.group for pair in candidates(log, "style").pairs()}
    assert groups == {f"a {animal} in ___ · {ratio}" for animal in ("fox", "owl") for ratio in ("1:1", "16:9")}
    found = candidates(log, "style")
    assert (len(found.runs), found.left_out) == (15, 1)
    levels = [{pair.level_a, pair.level_b} for pair in found.pairs()]
    assert levels == [{"oil", "ink"}] * 7


def test_what_goes_with_it_is_compared_with_it(home: Path) -> None:
    """A slot that is zipped to the compared one is left blank too; one that is not is held equal."""
    styles = [("oil", "Monet"), ("ink", "Hokusai")]
    every = [{"animal": a, "style": s, "artist": p} for a in ("fox", "owl") for s, p in styles]
    table = frame(made(home, "a {animal}, {style}, by {artist}", every))
    assert held(table, "style") == (["prompt"], 2, {"a fox, ___, by ___", "a owl, ___, by ___"})


def test_what_no_two_levels_share_cannot_be_equal(home: Path) -> None:
    """Seeds drawn at random hold nothing equal; seeds that were chosen do; experiments do not part runs."""
    every = [{"style": style} for style in ("oil", "ink")]
    table = frame(made(home, "a fox in {style}", every, seed=[1, 2], steps=[20, 40]))
    assert held(table, "style")[:2] == (["prompt", "seed", "steps"], 4)
    assert {pair.group for pair in candidates(table, "style").pairs()} >= {"a fox in ___ · seed 1 · steps 20"}
    assert held(table.assign(seed=range(8), experiment=list("abcdabcd")), "style")[0] == ["prompt", "steps"]
    assert held(table.assign(score_sharpness=[1.0, 2.0] * 4), "style")[0] == ["prompt", "seed", "steps"]


@pytest.mark.parametrize("lost", ["style", "template", "twice"])
def test_frames_that_lack_something_do_not_tell(home: Path, lost: str) -> None:
    """Where a prompt cannot be cut, nothing is said of it; rows that come twice are one picture."""
    every = [{"animal": a, "style": s} for a in ("fox", "owl") for s in ("oil", "ink")]
    table = frame(made(home, "a {animal} in {style}", every))
    if lost == "twice":
        assert held(pd.concat([table, table]), "style")[1] == 2
        return
    own = table.assign(kind_of=table["style"]).drop(columns=lost)
    within, pairs, texts = held(own, "kind_of", ["animal"])
    assert (within, pairs, texts) == (["animal"], 2, {""} if lost == "template" else {"a fox in ___", "a owl in ___"})
