"""Tables of prompts, as people keep them: CSV files of any spreadsheet, and DataFrames with gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imagen_nb.errors import InputError
from imagen_nb.planning.plan import Plan, plan

IMAGEN, SCHNELL = "google/imagen-4", "black-forest-labs/flux-schnell"


def planned(source: Any, model: str = IMAGEN, **names: Any) -> Plan:
    return plan(source, model=model, **names)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prompts.csv"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_of_any_spreadsheet_is_read(file: Path, mark: str, encoding: str) -> None:
    """Commas, semicolons or tabs, with or without a byte order mark, with empty lines and Windows line ends."""
    lines = ["prompt,aspect_ratio", '"a fox, in snow",16:9', "", "ein Käuzchen,"]
    text = "\r\n".join(line.replace("prompt,", f"prompt{mark}").replace('",', f'"{mark}') for line in lines)
    file.write_text(text.replace("chen,", f"chen{mark}"), encoding=encoding)
    assert [(request.prompt, request.params) for request in planned(file)] == [
        ("a fox, in snow", {"aspect_ratio": "16:9"}),
        ("ein Käuzchen", {}),
    ]


def test_the_text_of_a_csv_is_what_it_is(file: Path) -> None:
    """Slots keep their text, `007` and `None` among it; parameters are read by the schema, and whole however large."""
    file.write_text("prompt,n,num_outputs\nagent {n},007,2\na {n},None,\n1984,,4\n", encoding="utf-8")
    assert [(request.prompt, request.params) for request in planned(file, SCHNELL)] == [
        ("agent 007", {"num_outputs": 2}),
        ("a None", {}),
        ("1984", {"num_outputs": 4}),
    ]
    file.write_text("prompt,seed,scale,repeat\na,9007199254740993,2.5,2\nb,,true,\n", encoding="utf-8")
    made = planned(file, "a/b")
    assert [(request.params, request.repeat) for request in made] == [
        ({"seed": 9007199254740993, "scale": 2.5}, 1),
        ({"seed": 9007199254740993, "scale": 2.5}, 2),
        ({"scale": True}, 1),
    ]


def test_a_frame_saved_with_its_index_is_read(file: Path) -> None:
    """What `df.to_csv(path)` writes is a table of prompts, and so is a file that ends in `.CSV`."""
    frame = pd.DataFrame({"prompt": ["a fox", "an owl"]})
    shouting = file.with_suffix(".CSV")
    frame.to_csv(shouting)
    assert [request.prompt for request in planned(str(shouting))] == ["a fox", "an owl"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("prompt\na fox, in snow\n", "row 1 has more values than there are columns", "double quotes"),
        ("prompt,aspect_ratio\nan owl,1:1\na fox, in snow,16:9\n", "row 2 has more values", "double quotes"),
        ("prompt,prompt\na,b\n", "has the column 'prompt' twice", "Rename or drop"),
        ("Prompt\na\n", "there is no column prompt or template; there are Prompt", "Did you mean prompt?"),
        ('prompt\n"a\n', "cannot be read as CSV", "UTF-8"),
        ("", "the table has no rows", "at least one row"),
        ("prompt\n", "the table has no rows", "at least one row"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_refused(file: Path, text: str, message: str, hint: str) -> None:
    """One line says what is wrong with it, and none of it is planned."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        planned(file)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_whole_numbers_with_gaps_stay_whole() -> None:
    """pandas makes floats of them; a prompt says 3 all the same."""
    made = planned(pd.DataFrame({"prompt": ["{n} foxes", "an owl"], "n": [3, None]}))
    assert [request.prompt for request in made] == ["3 foxes", "an owl"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame([["a {x}", "1", "2"]], columns=["prompt", "x", "x"]), "the table has the column 'x' twice"),
        (pd.DataFrame([["a {x}", "1", "2"]], columns=["prompt", 1, "1"]), "the table has the column '1' twice"),
        (
            pd.DataFrame([["a"]], columns=pd.MultiIndex.from_tuples([("text", "prompt")])),
            "the table's columns have several levels",
        ),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(frame: pd.DataFrame, message: str) -> None:
    """No column is dropped in silence."""
    with pytest.raises(InputError) as caught:
        planned(frame)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "made",
    [
        plan("a", aspect_ratio=[None, "1:1"], model=IMAGEN),
        planned([{"prompt": "a"}, {"prompt": "b", "aspect_ratio": "1:1"}]),
        planned(pd.DataFrame({"prompt": ["a", "b"], "aspect_ratio": [np.nan, "1:1"]})),
    ],
)
def test_a_column_that_only_some_requests_have_stands_in_its_place(made: Plan) -> None:
    """The plan's frame has the log's order: slots and parameters before repeat and cost."""
    columns = list(made.frame().columns)
    assert columns == ["model", "prompt", "template", "aspect_ratio", "repeat", "cost_usd"]
