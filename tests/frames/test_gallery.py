from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from markup import Markup
from PIL import Image as Pillow
from sample_runs import frame, run

from imagen_nb.api.image_files import examine
from imagen_nb.errors import InputError
from imagen_nb.log.images import Images
from imagen_nb.records import IMAGE_MIMES, Image
from imagen_nb.views.thumbnails import open_picture


def test_a_gallery_is_in_the_frames_order(log: pd.DataFrame) -> None:
    """Tiles follow the rows, captioned with what tells them apart."""
    shown = log.iloc[[12, 0]].imagen.gallery()
    assert Markup.of(shown.html).attributes("alt") == ["a owl in ink", "a fox in oil"]
    assert "owl · ink" in shown.text


def test_a_large_gallery_comes_in_pages(log: pd.DataFrame) -> None:
    """A page is bounded, and the line below says how to see the next."""
    shown = log.imagen.gallery(page=2, per_page=6)
    assert Markup.of(shown.html).tags.count("img") == 6
    assert shown.text.endswith("Page 2 of 3 (6 of 16 runs); df.imagen.gallery(per_page=6, page=3) shows the next.")
    with pytest.raises(InputError, match="there is no page 4"):
        log.imagen.gallery(page=4, per_page=6)
    with pytest.raises(InputError, match=r"^per_page cannot be 0; allowed: a whole number from 1"):
        log.imagen.gallery(per_page=0)


@pytest.mark.parametrize("given", ["1", None, 2.5])
@pytest.mark.parametrize("name", ["page", "per_page"])
@pytest.mark.parametrize("method", ["gallery", "grid"])
def test_a_page_that_is_no_number_is_one_line(log: pd.DataFrame, method: str, name: str, given: object) -> None:
    """Both numbers of the paging are checked before anything is counted."""
    with pytest.raises(InputError, match=f"^{name} cannot be .*; allowed: a whole number from 1"):
        getattr(log.imagen, method)(**{name: given})


def test_an_empty_frame_shows_that_it_is_empty(log: pd.DataFrame) -> None:
    """A filter that leaves nothing is no error."""
    empty = log.iloc[:0].imagen
    for shown in (empty.gallery(), empty.grid(), empty.grid("animal", "style", "steps")):
        assert shown.text == Markup.of(shown.html).text == "No runs in this frame."
    assert len(empty.summary()) == 0


def test_only_what_a_grid_shows_gets_a_thumbnail(log: pd.DataFrame, home: Path) -> None:
    """Of a crowded cell, the images beyond those that fit are not even looked at."""
    shown = log.assign(animal="fox", style="oil").imagen.grid("animal", "style")
    assert Markup.of(shown.html).tags.count("img") == 12
    assert len({path.stem for path in (home / "thumbnails").rglob("*.webp")}) == 12


def test_images_that_are_gone_are_said_and_the_rest_shows(log: pd.DataFrame) -> None:
    """A deleted file leaves a note in its place."""
    Path(log["image"].iloc[0]).unlink()
    page = Markup.of(log.imagen.gallery().html)
    assert page.tags.count("img") == 14
    assert "The image file is missing" in page.text


def test_a_frame_outlives_its_files_by_its_thumbnails(log: pd.DataFrame, home: Path) -> None:
    """Thumbnails that the home keeps are shown again without the originals."""
    log.imagen.gallery()
    shutil.rmtree(home / "images")
    assert Markup.of(log.imagen.gallery().html).tags.count("img") == 15


def test_images_outside_any_home_are_shown_and_nothing_is_written_beside_them(
    log: pd.DataFrame, tmp_path: Path
) -> None:
    """A folder of plain pictures shows too, and stays as it was."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = folder / "fox.png"
    shutil.copy(log["image"].iloc[0], picture)
    plain = pd.DataFrame({"prompt": ["a fox"], "status": ["succeeded"], "image": [str(picture)]})
    assert Markup.of(plain.imagen.gallery().html).tags.count("img") == 1
    assert [path.name for path in folder.iterdir()] == ["fox.png"]


def test_showing_changes_neither_the_frame_nor_its_cost(log: pd.DataFrame) -> None:
    """The frame is only read."""
    before = log.copy(deep=True)
    log.imagen.gallery()
    log.imagen.grid()
    log.imagen.summary()
    pd.testing.assert_frame_equal(log, before)


@pytest.mark.parametrize("method", ["gallery", "grid", "compare", "summary"])
def test_a_frame_that_is_no_log_says_what_it_lacks(method: str) -> None:
    """Any other frame gets one line that names the missing column; looking for the accessor never fails."""
    other = pd.DataFrame({"a": [1, 2]})
    assert hasattr(other, "imagen")
    with pytest.raises(InputError, match="this frame has no column"):
        getattr(other.imagen, method)()


def test_an_image_takes_at_most_sixteen_kilobytes_of_notebook(home: Path, tmp_path: Path) -> None:
    """Even pictures of pure noise stay within the bound, by smaller thumbnails."""
    runs = []
    for number in range(4):
        noise = tmp_path / f"{number}.png"
        Pillow.effect_noise((512, 512), 120).convert("RGB").save(noise)
        digest = hashlib.sha256(noise.read_bytes()).hexdigest()
        path = Images(home).publish(noise, digest, "image/png")
        picture = Image(path, digest, 512, 512, path.stat().st_size, "image/png")
        runs.append(run("a storm", [picture], template="a {x}", slots={"x": str(number)}))
    for shown in (frame(runs).imagen.grid(), frame(runs).imagen.gallery()):
        assert shown.html.count("<img") == 4
        assert len(shown.html.encode()) / 4 <= 16_000


def test_a_table_from_elsewhere_opens_pictures_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program is started for a format that only Pillow knows, and a pipe, a folder or a device is not waited for."""
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    Pillow.new("RGB", (40, 30), "red").save(tmp_path / "fox.gif")
    Pillow.new("RGB", (40, 30), "red").save(tmp_path / "fox.png", "EPS")
    Pillow.new("RGB", (40, 30), "red").save(tmp_path / "fox.jpg", "TIFF")
    os.mkfifo(tmp_path / "pipe.png")
    paths = [*(tmp_path / name for name in ("fox.png", "fox.jpg", "pipe.png", ".", "fox.gif")), Path("/dev/zero")]
    table = pd.DataFrame({"prompt": "a fox", "status": "succeeded", "image": list(map(str, paths))})
    for shown in (table.imagen.gallery(), table.imagen.grid()):
        assert len([source for source in Markup.of(shown.html).attributes("src") if source.startswith("data:")]) == 1
    page = table.imagen.report(tmp_path / "report.html").read_text("utf-8")
    assert page.count("data:image/webp") == 1


@pytest.mark.parametrize("name", IMAGE_MIMES)
def test_what_a_provider_may_send_is_what_a_table_may_show(tmp_path: Path, name: str) -> None:
    """The formats that are downloaded and those that are opened from elsewhere are one list."""
    if name not in Pillow.SAVE:
        pytest.skip("this Pillow does not write it")
    path = tmp_path / "fox.png"
    Pillow.new("RGB", (40, 30), "red").save(path, name)
    assert examine(path, lambda: 60.0).mime == IMAGE_MIMES[name]
    with open_picture(path) as picture:
        assert picture.format == name
