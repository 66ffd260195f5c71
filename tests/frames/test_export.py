from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from sample_runs import frame, image, run

from imagen_nb.errors import InputError
from imagen_nb.frames.export import csv_line, export, guard, unguard
from imagen_nb.frames.read import csv_rows, read_log

WIDE = "\N{FULLWIDTH EQUALS SIGN}"
STARTS = (*"=+-@\t\r\n", WIDE)
HOSTILE = [
    *("=1+1", "+cmd", "-2", "@sum", "\tx", "\rx", "\nx", "'=1", "''@", "'tis the season", f"{WIDE}1"),
    *('"quoted", twice', "", " lead"),
]
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_a_file_reads_back_as_the_very_same_frame(log: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """Values, types, order and index all come back."""
    path = log.imagen.export(tmp_path / "new" / name)
    assert path == tmp_path / "new" / name
    pd.testing.assert_frame_equal(read_log(path), log)


def test_a_folder_reads_back_as_the_runs_that_have_images(log: pd.DataFrame, tmp_path: Path) -> None:
    """All columns come back with their types; the images are the folder's own copies."""
    path = log.imagen.export(tmp_path / "set")
    back = read_log(path)
    expected = log[log["image"].notna()]
    expected = expected.assign(status=expected["status"].cat.remove_unused_categories())
    pd.testing.assert_frame_equal(back.drop(columns=["image", "images"]), expected.drop(columns=["image", "images"]))
    assert list(back.columns) == list(log.columns)
    assert all(Path(each).parent == path for each in back["image"])
    assert [Path(a).read_bytes() for a in back["image"]] == [Path(b).read_bytes() for b in expected["image"]]
    assert back.imagen.gallery().html.count("<img") == 15


def test_a_folder_is_what_image_loaders_expect(home: Path, tmp_path: Path) -> None:
    """One line an image with `file_name` first, the same keys in each, times as text, every file there and whole."""
    runs = [run(images=[image(home, 1), image(home, 2)], number=1), run(images=[image(home, 3)], number=2, rating=5)]
    path = frame(runs).imagen.export(tmp_path / "set")
    lines = [json.loads(line) for line in (path / "metadata.jsonl").read_text("utf-8").splitlines()]
    names = ["a-red-fox-in-snow-1.png", "a-red-fox-in-snow-2.png", "a-red-fox-in-snow.png"]
    assert [line["file_name"] for line in lines] == names
    assert [line["image_number"] for line in lines] == [1, 2, 1]
    assert all(next(iter(line)) == "file_name" and line.keys() == lines[0].keys() for line in lines)
    assert "image" not in lines[0]
    assert lines[0]["created_at"].startswith("2025-03-01T12:00:01.123456")
    for line in lines:
        with Pillow.open(path / line["file_name"]) as picture:
            picture.load()
    assert {each.name for each in path.iterdir() if not each.name.startswith(".")} == {
        "metadata.jsonl",
        *(line["file_name"] for line in lines),
    }


def test_a_run_of_several_images_is_one_row_again(home: Path, tmp_path: Path) -> None:
    """Two lines of one run become one row with two images, in their order."""
    log = frame([run(images=[image(home, 1), image(home, 2)])])
    back = read_log(log.imagen.export(tmp_path / "set"))
    assert len(back) == 1
    assert [Path(each).read_bytes() for each in back["images"].iloc[0]] == [
        Path(each).read_bytes() for each in log["images"].iloc[0]
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path, text: str) -> None:
    """A spreadsheet finds text where a prompt, a slot, an error or a column's name looks like a formula."""
    log = frame([run(text or "x", error=text, note=text, params={text or "p": text}, slots={"s": text})])
    path = log.imagen.export(tmp_path / "log.csv")
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in STARTS]
    pd.testing.assert_frame_equal(read_log(path), log)


def test_the_pages_own_reader_and_pandas_agree_on_plain_values(log: pd.DataFrame, tmp_path: Path) -> None:
    """Anyone can read the CSV with pandas: the same rows and columns are there."""
    path = log.imagen.export(tmp_path / "log.csv")
    other = pd.read_csv(path, index_col="run_id")
    assert list(other.columns) == list(log.columns)
    assert other["prompt"].tolist() == log["prompt"].tolist()
    assert other["steps"].tolist() == log["steps"].tolist()


@given(st.lists(st.lists(PLAIN, min_size=3, max_size=3), max_size=5))
def test_any_values_survive_the_csv(rows: list[list[object]]) -> None:
    """Text stays text, numbers numbers, and missing missing, whatever they are."""
    text = "".join(map(csv_line, [["a", "b", "c"], *rows]))
    assert list(csv_rows(text)) == [["a", "b", "c"], *rows]


@given(st.text(st.sampled_from([*STARTS, "'", "x"])))
def test_guarding_is_undone_exactly(text: str) -> None:
    """Every text comes back from its guarded form, and no guarded form starts a formula."""
    assert unguard(guard(text)) == text
    assert guard(text)[:1] not in STARTS


def test_a_csv_from_elsewhere_is_read_too(tmp_path: Path) -> None:
    """A file that a spreadsheet saved without quotes, with other line ends and a mark at its start, still has types."""
    path = tmp_path / "other.csv"
    lines = ["run_id,prompt,status,total_s,steps,go_fast,rating", "r1,a fox,succeeded,9.5,4,TRUE,", 'r2,5" nail,,,,,3']
    path.write_text("\n".join(lines), "utf-8-sig")
    back = read_log(path)
    assert back.index.tolist() == ["r1", "r2"]
    assert back["prompt"].tolist() == ["a fox", '5" nail']
    assert back["total_s"].iloc[0] == 9.5
    assert math.isnan(back["total_s"].iloc[1])
    assert back.dtypes.astype(str)[["steps", "go_fast"]].tolist() == ["Int64", "boolean"]
    assert back["rating"].tolist() == [pd.NA, 3]
    assert back["status"].tolist()[0] == "succeeded"


def test_frames_of_two_logs_are_written_together(log: pd.DataFrame, tmp_path: Path) -> None:
    """A column that is a number in one log and text in the other is text in the file."""
    both = pd.concat([log, log.assign(steps="many", extra=[{"a": 1}] * len(log)).rename(index=lambda each: f"x{each}")])
    for name in ("log.csv", "log.parquet"):
        back = read_log(both.imagen.export(tmp_path / name))
        assert len(back) == 32
        assert back["steps"].tolist()[0] == "4" or back["steps"].tolist()[0] == 4
        assert back["steps"].tolist()[-1] == "many"


def test_a_failed_write_leaves_what_was_there(log: pd.DataFrame, tmp_path: Path) -> None:
    """The old file stays whole, and no half file is left beside it."""
    path = log.imagen.export(tmp_path / "log.csv")
    before = path.read_bytes()

    class Broken:
        def __str__(self) -> str:
            raise ZeroDivisionError

    broken = log.astype(object)
    broken.iloc[3, 0] = Broken()
    with pytest.raises(ZeroDivisionError):
        broken.imagen.export(path)
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"log.csv", "imagen_runs"}


def test_a_folder_is_replaced_only_where_it_is_our_own(log: pd.DataFrame, tmp_path: Path) -> None:
    """An export is written again over itself, into an empty folder, and never over anything else."""
    path = log.imagen.export(tmp_path / "set")
    log.iloc[:3].imagen.export(path)
    assert len(read_log(path)) == 3
    (path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt'"):
        log.imagen.export(path)
    assert (path / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    log.imagen.export(tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is not a folder"):
        log.imagen.export(tmp_path / "file")


def test_nothing_but_the_export_appears(log: pd.DataFrame, tmp_path: Path) -> None:
    """No temporary file or folder is left behind."""
    for name in ("a.csv", "b.parquet", "c"):
        log.imagen.export(tmp_path / "out" / name)
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["a.csv", "b.parquet", "c"]


def test_files_are_named_by_what_varies_or_by_columns(log: pd.DataFrame, home: Path, tmp_path: Path) -> None:
    """A name says what the picture is; no text that a frame holds leads out of the folder, and none is taken twice."""
    there = {path.name for path in log.imagen.export(tmp_path / "set").glob("*.png")}
    assert {"fox_oil_1x1_1.png", "owl_ink_16x9_2.png"} < there
    assert len(there) == 15
    chosen = log.imagen.export(tmp_path / "ids", names=["style", "run_id"])
    assert {path.name for path in chosen.glob("oil_*.png")} == {
        f"oil_{run_id}{'_2' if repeat == 2 else '_1'}.png"
        for run_id, repeat, style, image in zip(log.index, log["repeat"], log["style"], log["image"], strict=True)
        if style == "oil" and isinstance(image, str)
    }
    with pytest.raises(InputError, match="names='stile' is not a column"):
        log.imagen.export(tmp_path / "wrong", names="stile")
    hostile = frame(
        [run("a", [image(home, n)], slots={"s": s}) for n, s in enumerate(["../../evil", "CON\0", "x", "x"])]
    )
    there = {path.name for path in hostile.imagen.export(tmp_path / "hostile").iterdir()}
    digits = [Path(each).stem[:6] for each in hostile["image"][2:]]
    names = {"evil.png", "CON_.png", *(f"x_{each}.png" for each in digits), "metadata.jsonl", ".imagen_nb.json"}
    assert there == names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("log.xlsx", "no export to .xlsx"),
        ("log.html", "no export to .html"),
        ("log.csv/inner.csv", "cannot be written"),
    ],
)
def test_a_place_that_will_not_do_is_one_line(log: pd.DataFrame, tmp_path: Path, name: str, message: str) -> None:
    """An unknown kind of file and an impossible place are named."""
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(InputError) as caught:
        export(log, tmp_path / name)
    assert message in caught.value.message
    assert caught.value.hint


def test_missing_images_are_said_before_anything_is_written(log: pd.DataFrame, tmp_path: Path) -> None:
    """A folder is not made of what is not there."""
    Path(log["image"].iloc[0]).unlink()
    with pytest.raises(InputError, match="1 of the image files are missing"):
        log.imagen.export(tmp_path / "set")
    with pytest.raises(InputError, match="no run in this frame has an image"):
        log.iloc[[5]].imagen.export(tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("gone.csv", None), ("bad.parquet", b"no"), ("bad.csv", b"\xff\xfe\x00"), ("folder", b"")]
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes | None) -> None:
    """Whatever is wrong with it, the file is named."""
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_log(path)
    assert name in caught.value.message


@pytest.mark.parametrize("path", [None, 3, ["log.csv"], "lo\0g.csv"])
def test_what_is_no_path_is_one_line(path: Any) -> None:
    """Nothing, a number or a list is refused by its kind."""
    with pytest.raises(InputError, match="is no place to read from"):
        read_log(path)


def test_a_new_file_may_be_read_by_others(log: pd.DataFrame, tmp_path: Path) -> None:
    """Files have the permissions that any new file gets."""
    plain = tmp_path / "plain"
    plain.write_text("")
    assert log.imagen.export(tmp_path / "log.csv").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_large_whole_numbers_come_back_exactly(log: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """A seed of any size that a column of whole numbers holds is the same in the file, beside what is missing too."""
    seeds = [2**53 + 1, 2**63 - 1, -(2**63), 10**18, None, *range(11)]
    there = log.assign(seed=pd.array(seeds, dtype="Int64"))
    back = read_log(there.imagen.export(tmp_path / name))
    pd.testing.assert_series_equal(back["seed"], there["seed"])


def test_numbers_beyond_any_column_are_read_all_the_same(log: pd.DataFrame, tmp_path: Path) -> None:
    """An unsigned number too large for a signed column is text then, and no error."""
    log.assign(seed=np.array([2**64 - 1] * 16, dtype="uint64"), images=None).to_parquet(tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet")["seed"].tolist() == [str(2**64 - 1)] * 16


def test_a_row_that_is_there_twice_is_two_rows_again(home: Path, tmp_path: Path) -> None:
    """A repeated run comes back from a folder as often as it was, each time with its own images only."""
    log = frame([run(images=[image(home, 1), image(home, 2)], number=1), run(images=[image(home, 3)], number=2)])
    twice = log.iloc[[0, 1, 0]]
    back = read_log(twice.imagen.export(tmp_path / "set"))
    assert back.index.tolist() == twice.index.tolist()
    assert [len(each) for each in back["images"]] == [2, 1, 2]
    assert len({path for each in back["images"] for path in each}) == 5


@pytest.mark.parametrize("name", ["log.csv.gz", "log.tsv", "log.PNG", "log.tar", "log.md", "log.csv.bz2", "log.orc"])
def test_a_file_of_another_kind_does_not_become_a_folder(log: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """A name that is plainly a file's is refused before anything is written."""
    with pytest.raises(InputError, match="no export to"):
        log.imagen.export(tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["runs", "runs.v2", "2025.03.01", "fox.vs.owl"])
def test_a_folder_may_have_a_dot_in_its_name(log: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """A dot alone makes no file of a folder."""
    assert log.imagen.export(tmp_path / name).is_dir()


def test_an_empty_log_is_written_and_read(log: pd.DataFrame, tmp_path: Path) -> None:
    """No rows are no error, and the columns stay."""
    for name in ("log.csv", "log.parquet"):
        back = read_log(log.iloc[:0].imagen.export(tmp_path / name))
        assert list(back.columns) == list(log.columns)
        assert len(back) == 0


def test_a_prompt_of_several_lines_is_one_cell(tmp_path: Path) -> None:
    """A prompt over several lines, with quotes and commas, is one cell."""
    log = frame([run('two\nlines, "quoted"\r\nthird')])
    assert read_log(log.imagen.export(tmp_path / "log.csv"))["prompt"].tolist() == log["prompt"].tolist()


def test_names_that_image_loaders_take_for_files_are_others_there(home: Path, tmp_path: Path) -> None:
    """Slots and inputs may be called like the loader's own columns: the set loads, and reads back under their names."""
    names = ["file_name", "file_names", "sketch_file_name", "mask_file_names", "image_number", "file_name_column"]
    made = run(
        "a fox", [image(home)], slots=dict.fromkeys(names, "x"), template=" ".join(f"{{{name}}}" for name in names)
    )
    path = frame([made]).imagen.export(tmp_path / "set")
    (line,) = [json.loads(text) for text in (path / "metadata.jsonl").read_text("utf-8").splitlines()]
    # What `datasets` looks for, in its folder_based_builder: of these there may be one alone.
    assert [name for name in line if name.endswith(("file_name", "file_names"))] == ["file_name"]
    assert line["file_name"] == "x_x_x_x_x_x.png"
    back = read_log(path)
    assert {name: back[name].iloc[0] for name in names} == dict.fromkeys(names, "x")


PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def test_a_folder_holds_pictures_alone(tmp_path: Path) -> None:
    """A file that a table from elsewhere names, and that is no picture, is not copied, whatever its ending."""
    for name in ("id_rsa", "id_rsa.png"):
        (tmp_path / name).write_bytes(PRIVATE)
        (tmp_path / "log.csv").write_text(f'"prompt","status","image"\n"a","succeeded","{tmp_path / name}"\n')
        with pytest.raises(InputError, match=r"1 of the image files are no pictures, the first .*id_rsa"):
            read_log(tmp_path / "log.csv").imagen.export(tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_folder_says_where_strange_pictures_came_from(home: Path, tmp_path: Path) -> None:
    """Those that no home and no export has: a table from a file may name any on this machine."""
    (tmp_path / "private").mkdir()
    shutil.copy(image(home).path, tmp_path / "private" / "me.png")
    (tmp_path / "log.csv").write_text(
        f'"prompt","status","image"\n"a","succeeded","{tmp_path / "private" / "me.png"}"\n'
    )
    with pytest.warns(UserWarning, match=r"pictures are copied into .*set from .*private, as the frame names them"):
        path = read_log(tmp_path / "log.csv").imagen.export(tmp_path / "set")
    read_log(path).imagen.export(tmp_path / "again")
    assert (tmp_path / "again" / "a.png").read_bytes() == image(home).path.read_bytes()
