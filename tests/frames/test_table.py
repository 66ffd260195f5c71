from __future__ import annotations

import re

import pandas as pd
import pytest
from markup import Markup
from sample_runs import frame, run, unseen

from imagen_nb.errors import InputError


def heads(html: str) -> list[str]:
    return re.findall(r"<th[^>]*>([^<]*)</th>", html)


def test_a_frame_shows_itself_as_a_table(log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures, the prompt, what varies, and how it went; a run without a picture says why."""
    shown = log.assign(rating=pd.array([4, *[pd.NA] * 15], "Int64")).imagen
    html = shown._repr_mimebundle_()["text/html"]
    assert heads(html) == [
        "picture",
        "prompt",
        "animal",
        "style",
        "aspect_ratio",
        "repeat",
        "status",
        "seconds",
        "cost",
        "rating",
    ]
    page = Markup.of(html)
    assert page.tags.count("tr") == 17
    assert page.tags.count("img") == 15
    assert "Flagged. (E005)" in page.text
    assert len(set(page.attributes("alt"))) == 8  # repeats say their number
    monkeypatch.setenv("COLUMNS", "120")
    lines = repr(shown).splitlines()
    assert lines[0].split() == heads(html)[1:]
    assert lines[1].split() == [
        "a",
        "fox",
        "in",
        "oil",
        "fox",
        "oil",
        "1:1",
        "1",
        "succeeded",
        "9.5",
        "s",
        "$0.04",
        "4",
    ]
    assert len(lines) == 17
    monkeypatch.setenv("COLUMNS", "80")
    narrow = repr(shown).splitlines()
    assert max(map(len, narrow)) <= 80
    assert narrow[0].split() == ["prompt", "animal", "style", "repeat", "status", "seconds", "cost", "rating"]


def test_columns_are_chosen_by_name(log: pd.DataFrame) -> None:
    """Those of the frame, its own included, and the table's words for them; a wrong one is one line with a guess."""
    own = log.assign(score=[n / 3 for n in range(16)], flag=True)
    chosen = ["run_id", "score", "flag", "seconds", "cost_usd", "created_at", "repeat"]
    shown = own.imagen.table(columns=chosen)
    assert heads(shown.html) == ["picture", "run", "score", "flag", "seconds", "cost", "created", "repeat"]
    assert "0.333333" in shown.text
    assert log.index[3] in shown.text
    assert heads(log.imagen.table("status").html) == ["picture", "status"]
    with pytest.raises(InputError, match="columns='stile' is not a column") as caught:
        log.imagen.table(["stile"])
    assert "style" in caught.value.hint


def test_a_long_table_comes_in_pages_with_the_call_for_the_next(log: pd.DataFrame) -> None:
    """The hint can be pasted, and leads through all pages."""
    shown = log.imagen.table(columns="style", per_page=6)
    said = re.search(r"df\.imagen\.table\(.*\)", shown.text)
    assert shown.text.endswith("shows the next.")
    assert said is not None
    again = eval(said[0], {"df": log})  # noqa: S307 - our own words
    assert "Page 2 of 3 (6 of 16 runs)" in again.text
    assert again.html.count("<img") == 6


def test_long_texts_are_cut_and_many_pictures_counted() -> None:
    """A row stays a row."""
    shown = frame([run("word " * 600, [unseen(n) for n in range(6)])]).imagen.table()
    assert "+2" in Markup.of(shown.html).text
    assert len(shown.html) < 9_000
    assert max(map(len, shown.text.splitlines())) < 150


def test_a_frame_without_runs_or_that_is_no_log_says_so(log: pd.DataFrame) -> None:
    """Looking at it is never a traceback."""
    assert repr(log.iloc[:0].imagen) == "No runs in this frame."
    other = pd.DataFrame({"a": [1]}).imagen
    assert repr(other) == other._repr_mimebundle_()["text/plain"]
    assert "this frame has no column" in repr(other)


@pytest.mark.parametrize("by", [None, "status"])
def test_counting_statuses_shows_those_that_occur(log: pd.DataFrame, by: str | None) -> None:
    """The column's categories are the statuses that the frame has, in their order."""
    assert list(log["status"].cat.categories) == ["succeeded", "failed"]
    counted = log["status"].value_counts() if by is None else log.groupby(by, observed=False).size()
    assert counted.to_dict() == {"succeeded": 15, "failed": 1}
