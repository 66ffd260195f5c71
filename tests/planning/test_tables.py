"""Tables of prompts: each row a template with values of its own, from Python, a DataFrame or a CSV file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imagen_nb.errors import InputError
from imagen_nb.planning.plan import Plan, plan

IMAGEN = "google/imagen-4"
SCHNELL = "black-forest-labs/flux-schnell"


def table(*rows: dict[Any, Any], **names: Any) -> Plan:
    return plan(rows, **{"model": IMAGEN, **names})


def refusal(*rows: Any, **names: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        table(*rows, **names)
    assert caught.value.hint
    assert "None" not in str(caught.value)
    return caught.value


def test_columns_are_slots_and_parameters() -> None:
    """A column is a slot where the row's template has it, else a parameter; `prompt` and `template` are the same."""
    made = table(
        {"prompt": "a fox", "aspect_ratio": "16:9"},
        {"template": "an {animal} in {style=oil|ink}", "animal": "owl"},
    )
    assert [(request.prompt, request.slots, request.params) for request in made] == [
        ("a fox", {}, {"aspect_ratio": "16:9"}),
        ("an owl in oil", {"animal": "owl", "style": "oil"}, {}),
        ("an owl in ink", {"animal": "owl", "style": "ink"}, {}),
    ]
    assert [(axis.name, axis.kind, list(axis.values)) for axis in made.axes] == [("row", "row", [1, 2])]


def test_a_frame_with_gaps_is_taken_as_it_is() -> None:
    """NaN, NA and None are "not given", and whole numbers that pandas made floats are whole again."""
    frame = pd.DataFrame(
        {
            "prompt": ["a", "b", "c"],
            "num_outputs": [2, None, 3],
            "seed": pd.array([1, None, 3], dtype="Int64"),
            "output_format": ["png", np.nan, None],
        }
    )
    made = plan(frame, model=SCHNELL)
    assert [request.params for request in made] == [
        {"num_outputs": 2, "seed": 1, "output_format": "png"},
        {},
        {"num_outputs": 3, "seed": 3},
    ]
    assert made.cost == 0.018


def test_keywords_hold_for_every_row() -> None:
    """Axes given beside the table cross it; a keyword slot fills the rows that have it."""
    made = table({"prompt": "a {x}"}, {"prompt": "b"}, x=["1", "2"], aspect_ratio=["1:1", "16:9"], repeat=2)
    assert len(made) == 12
    assert [axis.name for axis in made.axes] == ["row", "x", "aspect_ratio"]
    assert [request.prompt for request in made][:8:4] == ["a 1", "a 2"]


def test_a_row_may_name_its_model_and_repeats() -> None:
    """Columns `model` and `repeat` stand before the arguments."""
    made = table({"prompt": "a", "model": SCHNELL, "repeat": 2.0}, {"prompt": "b"}, repeat=3)
    assert [(request.model, request.prompt, request.repeat) for request in made] == [
        (SCHNELL, "a", 1),
        (SCHNELL, "a", 2),
        (IMAGEN, "b", 1),
        (IMAGEN, "b", 2),
        (IMAGEN, "b", 3),
    ]
    assert made.repeat is None
    assert len(plan([{"prompt": "a", "model": IMAGEN}])) == 1


def test_several_models_go_through_each_row() -> None:
    """Rows move slowest, then models."""
    made = table({"prompt": "a"}, {"prompt": "b"}, model=[IMAGEN, SCHNELL])
    assert [(request.prompt, request.model) for request in made] == [
        ("a", IMAGEN),
        ("a", SCHNELL),
        ("b", IMAGEN),
        ("b", SCHNELL),
    ]


def test_a_list_in_a_cell_is_an_axis_of_that_row() -> None:
    """Rows from Python may hold lists."""
    assert len(table({"prompt": "a", "aspect_ratio": ["1:1", "16:9"]}, {"prompt": "b"})) == 3


def test_raw_and_sample_work_on_tables_too() -> None:
    """The keywords of a plan mean the same here."""
    assert table({"prompt": "{x}"}, raw=True)[0].prompt == "{x}"
    assert len(plan([{"prompt": str(n)} for n in range(100)], model=IMAGEN, sample=7)) == 7


def test_width_and_height_may_be_parameters() -> None:
    """They are columns of the log, and inputs of some models."""
    made = table({"prompt": "a", "width": 512, "height": 768}, model="black-forest-labs/flux-1.1-pro")
    assert made[0].params == {"width": 512, "height": 768}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": 5}, "row 2: the prompt is 5, not text"),
        ({"prompt": ["a"]}, "row 2: the prompt is ['a'], not text"),
        ({"prompt": float("nan")}, "row 2: the prompt is missing"),
        ({"template": None}, "row 2: the prompt is missing"),
        ({"prompt": "  "}, "row 2: the prompt is empty"),
        ({"text": "a"}, "row 2: there is no column prompt or template"),
        ({"prompt": "a", "template": "b"}, "row 2: both a template and a prompt"),
        ({"prompt": "a {x}"}, "row 2: the slot {x} has no value"),
        ({"prompt": "a {x}", "x": float("nan")}, "row 2: the slot {x} has no value"),
        ({"prompt": "a {x}", "x": True}, "row 2: the slot x cannot be True"),
        ({"prompt": "a", "aspect_ratio": "2:1"}, "row 2: google/imagen-4: aspect_ratio cannot be '2:1'"),
        ({"prompt": "a", "notes": "x"}, "row 2: nothing is called 'notes'"),
        ({"prompt": "a", "status": "failed"}, "row 2: the column status is the log's own"),
        ({"prompt": "a", "repeat": 0}, "row 2: repeat cannot be 0"),
        ({"prompt": "a", "model": "x"}, "row 2: 'x' is not a model's name"),
        ({"prompt": "a", 3: "x"}, "row 2: the column 3 has no name"),
        ({"prompt": "a {aspect_ratio}", "aspect_ratio": "1:1"}, "row 2: aspect_ratio is both a slot"),
    ],
)
def test_a_bad_row_is_named_by_its_number(row: dict[Any, Any], message: str) -> None:
    """Every mistake in a table says in which row it is, counted from 1."""
    assert refusal({"prompt": "fine"}, row).message.startswith(message)


def test_the_same_request_twice_is_refused() -> None:
    """Doubled rows would be one request to resume and two to pay."""
    assert "same request twice" in refusal({"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}).message
    assert len(table({"prompt": "a"}, {"prompt": "a", "aspect_ratio": "1:1"})) == 2


def test_an_empty_table_is_refused() -> None:
    """A table without rows is a mistake, not an empty plan."""
    with pytest.raises(InputError, match="the table has no rows"):
        plan(pd.DataFrame({"prompt": []}), model=IMAGEN)


def test_a_name_in_a_row_and_beside_it_is_refused() -> None:
    """A value cannot come from two places."""
    assert "given twice" in refusal({"prompt": "a", "aspect_ratio": "1:1"}, aspect_ratio="16:9").message
    assert "nothing is called 'y'" in refusal({"prompt": "a {x}", "x": "1"}, y="2").message


# -- files and frames, as people keep them


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
    assert [(request.prompt, request.params) for request in plan(file, model=IMAGEN)] == [
        ("a fox, in snow", {"aspect_ratio": "16:9"}),
        ("ein Käuzchen", {}),
    ]


def test_the_text_of_a_csv_is_what_it_is(file: Path) -> None:
    """Slots keep their text, `007` and `None` among it; parameters are read by the schema, and whole however large."""
    file.write_text("prompt,n,num_outputs\nagent {n},007,2\na {n},None,\n1984,,4\n", encoding="utf-8")
    assert [(request.prompt, request.params) for request in plan(file, model=SCHNELL)] == [
        ("agent 007", {"num_outputs": 2}),
        ("a None", {}),
        ("1984", {"num_outputs": 4}),
    ]
    file.write_text("prompt,seed,scale,repeat\na,9007199254740993,2.5,2\nb,,true,\n", encoding="utf-8")
    made = plan(file, model="a/b")
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
    assert [request.prompt for request in plan(str(shouting), model=IMAGEN)] == ["a fox", "an owl"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("prompt\na fox, in snow\n", "prompts.csv, line 2: there are more values than columns", "double quotes"),
        ("prompt,aspect_ratio\nan owl,1:1\n\na fox, in snow,16:9\n", "line 4: there are more values", "double quotes"),
        ("prompt,prompt\na,b\n", "has the column 'prompt' twice", "Rename or drop"),
        ("Prompt\na\n", "there is no column prompt or template; there are Prompt", "Did you mean prompt?"),
        ("", "the table has no rows", "at least one row"),
        ("prompt\n", "the table has no rows", "at least one row"),
        ('prompt\n"a\n', "prompts.csv, line 2, column prompt: the quote that this begins with", "twice"),
        ('style,prompt\n\noil,"a\nb"\nink,"a 6" fox"\n', "line 5, column prompt: the quote that this begins", "twice"),
        ('style;prompt\r\noil;"a\r\nb"\r\n"ink;c\r\n"pen";d', "line 4, column style: the quote that this", "twice"),
        ('"prompt\na\n', "line 1, column 1: the quote that this begins with", "twice"),
        (f'prompt\n"a\n{"b" * 140_000}\n', "line 2, column prompt: the quote that this begins with", "twice"),
        (f"n,prompt\n1,a\n2,{'b' * 140_000}\n", "line 3, column prompt: this is longer than 131,072", "Shorten"),
        ("prompt\n\n\na {x}\n", "prompts.csv, line 4: the slot {x} has no value", "Assign it"),
        ('prompt,n\n"a\n\nfox",1\n,2\n', "prompts.csv, line 5: the prompt is missing", "Every row"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_refused(file: Path, text: str, message: str, hint: str) -> None:
    """One line says what is wrong with it, and none of it is planned."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        plan(file, model=IMAGEN)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "prompt", "params"),
    [
        ('prompt;"size, cm";look\na fox;10;oil\n', "a fox", {"size, cm": 10, "look": "oil"}),
        ('"size; cm",prompt,look\n10,a fox,oil\n', "a fox", {"size; cm": 10, "look": "oil"}),
        ('"a, b"\tprompt\n1\ta fox, in snow; at night\n', "a fox, in snow; at night", {"a, b": 1}),
        ('\n\nprompt;look\n;\n\na fox;"oil; ink"\n', "a fox", {"look": "oil; ink"}),
        ('prompt\n"a ""red"" fox"\n', 'a "red" fox', {}),
        ('prompt\na 6" fox\n', 'a 6" fox', {}),
    ],
)
def test_what_parts_a_csv_is_seen_in_its_header(file: Path, text: str, prompt: str, params: dict[str, Any]) -> None:
    """A mark within the quotes of a name parts nothing, whatever else parts the columns."""
    file.write_text(text, encoding="utf-8")
    (request,) = plan(file, model="a/b")
    assert (request.prompt, request.params) == (prompt, params)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"], ids=repr)
def test_the_line_ends_of_another_system_do_not_get_into_a_prompt(file: Path, end: str) -> None:
    """A text over several lines has plain line breaks in it, wherever the file was saved."""
    file.write_bytes(f'prompt,look{end}"a fox,{end}in snow","oil{end}ink"{end}'.encode())
    (request,) = plan(file, model="a/b")
    assert (request.prompt, request.params) == ("a fox,\nin snow", {"look": "oil\nink"})


def test_a_file_in_another_encoding_is_named_with_its_line(file: Path) -> None:
    """Not the file alone: the first line that is no UTF-8."""
    file.write_bytes("prompt\na fox\nein Käuzchen\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"prompts\.csv, line 3: this is no UTF-8 text"):
        plan(file, model=IMAGEN)


# -- what is a file, and what is text


def test_a_name_is_a_file_only_where_one_is_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is a file; a text is one where it names a CSV file that is there, and the plan says so."""
    monkeypatch.chdir(file.parent)
    assert plan("prompts.csv", model=IMAGEN)[0].prompt == "prompts.csv"
    file.write_text("prompt\na fox\n", encoding="utf-8")
    for source in ("prompts.csv", str(file), file):
        made = plan(source, model=IMAGEN)
        assert [request.prompt for request in made] == ["a fox"]
        assert f"from {source}" in repr(made)
        assert all(f"read from the file {source}" in text for text in made._repr_mimebundle_().values())
    for prompt in (plan("prompts.csv", model=IMAGEN, raw=True), plan(["prompts.csv"], model=IMAGEN)):
        assert [request.prompt for request in prompt] == ["prompts.csv"]
        assert "from" not in repr(prompt)
    for text in ("x" * 5000 + ".csv", "a\0b.csv", "~nobody/x.csv", "."):
        assert plan(text, model=IMAGEN)[0].prompt == text
    assert [request.prompt for request in plan(file, model=IMAGEN, raw=True)] == ["a fox"]


@pytest.mark.parametrize("name", ["nowhere.csv", ".", "pipe.csv"])
def test_a_path_that_is_no_file_is_refused(file: Path, name: str) -> None:
    """One that is not there, a folder, and a pipe, which would be waited for."""
    os.mkfifo(file.parent / "pipe.csv")
    with pytest.raises(InputError, match="there is no file"):
        plan(file.parent / name, model=IMAGEN)


def test_whole_numbers_with_gaps_stay_whole() -> None:
    """pandas makes floats of them; a prompt says 3 all the same."""
    made = plan(pd.DataFrame({"prompt": ["{n} foxes", "an owl"], "n": [3, None]}), model=IMAGEN)
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
        plan(frame, model=IMAGEN)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "made",
    [
        plan("a", aspect_ratio=[None, "1:1"], model=IMAGEN),
        plan([{"prompt": "a"}, {"prompt": "b", "aspect_ratio": "1:1"}], model=IMAGEN),
        plan(pd.DataFrame({"prompt": ["a", "b"], "aspect_ratio": [np.nan, "1:1"]}), model=IMAGEN),
    ],
)
def test_a_column_that_only_some_requests_have_stands_in_its_place(made: Plan) -> None:
    """The plan's frame has the log's order: slots and parameters before repeat and cost."""
    columns = list(made.frame().columns)
    assert columns == ["model", "prompt", "template", "aspect_ratio", "repeat", "cost_usd"]
