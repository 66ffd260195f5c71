from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markup import Markup
from PIL import Image as Pillow
from sample_runs import frame, image, run

from imagen_nb.frames.runs import paths_in, runs_of
from imagen_nb.records import Run, Status


def test_rows_become_the_runs_they_came_from(log: pd.DataFrame, runs: list[Run]) -> None:
    """A frame gives back every run: its request with slots and parameters apart, its images, times and figures."""
    assert runs_of(log) == runs


def test_the_order_of_the_frame_is_kept(log: pd.DataFrame, runs: list[Run]) -> None:
    """Filtering and sorting with pandas decides what is shown, and in which order."""
    chosen = log[log["style"] == "ink"].sort_values("total_s", ascending=False)
    assert [each.id for each in runs_of(chosen)] == [
        each.id for each in reversed(runs) if each.request.slots["style"] == "ink"
    ]


def test_a_frame_through_plain_csv_still_shows(log: pd.DataFrame, runs: list[Run]) -> None:
    """What pandas itself wrote and read, types lost and lists made text, is understood."""
    back = pd.read_csv(io.StringIO(log.to_csv()))
    assert runs_of(back) == runs


def test_a_frame_through_plain_parquet_still_shows(log: pd.DataFrame, runs: list[Run], tmp_path: Path) -> None:
    """Image paths that come back as arrays are paths again."""
    log.to_parquet(tmp_path / "log.parquet")
    assert runs_of(pd.read_parquet(tmp_path / "log.parquet")) == runs


def test_frames_of_two_homes_are_shown_together(tmp_path: Path) -> None:
    """Each row knows where its image lies; a column that one frame lacks is missing in its rows."""
    a = frame([run(images=[image(tmp_path / "a" / "imagen_runs", 1)], params={"seed": 1})])
    b = frame([run(images=[image(tmp_path / "b" / "imagen_runs", 2)], slots={"style": "oil"}, template="{style}")])
    first, second = runs_of(pd.concat([a, b]))
    assert first.images[0].path.parents[3].name == "a"
    assert second.images[0].path.parents[3].name == "b"
    assert first.request.params == {"seed": 1}
    assert second.request.slots == {"style": "oil"}
    assert second.request.params == {}


def test_a_run_of_several_images_has_each_with_its_own_size(home: Path) -> None:
    """Columns speak of the first image; of the others, their files do."""
    sizes = [(64, 64), (64, 36)]
    log = frame([run(images=[image(home, n, size) for n, size in enumerate(sizes)])])
    assert [(each.width, each.height) for each in runs_of(log)[0].images] == sizes


def test_little_is_enough(home: Path) -> None:
    """A frame with a prompt, a status and an image shows; all else is missing."""
    picture = image(home)
    shown = runs_of(pd.DataFrame({"prompt": ["a fox"], "status": ["succeeded"], "image": [str(picture.path)]}))[0]
    assert shown.images == (picture,)
    assert (shown.id, shown.cost, shown.rating, shown.created_at) == ("0", None, None, None)


def test_slots_and_inputs_named_like_a_column_are_found_again() -> None:
    """A slot called `note` and an input called `status` come back under their own names."""
    log = pd.DataFrame(
        {"prompt": ["x y"], "template": ["x {note}"], "slot_note": ["y"], "input_status": ["z"], "status": ["failed"]}
    )
    request = runs_of(log)[0].request
    assert request.slots == {"note": "y"}
    assert request.params == {"status": "z"}


@pytest.mark.parametrize(
    ("cell", "paths"),
    [
        (("/a", "/b"), ["/a", "/b"]),
        (["/a"], ["/a"]),
        (np.array(["/a", "/b"], dtype=object), ["/a", "/b"]),
        ("('/a', '/b')", ["/a", "/b"]),
        ('["/a"]', ["/a"]),
        ("/a b.png", ["/a b.png"]),
        (None, []),
        ("[]", []),
        ("__import__('os').getcwd()", ["__import__('os').getcwd()"]),
        (3.5, []),
    ],
)
def test_paths_are_read_from_whatever_a_file_made_of_them(cell: object, paths: list[str]) -> None:
    """Lists of any kind and texts of lists are paths; nothing in them is ever run."""
    assert paths_in(cell) == paths


def test_nonsense_in_a_column_is_missing_and_not_an_error() -> None:
    """A hand-edited file cannot break the display."""
    log = pd.DataFrame(
        {
            "prompt": ["a"],
            "status": ["sulking"],
            "image": [12],
            "rating": ["many"],
            "created_at": ["yesterday-ish"],
            "total_s": ["long"],
            "width": ["?"],
        }
    )
    shown = runs_of(log)[0]
    assert shown.status is Status.UNKNOWN
    assert (shown.images, shown.rating, shown.created_at, shown.total_s) == ((), None, None, None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_turned_picture_is_measured_as_one_sees_it(tmp_path: Path, kind: str) -> None:
    """Where a frame has lost the sizes, the files tell, and EXIF may exchange their sides."""
    path, exif = tmp_path / f"fox.{kind.lower()}", Pillow.Exif()
    exif[0x0112] = 8
    Pillow.new("RGB", (40, 30), "red").save(path, kind, exif=exif)
    (shown,) = runs_of(pd.DataFrame({"image": [str(path)]}))[0].images
    assert (shown.width, shown.height) == (30, 40)


def test_input_files_that_the_home_has_are_files_again_and_head_the_grid(home: Path) -> None:
    """A column says `fox.png 1a2b3c4d`; where the home has that file, its picture stands at rows, columns and cells."""
    fox, owl = image(home, 50), image(home, 51, (40, 40))
    fox_text, owl_text = f"fox.png {fox.sha256[:8]}", f"owl.png {owl.sha256[:8]}"
    every = [(text, style) for text in (fox_text, owl_text) for style in ("oil", "ink")]
    log = frame(
        [
            run("make it ink", [image(home, n)], params={"input_image": text, "style": style}, number=n)
            for n, (text, style) in enumerate(every)
        ]
    )
    made = runs_of(log)
    assert [each.request.files["image"][0].path for each in made] == [fox.path, fox.path, owl.path, owl.path]
    assert made[2].request.files["image"][0].width == 40
    grid = Markup.of(log.imagen.grid("input_image", "style").html)
    assert [alt for alt in grid.attributes("alt") if ":" in alt] == ["image: fox.png", "image: owl.png"]
    assert Markup.of(log.imagen.table().html).attributes("alt").count("image: fox.png") == 2
    several = [owl_text, "https://example.com/a.png"]
    listed = runs_of(log.assign(input_image=json.dumps(several)))[0]
    assert [str(each) for each in listed.request.input["image"]] == several
    gone = log.assign(input_image="bear.png 00000000")
    assert runs_of(gone)[0].request.input["image"] == "bear.png 00000000"
